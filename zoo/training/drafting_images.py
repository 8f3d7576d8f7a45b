"""The first card of a model of images, or of points of the plane."""

from typing import Any

from zoo import catalog
from zoo.card import Card
from zoo.data.describing import ImageFacts, describe_images
from zoo.errors import UsageError

from . import starts
from .drafting import MAX_WARM_UP, Draft, begun, data_table, power_of_two, reading, split_note
from .starts import Start

MAX_EPOCHS = 100  # of few images, which a net learns by heart
MIN_IMAGES = 2


def of_images(entry: catalog.Entry, data: str) -> Draft:
    """What follows from images: their size and channels, classes, and how many there are.

    Raises:
        GenaeError: there are no images, or the architecture needs others.
    """
    with reading(entry, "images"):
        facts = describe_images(data)
    if facts.count < MIN_IMAGES:
        raise UsageError(f"data set {data}: {facts.count} image is too few to train on")
    if "classifies" in entry.can and (facts.num_labels or 0) < 2:
        raise UsageError(
            f"data set {data}: its images have no labels, which {entry.name} learns; put those of "
            "each class into a folder of their own"
        )
    kind = starts.GREY if facts.num_channels == 1 else starts.COLOUR
    start = starts.IMAGES.get(entry.name, {}).get(kind, starts.IMAGE)
    config, train, card = begun(start, entry.name)
    size = min(facts.width, facts.height, start.max_size)
    padded = max(8, -(-size // start.multiple) * start.multiple)
    config = {"image_size": padded, "num_channels": facts.num_channels, **config}
    if "classifies" in entry.can:
        config["num_labels"] = facts.num_labels
    processor = {"size": size, "num_channels": facts.num_channels}
    if padded != size:
        processor["pad_size"] = padded
    stated = card.train.arguments["per_device_train_batch_size"]
    batch = min(stated, power_of_two(facts.count))
    length = _steps(start, card, facts.count, batch)
    if facts.count < 2 * config.get("num_mixture_components", 10) and "samplers" in train:
        train["samplers"] = ["gaussian"]  # a mixture needs more codes than components
    if "samples" not in entry.can or "encodes" not in entry.can:
        train.pop("samplers", None)
    steps = length.get("max_steps") or length["num_train_epochs"] * (facts.count // batch)
    train = {
        **length,
        "per_device_train_batch_size": batch,
        "warmup_steps": min(MAX_WARM_UP, steps // 10),
        **train,
        "seed": 0,
    }
    kept = card.data.to_dict() if card.data else {}
    kept = {name: kept[name] for name in starts.KEPT_OF_DATA if name in kept}
    kept = kept if kept.get("num_views", 1) > 1 else {}
    table = {
        "config": config,
        "processor": processor,
        **data_table(data, facts, kept),
        "train": train,
    }
    return Draft(table, _image_notes(facts, size, padded, steps), entry.task)


def _image_notes(facts: ImageFacts, size: int, padded: int, steps: int) -> dict[str, str]:
    native = f"{facts.width} x {facts.height}"
    cut = "" if facts.width == facts.height else "; the centre square is cut"
    shrunk = f" and shrunk to {size}" if size < min(facts.width, facts.height) else ""
    colours = "grey" if facts.num_channels == 1 else "coloured"
    return {
        "processor.size": f"The images are {native}{cut}{shrunk}.",
        "config.image_size": "Side of the images as the model reads them, in pixels.",
        "config.num_channels": f"The images are {colours}.",
        "config.num_labels": "Number of classes in the data.",
        "train.num_train_epochs": f"{steps:,} steps.",
        "data.train_split": split_note(f"{facts.count:,} images", facts.splits),
    }


def _steps(start: Start, card: Card, count: int, batch: int) -> dict[str, Any]:
    """How long a training lasts: steps as they are stated, else as many epochs as they take."""
    steps = start.steps or card.train.arguments["max_steps"]
    if start.steps is None:
        return {"max_steps": steps}
    epochs = max(1, min(MAX_EPOCHS, -(-steps * batch // count)))
    return {"num_train_epochs": epochs}


def of_points(entry: catalog.Entry, data: str) -> Draft:
    """What follows from a distribution of the plane.

    Raises:
        UsageError: the architecture has no start for points.
    """
    if (start := starts.IMAGES.get(entry.name, {}).get(starts.POINTS)) is None:
        can = [name for name, kinds in starts.IMAGES.items() if starts.POINTS in kinds]
        raise UsageError(
            f"data set {data} is of points, which {entry.name} does not read; {' and '.join(can)} "
            "do"
        )
    config, train, card = begun(start, entry.name)
    arguments = card.train.arguments
    batch = arguments["per_device_train_batch_size"]
    train = {
        "max_steps": arguments["max_steps"],
        "per_device_train_batch_size": batch,
        **train,
        "seed": 0,
    }
    table = {"dataset": data, "train_split": "train", "license": "cc0-1.0"}
    tables = {"config": {"input_shape": [2], **config}, "data": table, "train": train}
    return Draft(tables, {"config.input_shape": "Shape of a point."}, entry.task)
