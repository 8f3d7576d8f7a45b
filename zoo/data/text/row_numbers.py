"""Random numbers of which every row of a batch has its own."""

import hashlib
from collections.abc import Callable, Sequence

import torch
from torch import Tensor


class RowNumbers:
    """A generator of random numbers for rows, each of which has those of its place.

    A row's numbers follow from the key, its place in the whole batch and how often was drawn
    before. So they are the same in whichever process the row is, and however wide its part of the
    batch is padded: a longer row begins with the numbers of a shorter one.

    Args:
        *key: whole numbers, such as a seed and the number of a step.
        first: place in the whole batch of the first row of this part.
    """

    def __init__(self, *key: int, first: int = 0) -> None:
        self.key, self.first, self.drawn = key, first, 0
        self._generator = torch.Generator()

    def draw(self, make: Callable[..., Tensor], shape: Sequence[int]) -> Tensor:
        """Numbers of a shape whose first axis is the rows, on the CPU.

        Args:
            make: called with the shape of a row and its `generator`; draws one number after
                another, as `torch.rand` and `torch.randint` do.
            shape: `(rows, ...)`.
        """
        rows = []
        for place in range(self.first, self.first + shape[0]):
            words = " ".join(map(str, (*self.key, self.drawn, place)))
            seed = hashlib.blake2b(words.encode(), digest_size=4).digest()
            self._generator.manual_seed(int.from_bytes(seed, "little"))
            rows.append(make(tuple(shape[1:]), generator=self._generator))
        self.drawn += 1
        return torch.stack(rows)


#: What random numbers are drawn from; None is torch's own generator.
Numbers = torch.Generator | RowNumbers | None


def draw(
    make: Callable[..., Tensor], shape: Sequence[int], device: torch.device, numbers: Numbers
) -> Tensor:
    """Random numbers on a device.

    Args:
        make: as of `RowNumbers.draw`; also called with a `device`.
        shape: of the tensor.
        device: of the tensor, and of a generator.
        numbers: that they come from.
    """
    if isinstance(numbers, RowNumbers):
        return numbers.draw(make, shape).to(device)
    return make(tuple(shape), generator=numbers, device=device)
