"""Subjects by their two ends, then the objects of one subject: the half pointer of triples."""

from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import logsigmoid

from .configuration_heads import HalfPointerSettings
from .heads_base import Head, States
from .norms import Condition, ConditionalLayerNorm
from .reductions import masked_mean, precise
from .spans import inside, nearest_spans


def power_loss(logits: Tensor, labels: Tensor, power: int, epsilon: float = 0.0) -> Tensor:
    """Binary cross-entropy of probabilities p = sigmoid(x)^power.

    Args:
        logits: x, of any shape.
        labels: of the same shape, in [0, 1].
        power: at least 1.
        epsilon: 0 is exact however small p is; above, p is clipped to [epsilon, 1 - epsilon] and
            epsilon is added inside the logarithms, as Keras does with 1e-7.

    Returns:
        Of the same shape, in nats.
    """
    if epsilon:
        p = (precise(logits).sigmoid() ** power).clamp(epsilon, 1 - epsilon)
        return -(labels * (p + epsilon).log() + (1 - labels) * (1 - p + epsilon).log())
    log_p = power * logsigmoid(precise(logits))
    # log(1 - p): of p near 1 by expm1, of p near 0 by log1p; each has a safe value elsewhere.
    near = log_p > -0.6931
    small = torch.log1p(-log_p.masked_fill(near, -1).exp())
    tiny = torch.finfo(log_p.dtype).tiny
    large = (-torch.expm1(log_p.masked_fill(~near, -0.5))).clamp(min=tiny).log()
    log_rest = torch.where(near, large, small)
    labels = labels.to(log_p)
    return -(labels * log_p + (1 - labels) * log_rest)


class HalfPointer(Head):
    """Triples by spans of subjects, and spans of objects for each predicate given a subject.

    Subjects: p = sigmoid(h W + c)^2, units start and end. Let u be what the backbone's last
    normalisation reads, and v = [u at the subject's first token, u at its last]; then w = (u -
    mean) / sqrt(variance + eps) * (gamma + v K_gamma) + (beta + v K_beta), and objects: p =
    sigmoid(w W' + c')^4, unit 2 p the start for predicate p, 2 p + 1 its end. After
    arXiv:1909.03227, as bert4keras 0.11.5's example has it.

    `logits` is a dict: `subject` `(batch, length, 2)` and, where `subject_ids` were given,
    `object` `(batch, length, num_labels, 2)`, both before sigmoid and power (`probabilities`).
    `labels` have the same names and shapes, 0 or 1; a hidden token is not asked about. `loss`:
    binary cross-entropies, subjects averaged over the units, objects averaged over the units and
    summed over predicates, each averaged over visible tokens of the batch. Decoded, a text has
    triples `[subject start, subject end, predicate, object start, object end]`.
    """

    reads_residual = True
    settings: HalfPointerSettings

    def __init__(self, config: Any, settings: HalfPointerSettings) -> None:
        super().__init__(config, settings)
        width = config.hidden_size
        self.powers = {"subject": settings.subject_power, "object": settings.object_power}
        self.subject = nn.Linear(width, 2)
        self.norm = ConditionalLayerNorm(width, Condition(2 * width), settings.norm_eps)
        self.object = nn.Linear(width, 2 * self.num_labels)

    def forward(self, states: States) -> dict[str, Tensor]:
        logits = {"subject": self.subject(self.dropout(states.hidden))}
        if states.subject_ids is not None:
            assert states.residual is not None  # the model keeps it for this head
            logits["object"] = self.objects(states.residual, states.subject_ids)
        return logits

    def objects(self, residual: Tensor, subject_ids: Tensor) -> Tensor:
        """Logits of the objects of one subject a text.

        Args:
            residual: `(batch, length, hidden_size)`.
            subject_ids: first and last position, `(batch, 2)`.

        Returns:
            `(batch, length, num_labels, 2)`.
        """
        places = subject_ids.long()[..., None].expand(-1, -1, residual.shape[-1])
        vectors = residual.gather(1, places).flatten(1)
        flat = self.object(self.dropout(self.norm(residual, vectors)))
        logits: Tensor = flat.unflatten(-1, (self.num_labels, 2))
        return logits

    def probabilities(self, logits: dict[str, Tensor]) -> dict[str, Tensor]:
        """Probabilities of the logits, under the same names, in [0, 1]."""
        return {name: values.sigmoid() ** self.powers[name] for name, values in logits.items()}

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        if "object" not in logits:
            raise ValueError("the loss of a half pointer needs subject_ids, (batch, 2)")
        subjects, objects = (
            power_loss(logits[name], labels[name], power, self.settings.epsilon)
            for name, power in self.powers.items()
        )
        each = subjects.mean(-1), objects.mean(-1).sum(-1)
        return masked_mean(each[0], mask) + masked_mean(each[1], mask)

    @torch.no_grad()
    def decode(self, logits: Any, mask: Tensor, residual: Tensor | None = None) -> list[Any]:
        """Triples of each text: its subjects first, then the objects of each.

        Args:
            logits: `subject` is read.
            mask: true where a token is visible, `(batch, length)`.
            residual: of the output, `(batch, length, hidden_size)`.

        Raises:
            ValueError: the residual is missing.
        """
        if residual is None:
            raise ValueError("to decode a half pointer, give the model's whole output")
        within = inside(mask)
        subjects = self.subjects(logits, mask)
        return [
            self._triples(residual[row], within[row], spans) for row, spans in enumerate(subjects)
        ]

    def subjects(self, logits: Any, mask: Tensor) -> list[list[list[int]]]:
        """Spans of subjects of each text, `[start, end]`; arguments as of `decode`."""
        found = self.probabilities({"subject": logits["subject"]})["subject"]
        within = inside(mask)
        return [
            [span[1:] for span in self._spans(values, seen)]
            for values, seen in zip(found[:, :, None], within, strict=True)
        ]

    def _spans(self, found: Tensor, within: Tensor) -> list[list[int]]:
        """Spans `[column, start, end]` of probabilities `(length, columns, 2)`."""
        found = found * within[:, None, None]
        settings = self.settings
        return nearest_spans(
            found[..., 0] > settings.start_threshold, found[..., 1] > settings.end_threshold
        )

    def _triples(self, residual: Tensor, within: Tensor, spans: list[list[int]]) -> list[Any]:
        """Triples of one text, its subjects as a batch."""
        if not spans:
            return []
        states = residual.expand(len(spans), -1, -1)
        ids = torch.tensor(spans, device=residual.device)
        found = self.probabilities({"object": self.objects(states, ids)})["object"]
        return [
            [*span, predicate, start, end]
            for span, values in zip(spans, found, strict=True)
            for predicate, start, end in self._spans(values, within)
        ]
