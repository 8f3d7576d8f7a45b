"""Gradients normalised, centred, reduced to signs, scaled, frozen."""

import warnings
from collections.abc import Collection, Mapping
from typing import Any

import torch

from zoo.errors import UsageError

from . import sharding
from .patterns import EMBEDDING, Names, Patterns
from .tensors import Selection
from .transform import Step, Transform, Value

#: Optimizers whose step does not depend on the length of the gradients.
SCALE_FREE = (
    "Adam", "AdamW", "Adamax", "NAdam", "RAdam", "RMSprop", "Rprop", "Adagrad", "Adadelta",
    "Adafactor", "LAMB", "Lion", "Muon",
)  # fmt: skip


class Normalize(Transform):
    r"""Give each tensor the length 1: :math:`g / (\lVert g \rVert + \epsilon)`.

    Under SGD the length of a step is then the learning rate. Reports `norm_before`, `norm_after`.

    Args:
        joint: all chosen tensors as one vector, instead of each.
        eps: epsilon, above 0.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    lengthens = True

    def __init__(
        self,
        joint: bool = False,
        eps: float = 1e-8,
        *,
        only: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.check("joint", joint, isinstance(joint, bool), "true or false")
        self.joint = joint
        self.eps = self.number("eps", eps, above=0)

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Divide by the norms."""
        before = chosen.total()
        chosen.scale(1 / ((before if self.joint else chosen.norms()) + self.eps))
        return {"norm_before": before, "norm_after": chosen.total()}


class Centralize(Transform):
    r"""Subtract the mean over all axes but that of the outputs (arXiv:2004.01461).

    For tensors of two axes and more; biases and gains stay as they are, and so do embeddings,
    known by their module where there is a model, else by their names.

    Args:
        axis: of the outputs; 0, the first, for `Linear` and convolutions, 1 for transposed ones.
        embeddings: centre those, too.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    def __init__(
        self,
        axis: int = 0,
        embeddings: bool = False,
        *,
        only: Patterns = None,
        exclude: Patterns = None,
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.check("axis", axis, axis in range(8) and not isinstance(axis, bool), "0, 1 or higher")
        self.axis = int(axis)
        self.check("embeddings", embeddings, isinstance(embeddings, bool), "true or false")
        self.embeddings = embeddings

    def choose(self, names: Names) -> Collection[str] | None:
        """Leave out embeddings."""
        chosen = super().choose(names)
        if self.embeddings:
            return chosen
        if not names.given:
            warnings.warn(
                "Centralize cannot recognise embeddings without names, and centres all matrices; "
                "make the optimizer with model.named_parameters(), or pass model= to attach",
                stacklevel=2,
            )
        tables = names.embeddings or {name for name in names.names if EMBEDDING.search(name)}
        return set(names.names if chosen is None else chosen) - tables

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Subtract the means."""

        def centre(gradient: torch.Tensor) -> torch.Tensor:
            axes = [axis for axis in range(gradient.ndim) if axis != self.axis]
            return gradient.sub_(gradient.mean(dim=axes, keepdim=True))

        fitting = chosen.narrow(lambda g: g.ndim > max(1, self.axis))
        for gradient in fitting.narrow(lambda g: sharding.keeps_whole(g, self.axis)).edit():
            if gradient.numel():
                centre(gradient)
        spread = fitting.narrow(lambda g: not sharding.keeps_whole(g, self.axis))
        spread.rewrite(lambda _, gradient, parameter: centre(gradient))
        return {}


class Sign(Transform):
    """Replace every entry by its sign, -1, 0 or 1; with momentum that is Signum.

    Args:
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    lengthens = True
    hides = True

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Keep the signs."""
        torch._foreach_sign_(chosen.edit())
        return {}


class Scale(Transform):
    """Multiply by a number.

    Optimizers that divide by the gradients' own size, as Adam does, undo it, of which `attach`
    warns: give a group of parameters its own learning rate instead.

    Args:
        factor: any number but 0; a negative one ascends.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    lengthens = True

    def __init__(self, factor: float, *, only: Patterns = None, exclude: Patterns = None) -> None:
        super().__init__(only=only, exclude=exclude)
        self.factor = self.number("factor", factor)
        self.check("factor", factor, factor != 0, "another number than 0 (Freeze leaves out)")

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Multiply."""
        chosen.scale(self.factor)
        return {}

    def warn(self, optimizer: Any) -> None:
        """Warn of an optimizer that undoes it."""
        kinds = {kind.__name__ for kind in type(optimizer).__mro__}
        if found := kinds.intersection(SCALE_FREE):
            warnings.warn(
                f"{self!r} does almost nothing under {found.pop()}, which divides gradients by "
                "their own size; use groups of parameters with learning rates of their own",
                stacklevel=3,
            )


class Freeze(Transform):
    """Set gradients to None; with zeros, momentum and decay would still move the weights.

    Args:
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.

    Raises:
        UsageError: without a pattern, which would freeze everything.
    """

    def __init__(self, *, only: Patterns = None, exclude: Patterns = None) -> None:
        super().__init__(only=only, exclude=exclude)
        if not self.only and not self.exclude:
            raise UsageError(
                "Freeze: without only= or exclude= every parameter would be frozen; name some"
            )

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Drop the gradients."""
        chosen.gradients.drop(chosen.indices)
        return {}
