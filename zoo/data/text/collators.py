"""From rows of tokens to what the forward of a model takes.

A collator pads (`pad`, for a loader) and then finishes (`finish`, at the beginning of a step). A
loader runs ahead of the step, so what is drawn at random is drawn there, where the step is known:
a resumed run then masks as an uninterrupted one. Calling a collator does both.
"""

from collections.abc import Sequence
from typing import Any, ClassVar

import torch
from torch import Tensor
from torch.nn import functional
from torch.nn.utils.rnn import pad_sequence

from .masking import IGNORED, mask_tokens, ordinary_ids
from .options import TextOptions
from .row_numbers import Numbers

Batch = dict[str, Tensor]
MASK = "attention_mask"


class Collator:
    """Pads on the right to the longest row of the batch; labels with -100.

    Where a model reads no mask, all batches are padded to `max_length`, and have none: what is
    made of a text then does not depend on the texts that it is with.

    Args:
        tokenizer: whose token pads. Without one it does not matter what pads: `attention_mask`
            and labels leave it out. Its `model_input_names` say whether the model reads a mask.
        options: of the texts.
    """

    fields: ClassVar[tuple[str, ...]] = ("input_ids", "token_type_ids", "labels")

    def __init__(self, tokenizer: Any, options: TextOptions) -> None:
        pad = tokenizer.pad_token_id
        self.padding = {"input_ids": pad or 0, "labels": IGNORED, "words": IGNORED}
        self.options = options
        self.masked = MASK in tokenizer.model_input_names

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """Rows as tensors `(B, N)`, with `attention_mask`; a label a row as `(B,)`."""
        length = 0 if self.masked else self.options.max_length
        batch = {
            name: _tensor([row[name] for row in rows], self.padding.get(name, 0), length)
            for name in self.fields
            if name in rows[0]
        }
        batch[MASK] = _tensor([[1] * len(row["input_ids"]) for row in rows], 0, length)
        return batch

    def finish(self, batch: Batch, generator: Numbers = None) -> Batch:
        """What is drawn anew for each step; here nothing.

        Args:
            batch: as `pad` returns it, on any device.
            generator: of the random numbers, on that device; `RowNumbers`, or None for torch's
                own.

        Returns:
            What the forward of the model takes.
        """
        return batch if self.masked else {n: v for n, v in batch.items() if n != MASK}

    def __call__(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """Pad and finish."""
        return self.finish(self.pad(rows))


class CausalCollator(Collator):
    """Labels are the tokens themselves, which the model shifts; padding has none."""

    def pad(self, rows: Sequence[dict[str, Any]]) -> Batch:
        """As `Collator.pad`."""
        batch = super().pad(rows)
        batch["labels"] = batch["input_ids"].masked_fill(batch[MASK] == 0, IGNORED)
        return batch


class MaskingCollator(Collator):
    """Hides other tokens each time it finishes."""

    fields = ("input_ids", "token_type_ids", "words")

    def __init__(self, tokenizer: Any, options: TextOptions) -> None:
        super().__init__(tokenizer, options)
        self.mask_id = tokenizer.mask_token_id
        self.special_ids = torch.tensor(sorted(set(tokenizer.all_special_ids)))
        self.ordinary_ids = ordinary_ids(tokenizer)

    def finish(self, batch: Batch, generator: Numbers = None) -> Batch:
        """Mask tokens, and label those; see `mask_tokens`."""
        batch = dict(batch)
        input_ids = batch["input_ids"]
        words = batch.pop("words", None)
        if words is None:  # each token is one
            special = torch.isin(input_ids, self.special_ids.to(input_ids.device))
            places = torch.arange(input_ids.shape[1], device=input_ids.device)
            words = places.masked_fill(special | (batch[MASK] == 0), -1)
        batch["input_ids"], batch["labels"] = mask_tokens(
            input_ids,
            words,
            rate=self.options.mask_rate,
            mask_id=self.mask_id,
            ordinary_ids=self.ordinary_ids,
            generator=generator,
        )
        return super().finish(batch)


def moved(batch: Any, device: Any) -> Any:
    """A batch on a device, with the labels of several heads."""
    if isinstance(batch, dict):
        return {name: moved(value, device) for name, value in batch.items()}
    return batch.to(device)


def _tensor(values: list[Any], padding: int, length: int = 0) -> Tensor:
    """Values as they are, lists padded to the longest or to a length that is more."""
    if not isinstance(values[0], list):
        return torch.tensor(values)
    rows = [torch.tensor(value, dtype=torch.int64) for value in values]
    made = pad_sequence(rows, batch_first=True, padding_value=padding)
    return functional.pad(made, (0, max(0, length - made.shape[1])), value=padding)
