"""Vectors of whole texts, learned from pairs of them."""

from typing import Any

import torch
from torch import Tensor

from .configuration_heads import VectorsSettings
from .heads_base import Head, States
from .heads_labels import pool
from .losses_similarity import cosent_loss, pair_similarities


class Vectors(Head):
    """One vector for each text, whose cosines rank pairs (Su Jianlin, "CoSENT", 2022).

    It has no weights. `logits` are the vectors, `(batch, hidden_size)`. `labels` are how near the
    texts of each pair are to each other, `(pairs,)`, numbers whose order counts: the first text
    with the second, the third with the fourth ... `loss` is `cosent_loss`. Decoded, a text has
    its vector, divided by its length, as a list.
    """

    settings: VectorsSettings

    @property
    def reads_pooler(self) -> bool:
        return self.settings.pooling == "pooler"

    def forward(self, states: States) -> Tensor:
        vectors: Tensor = self.dropout(pool(self.settings.pooling, states))
        return vectors

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        if len(logits) != 2 * len(labels):
            raise ValueError(
                f"labels are one number for each two texts; got {len(labels)} of {len(logits)}"
            )
        return cosent_loss(pair_similarities(logits), labels, self.settings.scale)

    @torch.no_grad()
    def decode(self, logits: Any, mask: Tensor, residual: Tensor | None = None) -> list[Any]:
        vectors: list[Any] = torch.nn.functional.normalize(logits.float(), dim=-1).tolist()
        return vectors
