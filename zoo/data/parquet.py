"""Parquet files at any address, of which only the cells that are asked for are read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

from zoo.errors import IntegrityError
from zoo.places import Place, in_words

BATCH = 64  # rows that are in memory at one time
BUFFER = 1 << 20  # bytes of a file that are read at one time


class ParquetRows:
    """The rows of Parquet files, one file after the other.

    Args:
        name: what messages call the data set.
        addresses: of the files.

    Attributes:
        features: the columns of the first, as `datasets` has them.
        count: number of rows.

    Raises:
        IntegrityError: a file is damaged; of its cells when it comes to them.
        UnreachableError: likewise, a file cannot be had now.
    """

    def __init__(self, name: str, addresses: Sequence[str]) -> None:
        from datasets import Features

        self.name = name
        self.features: Mapping[str, Any] = {}
        #: Of each file the rows of its groups.
        self.groups: dict[str, list[int]] = {}
        for address in addresses:
            with in_words(address), Damaged(name, address), self._opened(address) as file:
                groups = map(file.metadata.row_group, range(file.num_row_groups))
                self.groups[address] = [group.num_rows for group in groups]
                self.features = self.features or Features.from_arrow_schema(file.schema_arrow)
        self.count = sum(map(sum, self.groups.values()))

    def cells(self, column: str, rows: range) -> Iterator[Any]:
        """The cells of a column; groups of rows without wanted ones are not read.

        Args:
            column: its name.
            rows: their numbers, without gaps.
        """
        first = 0
        for address, groups in self.groups.items():
            if _within(rows, first, sum(groups)):
                with in_words(address), Damaged(self.name, address):
                    yield from self._of_file(address, groups, first, column, rows)
            first += sum(groups)

    def _of_file(
        self, address: str, groups: list[int], first: int, column: str, wanted: range
    ) -> Iterator[Any]:
        with self._opened(address) as file:
            for number, size in enumerate(groups):
                if chosen := _within(wanted, first, size):
                    at = 0
                    for batch in file.iter_batches(BATCH, row_groups=[number], columns=[column]):
                        if part := _within(chosen, at, len(batch)):
                            yield from batch.column(0).slice(part.start, len(part)).to_pylist()
                        at += len(batch)
                first += size

    def _opened(self, address: str) -> Any:
        import pyarrow.parquet as pq

        return pq.ParquetFile(Place(address).open(), buffer_size=BUFFER, pre_buffer=False)


def _within(wanted: range, first: int, size: int) -> range:
    """Which of a block's rows are wanted, counted from its first."""
    return range(max(wanted.start - first, 0), min(wanted.stop - first, size))


class Damaged(AbstractContextManager[None]):
    """Raise what is wrong with a Parquet file as an error of genae."""

    def __init__(self, name: str, path: str) -> None:
        self.name, self.path = name, path

    def __exit__(self, kind: Any, error: BaseException | None, trace: Any) -> None:
        import pyarrow as pa

        if isinstance(error, pa.ArrowException | EOFError) or (
            isinstance(error, OSError) and type(error) is OSError and error.errno is None
        ):
            reason = str(error).splitlines()[0]
            raise IntegrityError(
                f"data set {self.name}: {self.path} cannot be read as Parquet ({reason}); get it "
                "again"
            ) from error
