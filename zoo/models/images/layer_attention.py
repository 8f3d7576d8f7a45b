"""Attention layers of whole sequences."""

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

Weights = Mapping[str, Tensor]
Options = Mapping[str, Any]


def attention(
    weights: Weights, options: Options, query: Tensor, value: Tensor, key: Tensor | None = None
) -> Tensor:
    """Means of values by products of queries `(B, T, d)` and keys `(B, S, d)`, not divided."""
    key = value if key is None else key
    scores = query @ key.mT
    return torch.softmax(scores * weights.get("scale", 1.0), -1) @ value


def additive_attention(
    weights: Weights, options: Options, query: Tensor, value: Tensor, key: Tensor | None = None
) -> Tensor:
    """Means of values by sums of queries and keys (arXiv:1409.0473)."""
    key = value if key is None else key
    sums = torch.tanh(query.unsqueeze(2) + key.unsqueeze(1))
    scores = (sums * weights.get("scale", 1.0)).sum(-1)
    return torch.softmax(scores, -1) @ value


def _heads(weights: Weights, name: str, x: Tensor) -> Tensor:
    """`(B, T, d)` -> `(B, heads, T, size)`."""
    found = torch.einsum("btd,dhs->bhts", x, weights[f"{name}_kernel"])
    bias = weights.get(f"{name}_bias")
    return found if bias is None else found + bias.unsqueeze(1)


def multi_head_attention(
    weights: Weights, options: Options, query: Tensor, value: Tensor, key: Tensor | None = None
) -> Tensor:
    """Attention with heads (arXiv:1706.03762); kernels `(in, heads, size)`."""
    q = _heads(weights, "query", query)
    k = _heads(weights, "key", value if key is None else key)
    scores = torch.softmax(q @ k.mT * q.shape[-1] ** -0.5, -1)
    found = torch.einsum(
        "bhts,hsd->btd", scores @ _heads(weights, "value", value), weights["output_kernel"]
    )
    bias = weights.get("output_bias")
    return found if bias is None else found + bias


COMPUTATIONS = {
    "attention": attention,
    "additive_attention": additive_attention,
    "multi_head_attention": multi_head_attention,
}
