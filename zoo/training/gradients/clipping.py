"""Gradients made shorter: by value, by tensor, together, by unit."""

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from . import sharding
from .patterns import Patterns
from .tensors import Selection
from .transform import Step, Transform, Value

ORDERS = (1.0, 2.0, math.inf)


class ClipValue(Transform):
    r"""Clamp every entry to :math:`[-c, c]`; NaN stays.

    Reports `clipped`, the share of tensors with an entry beyond.

    Args:
        max_value: c, above 0.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    hides = True

    def __init__(
        self, max_value: float, *, only: Patterns = None, exclude: Patterns = None
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.max_value = self.number("max_value", max_value, above=0)

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Clamp where there is something to clamp."""
        norms, limit = chosen.norms(math.inf), self.max_value
        if norms.device.type == "cpu":
            within = dict(zip(chosen.indices, (norms <= limit).tolist(), strict=True))
            beyond = [index for index in chosen.indices if not within[index]]
            for tensor in chosen.gradients.edit(beyond) if beyond else ():
                tensor.clamp_(-limit, limit)
        else:
            tensors = chosen.edit()
            torch._foreach_clamp_min_(tensors, -limit)
            torch._foreach_clamp_max_(tensors, limit)
        chosen.gradients.learn(chosen.indices, math.inf, norms.clamp(max=limit))
        return {"clipped": (norms > limit).to(norms).mean()}


class ClipNorm(Transform):
    r"""Shorten each tensor to a norm: :math:`g \min(1, c / \lVert g \rVert)`.

    Reports `norm_before` and `norm_after` of all chosen tensors together, and `clipped`, the share
    of tensors shortened.

    Args:
        max_norm: c, above 0.
        norm_type: 1, 2 or infinity (`math.inf`; `inf` in a card).
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    def __init__(
        self,
        max_norm: float,
        norm_type: float = 2.0,
        *,
        only: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.max_norm = self.number("max_norm", max_norm, above=0)
        self.check("norm_type", norm_type, norm_type in ORDERS, "1, 2 or inf")
        self.norm_type = float(norm_type)

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Multiply each tensor by its factor."""
        order = self.norm_type
        before = chosen.norms(order)
        chosen.scale((self.max_norm / before).clamp(max=1))
        return {
            "norm_before": torch.linalg.vector_norm(before, order),
            "norm_after": chosen.total(order),
            "clipped": (before > self.max_norm).to(before).mean(),
        }


class ClipGlobalNorm(ClipNorm):
    r"""Shorten all chosen tensors together: their joint norm is at most c.

    As `torch.nn.utils.clip_grad_norm_`, which adds 1e-6 to the norm. Gradients must be unscaled:
    an attached chain sees to that; in your own loop, call `scaler.unscale_(optimizer)` first.
    Reports `norm_before`, `norm_after`, and `clipped`, 1 or 0.

    Args:
        max_norm: c, above 0.
        norm_type: 1, 2 or infinity (`math.inf`; `inf` in a card).
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Multiply all tensors by one factor."""
        before = chosen.total(self.norm_type)
        chosen.scale((self.max_norm / before).clamp(max=1))
        return {
            "norm_before": before,
            "norm_after": chosen.total(self.norm_type),
            "clipped": (before > self.max_norm).to(before),
        }


class AdaptiveClip(Transform):
    r"""Shorten each unit relative to its weights (AGC, arXiv:2102.06171).

    A unit is what one index of the first axis selects, a row of a matrix; a bias or a gain is one
    unit. Its gradient has at most :math:`\lambda \max(\lVert w \rVert, \epsilon)`. The authors
    leave out the last layer: `exclude="head.*"`. Reports `clipped`, the share of units shortened
    (of those that this process has, where tensors are sharded).

    Args:
        clipping: lambda, above 0.
        eps: minimum norm that a unit's weights count with, above 0.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    def __init__(
        self,
        clipping: float = 0.01,
        eps: float = 1e-3,
        *,
        only: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.clipping = self.number("clipping", clipping, above=0)
        self.eps = self.number("eps", eps, above=0)

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Shorten each unit of each tensor."""
        counts: list[Tensor] = []
        units = 0

        def clip(gradient: Tensor, weight: Tensor) -> Tensor:
            nonlocal units
            limit = unit_norms(weight).clamp_(min=self.eps).mul_(self.clipping)
            norm = unit_norms(gradient)
            counts.append((norm > limit).sum().to(chosen.gradients.device))
            units += norm.numel()
            return gradient.mul_((limit / norm).clamp_(max=1))

        by_row = chosen.narrow(lambda g: g.ndim > 1 and sharding.keeps_whole(g, 0))
        for parameter, gradient in zip(by_row.parameters, by_row.edit(), strict=True):
            if gradient.numel():
                clip(gradient, sharding.local(parameter))
        rest = chosen.narrow(lambda g: not (g.ndim > 1 and sharding.keeps_whole(g, 0)))
        rest.rewrite(lambda _, gradient, parameter: clip(gradient, sharding.whole(parameter)))
        return {"clipped": torch.stack(counts).sum() / units} if counts else {}


def unit_norms(tensor: Tensor) -> Tensor:
    """The norm of each unit, with axes of 1 for the others; of the whole for a vector."""
    if tensor.ndim < 2:
        return torch.linalg.vector_norm(tensor)
    return torch.linalg.vector_norm(tensor, dim=tuple(range(1, tensor.ndim)), keepdim=True)
