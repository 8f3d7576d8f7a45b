"""What makes vectors of rows: an encoder of images at a tap, or one of texts with a pooling."""

import hashlib
import multiprocessing
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, ThreadPoolExecutor
from contextlib import AbstractContextManager, contextmanager, nullcontext
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, Protocol

import numpy as np
import torch

from zoo import ranks
from zoo.ahead import batched, in_order
from zoo.device import put_on
from zoo.embedding import HALF, NO_TOKENS, WINDOW, Embedder, has_half_characters, open_embedder
from zoo.errors import UsageError
from zoo.evaluation.representations import check_tap
from zoo.loading import Located, check_able, load_for
from zoo.registry.manifest import sha256

from . import decoding
from .rows import Fault, Row

PRECISIONS = {"float32": None, "bfloat16": torch.bfloat16}
#: The files that decide a model's vectors, by how their names end.
DECIDING = (".safetensors", "config.json", "tokenizer.json")
AT_ONCE = 16  # images that a thread takes at one time
TEXTS_AT_ONCE = 32  # in a batch, if nobody says
#: In a batch of images, if nobody says: 1,024 of 32 x 32 or less, 256 of 64 x 64, 64 of 128 x 128.
#: In larger batches of small images the model asks less often for Python, which others use, too.
PIXELS_AT_ONCE, IMAGES_AT_ONCE = 2**20, 1024


@dataclass(frozen=True)
class Batch:
    """Rows that go through the model at once.

    Attributes:
        numbers: of the rows.
        keys: of the rows.
        inputs: what the encoder takes.
    """

    numbers: list[int]
    keys: list[str]
    inputs: Any


@dataclass(frozen=True)
class Skipped:
    """A row without a vector.

    Attributes:
        row: its number.
        key: its key, or its number.
        reason: why.
    """

    row: int
    key: str
    reason: str


class Encoder(Protocol):
    """What makes vectors of rows."""

    reads: str
    size: int
    batch_size: int

    def settings(self) -> dict[str, Any]:
        """What decides the vectors besides the model's files."""
        ...

    def batches(self, rows: Iterable[Row], skipped: list[Skipped]) -> Iterator[Batch]:
        """Batches of good rows; the others are put on the list."""
        ...

    def vectors(self, inputs: Any) -> "np.ndarray[Any, Any]":
        """The vectors of a batch, float32 `(batch, size)`."""
        ...

    def close(self) -> None:
        """End what reads."""
        ...


class ImageEncoder:
    """Codes of images, or what a tap says of them.

    Args:
        model: that was looked up.
        tap: a layer of the encoder; None is the code.
        batch_size: of images; None is the usual number.
        device: where the model runs.
        precision: a key of `PRECISIONS`.
        workers: number of processes that decode; 0 for threads of this one.
    """

    reads = "images"

    def __init__(
        self,
        model: Located,
        tap: str | None,
        batch_size: int | None,
        device: str | None,
        precision: str,
        workers: int = 0,
    ) -> None:
        network, self.processor = load_for(check_able(model, "encodes", "encode"), "encode")
        self.tap = check_tap(network, tap or "code")
        self.network = network
        # Convolutions with channels-last weights are a tenth faster on a CPU.
        self.device = put_on(network, device, memory_format=torch.channels_last)
        self.workers = workers
        self._processes: ProcessPoolExecutor | None = None
        self.precision = precision
        side = self.processor.output_size
        fitting = min(IMAGES_AT_ONCE, PIXELS_AT_ONCE // side**2)
        self.batch_size = batch_size or max(1, fitting)
        blank = torch.zeros(1, self.processor.num_channels, side, side, dtype=torch.uint8)
        self.size = int(self.vectors(blank).shape[1])

    def settings(self) -> dict[str, Any]:
        """Tap and precision."""
        return {"tap": self.tap, "precision": self.precision}

    def batches(self, rows: Iterable[Row], skipped: list[Skipped]) -> Iterator[Batch]:
        """Batches of images that threads decode ahead."""
        good: list[tuple[int, str, np.ndarray[Any, Any]]] = []  # contents of files may be large
        with self._decoder() as (pool, work, number):
            # Batches ahead are the queue's; here as many parts as keep all busy.
            parts = batched(rows, AT_ONCE)
            for part, made in in_order(pool, work, parts, 4 * number):
                for row, pixels in zip(part, made, strict=True):
                    if isinstance(pixels, Fault):
                        skipped.append(Skipped(row.number, row.key, pixels.reason))
                    else:
                        good.append((row.number, row.key, pixels))
                while len(good) >= self.batch_size:
                    yield self._batch(good[: self.batch_size])
                    del good[: self.batch_size]
        if good:
            yield self._batch(good)

    def _batch(self, good: list[tuple[int, str, "np.ndarray[Any, Any]"]]) -> Batch:
        numbers, keys, pixels = zip(*good, strict=True)
        inputs = torch.from_numpy(self.processor.pad(np.stack(pixels)))
        return Batch([*numbers], [*keys], inputs)

    def close(self) -> None:
        """End the processes that decode."""
        if self._processes is not None:
            self._processes.shutdown(cancel_futures=True)
            self._processes = None

    @contextmanager
    def _decoder(self) -> Iterator[tuple[Executor, Callable[[tuple[Row, ...]], Any], int]]:
        """Who decodes, what they call, and how many they are."""
        if not self.workers:
            number = max(1, ranks.cores() - 1)
            with ThreadPoolExecutor(number, "decode") as pool:
                yield pool, partial(decoding.decode, self.processor), number
            return
        if self._processes is None:
            known = multiprocessing.get_all_start_methods()
            context = multiprocessing.get_context(
                "forkserver" if "forkserver" in known else "spawn"
            )
            self._processes = ProcessPoolExecutor(
                self.workers, context, decoding.begin, (self.processor,)
            )
        yield self._processes, decoding.decode_here, self.workers

    def vectors(self, inputs: torch.Tensor) -> "np.ndarray[Any, Any]":
        """The vectors of images, uint8 `(batch, C, H, W)`."""
        options = {} if self.tap == "code" else {"tap": self.tap}
        with torch.inference_mode(), _precise(self.device, self.precision):
            values = inputs.to(self.device).float().div_(255)
            found = self.network.encode(values, **options)
            return np.asarray(found.float().cpu())


class TextEncoder:
    """Vectors of texts, of about one length in each batch.

    Args:
        model: that was looked up.
        pooling: a key of `zoo.embedding.POOLINGS`; None is what the model was made for.
        max_length: number of tokens that are read; None is as many as the model can.
        batch_size: of texts; None is the usual number.
        device: where the model runs.
        precision: a key of `PRECISIONS`.
    """

    reads = "texts"

    def __init__(
        self,
        model: Located,
        pooling: str | None,
        max_length: int | None,
        batch_size: int | None,
        device: str | None,
        precision: str,
    ) -> None:
        self.embedder: Embedder = open_embedder(model, pooling=pooling, max_length=max_length)
        self.device = put_on(self.embedder.encoder, device)
        self.batch_size = batch_size or TEXTS_AT_ONCE
        self.precision = precision
        self.size = self.embedder.size

    def close(self) -> None:
        """Nothing: the tokenizer has threads of its own."""

    def settings(self) -> dict[str, Any]:
        """Pooling, number of tokens, precision."""
        return {
            "pooling": self.embedder.pooling,
            "max_length": self.embedder.limit,
            "precision": self.precision,
        }

    def batches(self, rows: Iterable[Row], skipped: list[Skipped]) -> Iterator[Batch]:
        """Batches of texts, sorted by length among some thousand."""
        for window in batched(rows, WINDOW):
            good: list[tuple[Row, str]] = []
            for row in window:
                text = row.content
                if isinstance(text, str) and not has_half_characters(text):
                    good.append((row, text))
                else:
                    reason = text.reason if isinstance(text, Fault) else HALF
                    skipped.append(Skipped(row.number, row.key, reason))
            tokens = self.embedder.tokens([[text for _, text in good]]) if good else []
            kept = [place for place, each in enumerate(tokens) if any(each["attention_mask"])]
            for place in sorted(set(range(len(good))) - set(kept)):
                row = good[place][0]
                skipped.append(Skipped(row.number, row.key, NO_TOKENS))
            read = [tokens[place] for place in kept]
            for places, inputs in self.embedder.batches(read, self.batch_size):
                of = [good[kept[place]][0] for place in places]
                yield Batch([row.number for row in of], [row.key for row in of], inputs)

    def of_texts(self, texts: Sequence[str]) -> "np.ndarray[Any, Any]":
        """The vectors of some texts, in order.

        Raises:
            UsageError: one has none.
        """
        skipped: list[Skipped] = []
        found = np.empty((len(texts), self.size), np.float32)
        rows = (Row(number, text, text) for number, text in enumerate(texts))
        for batch in self.batches(rows, skipped):
            found[batch.numbers] = self.vectors(batch.inputs)
        for one in skipped:
            raise UsageError(f"{one.key!r:.60} {one.reason}")
        return found

    def vectors(self, inputs: dict[str, Any]) -> "np.ndarray[Any, Any]":
        """The vectors of texts, from their tokens."""
        with _precise(self.device, self.precision):
            return np.asarray(self.embedder.vectors(inputs))


def _precise(device: torch.device, precision: str) -> AbstractContextManager[Any]:
    kind = PRECISIONS[precision]
    return nullcontext() if kind is None else torch.autocast(device.type, dtype=kind)


def open_encoder(
    model: Located,
    *,
    tap: str | None = None,
    pooling: str | None = None,
    max_length: int | None = None,
    batch_size: int | None = None,
    device: str | None = None,
    precision: str = "float32",
    workers: int = 0,
) -> Encoder:
    """The encoder of a model of images or texts.

    Raises:
        UsageError: the model makes no vectors, or an option is of models of the other kind.
        NotFoundError: it has no image processor or tokenizer.
        IntegrityError: its files are malformed.
        MissingDependencyError: a package or the device is missing.
    """
    if workers < 0:
        raise UsageError(f"workers must be at least 0, got {workers}")
    if model.entry.reads == "texts":
        if tap is not None:
            raise UsageError(f"{model} reads texts, which are pooled; give --pooling, not --tap")
        return TextEncoder(model, pooling, max_length, batch_size, device, precision)
    if pooling is not None or max_length is not None:
        raise UsageError(f"{model} reads no texts; --pooling and --max-length are of those")
    return ImageEncoder(model, tap, batch_size, device, precision, workers)


def model_sum(folder: str) -> str:
    """A SHA-256 over what decides a model's vectors: weights, configuration, reader of data."""
    total = hashlib.sha256()
    for file in sorted(path for path in Path(folder).iterdir() if path.name.endswith(DECIDING)):
        total.update(f"{file.name} {sha256(file)}\n".encode())
    return total.hexdigest()
