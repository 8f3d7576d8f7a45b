"""What metrics measure: a model, its images, and everything that is computed once per call."""

import os
import sys
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import torch
from torch import Tensor

from zoo import catalog
from zoo.data.binarization import binarize, freeze_binarized
from zoo.data.identity import WHOLE, fingerprint, plain_place, same_data
from zoo.data.images import Images, load_images
from zoo.data.sources import DATASETS, beside
from zoo.device import put_on
from zoo.errors import UsageError
from zoo.gathering import shared
from zoo.progress import track
from zoo.scores import Counts

A = TypeVar("A")
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
        by_kind: of labels, entities or relations, the counts of each kind.
    """

    value: float
    floor: float | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    ceiling: float | None = None
    by_kind: Mapping[str, Counts] = field(default_factory=dict)


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
        # Convolutions with channels-last weights are a tenth faster on a CPU.
        self.device = put_on(model, device, memory_format=torch.channels_last)
        self.model = model
        self.processor = processor
        self.card = card
        self.quiet = quiet
        #: Where a data set that the card names is read from, if not under its name.
        self.places = {
            name: place
            for name in self._named
            if (place := beside(name, getattr(card, "path", None))) != name
        }
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
        able = catalog.abilities(self.entry, [type(self.model).__name__])
        return tuple(ability for ability in able if ability not in self.cannot)

    @property
    def cannot(self) -> Mapping[str, str]:
        """What others of its architecture can do and this model cannot, each with the reason."""
        found: Mapping[str, str] = getattr(self.model, "cannot", {})
        return found

    @property
    def _named(self) -> list[str]:
        """The data sets that the card names."""
        data = getattr(self.card, "data", None)
        results = getattr(self.card, "results", ())
        return list(
            dict.fromkeys([*([data.dataset] if data else []), *(r.dataset for r in results)])
        )

    def recognize(self, data: str) -> str:
        """The name under which the card, or genae, knows a data set; what it is called if neither.

        A data set that the card names is known by the hash of its files wherever it lies, and is
        read from there. What the card states is then of this data, too.

        Args:
            data: as a person gave it: a name, a folder, a file or a Hub id.
        """
        for name in self._named:
            if name == data and name not in self.places:
                return name
            if same_data(self.places.get(name, name), data) or self._has_sum(name, data):
                self.places[name] = data
                return name
        place = None if data in DATASETS else plain_place(data)
        for name in DATASETS if place is not None else ():
            known = plain_place(name)
            if known is not None and place is not None and known.samefile(place):
                return name
        if data in self.places and os.path.exists(data):  # other data, here under the same name
            return os.path.abspath(data)
        return data

    def note_other_files(self, name: str) -> None:
        """Say so where the data that the card names are not, or no longer, those of its sum."""
        data = self.places.get(name, name)
        if self._sum(name) and plain_place(data) and not self._has_sum(name, data):
            self.note(f"{data}: is not the data that {self.card.id} was trained on")

    def _has_sum(self, name: str, data: str) -> bool:
        """Whether a data set has the sum that the card states of one."""
        place = plain_place(data) if self._sum(name) else None
        return place is not None and fingerprint(place) == self._sum(name)

    def _sum(self, name: str) -> str | None:
        """The sum over a data set's files, if the card states it."""
        own = getattr(self.card, "data", None)
        return own.sha256.get(WHOLE) if own is not None and own.dataset == name else None

    def read(self, dataset: str, split: str, config: str | None = None) -> Any:
        """One split of a data set, read once: here its images."""
        return self.images(dataset, split, config)

    @property
    def preparation(self) -> dict[str, Any]:
        """How data is made ready for the model; numbers of other preparations do not compare."""
        names = ("size", "num_channels", "crop_size", "resample")
        return {name: getattr(self.processor, name, None) for name in names}

    def note(self, text: str) -> None:
        """Say something on stderr once, unless quiet."""
        if not self.quiet:
            self.once(("note", text), lambda: print(text, file=sys.stderr))

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
            place = self.places.get(dataset, dataset)
            return load_images(place, split, self.processor, config=config, quiet=self.quiet)

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
        exclude_train_texts: whether texts that stand in the train split are left out.
    """

    context: Context
    dataset: str
    split: str
    seed: int = 0
    config: str | None = None
    exclude_train_texts: bool = False

    @property
    def model(self) -> Any:
        """The model under measurement."""
        return self.context.model

    @property
    def images(self) -> Images:
        """The images of the split."""
        return self.context.images(self.dataset, self.split, self.config)

    def generator(self, stream: str) -> torch.Generator:
        """A CPU generator for one use of randomness, independent of the others.

        The word for the use is part of every number that a card states: another one draws others.
        """
        return generator_of(self.seed, stream)

    def shared(
        self, batches: Iterable[A], stream: str, work: Callable[[A, torch.Generator], T]
    ) -> Iterator[T]:
        """What is made of each batch with random numbers of its own; processes share the batches.

        Args:
            batches: the same in every process.
            stream: the use of randomness; the numbers of a batch follow from it, from the seed and
                from the place of the batch alone.
            work: makes something of a batch and a CPU generator.
        """
        return shared(
            enumerate(batches),
            lambda each: work(each[1], self.generator(f"{stream}/{each[0]}")),
        )

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
