"""Heads of labels: of whole texts, of tokens, of one span; what is computed with their logits."""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from .configuration_heads import LOSS_OF, ClassifierSettings, TokenClassifierSettings
from .heads_base import Head, States
from .losses import IGNORED
from .losses_multilabel import multilabel_cross_entropy
from .losses_similarity import focal_loss
from .reductions import masked_mean, precise


def pool(kind: str, states: States) -> Tensor:
    """One vector for each text.

    Args:
        kind: "cls", the first token's; "pooler", that of the pooler; "mean", over visible tokens.
        states: of the backbone.

    Returns:
        `(batch, hidden_size)`.
    """
    if kind == "pooler":
        assert states.pooled is not None  # a model without one is refused
        return states.pooled
    if kind == "mean":
        return masked_mean(states.hidden, states.mask[..., None], 1)
    return states.hidden[:, 0]


def _cross_entropy(logits: Tensor, labels: Tensor) -> Tensor:
    return cross_entropy(logits, labels, ignore_index=IGNORED)


def _binary(logits: Tensor, labels: Tensor) -> Tensor:
    losses = binary_cross_entropy_with_logits(logits, labels.to(logits), reduction="none")
    return masked_mean(losses, labels != IGNORED)


def _multilabel(logits: Tensor, labels: Tensor) -> Tensor:
    losses = multilabel_cross_entropy(logits, labels.clamp(0, 1))
    return masked_mean(losses, (labels != IGNORED).all(-1))


def _squared(logits: Tensor, labels: Tensor) -> Tensor:
    return mse_loss(logits.view(labels.shape), labels.to(logits))


#: Losses by name; each reads `(cases, classes)` and labels, of which -100 is left out.
LOSSES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "cross_entropy": _cross_entropy,
    "binary_cross_entropy": _binary,
    "multilabel_cross_entropy": _multilabel,
    "squared_error": _squared,
    "focal": focal_loss,
}
#: Losses of one class a case; those of others have a number for each class.
OF_CLASSES = ("cross_entropy", "focal")


def label_loss(settings: TokenClassifierSettings, logits: Tensor, labels: Tensor) -> Tensor:
    """The loss that a table asks for, averaged over cases.

    Args:
        settings: its activation and, perhaps, its loss.
        logits: `(..., classes)`.
        labels: `(...)` of classes, -100 where none is asked for; for losses of several labels
            `(..., classes)`, 0 or 1 or -100.

    Returns:
        One number, in nats.
    """
    name = settings.loss or LOSS_OF[settings.activation]
    flat = precise(logits).flatten(0, -2)
    shape = () if name in OF_CLASSES or labels.ndim < logits.ndim else flat.shape[-1:]
    return LOSSES[name](flat, labels.reshape(-1, *shape))


def choose(settings: TokenClassifierSettings, logits: Tensor) -> list[Any]:
    """Labels of each case: one for "softmax", else a list of those that hold.

    Args:
        settings: whose activation says which.
        logits: `(cases, classes)`; a label holds where its logit is above 0.
    """
    if settings.activation == "softmax":
        chosen: list[Any] = logits.argmax(-1).tolist()
        return chosen
    return [[label for label, holds in enumerate(row) if holds] for row in (logits > 0).tolist()]


class Classifier(Head):
    """Labels of whole texts: a linear map of one vector.

    `logits` are `(batch, num_labels)`, before the activation. `labels` are classes `(batch,)`, or
    `(batch, num_labels)` for losses of several labels. Decoded, a text has a label, or a list.
    """

    settings: ClassifierSettings

    def __init__(self, config: Any, settings: ClassifierSettings) -> None:
        super().__init__(config, settings)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)

    @property
    def reads_pooler(self) -> bool:
        return self.settings.pooling == "pooler"

    def forward(self, states: States) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(pool(self.settings.pooling, states)))
        return logits

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        return label_loss(self.settings, logits, labels)

    def decode(self, logits: Any, mask: Tensor, residual: Tensor | None = None) -> list[Any]:
        return choose(self.settings, logits)


class TokenClassifier(Head):
    """Labels of every token: a linear map of its vector.

    `logits` are `(batch, length, num_labels)`, before the activation. `labels` are classes
    `(batch, length)`, -100 where none is asked for; hidden tokens are never asked. Decoded, a
    text has a label, or a list, for each visible token.
    """

    settings: TokenClassifierSettings

    def __init__(self, config: Any, settings: TokenClassifierSettings) -> None:
        super().__init__(config, settings)
        self.classifier = nn.Linear(config.hidden_size, self.num_labels)

    def forward(self, states: States) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(states.hidden))
        return logits

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        hidden = ~mask if labels.ndim == mask.ndim else ~mask[..., None]
        return label_loss(self.settings, logits, labels.masked_fill(hidden, IGNORED))

    def decode(self, logits: Any, mask: Tensor, residual: Tensor | None = None) -> list[Any]:
        return [
            choose(self.settings, row[seen]) for row, seen in zip(logits, mask.bool(), strict=True)
        ]


class Span(Head):
    """One span of each text: logits of its start and of its end.

    `logits` are `(batch, length, 2)`, minus infinity where a token is hidden. `labels` are the
    first and last positions `(batch, 2)`; those outside the text are not asked about. Decoded, a
    text has the pair with the highest sum whose end is not before its start.
    """

    def __init__(self, config: Any, settings: Any) -> None:
        super().__init__(config, settings)
        self.classifier = nn.Linear(config.hidden_size, 2)

    def forward(self, states: States) -> Tensor:
        logits: Tensor = self.classifier(self.dropout(states.hidden))
        return logits.masked_fill(~states.mask[..., None], -torch.inf)

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        length = logits.shape[1]
        asked = labels.masked_fill((labels < 0) | (labels >= length), IGNORED)
        return cross_entropy(precise(logits), asked, ignore_index=IGNORED)

    def decode(self, logits: Any, mask: Tensor, residual: Tensor | None = None) -> list[Any]:
        sums = logits[:, :, None, 0] + logits[:, None, :, 1]
        best = sums.triu().masked_fill(~torch.ones_like(sums[0]).triu().bool(), -torch.inf)
        places = best.flatten(1).argmax(-1)
        length = logits.shape[1]
        return [[place // length, place % length] for place in places.tolist()]
