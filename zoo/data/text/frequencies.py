"""How often each token is to be predicted."""

from typing import Any

import numpy as np
import torch
from torch import Tensor

#: The column whose tokens a model of each task predicts, or may have to, and how many of a row's
#: first ones are given.
PREDICTED = {
    "masked-lm": ("input_ids", 0),
    "causal-lm": ("input_ids", 1),
    "seq2seq": ("labels", 0),
}


def token_frequencies(task: str, rows: Any, tokenizer: Any) -> Tensor:
    """Shares of tokens among those that rows ask for, one occurrence more of each.

    Args:
        task: a key of `PREDICTED`.
        rows: as `Task.prepare` makes them, not of a stream.
        tokenizer: they were made by.

    Returns:
        `(V,)`, float64, positive, of sum 1. Special tokens that are given, as all are to a masked
        model, count as that one occurrence.
    """
    column, given = PREDICTED[task]
    counts = np.ones(len(tokenizer))
    for table in rows.select_columns([column]).with_format("arrow").iter(batch_size=10_000):
        lists = table[column].combine_chunks()
        tokens = lists.flatten().to_numpy()
        ends = np.cumsum(lists.value_lengths().to_numpy())
        places = np.arange(len(tokens)) - np.repeat([0, *ends[:-1]], np.diff(ends, prepend=0))
        counts += np.bincount(tokens[places >= given], minlength=len(counts))
    if task == "masked-lm":
        counts[tokenizer.all_special_ids] = 1
    return torch.from_numpy(counts / counts.sum())
