"""Which graphs a model has."""

from collections.abc import Callable
from typing import Any

from zoo import catalog
from zoo.exporting.graph import Graph
from zoo.exporting.images import of_images, of_tensors
from zoo.exporting.texts import of_texts

OF_WHAT_IT_READS: dict[str, Callable[[Any, catalog.Entry, bool], list[Graph]]] = {
    "images": of_images,
    "tensors": of_tensors,
    "texts": of_texts,
}


def graphs(model: Any, cached: bool = True) -> list[Graph]:
    """The graphs of a model in eval mode: what of it another runtime can compute.

    Of an autoencoder its `encoder` and its `decoder`, of an energy the `energy` alone, whose
    score is a gradient; of an encoder-decoder both stacks; of others one, `model`. What writes
    texts reads and gives a cache.

    Args:
        model: of an architecture of the catalog.
        cached: False leaves the cache out, so that texts are read as wholes.

    Raises:
        UsageError: the model is of another library, or its inputs have no shape.
    """
    entry = catalog.find_config(model.config.model_type, [type(model).__name__])
    return OF_WHAT_IT_READS[entry.reads](model, entry, cached)
