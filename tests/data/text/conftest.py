"""Small texts, and what is made of them."""

# ruff: noqa: RUF001 (Chinese punctuation)

from collections.abc import Callable

import datasets
import pytest

from zoo.data.text import train_tokenizer

POEMS = [
    "床前明月光，疑是地上霜。\n举头望明月，低头思故乡。",
    "白日依山尽，黄河入海流。\n欲穷千里目，更上一层楼。",
    "春眠不觉晓，处处闻啼鸟。",
    "The quick brown fox jumps over the lazy dog.",
    "To be, or not to be: that is the question.",
    "红豆生南国，春来发几枝。",
]


@pytest.fixture(scope="session")
def poems() -> list[str]:
    return POEMS


@pytest.fixture(scope="session")
def table() -> datasets.Dataset:
    return datasets.Dataset.from_dict({"text": POEMS})


@pytest.fixture(scope="session")
def characters():
    return train_tokenizer(POEMS, "characters", 500)


@pytest.fixture
def write(tmp_path) -> Callable:
    """`write(name, content)`: a file of bytes or text in a folder of the test."""

    def make(name: str, content: str | bytes):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))
        return path

    return make
