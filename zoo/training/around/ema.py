"""An exponential moving average of a model's weights."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from zoo.errors import ConflictError, UsageError
from zoo.training.gradients.sharding import cut, gather_anew, is_sharded, local, whole

from .hooks import AroundStep, check_number

# The decay of an update, by the decay asked for and the number of updates before.
WARM_UPS: dict[str, Callable[[float, int], float]] = {
    "none": lambda decay, done: decay,
    "unbiased": lambda decay, done: decay * (1 - decay**done) / (1 - decay ** (done + 1)),
    "slow": lambda decay, done: min(decay, (1 + done) / (10 + done)),
}


class EMA(AroundStep):
    r"""An exponential moving average of a model's weights, updated after every step.

    .. math:: \bar w_t = d_t \bar w_{t-1} + (1 - d_t) w_t, \qquad \bar w_0 = w_0

    The warm-up says how :math:`d_t` follows from the decay d:

    * "none": d from the first step on. The weights before training keep the share d^t.
    * "unbiased": d (1 - d^(t-1)) / (1 - d^t). The result is that of an average which starts at
      zero and is divided by 1 - d^t (Adam's correction, arXiv:1412.6980, section 3; bert4keras's
      `extend_with_exponential_moving_average`). The weights before training have no share.
    * "slow": min(d, t / (9 + t)), as `num_updates` of TensorFlow's `ExponentialMovingAverage`.

    It averages the parameters that are trained, a tied one once, and the persistent buffers of
    floating point, such as batch norm's statistics; what is frozen is not copied. An average of
    half-precision weights is kept in float32, or it would stop moving.
    `torch.optim.swa_utils.AveragedModel`, instead, copies the whole model, averages integers, has
    one decay and cannot swap weights.

    Args:
        model: whose weights are averaged; of a wrapped one (DDP) the model inside. Every process
            keeps the same average, as it does the same weights; of a model that `fully_shard` has
            cut, or cuts later, its part.
        decay: d, in [0, 1); 0 follows the weights.
        warm_up: "unbiased", "none" or "slow".

    Raises:
        UsageError: a decay outside its range, an unknown warm-up, or nothing to average.

    Example:
        >>> import torch
        >>> model = torch.nn.Linear(1, 1, bias=False)
        >>> optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
        >>> average = EMA(model, decay=0.999).attach(optimizer)
        >>> model(torch.ones(1)).sum().backward()
        >>> _ = optimizer.step()
        >>> with average.applied():  # evaluate, save
        ...     _ = model(torch.ones(1))
    """

    def __init__(
        self, model: nn.Module, decay: float = 0.999, *, warm_up: str = "unbiased"
    ) -> None:
        super().__init__()
        self.decay = check_number("decay", decay, 0, 1, "[)")
        if warm_up not in WARM_UPS:
            raise UsageError(f"warm_up is {warm_up!r}; give one of {', '.join(WARM_UPS)}")
        self.warm_up = warm_up
        self.model = inner_model(model)
        self.num_updates = 0
        self._is_applied = False
        self._averages = {
            name: tensor.detach().to(at_least_float32(tensor), copy=True)
            for name, tensor in averaged_tensors(self.model)
        }
        if not self._averages:
            raise UsageError("EMA has nothing to average: every parameter is frozen")

    def after_step(self, optimizer: Optimizer) -> None:
        """Follow the weights."""
        self.update()

    @torch.no_grad()
    def update(self) -> None:
        """Take the current weights into the average; done after each step when attached.

        Raises:
            ConflictError: the average is applied to the model at the moment.
        """
        if self._is_applied:
            raise ConflictError("the average is applied to the model; train outside applied()")
        decay = WARM_UPS[self.warm_up](self.decay, self.num_updates)
        weights = [local(each.detach()) for each in self._tensors().values()]
        averages = [local(each) for each in self._averages.values()]
        pairs = zip(weights, averages, strict=True)
        weights = [weight.to(average.dtype) for weight, average in pairs]
        torch._foreach_lerp_(averages, weights, 1 - decay)
        self.num_updates += 1

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Give the model the averaged weights; its own come back afterwards, bit for bit.

        Inside another `applied` it does nothing.
        """
        if self._is_applied:
            yield
            return
        tensors = self._tensors()
        weights = {name: tensor.detach().clone() for name, tensor in tensors.items()}
        self._is_applied = True
        try:
            copy_into(tensors, self._averages)
            yield
        finally:
            copy_into(tensors, weights)
            gather_anew(self.model)
            self._is_applied = False

    def state_dict(self) -> dict[str, Any]:
        """What a resumed training needs: `num_updates` and `averages`, tensors by name.

        They are whole, for which all processes of a sharded model have to ask at once.
        """
        averages = {name: whole(each) for name, each in self._averages.items()}
        return {"num_updates": self.num_updates, "averages": averages}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Go on from a `state_dict`.

        Raises:
            UsageError: it is of another model, or of other parameters of it.
        """
        averages, count = state.get("averages"), state.get("num_updates")
        if not isinstance(averages, Mapping) or not isinstance(count, int) or count < 0:
            raise UsageError("the state of the average has no averages or no num_updates")
        for name in sorted(averages.keys() ^ self._averages.keys()):
            lacking = "the state" if name in self._averages else "the model"
            raise UsageError(
                f"{lacking} has no average of {name}; train and freeze the same tensors"
            )
        for name, average in self._averages.items():
            if average.shape != averages[name].shape:
                raise UsageError(
                    f"the average of {name} has shape {tuple(averages[name].shape)}, the model's "
                    f"tensor {tuple(average.shape)}; load the state of the same model"
                )
        tensors = self._tensors()
        parts = {name: cut(each, tensors[name]) for name, each in averages.items()}
        copy_into(self._averages, parts)
        self.num_updates = count

    def moved_to(self, model: nn.Module) -> "EMA":
        """The same average, of another model with the same tensors."""
        other = EMA(model, self.decay, warm_up=self.warm_up)
        other.load_state_dict(self.state_dict())
        return other

    def _tensors(self) -> dict[str, Tensor]:
        """What is averaged, as it is in the model now; the averages follow where it went."""
        gather_anew(self.model)
        found = dict(self.model.named_parameters()) | dict(self.model.named_buffers())
        tensors = {name: found[name] for name in self._averages}
        for name, tensor in tensors.items():
            average = self._averages[name]
            if average.device != tensor.device or is_sharded(average) != is_sharded(tensor):
                self._averages[name] = cut(average.to(tensor.device), tensor)
        return tensors


def inner_model(model: nn.Module) -> nn.Module:
    """The model inside `DistributedDataParallel` or `DataParallel`."""
    wrappers = (nn.parallel.DistributedDataParallel, nn.parallel.DataParallel)
    return model.module if isinstance(model, wrappers) else model


def averaged_tensors(model: nn.Module) -> Iterator[tuple[str, Tensor]]:
    """Trained parameters and persistent buffers, those of floating point, each once."""
    for name, parameter in model.named_parameters():
        if parameter.requires_grad:
            yield name, parameter
    stored = model.state_dict().keys()
    for name, buffer in model.named_buffers():
        if buffer.is_floating_point() and name in stored:
            yield name, buffer


def at_least_float32(tensor: Tensor) -> torch.dtype:
    """The type an average is kept in."""
    return torch.promote_types(tensor.dtype, torch.float32)


@torch.no_grad()
def copy_into(targets: Mapping[str, Tensor], values: Mapping[str, Tensor]) -> None:
    """Copy values into tensors in place, by name."""
    for name, target in targets.items():
        target.copy_(values[name])
