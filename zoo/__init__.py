"""genae: a zoo of pretrained autoencoders that load, sample, train and are measured.

    from zoo import EAEModel
    images = EAEModel.from_pretrained("genae/eae-mnist").sample(16, seed=0)

Importing `zoo` loads neither torch nor transformers; touching a model class does.
"""

from zoo import catalog, lazy

# Classes of models are those of the catalog; `make readme` lists them for type checkers.
_CLASSES = {name: reference.partition(":")[0] for name, reference in catalog.classes().items()}
__getattr__, __dir__, __all__ = lazy.attach(__name__, _CLASSES)
