"""A Trainer that reads a stream, and goes on from where it has read."""

import json
import warnings
from collections.abc import Generator, Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader, IterableDataset
from transformers import Trainer

from zoo import ranks
from zoo.ahead import ahead
from zoo.errors import IntegrityError

from .streams import Endless

WAITING = 4  # batches that are made ahead of the model


def position_file(checkpoint: str | Path) -> Path:
    """Where a checkpoint has the position of this process."""
    return Path(checkpoint) / f"stream_{ranks.rank()}.json"


class StreamingTrainer(Trainer):
    """Trainer whose `train_dataset` may be an `Endless` stream of whole batches.

    Each process reads its own share, in a thread ahead of the model, and writes the position
    behind what was trained on into each checkpoint.
    """

    _batches: "_Ahead | None" = None

    @property
    def _stream(self) -> Endless | None:
        return self.train_dataset if isinstance(self.train_dataset, Endless) else None

    def train(self, resume_from_checkpoint: Any = None, *args: Any, **kwargs: Any) -> Any:
        """Train; a stream goes on from the position of the checkpoint.

        Raises:
            IntegrityError: the checkpoint has none.
        """
        if self._stream is not None and resume_from_checkpoint:
            file = position_file(resume_from_checkpoint)
            try:
                self._stream.load_state_dict(json.loads(file.read_bytes()))
            except (OSError, ValueError, KeyError, TypeError) as error:
                raise IntegrityError(
                    f"{file.parent}: {file.name}, where the stream goes on, is missing or damaged "
                    f"({error}); remove the checkpoint and resume from an earlier one, or start "
                    "anew"
                ) from error
        with (
            warnings.catch_warnings()
        ):  # those of threads that read images are not put back in turn
            try:
                return super().train(resume_from_checkpoint, *args, **kwargs)
            finally:
                if self._batches is not None:
                    self._batches.close()

    def get_train_dataloader(self) -> DataLoader:
        """Batches, of a stream those of this process."""
        if self._stream is None:
            return super().get_train_dataloader()
        self._batches = _Ahead(self._stream)
        return DataLoader(
            self._batches,
            batch_size=None,
            collate_fn=_same,
            pin_memory=self.args.dataloader_pin_memory,
        )

    def set_initial_training_values(self, *args: Any, **kwargs: Any) -> Any:
        """Numbers of epochs, steps and examples; a stream has one epoch, of all steps."""
        epochs, *others = super().set_initial_training_values(*args, **kwargs)
        return (epochs if self._stream is None else 1, *others)

    def get_batch_samples(self, *args: Any, **kwargs: Any) -> Any:
        """The batches of a step."""
        batches, items = super().get_batch_samples(*args, **kwargs)
        if self._stream is not None:
            self._stream.take(len(batches))
        return batches, items

    def _save_rng_state(self, output_dir: str) -> None:
        if self._stream is not None:
            Path(output_dir).mkdir(parents=True, exist_ok=True)
            state = json.dumps(self._stream.state_dict())
            position_file(output_dir).write_text(state, encoding="utf-8")
        super()._save_rng_state(output_dir)


class _Ahead(IterableDataset):
    """The batches of a stream, made by a thread while the model computes.

    Args:
        stream: begins where it is, and counts what is taken of it, not what is made.
    """

    def __init__(self, stream: Endless) -> None:
        self.stream = stream
        self._made: Generator[Any] | None = None

    def __iter__(self) -> Iterator[Any]:
        batches = iter(self.stream)
        yield from islice(batches, self.stream.taken)  # empty ones
        self._made = ahead(batches, WAITING)
        yield from self._made

    def close(self) -> None:
        """End the thread."""
        if self._made is not None:
            self._made.close()


def _same(batch: Any) -> Any:
    """A batch as the stream has made it."""
    return batch
