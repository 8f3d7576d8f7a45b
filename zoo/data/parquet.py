"""Parquet files at any address, of which only the rows that are asked for are read."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from zoo.errors import IntegrityError
from zoo.places import Place, in_words

BUFFER = 1 << 20  # bytes of a file that are read at one time


class ParquetFile:
    """One Parquet file; groups of rows that nobody wants are not read.

    Args:
        name: what messages call the data set.
        place: the file, or the folder that it is in.
        file: its name in the folder.

    Attributes:
        features: its columns, as `datasets` has them.
        count: number of rows.

    Raises:
        IntegrityError: it is damaged.
        UnreachableError: it cannot be had now.
    """

    def __init__(self, name: str, place: Place, file: str = "") -> None:
        from datasets import Features

        self.name, self.place, self.file = name, place, file
        with self._opened() as opened:
            groups = map(opened.metadata.row_group, range(opened.num_row_groups))
            self.groups = [group.num_rows for group in groups]
            self.features: Mapping[str, Any] = Features.from_arrow_schema(opened.schema_arrow)
        self.count = sum(self.groups)

    def batches(
        self, columns: Sequence[str], wanted: Sequence[range], size: int
    ) -> Iterator[tuple[int, Any]]:
        """Rows that are wanted, in order: the number of the first of some, and an Arrow batch.

        Args:
            columns: their names.
            wanted: numbers of rows, rising, without overlap.
            size: of a batch at most.

        Raises:
            IntegrityError: the file is damaged there.
            UnreachableError: it cannot be had now.
        """
        if not any(_within(each, 0, self.count) for each in wanted):
            return
        first = 0
        with self._opened() as opened:
            for group, rows in enumerate(self.groups):
                if chosen := [part for each in wanted if (part := _within(each, first, rows))]:
                    at = first
                    for batch in opened.iter_batches(size, row_groups=[group], columns=[*columns]):
                        for each in chosen:
                            if part := _within(each, at - first, len(batch)):
                                yield at + part.start, batch.slice(part.start, len(part))
                        at += len(batch)
                first += rows

    @contextmanager
    def _opened(self) -> Iterator[Any]:
        import pyarrow.parquet as pq

        path = self.place.path(self.file)
        with in_words(str(self.place)), _damaged(self.name, path):
            file = self.place.open(self.file)
            with pq.ParquetFile(file, buffer_size=BUFFER, pre_buffer=False) as opened:
                yield opened


def _within(wanted: range, first: int, size: int) -> range:
    """Which of a block's rows are wanted, counted from its first."""
    return range(max(wanted.start - first, 0), min(wanted.stop - first, size))


@contextmanager
def _damaged(name: str, path: str) -> Iterator[None]:
    """Raise what is wrong with a Parquet file as an error of genae."""
    import pyarrow as pa

    try:
        yield
    except (pa.ArrowException, EOFError, OSError) as error:
        # Arrow reports damage as an OSError, too, but with no number of the system's.
        known = isinstance(error, pa.ArrowException | EOFError)
        if not known and (type(error) is not OSError or error.errno is not None):
            raise
        reason = str(error).splitlines()[0]
        raise IntegrityError(
            f"data set {name}: {path} cannot be read as Parquet ({reason}); get it again"
        ) from error
