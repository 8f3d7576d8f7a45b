"""What a data set of texts tells of itself: its columns, its size, its splits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.data.describing import other_splits
from zoo.errors import UsageError

from .annotated.normal import TEXT
from .annotated.reading import Reading, load_annotated
from .annotated.telling import kinds_in, kinds_in_files
from .loading import load_texts
from .task import Task

SAMPLE = 1000  # rows that are looked at
FEW = 20  # of them, for annotations
MAX_CLASSES = 50  # different labels among them
#: Names that columns of labels have.
LABELS = ("label", "labels", "class", "category", "sentiment", "tag", "tags")


@dataclass(frozen=True)
class TextFacts:
    """A data set of texts.

    Attributes:
        count: number of rows in the train split.
        characters: of a row's longest text, the mean of the rows looked at.
        texts: its columns of texts, without labels.
        words: its columns of lists of texts.
        labels: its columns of labels, those of texts first.
        numbers: its columns of numbers.
        marks: its annotations, of "entities", "relations" and "tags".
        splits: its splits besides `train`, among `validation` and `test`.
    """

    count: int
    characters: float
    texts: tuple[str, ...]
    words: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]
    numbers: tuple[str, ...] = ()
    marks: tuple[str, ...] = ()

    def columns_for(self, task: Task) -> tuple[tuple[str, ...], str | None] | None:
        """The columns of texts and of labels that a task reads here; None if it lacks some.

        Args:
            task: of which the usual names are preferred.
        """
        if task.marks:
            return (task.columns, None) if task.marks in self.marks else None
        number = min(task.num_columns)
        texts = task.columns if set(task.columns) <= set(self.texts) else self.texts[:number]
        if len(texts) < number:
            return None
        if task.label is None:
            return texts, None
        known = self.numbers if task.scored else self.labels
        labels = [name for name in known if (name in self.words) == task.several]
        labels = [name for name in labels if name not in texts]
        if not labels:
            return None
        return texts, task.label if task.label in labels else labels[0]


def describe_texts(dataset: str, task: Task | None = None) -> TextFacts:
    """Look at a data set's columns and its first rows.

    Args:
        dataset: a name of `zoo.data.DATASETS`, a folder or file, or a Hub id.
        task: that is wanted, which says what files of annotated texts are read for; None to see.

    Raises:
        GenaeError: as `load_texts`, of the split `train`; or there are no texts.
    """
    marks = kinds_in_files(dataset)
    if marks or (task is not None and task.marks):
        kind = task.marks if task is not None and task.marks else marks[0]
        return _annotated(dataset, kind, tuple(dict.fromkeys([*marks, kind])))
    table = load_texts(dataset, "train", None)
    rows = table[:SAMPLE]
    words = [name for name, cells in rows.items() if all(map(_is_words, cells))]
    labels = [name for name, cells in rows.items() if _is_label(name, cells)]
    lengths = {
        name: sum(map(len, cells)) / len(cells)
        for name, cells in rows.items()
        if name not in labels and all(isinstance(cell, str) for cell in cells)
    }
    words_alone = [name for name in words if name not in labels]
    if not lengths and not words_alone:
        raise UsageError(
            f"data set {dataset}: no column of texts among {', '.join(table.column_names)}; name "
            "another data set"
        )
    lengths |= {name: _mean_length(rows[name]) for name in words_alone if not lengths}
    return TextFacts(
        count=len(table),
        characters=max(lengths.values()),
        texts=tuple(sorted((n for n in lengths if n not in words), key=lambda n: n != "text")),
        words=tuple(words),
        labels=tuple(labels),
        splits=tuple(other_splits(lambda split: load_texts(dataset, split, None))),
        numbers=tuple(name for name, cells in rows.items() if all(map(_is_number, cells))),
        marks=kinds_in([("", row) for row in table.select(range(min(FEW, len(table))))]),
    )


def _annotated(dataset: str, kind: str, marks: tuple[str, ...]) -> TextFacts:
    """What annotated texts tell."""

    def read(split: str) -> Any:
        return load_annotated(dataset, split, kind, Reading())

    table = read("train")
    texts = table[:SAMPLE][TEXT]
    return TextFacts(
        count=len(table),
        characters=sum(map(len, texts)) / len(texts),
        texts=(),
        words=(),
        labels=(),
        splits=tuple(other_splits(read)),
        marks=marks,
    )


def _is_number(cell: Any) -> bool:
    """Whether a cell is a number, written as one or as a text."""
    try:
        return math.isfinite(float(cell))
    except (TypeError, ValueError):
        return False


def _is_words(cell: Any) -> bool:
    return isinstance(cell, list) and all(isinstance(each, str | int) for each in cell)


def _is_label(name: str, cells: Sequence[Any]) -> bool:
    """Whether a column is of few values, each a number, or called as labels are."""
    flat = [each for cell in cells for each in (cell if isinstance(cell, list) else [cell])]
    kinds = set(flat[: SAMPLE * 10]) if all(isinstance(x, str | int) for x in flat) else set()
    few = 1 < len(kinds) <= min(MAX_CLASSES, max(2, len(flat) // 2))
    return few and (name.lower() in LABELS or all(isinstance(kind, int) for kind in kinds))


def _mean_length(cells: Sequence[Sequence[Any]]) -> float:
    return sum(len(" ".join(map(str, cell))) for cell in cells) / len(cells)
