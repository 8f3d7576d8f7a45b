"""Data of a few rows, and what a folder of vectors holds."""

import json
import shutil
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.conftest import ROOT

TEXTS = ["天气 好 a b c", "好", "", "a b 你 我 他 的 一 是 不", "我 b", "的", "一 是"]


@pytest.fixture
def written(tmp_path):
    """`written(name, rows)`: a file of JSON lines, of texts or of raw bytes, by its suffix."""

    def write(name: str, rows: list[Any]) -> Path:
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.suffix == ".parquet":
            pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=3)
            return path
        lines = [
            row
            if isinstance(row, bytes)
            else (row if isinstance(row, str) else json.dumps(row)).encode()
            for row in rows
        ]
        path.write_bytes(b"".join(line + b"\n" for line in lines))
        return path

    return write


@pytest.fixture
def images(tmp_path):
    """A folder of ten images, in two folders."""
    folder = tmp_path / "images"
    found = sorted((ROOT / "cards/examples/mnist").glob("*.png"))[:10]
    for place, file in enumerate(found):
        target = folder / "ab"[place % 2] / file.name
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, target)
    return folder


def table_of(folder: Path | str) -> pa.Table:
    """All vectors of a folder, in the order of its files."""
    return pq.read_table(f"{folder}/vectors")


def skipped_in(folder: Path) -> list[dict[str, Any]]:
    """The rows without vectors."""
    path = folder / "skipped.jsonl"
    lines = path.read_text("utf-8").splitlines() if path.exists() else []
    return [json.loads(line) for line in lines]
