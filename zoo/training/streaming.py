"""A Trainer that reads a stream, and goes on from where it has read."""

import json
from pathlib import Path
from typing import Any

from torch.utils.data import DataLoader
from transformers import Trainer

from zoo import ranks
from zoo.errors import IntegrityError

from .streams import Endless


def position_file(checkpoint: str | Path) -> Path:
    """Where a checkpoint has the position of this process."""
    return Path(checkpoint) / f"stream_{ranks.rank()}.json"


class StreamingTrainer(Trainer):
    """Trainer whose `train_dataset` may be an `Endless` stream of whole batches.

    Each process reads its own share, and writes its position into each checkpoint.
    """

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
        return super().train(resume_from_checkpoint, *args, **kwargs)

    def get_train_dataloader(self) -> DataLoader:
        """Batches, of a stream those of this process."""
        if self._stream is None:
            return super().get_train_dataloader()
        return DataLoader(
            self._stream,
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


def _same(batch: Any) -> Any:
    """A batch as the stream has made it."""
    return batch
