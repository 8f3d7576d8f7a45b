"""Heads that score every span: GlobalPointer, EfficientGlobalPointer, and GPLinker of three."""

from typing import Any

import torch
from torch import Tensor, nn

from .attention import rotary_angles, rotate
from .configuration_heads import GPLinkerSettings, PointerSettings
from .heads_base import Head, States
from .losses_multilabel import pointer_loss, sparse_pointer_loss
from .spans import find_spans, link_spans


class Pointer(Head):
    """A score for every head and span.

    `logits` are `(batch, heads, length, length)`: of the span from the row's token to the
    column's; minus infinity where one of them is hidden, and, with `triangle`, where the span
    ends before it starts. `labels` are, by the setting `loss`, "dense" `(batch, heads, length,
    length)` of 0 and 1, or "sparse" `(batch, heads, slots, 2)`, starts and ends filled up with
    (0, 0). Decoded, a text has its spans `[head, start, end]` whose score is above the threshold;
    its first and last token are in none.
    """

    settings: PointerSettings

    def products(self, query: Tensor, key: Tensor, mask: Tensor, bias: Tensor | None) -> Tensor:
        """q_i . k_j / sqrt(size) and a bias, masked.

        Args:
            query: of starts, `(batch, length, 1 or heads, size)`.
            key: of ends, of the same shape.
            mask: true where a token is visible, `(batch, length)`.
            bias: `(batch, heads, length, length)`; None is 0.
        """
        length = query.shape[1]
        if self.settings.rope:
            places = torch.arange(length, device=query.device)[None]
            angles = rotary_angles(places, self.settings.size, query.dtype)
            query, key = rotate(query, angles), rotate(key, angles)
        scores: Tensor = query.transpose(1, 2) @ key.permute(0, 2, 3, 1) / self.settings.size**0.5
        if bias is not None:
            scores = scores + bias
        seen = (mask[:, :, None] & mask[:, None, :])[:, None]
        if self.settings.triangle:
            order = torch.arange(length, device=query.device)
            seen = seen & (order[:, None] <= order[None, :])
        return scores.masked_fill(~seen, -torch.inf)

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        if self.settings.loss == "sparse":
            return sparse_pointer_loss(logits, labels)
        return pointer_loss(logits, labels)

    def decode(
        self,
        logits: Any,
        mask: Tensor,
        residual: Tensor | None = None,
        threshold: float | None = None,
    ) -> list[Any]:
        """Spans of each text; a threshold of None is that of the settings."""
        return find_spans(
            logits, mask, self.settings.threshold if threshold is None else threshold
        )


class GlobalPointer(Pointer):
    """Queries and keys of its own for each head (arXiv:2208.03054).

    The units of the map are, head by head, the `size` of the query and the `size` of the key.
    """

    def __init__(self, config: Any, settings: PointerSettings) -> None:
        super().__init__(config, settings)
        width = self.num_labels * 2 * settings.size
        self.dense = nn.Linear(config.hidden_size, width, bias=settings.bias)

    def forward(self, states: States) -> Tensor:
        both = self.dense(self.dropout(states.hidden))
        query, key = both.unflatten(-1, (self.num_labels, 2, -1)).unbind(-2)
        return self.products(query, key, states.mask, None)


class EfficientGlobalPointer(Pointer):
    """One pair of query and key for all heads, and for each head a bias of start and of end.

    With a = h W_p + c_p, queries are its even columns, keys the odd ones; b = a W_b + c_b has
    two units a head, and b_j[2 head] / 2 + b_i[2 head + 1] / 2 is added for the span from i to j:
    even units belong to ends, odd ones to starts (`EfficientGlobalPointer` of bert4keras 0.11.5).
    """

    def __init__(self, config: Any, settings: PointerSettings) -> None:
        super().__init__(config, settings)
        width = 2 * settings.size
        self.dense = nn.Linear(config.hidden_size, width, bias=settings.bias)
        self.bias_dense = nn.Linear(width, 2 * self.num_labels, bias=settings.bias)

    def forward(self, states: States) -> Tensor:
        both = self.dense(self.dropout(states.hidden))
        halves = (self.bias_dense(both) / 2).transpose(1, 2)  # (batch, 2 heads, length)
        ends, starts = halves[:, 0::2, None, :], halves[:, 1::2, :, None]
        query, key = both[:, :, None, 0::2], both[:, :, None, 1::2]
        return self.products(query, key, states.mask, starts + ends)


POINTERS: dict[str, type[Pointer]] = {
    "global_pointer": GlobalPointer,
    "efficient_global_pointer": EfficientGlobalPointer,
}


class GPLinker(Head):
    """Triples by three pointers (Su Jianlin, "GPLinker", 2022).

    `entity` has 2 heads, spans of subjects and of objects; `head` and `tail` have one for each
    predicate: their row is the first, or last, token of the subject, their column that of the
    object. `logits` and `labels` are a dict of the three, each as of `Pointer`; `loss` is their
    sum. Decoded, a text has triples `[subject start, subject end, predicate, object start,
    object end]`, in order.
    """

    settings: GPLinkerSettings

    def __init__(self, config: Any, settings: GPLinkerSettings) -> None:
        super().__init__(config, settings)
        made = settings.pointers(self.num_labels)
        for name, own in made.items():
            setattr(self, name, POINTERS[settings.pointer](config, own))
        self.names = tuple(made)

    def forward(self, states: States) -> dict[str, Tensor]:
        return {name: getattr(self, name)(states) for name in self.names}

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        each = [getattr(self, name).loss(logits[name], labels[name], mask) for name in self.names]
        return torch.stack(each).sum()

    def decode(
        self,
        logits: Any,
        mask: Tensor,
        residual: Tensor | None = None,
        threshold: float | None = None,
    ) -> list[Any]:
        """Triples of each text; a threshold of None is that of the settings."""
        threshold = self.settings.threshold if threshold is None else threshold
        entities = find_spans(logits["entity"], mask, threshold)
        return [
            link_spans(spans, head > threshold, tail > threshold)
            for spans, head, tail in zip(entities, logits["head"], logits["tail"], strict=True)
        ]
