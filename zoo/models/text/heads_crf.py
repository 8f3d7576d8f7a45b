"""Heads of chains of labels: a conditional random field, a maximum-entropy Markov model."""

from typing import Any

import torch
from torch import Tensor, nn
from transformers import initialization as init

from .configuration_heads import CRFSettings, MEMMSettings
from .crf import crf_loss, memm_loss
from .heads_base import Head, States
from .viterbi import n_best, viterbi


class CRF(Head):
    """A linear-chain conditional random field (arXiv:1603.01360, section 2.2).

    `logits` are the emissions h W + c, `(batch, length, num_labels)`, minus infinity where a
    token is hidden. `labels` are `(batch, length)`; positions of -100 are left out of the chain.
    `loss` is the mean over texts of `crf_loss`. Decoded, a text has its best path, a label for
    each visible token.
    """

    settings: CRFSettings

    def __init__(self, config: Any, settings: CRFSettings) -> None:
        super().__init__(config, settings)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)
        self.make_transitions()

    def make_transitions(self) -> None:
        """The parameters that `transitions` are made of."""
        self.stored_transitions = nn.Parameter(torch.empty(self.num_labels, self.num_labels))

    @property
    def transitions(self) -> Tensor:
        """The effective matrix, `(num_labels, num_labels)`: from the row's label to the column's.

        `lr_multiplier` times the stored one.
        """
        return self.settings.lr_multiplier * self.stored_transitions

    @torch.no_grad()
    def draw(self) -> None:
        """As bert4keras: Glorot's uniform numbers, which effective transitions begin with."""
        for parameter in self.parameters(recurse=False):
            limit = (6 / sum(parameter.shape)) ** 0.5 / self.settings.lr_multiplier
            init.uniform_(parameter, -limit, limit)

    def forward(self, states: States) -> Tensor:
        emissions: Tensor = self.classifier(self.dropout(states.hidden))
        return emissions.masked_fill(~states.mask[..., None], -torch.inf)

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        return crf_loss(logits, self.transitions, labels, mask).mean()

    def decode(
        self,
        logits: Any,
        mask: Tensor,
        residual: Tensor | None = None,
        count: int | None = None,
        **rules: Any,
    ) -> list[Any]:
        """The best path of each text, or several with their scores.

        Args:
            logits: emissions.
            mask: true where a token is visible, `(batch, length)`.
            residual: not read.
            count: number of paths, each with its score, as of `n_best`; None is the best alone.
            **rules: `starts`, `ends` and `forbidden` of `viterbi`, instead of the settings'.
        """
        names = ("starts", "ends", "forbidden")
        rules = {name: getattr(self.settings, name) for name in names} | rules
        if count is None:
            return viterbi(logits, self.transitions, mask, **rules)
        return n_best(logits, self.transitions, count, mask, **rules)


class MEMM(CRF):
    """A maximum-entropy Markov model in both directions; see `memm_loss`.

    Logits, labels and decoding as of `CRF`: the original has no decoder of its own. With
    `hidden_dim`, transitions are (m L) (m R)^T of two stored factors and the multiplier m.
    """

    settings: MEMMSettings

    def make_transitions(self) -> None:
        width = self.settings.hidden_dim
        if width is None:
            super().make_transitions()
            return
        self.left_transitions = nn.Parameter(torch.empty(self.num_labels, width))
        self.right_transitions = nn.Parameter(torch.empty(self.num_labels, width))

    @property
    def transitions(self) -> Tensor:
        """The effective matrix, as of `CRF`."""
        if self.settings.hidden_dim is None:
            return super().transitions
        multiplier = self.settings.lr_multiplier
        return (multiplier * self.left_transitions) @ (multiplier * self.right_transitions).T

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        return memm_loss(logits, self.transitions, labels, mask)
