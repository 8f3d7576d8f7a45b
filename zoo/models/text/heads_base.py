"""What heads of fine-tuning read, what all of them are, and what a model with some gives."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from transformers.utils.generic import ModelOutput

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
        segments: `token_type_ids`, `(batch, length)`; None where none were given.
    """

    hidden: Tensor
    mask: Tensor
    pooled: Tensor | None = None
    residual: Tensor | None = None
    subject_ids: Tensor | None = None
    segments: Tensor | None = None


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


@dataclass
class HeadsOutput(ModelOutput):
    """What a model with heads gives.

    Attributes:
        loss: one number in nats, where labels were given.
        logits: of the head, a tensor or a dict; of several heads a dict by their names.
        mask: which tokens are visible, bool, `(batch, length)`.
        residual: what the backbone's last normalisation read, `(batch, length, hidden_size)`,
            where a head reads it.
        hidden_states: of the backbone, where asked for.
        attentions: the same.
    """

    loss: Tensor | None = None
    logits: Any = None
    mask: Tensor | None = None
    residual: Tensor | None = None
    hidden_states: tuple[Tensor, ...] | None = None
    attentions: tuple[Tensor, ...] | None = None


@contextmanager
def inputs_of(module: nn.Module | None) -> Iterator[list[Tensor]]:
    """A list that gets the first argument of every call of a module; of None it stays empty."""
    seen: list[Tensor] = []
    if module is None:
        yield seen
        return
    hook = module.register_forward_pre_hook(lambda _, args: seen.append(args[0]))
    try:
        yield seen
    finally:
        hook.remove()
