"""A step's loss as that of its whole batch: of all processes, and of all accumulated batches.

Every process averages over its own part of a batch, and the Trainer averages over processes and
accumulated batches. A mean of means is that of the whole only where each part counts by how many
items it has; and a loss that compares texts with each other has to see them all.
"""

from typing import Any

import torch
from torch import Tensor, distributed
from transformers import Trainer

from zoo.models.images.distributed import gather_batch, is_spread

from .around.ema import inner_model


def num_parts() -> int:
    """Number of processes that a batch is spread over now."""
    return distributed.get_world_size() if is_spread() else 1


def mean_of_parts(values: Tensor) -> Tensor:
    """The mean over all processes, without gradient; alone the values themselves."""
    if not is_spread():
        return values
    total = values.detach().clone(memory_format=torch.contiguous_format)
    distributed.all_reduce(total)
    return total / num_parts()


def as_the_first(values: Tensor) -> Tensor:
    """The values of the first process, in all of them."""
    if is_spread():
        values = values.contiguous()
        distributed.broadcast(values, 0)
    return values


def shares(counts: Tensor) -> Tensor:
    """By what the mean loss of each accumulated batch counts in the mean over all of a step.

    Args:
        counts: how many items this process has of each of them, `(batches,)`.

    Returns:
        `(batches,)`: 1 where all batches of all processes have as many, 0 where there is none. The
        mean over batches and processes of shares times losses is that over all items.
    """
    total = mean_of_parts(counts.sum().float())
    return counts * len(counts) / total.clamp(min=torch.finfo(total.dtype).tiny)


class WholeBatchMixin(Trainer):
    """A Trainer whose training loss is that of all processes' whole batch.

    Args:
        compares: whether the loss compares the texts of a batch, so that it is no mean over them.

    Attributes:
        share: by what the loss of the batch at hand counts in the step, as `shares` has it; None
            is 1.
    """

    def __init__(self, *args: Any, compares: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.compares = compares
        self.share: Tensor | None = None

    def compute_loss(
        self,
        model: Any,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss times its share in training, the model's own elsewhere."""
        loss, outputs = super().compute_loss(model, inputs, True, num_items_in_batch)
        if model.training and self.compares and is_spread():
            loss = _compared(inner_model(model), outputs, inputs["labels"])
        if model.training and self.share is not None:  # a mean over nothing is not a number
            loss = torch.where(self.share > 0, loss * self.share.to(loss), 0.0)
        return (loss, outputs) if return_outputs else loss


def _compared(model: Any, outputs: Any, labels: Tensor) -> Tensor:
    """The loss of a model's only head, of the texts of all processes."""
    (head,) = model.heads.values()
    logits, _ = gather_batch(outputs.logits)
    wanted, _ = gather_batch(labels)
    loss: Tensor = head.loss(logits, wanted, outputs.mask)
    return loss
