"""Tokens hidden for a masked language model to find."""

from functools import partial
from typing import Any

import torch
from torch import Tensor

from .row_numbers import Numbers, RowNumbers, draw

IGNORED = -100  # a label that no loss counts
HIDDEN, REPLACED = 0.8, 0.5  # become the mask; of the rest, become any token; the rest stay


def mask_tokens(
    input_ids: Tensor,
    words: Tensor,
    *,
    rate: float,
    mask_id: int,
    ordinary_ids: Tensor,
    generator: Numbers = None,
) -> tuple[Tensor, Tensor]:
    """Choose tokens to be predicted: 80 % become the mask, 10 % any token, 10 % stay.

    Source: BERT, arXiv:1810.04805, 3.1; whole words: github.com/google-research/bert. A word is
    chosen with all its tokens or not at all; each of these is then hidden by itself. If chance
    chooses nothing, one token of the batch is chosen, as the mean loss over none is not a number;
    but not where every row has its own numbers, whose batch may be a part of another.

    Args:
        input_ids: `(B, N)`.
        words: `(B, N)`, to which word of its text each token belongs; of special tokens and
            padding a negative number: these are never chosen.
        rate: the probability of each word, above 0 and below 1.
        mask_id: of the mask.
        ordinary_ids: the tokens that may replace others, `(V,)`.
        generator: of the random numbers, on the device of the tokens; `RowNumbers`, or None for
            torch's own.

    Returns:
        The tokens that a model reads, and the labels: the tokens chosen, elsewhere -100.
    """
    shape, device = input_ids.shape, input_ids.device

    free = words >= 0
    # A word draws what its first place in the row says, so all its tokens agree.
    chances = draw(torch.rand, shape, device, generator).gather(1, words.clamp(min=0))
    chosen = free & (chances < rate)
    if not isinstance(generator, RowNumbers) and not chosen.any() and free.any():
        chances = chances.masked_fill(~free, 2.0)
        chosen = free & (chances == chances.min())
    labels = input_ids.masked_fill(~chosen, IGNORED)
    kinds, others = (draw(torch.rand, shape, device, generator) for _ in range(2))
    hidden = chosen & (kinds < HIDDEN)
    replaced = chosen & ~hidden & (others < REPLACED)
    places = draw(partial(torch.randint, len(ordinary_ids)), shape, device, generator)
    masked = input_ids.masked_fill(hidden, mask_id)
    return torch.where(replaced, ordinary_ids.to(device)[places], masked), labels


def ordinary_ids(tokenizer: Any) -> Tensor:
    """The ids of all tokens that are not special."""
    special = set(tokenizer.all_special_ids)
    return torch.tensor([number for number in range(len(tokenizer)) if number not in special])
