"""Any function of name, gradient and parameter."""

from collections.abc import Callable, Mapping

from torch import Tensor, nn

from zoo.errors import UsageError

from . import sharding
from .patterns import Patterns
from .tensors import Selection
from .transform import Step, Transform, Value

Function = Callable[[str, Tensor, Tensor], Tensor | None]


class Apply(Transform):
    """Any function of a parameter's name, its gradient and the parameter.

    The optimizer's rule is left alone; the gradients that it gets are whatever the function makes.
    Where tensors are sharded the function is given whole ones, one at a time.

    Args:
        function: returns the new gradient, of the same shape; or changes the one it is given and
            returns None.
        only: globs of parameter names, one or a list: for these alone.
        exclude: globs of the names that are left out.
    """

    in_cards = False
    lengthens = True

    def __init__(
        self, function: Function, *, only: Patterns = None, exclude: Patterns = None
    ) -> None:
        super().__init__(only=only, exclude=exclude)
        self.check("function", function, callable(function), "a function")
        self.function = function

    def change(self, chosen: Selection, step: Step) -> Mapping[str, Value]:
        """Call the function for each tensor."""

        def call(name: str, gradient: Tensor, parameter: nn.Parameter) -> Tensor:
            made = self.function(name, gradient, sharding.whole(parameter))
            if made is None:
                return gradient
            if not isinstance(made, Tensor) or made.shape != gradient.shape:
                found = tuple(made.shape) if isinstance(made, Tensor) else repr(made)
                raise UsageError(
                    f"{self!r}: for {name} the function made {found} of a gradient of shape "
                    f"{tuple(gradient.shape)}; return a tensor of that shape, or None"
                )
            return made

        chosen.rewrite(call)
        return {}
