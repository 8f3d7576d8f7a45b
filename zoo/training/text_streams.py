"""Texts of a stream as tokens, for `Endless`."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

from zoo.data.text.packing import Packer
from zoo.data.text.rows import Encoder

BUFFERED = 10_000  # texts, or blocks of packed ones


class TextExamples:
    """Rows of tokens, and batches of them.

    Args:
        encode: makes rows of tokens.
        make_packer: makes what joins them into blocks; None to keep each text by itself.
        pad: makes a batch.
    """

    buffered = BUFFERED

    def __init__(
        self,
        encode: Encoder,
        make_packer: Callable[[], Packer] | None,
        pad: Callable[[Sequence[Any]], Any],
    ) -> None:
        self.encode, self.make_packer, self.pad = encode, make_packer, pad
        self.packer: Packer | None = None

    def begin(self, state: Mapping[str, Any] | None) -> None:
        """Begin a pass over the texts, or go on in one."""
        self.packer = self.make_packer() if self.make_packer else None
        if self.packer is not None and state is not None:
            self.packer.load_state_dict(state)

    def state_dict(self) -> dict[str, Any]:
        """The tokens that fill no block yet."""
        return {} if self.packer is None else self.packer.state_dict()

    def make(self, rows: Sequence[Mapping[str, Any]], first: int) -> list[dict[str, Any]]:
        """Texts as tokens, or blocks of them."""
        numbers = [*range(first, first + len(rows))]
        made = self.encode({name: [row[name] for row in rows] for name in rows[0]}, numbers)
        made.pop("cut", None)
        if self.packer is not None:
            made = self.packer(made)
        return [dict(zip(made, row, strict=True)) for row in zip(*made.values(), strict=True)]

    def finish(self, examples: Iterable[Any]) -> Iterator[Any]:
        """The examples as they are."""
        return iter(examples)

    def collate(self, examples: Sequence[Any]) -> Any:
        """Padded tensors."""
        return self.pad(examples)
