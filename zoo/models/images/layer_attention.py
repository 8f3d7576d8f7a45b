"""Attention layers of whole sequences."""

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
Options = Mapping[str, Any]
Masks = Sequence[Tensor | None] | None  # of query, value, key, and of pairs of steps

MASKED = 1e9  # taken from scores that do not count


def _causal(scores: Tensor) -> Tensor:
    """Pairs of steps of which the second is not after the first."""
    return torch.ones_like(scores, dtype=torch.bool).tril()


def _mixed(
    options: Options, scores: Tensor, value: Tensor, mask: Masks
) -> Tensor | tuple[Tensor, Tensor]:
    """Means of values by scores `(B, T, S)`; masked values do not count, masked queries give 0."""
    of_query, of_value, *_ = mask or (None, None)
    counted = _causal(scores) if options.get("causal") else None
    if of_value is not None:
        there = of_value.unsqueeze(-2)
        counted = there if counted is None else counted & there
    if counted is not None:
        scores = scores - MASKED * ~counted
    weights = torch.softmax(scores, -1)
    found = weights @ value
    found = found if of_query is None else found * of_query.unsqueeze(-1)
    return (found, weights) if options.get("scores") else found


def attention(
    weights: Weights,
    options: Options,
    query: Tensor,
    value: Tensor,
    key: Tensor | None = None,
    mask: Masks = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Means of values by products of queries `(B, T, d)` and keys `(B, S, d)`, not divided."""
    key = value if key is None else key
    scores = query @ key.mT * weights.get("scale", 1.0)
    return _mixed(options, scores, value, mask)


def additive_attention(
    weights: Weights,
    options: Options,
    query: Tensor,
    value: Tensor,
    key: Tensor | None = None,
    mask: Masks = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Means of values by sums of queries and keys (arXiv:1409.0473)."""
    key = value if key is None else key
    sums = torch.tanh(query.unsqueeze(2) + key.unsqueeze(1))
    scores = (sums * weights.get("scale", 1.0)).sum(-1)
    return _mixed(options, scores, value, mask)


def _heads(weights: Weights, name: str, x: Tensor) -> Tensor:
    """`(B, T, d)` -> `(B, heads, T, size)`."""
    found = torch.einsum("btd,dhs->bhts", x, weights[f"{name}_kernel"])
    bias = weights.get(f"{name}_bias")
    return found if bias is None else found + bias.unsqueeze(1)


def _pairs(options: Options, scores: Tensor, mask: Masks) -> Tensor | None:
    """Which pairs of steps count, to be broadcast to `(B, heads, T, S)`; None where all do."""
    query, value, key, pairs = mask or (None,) * 4
    found = [
        one.unsqueeze(-1) if at == 0 else one.unsqueeze(-2)
        for at, one in enumerate((query, value, key))
        if one is not None
    ]
    found += [] if pairs is None else [pairs]
    whole = [one.unsqueeze(1) if one.ndim < scores.ndim else one for one in found]
    whole += [_causal(scores)] if options.get("causal") else []
    counted: Tensor | None = None
    for one in whole:
        counted = one if counted is None else counted & one
    return counted


def multi_head_attention(
    weights: Weights,
    options: Options,
    query: Tensor,
    value: Tensor,
    key: Tensor | None = None,
    mask: Masks = None,
) -> Tensor | tuple[Tensor, Tensor]:
    """Attention with heads (arXiv:1706.03762); kernels `(in, heads, size)`."""
    q = _heads(weights, "query", query)
    k = _heads(weights, "key", value if key is None else key)
    scores = q @ k.mT * q.shape[-1] ** -0.5
    if (counted := _pairs(options, scores, mask)) is not None:
        filled = options.get("fill")
        scores = scores.masked_fill(~counted, -MASKED) if filled else scores - MASKED * ~counted
    scores = torch.softmax(scores, -1)
    if counted is not None and options.get("fill") and options.get("scores"):
        scores = scores * counted  # a query without any value has no weights then
    found = torch.einsum(
        "bhts,hsd->btd", scores @ _heads(weights, "value", value), weights["output_kernel"]
    )
    bias = weights.get("output_bias")
    found = found if bias is None else found + bias
    return (found, scores) if options.get("scores") else found


COMPUTATIONS = {
    "attention": attention,
    "additive_attention": additive_attention,
    "multi_head_attention": multi_head_attention,
}
