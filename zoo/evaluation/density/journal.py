"""Rows of a long computation, saved batch by batch, and the table made of them."""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo.errors import ConflictError, UsageError


class Journal:
    """A file of JSON lines next to the table to write, from which a killed run is resumed.

    The first line identifies the computation; every other holds the rows of one batch. An
    incomplete line is dropped, with all that follow it.

    Args:
        target: the table's file; the journal is a hidden file in the same folder.
        key: identifies the computation; rows under another key are not used.

    Raises:
        ConflictError: the table exists, or the journal is of another computation.
        UsageError: the folder does not exist.
    """

    def __init__(self, target: Path, key: Mapping[str, Any]) -> None:
        self.target = target
        self.path = target.with_name(f".{target.name}.partial")
        if not target.parent.is_dir():
            raise UsageError(f"{target.parent} is not a folder; make it first")
        if target.exists():
            raise ConflictError(f"{target} exists already; choose another file or remove it")
        self.batches: list[list[list[float]]] = []
        header = json.loads(json.dumps(dict(key)))
        end = self._read(header)
        self._file = self.path.open("r+b" if self.path.exists() else "w+b")
        self._file.truncate(end)
        self._file.seek(end)
        if not end:
            self._write(header)

    def _read(self, header: dict[str, Any]) -> int:
        """Read the batches of an earlier run; return where its last complete line ends."""
        if not self.path.is_file():
            return 0
        end = 0
        with self.path.open("rb") as lines:
            for number, line in enumerate(lines):
                try:
                    content = json.loads(line) if line.endswith(b"\n") else None
                except ValueError:
                    content = None
                if content is None:
                    break
                if number == 0 and content != header:
                    raise ConflictError(
                        f"{self.path} holds an interrupted run with other images, weights or "
                        "options; run that again to finish it, or remove the file"
                    )
                if number:
                    self.batches.append(content)
                end += len(line)
        return end

    def add(self, rows: list[list[float]]) -> None:
        """Save the rows of one more batch; a kill cannot lose them after this."""
        self.batches.append(rows)
        self._write(rows)

    def _write(self, content: Any) -> None:
        self._file.write(json.dumps(content).encode() + b"\n")
        self._file.flush()
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Stop writing; the file stays for a later run."""
        self._file.close()

    def remove(self) -> None:
        """Remove the journal once the table is written."""
        self.close()
        self.path.unlink(missing_ok=True)


def write_parquet(
    target: Path, columns: Mapping[str, Sequence[Any]], facts: Mapping[str, Any]
) -> None:
    """Write a table completely or not at all.

    Args:
        target: the file.
        columns: name and values, in order.
        facts: kept as the file's metadata `genae`, in JSON.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    table = pa.table({name: list(values) for name, values in columns.items()})
    table = table.replace_schema_metadata({"genae": json.dumps(dict(facts), default=str)})
    partial = target.with_name(f".{target.name}.writing")
    try:
        pq.write_table(table, partial)
        partial.replace(target)
    finally:
        partial.unlink(missing_ok=True)
