"""What metrics measure: a model, its images, and everything that is computed once per call."""

import zlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo import catalog
from zoo.data.binarization import binarize, freeze_binarized
from zoo.data.images import Images, load_images
from zoo.errors import MissingDependencyError, UsageError
from zoo.progress import track

T = TypeVar("T")

BATCH = 256  # images; part of what a seed means, so no option


@dataclass(frozen=True)
class Outcome:
    """The outcome of a metric.

    Attributes:
        value: the measured number.
        floor: the same metric of real train images, if it has a floor.
        options: every option as used, defaults filled in.
        ceiling: the same metric of what cannot be surpassed, if it has a ceiling.
    """

    value: float
    floor: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    ceiling: float | None = None


class Context:
    """A model in eval mode with its image processor, and a cache for what metrics share.

    Args:
        model: any model of genae.
        processor: its image processor.
        card: its card, or None.
        device: where the model runs; random numbers come from the CPU everywhere.
        quiet: draw no progress bars.
    """

    def __init__(
        self,
        model: Any,
        processor: Any,
        card: Any = None,
        *,
        device: str | torch.device = "cpu",
        quiet: bool = False,
    ) -> None:
        """Put the model in eval mode on the device; see the class for the arguments."""
        try:
            self.device = torch.device(device)
        except RuntimeError as error:
            raise UsageError(f"no device {device!r}; use cpu, cuda, cuda:1 or mps") from error
        try:
            torch.zeros(1, device=self.device).item()  # some, such as meta, hold no values
            # Convolutions with channels-last weights are a tenth faster on a CPU.
            self.model = model.eval().to(self.device, memory_format=torch.channels_last)
        except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
            reason = str(error).splitlines()[0]
            raise MissingDependencyError(f"device {device!s} cannot be used: {reason}") from error
        self.processor = processor
        self.card = card
        self.quiet = quiet
        self._memory: dict[tuple[Any, ...], Any] = {}
        self._latest: dict[str, tuple[tuple[Any, ...], Any]] = {}

    @property
    def likelihood(self) -> str | None:
        """Name of the model's likelihood; None for a classifier."""
        return getattr(self.model.config, "likelihood", None)

    @property
    def entry(self) -> catalog.Entry:
        """The architecture's row in the catalog."""
        return catalog.find_config(self.model.config.model_type)

    @property
    def can(self) -> tuple[str, ...]:
        """What the model can do, words of `catalog.ABILITIES`."""
        return catalog.abilities(self.entry, [type(self.model).__name__])

    def read(self, dataset: str, split: str, config: str | None = None) -> Any:
        """One split of a data set, read once: here its images."""
        return self.images(dataset, split, config)

    def once(self, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """The result of `make`, computed at the first call with this key."""
        if key not in self._memory:
            self._memory[key] = make()
        found: T = self._memory[key]
        return found

    def latest(self, slot: str, key: tuple[Any, ...], make: Callable[[], T]) -> T:
        """As `once`, for large results: a slot keeps only the one for its last key."""
        if slot not in self._latest or self._latest[slot][0] != key:
            self._latest.pop(slot, None)
            self._latest[slot] = key, make()
        found: T = self._latest[slot][1]
        return found

    def images(self, dataset: str, split: str, config: str | None = None) -> Images:
        """One split of a data set, decoded once."""

        def load() -> Images:
            return load_images(dataset, split, self.processor, config=config, quiet=self.quiet)

        return self.once(("images", dataset, split, config), load)

    def track(self, batches: Any, text: str, total: int) -> Iterator[Any]:
        """Pass batches on with a progress bar, if stderr is a terminal."""
        return track(batches, text, total=total, quiet=self.quiet)

    def batches(
        self, pixels: Tensor, text: str, prepare: Callable[[Tensor], Tensor] | None = None
    ) -> Iterator[Tensor]:
        """8-bit images as `pixel_values` of `BATCH` each, on the model's device.

        Args:
            pixels: uint8 `(N, C, H, W)`.
            text: of the progress bar.
            prepare: applied on the CPU to the floats in [0, 1].
        """
        chunks = torch.split(pixels, BATCH)
        for chunk in self.track(chunks, text, len(chunks)):
            values = chunk.float() / 255
            yield (values if prepare is None else prepare(values)).to(self.device)


@dataclass(frozen=True)
class Subject:
    """One measurement to make: a context, the images and the seed.

    Attributes:
        context: the model and the cache.
        dataset: name of the data set.
        split: the split to measure on.
        seed: of everything random.
        config: configuration of the data set, if there are several.
    """

    context: Context
    dataset: str
    split: str
    seed: int = 0
    config: str | None = None

    @property
    def model(self) -> Any:
        """The model under measurement."""
        return self.context.model

    @property
    def images(self) -> Images:
        """The images of the split."""
        return self.context.images(self.dataset, self.split, self.config)

    def generator(self, stream: str) -> torch.Generator:
        """A CPU generator for one use of randomness, independent of the others."""
        return generator_of(self.seed, stream)

    def order(self, count: int, stream: str) -> Tensor:
        """The numbers 0 to `count - 1` in a seeded order."""
        return torch.randperm(count, generator=self.generator(stream))

    def pixels(self, num_images: int | None, *, frozen: bool = False) -> Tensor:
        """8-bit images of the split: all, or `num_images` of them chosen by the seed.

        With `frozen`, the published draw of zeros and ones (times 255) of the whole split.
        The first images are no fair choice: the first half of MNIST's test set is the easier one.
        """
        pixels = self.images.pixels
        if frozen:
            pixels = 255 * freeze_binarized(pixels)
        check_count("num_images", num_images)
        if num_images is None or num_images >= len(pixels):
            return pixels
        return pixels[self.order(len(pixels), "images")[:num_images]]

    def binarizer(self, mode: str) -> Callable[[Tensor], Tensor]:
        """Seeded binarisation by name, to apply to the batches in order."""
        generator = self.generator("binarization")
        return lambda values: binarize(values, mode, generator)


def generator_of(seed: int, stream: str) -> torch.Generator:
    """A CPU generator for one use of a seed, independent of its other uses."""
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}/{stream}".encode()))


def check_count(option: str, value: int | None, min_value: int = 1) -> None:
    """Raise `UsageError` unless a count is None or a whole number, at least `min_value`."""
    if value is None:
        return
    if isinstance(value, bool) or not isinstance(value, int) or value < min_value:
        raise UsageError(f"{option} must be a whole number, at least {min_value}, got {value!r}")
