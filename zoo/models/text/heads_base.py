"""What heads of fine-tuning read, and what all of them are."""

from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn

from .configuration_heads import HeadSettings


@dataclass
class States:
    """What a backbone made of a batch of texts.

    Attributes:
        hidden: its last hidden states, `(batch, length, hidden_size)`.
        mask: true where a token is visible, `(batch, length)`.
        pooled: what its pooler made, `(batch, hidden_size)`; None without one.
        residual: what its last normalisation read, `(batch, length, hidden_size)`; None unless a
            head asked for it.
        subject_ids: first and last position of one subject of each text, `(batch, 2)`; None
            where none was given.
    """

    hidden: Tensor
    mask: Tensor
    pooled: Tensor | None = None
    residual: Tensor | None = None
    subject_ids: Tensor | None = None


class Head(nn.Module):
    """One head of fine-tuning: `forward` makes logits of `States`.

    Args:
        config: of the model.
        settings: of the head.
    """

    reads_residual: ClassVar[bool] = False

    def __init__(self, config: Any, settings: HeadSettings) -> None:
        super().__init__()
        self.settings: Any = settings
        self.num_labels = settings.count(config.num_labels)
        self.dropout = nn.Dropout(settings.dropout)

    @property
    def reads_pooler(self) -> bool:
        """Whether it reads what the backbone's pooler makes."""
        return False

    def loss(self, logits: Any, labels: Any, mask: Tensor) -> Tensor:
        """One number in nats.

        Args:
            logits: as `forward` gives them.
            labels: as the kind wants them.
            mask: true where a token is visible, `(batch, length)`.
        """
        raise NotImplementedError

    def decode(self, logits: Any, mask: Tensor, residual: Tensor | None = None) -> list[Any]:
        """What the logits say of each text; arguments as of `loss`, and `States.residual`."""
        raise NotImplementedError

    @torch.no_grad()
    def draw(self) -> None:
        """Give fresh values to parameters of its own; those of its modules have theirs."""
