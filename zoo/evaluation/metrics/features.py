"""Features of real images, of samples and of train images, extracted once."""

import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.data.splits import canonical
from zoo.errors import NotFoundError, UsageError
from zoo.evaluation.subject import Context, Subject, check_count
from zoo.gathering import by_first, shared
from zoo.models.images.energy_sampling import CHAIN_BATCH
from zoo.plots import to_uint8
from zoo.progress import items_bar

# The classifier whose features are used if none is named.
FEATURES = {
    "mnist": "genae/classifier-mnist",
    "fashion-mnist": "genae/classifier-fashion-mnist",
    "stacked-mnist": "genae/classifier-mnist",
    "examples-mnist": "genae/classifier-mnist",
    "examples-fashion-mnist": "genae/classifier-fashion-mnist",
}


@dataclass(frozen=True)
class FeatureSets:
    """Features in float64 on the CPU, `(n, d)` each, the same n.

    Attributes:
        real: of images of the split to measure on.
        samples: of the model's samples.
        train: of train images, for the floor; None if there is no train split.
        features: id or folder of the classifier.
    """

    real: Tensor
    samples: Tensor
    train: Tensor | None
    features: str


def feature_sets(
    subject: Subject, *, options: Mapping[str, Any], features: str | None, num_images: int
) -> FeatureSets:
    """The three sets, from the context's cache if another metric computed them before.

    Args:
        subject: a model that draws, and the images it should match.
        options: what `sampling_options` gave.
        features: id or folder of a classifier; None is the one for the data set.
        num_images: n, at most what both splits hold.

    Raises:
        UsageError: if there are no features for the data set, the classifier does not fit, or
            the sampler is unfitted.
    """
    check_count("num_images", num_images, 2)
    context = subject.context
    reader = reader_of(subject, features)
    real, train = _real_images(subject, num_images)
    where = (subject.dataset, subject.split, subject.config, subject.seed, num_images)
    how = tuple(options.items())

    def of(kind: tuple[Any, ...], pixels: Tensor, text: str) -> Tensor:
        key = ("features", reader.name, *kind, *where)
        return context.once(key, lambda: extract(context, reader, pixels, text))

    drawn = context.once(
        ("samples", *how, subject.seed, len(real)), lambda: draw(subject, len(real), options)
    )
    return FeatureSets(
        real=of(("real",), real, "features of images"),
        samples=of(("samples", *how), drawn, "features of samples"),
        train=None if train is None else of(("train",), train, "features of train images"),
        features=reader.name,
    )


@dataclass(frozen=True)
class Reader:
    """A classifier that reads a model's images.

    Attributes:
        name: its id or folder.
        model: in eval mode on the context's device.
        frame: 8-bit images of the model as the classifier's: the same without their padding, in
            the padding that the classifier knows.
    """

    name: str
    model: Any
    frame: Callable[[Tensor], Tensor]


def reader_of(subject: Subject, features: str | None, num_channels: int | None = None) -> Reader:
    """The classifier of that name, or the one for the data set, loaded once.

    Args:
        subject: a model and its data set.
        features: id or folder of a classifier; None is the one for the data set.
        num_channels: of the images to read; None is what the model's have.

    Raises:
        UsageError: if there is none for the data set, or it does not fit the model.
    """
    name = features or FEATURES.get(subject.dataset)
    if name is None:
        raise UsageError(
            f"data set {subject.dataset} has no classifier of its own; name one with the option "
            "features = 'genae/classifier-mnist'"
        )
    context = subject.context
    channels = num_channels or int(context.model.config.num_channels)
    return context.once(
        ("classifier", name, channels), lambda: load_classifier(name, context, channels)
    )


def load_classifier(name: str, context: Context, num_channels: int) -> Reader:
    """A classifier for images as large as those of the context's model.

    Raises:
        UsageError: if it is not a classifier, or reads images of another size than the model's.
    """
    from zoo.loading import model_at, processor_at
    from zoo.registry import resolve

    place = resolve(name)
    model: Any = model_at(place)
    if not hasattr(model, "features"):
        raise UsageError(
            f"features {name!r} is not a classifier; name one that `genae list` shows"
        )
    model = model.eval().to(context.device)
    side = context.model.config.image_size
    shapes = [(model.config.num_channels, model.config.image_size), (num_channels, side)]
    if shapes[0] == shapes[1]:
        return Reader(name, model, lambda pixels: pixels)
    with contextlib.suppress(NotFoundError):
        own, others = processor_at(place, name), context.processor
        if (own.num_channels, own.size) == (num_channels, others.size):
            return Reader(name, model, lambda pixels: reframe(pixels, others, own))
    raise UsageError(
        f"features {name!r} reads {shapes[0][0]} x {shapes[0][1]} x {shapes[0][1]} images "
        f"and is to read {shapes[1][0]} x {shapes[1][1]} x {shapes[1][1]}; name a "
        "classifier of the same size"
    )


def reframe(pixels: Tensor, before: Any, after: Any) -> Tensor:
    """Images of one processor with the blank padding of another; both resize to the same side."""
    blank = pixels.new_zeros((*pixels.shape[:-2], after.output_size, after.output_size))
    after.crop_padding(blank).copy_(before.crop_padding(pixels))
    return blank


def sampling_options(subject: Subject, **given: Any) -> dict[str, Any]:
    """The options of the model's `sample` as it uses them, defaults filled in.

    Args:
        subject: a model that draws.
        **given: `sampler`, `temperature`, `steps`, `jump`; None is the model's own.

    Raises:
        UsageError: an option is not for this model, or out of its range.
    """
    check_count("steps", given.get("steps"))
    if not isinstance(given.get("jump"), bool | None):
        raise UsageError(f"jump must be true or false, got {given['jump']!r}")
    try:
        options: dict[str, Any] = subject.model.sampling_options(**given)
    except (ValueError, TypeError) as error:
        raise UsageError(str(error)) from error
    return options


@torch.no_grad()
def draw(subject: Subject, count: int, options: Mapping[str, Any]) -> Tensor:
    """Samples as they would be saved: 8 bits, blank padding; uint8 `(n, C, H, W)`.

    Real images are 8-bit with blank padding, and features may see the difference.
    """
    context = subject.context
    try:
        if hasattr(context.model, "undenoised"):
            images = _from_chains(subject, count, **options)
        else:
            images = by_first(
                lambda: context.model.sample(count, **options, seed=subject.seed).cpu()
            )
    except ValueError as error:
        raise UsageError(str(error)) from error
    return reframe(to_uint8(images.cpu()), context.processor, context.processor)


def _from_chains(subject: Subject, count: int, *, jump: bool, **options: Any) -> Tensor:
    """`sample(count, jump=jump, seed=seed, **options)`, from the chains of the other jump."""
    model, context = subject.model, subject.context

    def walk() -> Tensor:
        generator = torch.Generator().manual_seed(subject.seed)
        starts = range(0, count, CHAIN_BATCH)
        total = len(starts) * options.get("steps", 1)
        with items_bar("sampling", total, quiet=context.quiet) as bar:
            # In the batches of `sample`, each with the numbers that it would have drawn.
            drawn = [
                model.undenoised(
                    min(CHAIN_BATCH, count - start),
                    **options,
                    generator=generator,
                    on_step=lambda _: bar(),
                )
                for start in starts
            ]
        return torch.cat(drawn).cpu()

    key = ("chains", *options.items(), subject.seed, count)
    found = context.once(key, lambda: by_first(walk)).to(context.device)
    images: Tensor = model.finished(found, jump)
    return images


@torch.no_grad()
def extract(context: Context, reader: Reader, pixels: Tensor, text: str) -> Tensor:
    """Features of 8-bit images, float64 `(n, d)` on the CPU."""
    batches = context.batches(reader.frame(pixels), text)
    found = shared(batches, lambda values: reader.model.features(values).cpu())
    return torch.cat([*found]).double()


@torch.no_grad()
def read_labels(context: Context, reader: Reader, pixels: Tensor, text: str) -> Tensor:
    """The most likely label of 8-bit images, int64 `(n,)` on the CPU."""
    batches = context.batches(reader.frame(pixels), text)
    found = shared(batches, lambda values: reader.model(values).logits.argmax(1).cpu())
    return torch.cat([*found])


def share_read(context: Context, reader: Reader, pixels: Tensor, labels: Tensor) -> float:
    """Share of 8-bit images whose most likely label is the one given, in [0, 1]."""
    read = read_labels(context, reader, pixels, "reading labels")
    return (read == labels).double().mean().item()


def _real_images(subject: Subject, num_images: int) -> tuple[Tensor, Tensor | None]:
    """Seeded choices of n images of the split and of n train images, 8-bit."""
    pixels = subject.images.pixels
    split = train_split(subject)
    if base(split) == base(subject.split):
        # Two halves that share no image: a set compared with itself gives no floor.
        count = min(num_images, len(pixels) // 2)
        order = subject.order(len(pixels), "images")
        chosen, rest = order[:count], order[count : 2 * count]
        return pixels[chosen], pixels[rest]
    train = _train_images(subject, split)
    count = min(num_images, len(pixels), len(pixels if train is None else train))
    chosen = subject.order(len(pixels), "images")[:count]
    if train is None:
        return pixels[chosen], None
    return pixels[chosen], train[subject.order(len(train), "train images")[:count]]


def base(split: str) -> str:
    """A split without its slice, under its usual name; slices of one split may overlap.

    Example:
        >>> base("train[:500]")
        'train'
        >>> base("val")
        'validation'
    """
    return canonical(split.partition("[")[0])


def train_split(subject: Subject) -> str:
    """The split that the model was trained on, if on this data set, else "train"."""
    data = getattr(subject.context.card, "data", None)
    if data is not None and data.dataset == subject.dataset:
        return str(data.train_split)
    return "train"


def _train_images(subject: Subject, split: str) -> Tensor | None:
    """All train images, 8-bit, or None where the data set has none."""
    try:
        return subject.context.images(subject.dataset, split, subject.config).pixels
    except UsageError:  # no such split; a data set that is missing or damaged is another error
        return None
