"""What a data set of texts tells of itself: its columns, its size, its splits."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.data.describing import other_splits
from zoo.errors import UsageError

from .loading import load_texts
from .tasks import Task

SAMPLE = 1000  # rows that are looked at
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
        splits: its splits besides `train`, among `validation` and `test`.
    """

    count: int
    characters: float
    texts: tuple[str, ...]
    words: tuple[str, ...]
    labels: tuple[str, ...]
    splits: tuple[str, ...]

    def columns_for(self, task: Task) -> tuple[tuple[str, ...], str | None] | None:
        """The columns of texts and of labels that a task reads here; None if it lacks some.

        Args:
            task: of which the usual names are preferred.
        """
        there = self.words if task.splits else self.texts
        number = min(task.num_columns)
        texts = task.columns if set(task.columns) <= set(there) else there[:number]
        if len(texts) < number:
            return None
        if task.label is None:
            return texts, None
        labels = [name for name in self.labels if (name in self.words) == task.splits]
        labels = [name for name in labels if name not in texts]
        if not labels:
            return None
        return texts, task.label if task.label in labels else labels[0]


def describe_texts(dataset: str) -> TextFacts:
    """Look at a data set's columns and its first rows.

    Args:
        dataset: a name of `zoo.data.DATASETS`, a folder or file, or a Hub id.

    Raises:
        GenaeError: as `load_texts`, of the split `train`; or there are no texts.
    """
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
    )


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
