"""The gradients of one step, changed in place; norms that are known are not computed twice.

A pass over the gradients of a BERT-base takes as long as updating the weights of two of its
layers. So an operation that only multiplies makes none: its factors wait, are folded into the
norms already known, and are multiplied in once, when values are needed or the chain ends.
"""

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from . import sharding


class Gradients:
    """All gradients that are not None, by the names of their parameters.

    Args:
        named: names and parameters; those without a gradient are left out.

    Raises:
        UsageError: a gradient is sparse, or a sum over processes still to be made.
    """

    def __init__(self, named: Iterable[tuple[str, nn.Parameter]]) -> None:
        there = [(name, each) for name, each in named if each.grad is not None]
        self.names = [name for name, _ in there]
        self.parameters = [parameter for _, parameter in there]
        self.tensors: list[Tensor] = [p.grad for p in self.parameters if p.grad is not None]
        for name, gradient in zip(self.names, self.tensors, strict=True):
            sharding.check(name, gradient)
        double = any(gradient.dtype == torch.float64 for gradient in self.tensors)
        self.dtype = torch.float64 if double else torch.float32
        self.device = sharding.local(self.tensors[0]).device if there else torch.device("cpu")
        self._factors: Tensor | None = None  # one for all, or one each; not yet multiplied in
        self._norms: dict[float, Tensor] = {}
        self._known: dict[float, set[int]] = {}

    def __len__(self) -> int:
        return len(self.names)

    def select(self, chosen: Collection[str] | None = None) -> "Selection":
        """Those of some names; of all names if None."""
        if chosen is None:
            return Selection(self, range(len(self)))
        return Selection(self, [i for i, name in enumerate(self.names) if name in chosen])

    def known_orders(self, indices: Sequence[int]) -> list[float]:
        """Orders of the norms that need no pass over the gradients."""
        return [order for order, known in self._known.items() if known.issuperset(indices)]

    def norms(self, indices: Sequence[int], order: float) -> Tensor:
        """Norm of each gradient as it will be, shape `(len(indices),)`."""
        known = self._known.setdefault(order, set())
        if order not in self._norms:
            self._norms[order] = torch.zeros(len(self), dtype=self.dtype, device=self.device)
        values = self._norms[order]
        if missing := [index for index in indices if index not in known]:
            found = sharding.norms([self.tensors[i] for i in missing], order, self.dtype)
            place = self._place(missing)
            if self._factors is not None:
                factors = self._factors if self._factors.ndim == 0 else self._factors[place]
                found = found * factors.abs()
            values[place] = found
            known.update(missing)
        return values[self._place(indices)].clone()

    def learn(self, indices: Sequence[int], order: float, norms: Tensor) -> None:
        """Note norms that an operation knows without measuring."""
        self._norms[order][self._place(indices)] = norms
        self._known[order].update(indices)

    def scale(self, indices: Sequence[int], factors: Tensor) -> None:
        """Multiply by one number, shape `()`, or by one each, shape `(len(indices),)`."""
        place = self._place(indices)
        everything = isinstance(place, slice)
        if self._factors is None:
            self._factors = torch.ones((), dtype=self.dtype, device=self.device)
        if everything:
            self._factors = self._factors * factors
        else:
            self._factors = self._factors.expand(len(self)).clone()
            self._factors[place] *= factors
        for values in self._norms.values():
            values[place] *= factors.abs()

    def edit(self, indices: Sequence[int]) -> list[Tensor]:
        """The gradients themselves, of which this process may have a part, to be changed."""
        self.multiply_in()
        for known in self._known.values():
            known.difference_update(indices)
        return [sharding.local(self.tensors[index]) for index in indices]

    def multiply_in(self) -> None:
        """Multiply in the factors that wait."""
        factors, self._factors = self._factors, None
        if factors is None or not self.tensors:
            return
        locals_ = [sharding.local(tensor) for tensor in self.tensors]
        single = factors.expand(len(self)) if factors.ndim == 0 else factors
        if factors.device.type == "cpu":  # looking costs nothing: leave out what stays
            numbers = single.tolist()
            moved = [i for i, number in enumerate(numbers) if number != 1.0]
            if moved:
                # Tensors, because half precision would cut off a number beyond its range.
                torch._foreach_mul_([locals_[i] for i in moved], [single[i] for i in moved])
        elif factors.ndim == 0 and len({tensor.device for tensor in locals_}) == 1:
            torch._foreach_mul_(locals_, factors)
        else:
            each = zip(single.unbind(), locals_, strict=True)
            torch._foreach_mul_(locals_, [factor.to(tensor.device) for factor, tensor in each])

    def drop(self, indices: Collection[int]) -> None:
        """Set gradients to None and forget them."""
        kept = [index for index in range(len(self)) if index not in set(indices)]
        for index in indices:
            self.parameters[index].grad = None
        if self._factors is not None and self._factors.ndim:
            self._factors = self._factors[kept]
        self._norms.clear()
        self._known.clear()
        self.names = [self.names[index] for index in kept]
        self.parameters = [self.parameters[index] for index in kept]
        self.tensors = [self.tensors[index] for index in kept]

    def _place(self, indices: Sequence[int]) -> slice | list[int]:
        return slice(None) if len(indices) == len(self) else list(indices)


@dataclass(frozen=True)
class Selection:
    """Some of a step's gradients: what an operation is given.

    Attributes:
        gradients: all of them.
        indices: of those chosen, ascending.
    """

    gradients: Gradients
    indices: Sequence[int]

    def __len__(self) -> int:
        return len(self.indices)

    @property
    def parameters(self) -> list[nn.Parameter]:
        """The parameters, in the order of the gradients."""
        return [self.gradients.parameters[index] for index in self.indices]

    def norms(self, order: float = 2.0) -> Tensor:
        """The norm of each gradient, shape `(len(self),)`."""
        return self.gradients.norms(self.indices, order)

    def total(self, order: float = 2.0) -> Tensor:
        """The norm of all gradients as one vector, shape `()`."""
        return torch.linalg.vector_norm(self.norms(order), order)

    def scale(self, factors: Tensor | float) -> None:
        """Multiply by a number, or by one for each gradient."""
        like = self.gradients
        self.gradients.scale(
            self.indices, torch.as_tensor(factors, dtype=like.dtype, device=like.device)
        )

    def edit(self) -> list[Tensor]:
        """The gradients, or this process's parts of them, to be changed in place."""
        return self.gradients.edit(self.indices)

    def narrow(self, wanted: Callable[[Tensor], bool]) -> "Selection":
        """Those whose gradient, whole or sharded, is wanted."""
        kept = [i for i in self.indices if wanted(self.gradients.tensors[i])]
        return Selection(self.gradients, kept)

    def shares(self) -> list[tuple[Tensor, Tensor]]:
        """Each gradient, whole or sharded, and what this process has of it, to be changed."""
        parts = self.edit()
        return list(zip((self.gradients.tensors[i] for i in self.indices), parts, strict=True))

    def rewrite(self, function: Callable[[str, Tensor, nn.Parameter], Tensor]) -> None:
        """Replace gradients one by one by a function of name, whole gradient and parameter.

        A gradient spread over processes is gathered for it, one tensor at a time.
        """
        for index, mine in zip(self.indices, self.edit(), strict=True):
            gradient = self.gradients.tensors[index]
            parameter = self.gradients.parameters[index]
            made = function(self.gradients.names[index], sharding.whole(gradient), parameter)
            made = sharding.part(made, gradient)
            if made is not mine:
                mine.copy_(made)
