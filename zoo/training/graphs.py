"""A training step as one CUDA graph."""

from collections.abc import Callable

import torch
from torch import Tensor, nn

WARM_UPS = 3  # steps, as what libraries do at a first call must not be captured


class CapturedStep:
    """Loss and gradients of a batch, launched as one graph instead of kernel by kernel.

    A small network's step is a few hundred kernels of a few microseconds each, which a GPU
    finishes sooner than they can be launched one after another.

    Args:
        step: from a batch on a GPU to its loss, with the gradients left in the parameters; it
            must neither wait for the GPU nor depend on the batch's values.
        model: whose parameters and buffers the step uses. Its buffers, and the random numbers,
            stand after the capture where they stood before.
        batch: tensors of the shapes that every later batch will have.
    """

    def __init__(
        self,
        step: Callable[[dict[str, Tensor]], Tensor],
        model: nn.Module,
        batch: dict[str, Tensor],
    ) -> None:
        self.batch = {name: tensor.clone() for name, tensor in batch.items()}
        self.parameters = [each for each in model.parameters() if each.requires_grad]
        buffers = [(buffer, buffer.clone()) for buffer in model.buffers()]
        random_state = torch.cuda.get_rng_state()
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(WARM_UPS):
                model.zero_grad()
                step(dict(self.batch))
        torch.cuda.current_stream().wait_stream(side)
        model.zero_grad()
        self.graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self.graph):
            self.loss = step(dict(self.batch))
        self.gradients = [parameter.grad for parameter in self.parameters]
        for buffer, before in buffers:
            buffer.copy_(before)
        torch.cuda.set_rng_state(random_state)

    def __call__(self, batch: dict[str, Tensor]) -> Tensor:
        """The loss; the parameters' gradients are those of this batch alone."""
        for name, tensor in batch.items():
            self.batch[name].copy_(tensor)
        self.graph.replay()
        for parameter, gradient in zip(self.parameters, self.gradients, strict=True):
            parameter.grad = gradient
        return self.loss
