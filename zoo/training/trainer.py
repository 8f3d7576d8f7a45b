"""`transformers.Trainer` for images kept as 8-bit tensors."""

from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from zoo.data.augmentation import augment
from zoo.data.binarization import binarize
from zoo.data.images import to_values
from zoo.errors import UsageError

from .checked import CheckedTrainer
from .graphs import CapturedStep


def whole_batch(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """Collate nothing: the data set hands out whole batches."""
    return batch


class ImageTrainer(CheckedTrainer):
    """Trainer whose batches are 8-bit images, converted to floats in the training step.

    The step also augments and binarises them, with torch's global generator. The loader runs ahead
    of the step, so that a resumed run would otherwise differ from an uninterrupted one.

    Args:
        binarization: a mode of `zoo.data.binarization`.
        augmentations: names of `zoo.data.augmentation`.
        num_views: with 2 the model also gets `other_view`, augmented independently.
        cuda_graph: launch each step as one graph (`CapturedStep`): on a GPU, with batches of one
            size, one process and one precision; elsewhere it changes nothing.
    """

    def __init__(
        self,
        *args: Any,
        binarization: str = "none",
        augmentations: Sequence[str] = (),
        num_views: int = 1,
        cuda_graph: bool = False,
        **kwargs: Any,
    ) -> None:
        kwargs["data_collator"] = whole_batch
        super().__init__(*args, **kwargs)
        self.binarization = binarization
        self.augmentations = augmentations
        self.num_views = num_views
        self.cuda_graph = cuda_graph and (
            self.args.device.type == "cuda"
            and self.args.n_gpu == self.args.world_size == 1
            and self.args.gradient_accumulation_steps == 1
            and self.args.dataloader_drop_last  # a graph knows one size of batch
            and not (self.args.fp16 or self.args.bf16)
        )
        assert self.model is not None
        self._takes_labels = self.model.learns_labels
        self._captured: CapturedStep | None = None
        self._parts: dict[str, Tensor] = {}
        self._part_steps = 0

    def _prepare_inputs(self, inputs: dict[str, Any]) -> dict[str, Any]:
        inputs = super()._prepare_inputs(inputs)
        pixel_values = to_values(inputs.pop("pixels"))
        for name in ("pixel_values", "other_view")[: self.num_views]:
            augmented = augment(pixel_values, self.augmentations)
            inputs[name] = binarize(augmented, self.binarization)
        if not self._takes_labels:
            inputs.pop("labels", None)
        return inputs

    def training_step(self, model: nn.Module, inputs: Any, num_items_in_batch: Any = None) -> Any:
        """The loss of a batch, its gradients in the parameters.

        Raises:
            UsageError: the step cannot be captured as a graph.
        """
        self._part_steps += 1
        if not self.cuda_graph:
            return super().training_step(model, inputs, num_items_in_batch)
        if self._captured is None:
            model.train()
            step = partial(self._loss_and_gradients, model)
            try:
                self._captured = CapturedStep(step, model, inputs)
            except RuntimeError as error:
                raise UsageError(
                    f"cuda_graph: a step of {type(model).__name__} cannot be one graph "
                    f"({str(error).splitlines()[0]}); train with --set cuda_graph=false"
                ) from error
            for total in self._parts.values():  # of the warm-up
                total.zero_()
        return self._captured(inputs)

    def _loss_and_gradients(self, model: nn.Module, inputs: dict[str, Tensor]) -> Tensor:
        loss: Tensor = self.compute_loss(model, self._prepare_inputs(inputs))
        loss.backward()
        return loss.detach()

    def compute_loss(
        self,
        model: nn.Module,
        inputs: dict[str, Any],
        return_outputs: bool = False,
        num_items_in_batch: Any = None,
    ) -> Any:
        """The loss of the model; its parts are averaged for the next log line."""
        loss, outputs = super().compute_loss(
            model, inputs, return_outputs=True, num_items_in_batch=num_items_in_batch
        )
        for name, value in outputs.items():
            if name != "loss" and torch.is_tensor(value) and value.ndim == 0:
                if name not in self._parts:
                    self._parts[name] = torch.zeros_like(value, requires_grad=False)
                self._parts[name] += value.detach()
        return (loss, outputs) if return_outputs else loss

    def log(self, logs: dict[str, float], *args: Any, **kwargs: Any) -> None:
        """Add the loss's parts to what is logged."""
        if "loss" in logs and self._part_steps:
            for name, value in self._parts.items():
                mean = self.accelerator.reduce(value / self._part_steps, reduction="mean")
                logs[name] = mean.item()
                value.zero_()
            self._part_steps = 0
        super().log(logs, *args, **kwargs)
