"""genae: a zoo of pretrained autoencoders that load, sample, train and are measured.

    from zoo import EAEModel
    images = EAEModel.from_pretrained("genae/eae-mnist").sample(16, seed=0)

Importing `zoo` loads neither torch nor transformers; touching a model class does.
"""

import importlib
import os
from typing import TYPE_CHECKING, Any

from zoo import catalog

if TYPE_CHECKING:  # the names that __getattr__ finds, for type checkers and editors
    from zoo.card import Card as Card
    from zoo.errors import GenaeError
    from zoo.models.configuration_ae import AEConfig as AEConfig
    from zoo.models.configuration_classifier import ClassifierConfig as ClassifierConfig
    from zoo.models.configuration_eae import EAEConfig as EAEConfig
    from zoo.models.configuration_vae import VAEConfig as VAEConfig
    from zoo.models.image_processing_genae import GenaeImageProcessor as GenaeImageProcessor
    from zoo.models.modeling_ae import AEModel as AEModel
    from zoo.models.modeling_classifier import ClassifierModel as ClassifierModel
    from zoo.models.modeling_eae import EAEModel as EAEModel
    from zoo.models.modeling_vae import VAEModel as VAEModel
    from zoo.registry import list_models as list_models
    from zoo.registry import load_card as load_card
    from zoo.registry import pull as pull
    from zoo.registry import verify as verify

    __version__: str

_CLASSES = catalog.classes()
_FUNCTIONS = {
    "Card": "zoo.card:Card",
    "list_models": "zoo.registry:list_models",
    "load_card": "zoo.registry:load_card",
    "pull": "zoo.registry:pull",
    "verify": "zoo.registry:verify",
}
_MODULES = ("data", "evaluation", "models", "plots", "registry", "training")

__all__ = ["__version__", "from_pretrained", "load_image_processor", *_FUNCTIONS, *_CLASSES]


def from_pretrained(
    name: str | os.PathLike[str], *, revision: str | None = None, **kwargs: Any
) -> Any:
    """Load a model without knowing its class.

    `transformers.AutoModel` does the same for folders, once `zoo.models` is imported; ids go
    through genae's registry here and in each class's own `from_pretrained`, not there.

    Args:
        name: an id such as `genae/vae-mnist`, or a folder.
        revision: a version of the model, such as `v1.0.0`.
        **kwargs: passed on to the class's own `from_pretrained`.

    Returns:
        The model, in evaluation mode.

    Raises:
        NotFoundError: there is no such model, or its folder holds no weights; the message says
            what is near or how to train it.
        NotAllowedError: it is gated on the Hub.
        IntegrityError: its files differ from their manifest.
        UsageError: the model is another library's, or the name empty.
    """
    from zoo.registry import resolve
    from zoo.registry.transfer import read_config

    place = resolve(name, revision)
    if os.path.isdir(place):
        from pathlib import Path

        config = read_config(Path(place))
    else:
        config = _fetch_config(place, revision)
        kwargs["revision"] = revision or "main"
    entry = catalog.find_config(config.get("model_type"), config.get("architectures") or ())
    if os.path.isdir(place):
        _check_weights_exist(place)
    return _complete(catalog.load(entry.model), place, kwargs)


def load_image_processor(name: str | os.PathLike[str]) -> "GenaeImageProcessor":
    """The image processor of a model: an id or a folder.

    Raises:
        NotFoundError: there is no such model, or no `preprocessor_config.json` beside it.
        NotAllowedError: it is gated on the Hub.
        IntegrityError: that file is malformed.
    """
    from pathlib import Path

    from zoo.errors import IntegrityError, NotFoundError
    from zoo.models import GenaeImageProcessor
    from zoo.registry import resolve
    from zoo.registry.transfer import read_config

    place = resolve(name)
    path = Path(place) / "preprocessor_config.json"
    if Path(place).is_dir():
        if not path.is_file():
            raise NotFoundError(
                f"{name} has no {path.name}, which says how pictures go in; save its "
                "GenaeImageProcessor there"
            )
        read_config(path.parent, path.name)  # transformers stumbles over other JSON in many ways
    try:
        return GenaeImageProcessor.from_pretrained(place)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        if isinstance(error, OSError) and not Path(place).exists():
            raise _out_of_reach(place, path.name, error) from error
        reason = " ".join(str(error).split())
        raise IntegrityError(
            f"{path}: makes no image processor ({reason}); get it again"
        ) from error


def _check_weights_exist(folder: str) -> None:
    from pathlib import Path

    from zoo.errors import NotFoundError
    from zoo.registry import embedded

    if not embedded.ships(Path(folder)):
        raise NotFoundError(
            f"{folder} has a config.json but no weights ({' or '.join(embedded.WEIGHTS)}); "
            "save the model there or get it again"
        )


def _fetch_config(name: str, revision: str | None) -> dict[str, Any]:
    """The config of another owner's model, from the cache or the Hub."""
    from transformers import PreTrainedConfig

    try:
        config, _ = PreTrainedConfig.get_config_dict(name, revision=revision)
    except OSError as error:
        raise _out_of_reach(name, "config.json", error) from error
    return dict(config)


def _out_of_reach(name: str | os.PathLike[str], what: str, error: OSError) -> "GenaeError":
    """What to raise when transformers could not get a part of another owner's model."""
    from huggingface_hub.errors import GatedRepoError

    from zoo.errors import NotAllowedError, NotFoundError

    if isinstance(error.__cause__, GatedRepoError):
        return NotAllowedError(f"{name} is gated: ask for access on its page.")
    return NotFoundError(
        f"no folder '{name}' here, and no {what} of such a model in the cache or within reach on "
        "the Hub; check the name, or go online (HF_HUB_OFFLINE unset)"
    )


def _complete(model_class: Any, place: str | os.PathLike[str], kwargs: dict[str, Any]) -> Any:
    """Load a model, refusing weights that are not exactly the config's.

    transformers would fill what is missing with random numbers and go on.
    """
    from logging import ERROR

    from huggingface_hub.errors import StrictDataclassError
    from transformers.utils import logging

    from zoo.errors import IntegrityError

    wanted = kwargs.pop("output_loading_info", False)
    before = logging.get_verbosity()
    logging.set_verbosity(ERROR)
    try:
        # Sizes that differ are reported by name only when they are tolerated at first.
        kwargs["ignore_mismatched_sizes"] = True
        model, report = model_class.from_pretrained(place, output_loading_info=True, **kwargs)
    except (StrictDataclassError, RuntimeError, TypeError) as error:
        raise IntegrityError(
            f"{place}: config.json and weights make no model: {' '.join(str(error).split())}"
        ) from error
    except OSError as error:
        if os.path.exists(place):
            raise
        raise _out_of_reach(place, "weights", error) from error
    finally:
        logging.set_verbosity(before)
    for kind in ("missing", "unexpected", "mismatched"):
        if keys := report.get(f"{kind}_keys"):
            names = ", ".join(sorted(str(key) for key in keys)[:3])
            raise IntegrityError(
                f"{place}: the weights are not those of config.json: {len(keys)} {kind}, such as "
                f"{names}; get the model again"
            )
    return (model, report) if wanted else model


def __getattr__(name: str) -> Any:
    if name in _FUNCTIONS:
        value = catalog.load(_FUNCTIONS[name])
    elif name in _CLASSES:
        value = catalog.load(_CLASSES[name])
    elif name in _MODULES:
        return importlib.import_module(f"zoo.{name}")
    elif name == "__version__":
        value = _version()
    else:
        raise AttributeError(f"module 'zoo' has no attribute {name!r}")
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__, *_MODULES})


def _version() -> str:
    from importlib.metadata import PackageNotFoundError, version  # slow to import

    try:
        return version("genae")
    except PackageNotFoundError:
        return "0+unknown"  # a checkout that was not installed
