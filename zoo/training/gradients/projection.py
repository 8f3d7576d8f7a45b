"""Gradients of several losses without what conflicts among them."""

import random
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor, distributed, nn

from zoo.errors import UsageError

from . import sharding
from .patterns import Patterns, named_parameters
from .tensors import Selection
from .transform import Step, Transform, Value


class Project(Transform):
    r"""Gradient surgery (PCGrad, arXiv:2001.06782).

    Each loss's gradient loses the part that points against another's, for the others in random
    order: :math:`g_i \leftarrow g_i - \frac{g_i \cdot g_j}{\lVert g_j \rVert^2} g_j` where
    :math:`g_i \cdot g_j < 0`; the results are summed. It needs the losses one by one:
    `chain.backward([loss, other], model)` takes the place of `loss.backward()`. It keeps the
    gradients of every loss in memory. Reports `conflicts`, the share of pairs of losses that
    conflict.

    Args:
        only: globs of parameter names, one or a list: what is projected, such as the network that
            the losses share; the gradients of other parameters are summed as they are.
        exclude: globs of the names that are left out.
    """

    in_cards = False

    def __init__(self, *, only: Patterns = None, exclude: Patterns = None) -> None:
        super().__init__(only=only, exclude=exclude)
        self._conflicts: float | None = None

    def backward(
        self,
        losses: Sequence[Tensor],
        model: nn.Module,
        chosen: Mapping[str, bool],
        seed: int,
    ) -> None:
        """Add the projected gradients to those of the parameters.

        Args:
            losses: scalars of one forward pass; under DistributedDataParallel the gradients of
                each are averaged over the processes first.
            model: what `chosen` names the parameters of.
            chosen: whether a parameter is projected.
            seed: of the order of the losses.

        Raises:
            UsageError: no losses, or something else; sparse gradients; a model sharded by
                `fully_shard`, which reduces gradients inside backward.
        """
        fits = all(isinstance(x, Tensor) and x.numel() == 1 and x.requires_grad for x in losses)
        if not losses or not fits:
            raise UsageError(
                "backward: takes a list of losses, each a tensor with one number that has a "
                "gradient; leave out what is constant"
            )
        named = [(name, each) for name, each in named_parameters(model) if each.requires_grad]
        if sharding.is_fully_sharded(model):
            raise UsageError(
                "Project: the model is sharded, and fully_shard sums the gradients of all losses; "
                "train with DistributedDataParallel, or add up the losses and leave out Project"
            )
        parameters = [each for _, each in named]
        tasks = [
            # Not through `.grad`, where DistributedDataParallel waits for one backward a step.
            torch.autograd.grad(x, parameters, retain_graph=i + 1 < len(losses), allow_unused=True)
            for i, x in enumerate(losses)
        ]
        for of_one in tasks:
            for (name, _), gradient in zip(named, of_one, strict=True):
                if gradient is not None:
                    sharding.check(name, gradient)
        rows: list[Tensor | None] = [_stacked(of_one) for of_one in zip(*tasks, strict=True)]
        if isinstance(model, nn.parallel.DistributedDataParallel):
            group = model.process_group
            pairs = zip(rows, parameters, strict=True)
            rows = [_average(row, each, len(losses), group) for row, each in pairs]
        projected = [r for r, (name, _) in zip(rows, named, strict=True) if chosen[name]]
        products = torch.zeros(len(losses), len(losses), dtype=torch.float64)
        for used in (row for row in projected if row is not None):
            flat = used[..., None].flatten(1)  # an axis more for what has none
            products += (flat @ flat.T).double().cpu()
        weights = project(products, random.Random(seed))
        upper = torch.triu(torch.ones_like(products), diagonal=1) > 0
        self._conflicts = (products[upper] < 0).double().mean().item() if upper.any() else 0.0
        for row, (name, parameter) in zip(rows, named, strict=True):
            if row is None:
                continue
            mix = weights if chosen[name] else torch.ones_like(weights)
            gradient = torch.tensordot(mix.to(row), row, dims=1)
            parameter.grad = gradient if parameter.grad is None else parameter.grad + gradient

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Nothing is left to do, if `backward` was used.

        Raises:
            UsageError: it was not.
        """
        conflicts, self._conflicts = self._conflicts, None
        if conflicts is None:
            raise UsageError(
                "Project: needs the losses one by one; call chain.backward([loss, ...], model) "
                "instead of loss.backward()"
            )
        return {"conflicts": conflicts}


def project(products: Tensor, order: random.Random) -> Tensor:
    """How much of each gradient is in the sum of all projected ones.

    Each projected gradient is a combination of the given ones, so their products are enough.

    Args:
        products: of every two gradients, shape `(n, n)`.
        order: in which each meets the others.

    Returns:
        Weights, shape `(n,)`.
    """
    count = len(products)
    weights = torch.zeros(count, dtype=products.dtype)
    for task in range(count):
        own = torch.zeros_like(weights)
        own[task] = 1
        others = [other for other in range(count) if other != task]
        order.shuffle(others)
        for other in others:
            product = own @ products[:, other]
            if product < 0:
                own[other] -= product / products[other, other]
        weights += own
    return weights


def _stacked(gradients: Sequence[Tensor | None]) -> Tensor | None:
    """The gradients of one parameter for all losses; zero for a loss that does not use it."""
    like = next((gradient for gradient in gradients if gradient is not None), None)
    if like is None:
        return None
    return torch.stack([torch.zeros_like(like) if g is None else g for g in gradients])


def _average(row: Tensor | None, parameter: Tensor, losses: int, group: Any) -> Tensor:
    """Average over processes, of which one may have used a parameter that another did not."""
    if row is None:
        row = torch.zeros(losses, *parameter.shape, dtype=parameter.dtype, device=parameter.device)
    distributed.all_reduce(row, group=group)
    return row.div_(distributed.get_world_size(group))
