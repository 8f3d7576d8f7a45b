"""From rows of tokens to what the forward of a model takes.

A collator pads (`pad`, for a loader) and then finishes (`finish`, in the training step). A loader
runs ahead of the step, so what is drawn at random is drawn in the step, where a Trainer restores
the random state: a resumed run then masks as an uninterrupted one. Calling a collator does both.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence

from .masking import IGNORED, mask_tokens, ordinary_ids
from .options import TextOptions

Batch = dict[str, Tensor]


class Collator:
    """Pads on the right to the longest row of the batch; labels with -100.

    Args:
        tokenizer: whose token pads. Without one it does not matter what pads: `attention_mask`
            and labels leave it out.
        options: of the texts.
    """

    fields: ClassVar[tuple[str, ...]] = ("input_ids", "token_type_ids", "labels")

    def __init__(self, tokenizer: Any, options: TextOptions) -> None:
        pad = tokenizer.pad_token_id
        self.padding = {"input_ids": pad or 0, "labels": IGNORED, "words": IGNORED}
        self.options = options

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """Rows as tensors `(B, N)`, with `attention_mask`; a label a row as `(B,)`."""
        batch = {
            name: _tensor([row[name] for row in rows], self.padding.get(name, 0))
            for name in self.fields
            if name in rows[0]
        }
        ones = [torch.ones(len(row["input_ids"]), dtype=torch.int64) for row in rows]
        batch["attention_mask"] = pad_sequence(ones, batch_first=True)
        return batch

    def finish(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """What is drawn anew for each step; here nothing.

        Args:
            batch: as `pad` returns it, on any device.
            generator: of the random numbers, on that device; None for torch's own.

        Returns:
            What the forward of the model takes.
        """
        return batch

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """Pad and finish."""
        return self.finish(self.pad(rows))


class CausalCollator(Collator):
    """Labels are the tokens themselves, which the model shifts; padding has none."""

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """As `Collator.pad`."""
        batch = super().pad(rows)
        batch["labels"] = batch["input_ids"].masked_fill(batch["attention_mask"] == 0, IGNORED)
        return batch


class MaskingCollator(Collator):
    """Hides other tokens each time it finishes."""

    fields = ("input_ids", "token_type_ids", "words")

    def __init__(self, tokenizer: Any, options: TextOptions) -> None:
        super().__init__(tokenizer, options)
        self.mask_id = tokenizer.mask_token_id
        self.special_ids = torch.tensor(sorted(set(tokenizer.all_special_ids)))
        self.ordinary_ids = ordinary_ids(tokenizer)

    def finish(self, batch: Batch, generator: torch.Generator | None = None) -> Batch:
        """Mask tokens, and label those; see `mask_tokens`."""
        batch = dict(batch)
        input_ids = batch["input_ids"]
        words = batch.pop("words", None)
        if words is None:  # each token is one
            special = torch.isin(input_ids, self.special_ids.to(input_ids.device))
            places = torch.arange(input_ids.shape[1], device=input_ids.device)
            words = places.masked_fill(special | (batch["attention_mask"] == 0), -1)
        batch["input_ids"], batch["labels"] = mask_tokens(
            input_ids,
            words,
            rate=self.options.mask_rate,
            mask_id=self.mask_id,
            ordinary_ids=self.ordinary_ids,
            generator=generator,
        )
        return batch


def _tensor(values: list[Any], padding: int) -> Tensor:
    if not isinstance(values[0], list):
        return torch.tensor(values)
    rows = [torch.tensor(value, dtype=torch.int64) for value in values]
    return pad_sequence(rows, batch_first=True, padding_value=padding)
