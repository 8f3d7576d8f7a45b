"""Where a model runs."""

from typing import TYPE_CHECKING, Any

from zoo import ranks
from zoo.errors import MissingDependencyError, UsageError

if TYPE_CHECKING:
    import torch

AUTO = "auto"


def find_device(device: "str | torch.device | None") -> "torch.device":
    """A device by name, which holds numbers.

    Args:
        device: as torch writes it, such as "cpu", "cuda", "cuda:1" or "mps"; "auto" is the
            accelerator where there is one, else the CPU, which None is too.

    Raises:
        UsageError: no device has this name.
        MissingDependencyError: the machine has no such device.
    """
    import torch

    chosen = device or "cpu"
    if chosen == AUTO:
        chosen = torch.accelerator.current_accelerator(check_available=True) or "cpu"
    try:
        found = torch.device(chosen)
    except RuntimeError as error:
        raise UsageError(f"no device {device!r}; use cpu, cuda, cuda:1, mps or auto") from error
    try:
        torch.zeros(1, device=found).item()  # some, such as meta, hold no values
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        raise _unusable(device, error) from error
    return found


def own_device(device: "str | torch.device | None") -> str:
    """The device of this process: of several GPUs, the one of its number on its machine.

    Args:
        device: as of `find_device`, and its errors.
    """
    found = find_device(device)
    several = found.type != "cpu" and found.index is None and ranks.count() > 1
    return f"{found.type}:{ranks.place()}" if several else str(found)


def put_on(model: Any, device: "str | torch.device | None", **options: Any) -> "torch.device":
    """Put a model on a device, in evaluation mode; arguments and errors as of `find_device`.

    Args:
        model: any model of torch.
        device: as of `find_device`; one without room for the model cannot be used either.
        **options: of the model's own `to`, such as a memory format.

    Returns:
        The device.
    """
    found = find_device(device)
    try:
        model.eval().to(found, **options)
    except RuntimeError as error:
        raise _unusable(device, error) from error
    return found


def _unusable(device: "str | torch.device | None", error: Exception) -> MissingDependencyError:
    reason = str(error).splitlines()[0]
    return MissingDependencyError(f"device {device!s} cannot be used: {reason}; use cpu or auto")
