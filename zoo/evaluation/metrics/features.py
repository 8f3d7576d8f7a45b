"""Features of real images, of samples and of train images, extracted once."""

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from zoo.data.splits import canonical
from zoo.errors import UsageError
from zoo.evaluation.subject import Context, Subject, check_count
from zoo.plots import to_uint8

# The classifier whose features are used if none is named.
FEATURES = {
    "mnist": "genae/classifier-mnist",
    "fashion-mnist": "genae/classifier-fashion-mnist",
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
    subject: Subject, *, sampler: str, temperature: float, features: str | None, num_images: int
) -> FeatureSets:
    """The three sets, from the context's cache if another metric computed them before.

    Args:
        subject: an autoencoder and the images it should match.
        sampler: see `AutoencoderModel.sample`.
        temperature: likewise.
        features: id or folder of a classifier; None is the one for the data set.
        num_images: n, at most what both splits hold.

    Raises:
        UsageError: if there are no features for the data set, the classifier does not fit, or
            the sampler is unknown or unfitted.
    """
    check_count("num_images", num_images, 2)
    name = features or FEATURES.get(subject.dataset)
    if name is None:
        raise UsageError(
            f"data set {subject.dataset} has no classifier of its own; name one with the option "
            "features = 'genae/classifier-mnist'"
        )
    context = subject.context
    classifier = context.once(("classifier", name), lambda: load_classifier(name, context))
    real, train = _real_images(subject, num_images)
    where = (subject.dataset, subject.split, subject.config, subject.seed, num_images)

    def sample() -> Tensor:
        return draw(subject, len(real), sampler, temperature)

    def of(kind: tuple[Any, ...], pixels: Tensor, text: str) -> Tensor:
        key = ("features", name, *kind, *where)
        return context.once(key, lambda: extract(context, classifier, pixels, text))

    drawn = context.once(("samples", sampler, temperature, subject.seed, len(real)), sample)
    return FeatureSets(
        real=of(("real",), real, "features of images"),
        samples=of(("samples", sampler, temperature), drawn, "features of samples"),
        train=None if train is None else of(("train",), train, "features of train images"),
        features=name,
    )


def load_classifier(name: str, context: Context) -> Any:
    """A classifier in eval mode on the context's device.

    Raises:
        UsageError: if it is not a classifier, or reads images of another size than the model's.
    """
    from zoo.loading import from_pretrained

    model: Any = from_pretrained(name)
    if not hasattr(model, "features"):
        raise UsageError(
            f"features {name!r} is not a classifier; name one that `genae list` shows"
        )
    shapes = [(c.num_channels, c.image_size) for c in (model.config, context.model.config)]
    if shapes[0] != shapes[1]:
        raise UsageError(
            f"features {name!r} reads {shapes[0][0]} x {shapes[0][1]} x {shapes[0][1]} images "
            f"and the model makes {shapes[1][0]} x {shapes[1][1]} x {shapes[1][1]}; name a "
            "classifier of the same size"
        )
    return model.eval().to(context.device)


@torch.no_grad()
def draw(subject: Subject, count: int, sampler: str, temperature: float) -> Tensor:
    """Samples as they would be saved: 8 bits, blank padding; uint8 `(n, C, H, W)`.

    Real images are 8-bit with blank padding, and features may see the difference.
    """
    context = subject.context
    try:
        images = context.model.sample(
            count, sampler=sampler, temperature=temperature, seed=subject.seed
        )
    except ValueError as error:
        raise UsageError(str(error)) from error
    pixels = to_uint8(images.cpu())
    blank = torch.zeros_like(pixels)
    context.processor.crop_padding(blank).copy_(context.processor.crop_padding(pixels))
    return blank


@torch.no_grad()
def extract(context: Context, classifier: Any, pixels: Tensor, text: str) -> Tensor:
    """Features of 8-bit images, float64 `(n, d)` on the CPU."""
    batches = context.batches(pixels, text)
    return torch.cat([classifier.features(values).double().cpu() for values in batches])


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
