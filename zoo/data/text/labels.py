"""Classes of texts and of words, as numbers."""

from collections.abc import Iterable
from dataclasses import replace
from itertools import chain
from typing import Any

from zoo.errors import UsageError

from .options import TextOptions

#: Between the labels of a cell, where a card names nothing.
SEPARATORS = ("|", ",")
MAX_CLASSES = 10_000  # more are identifiers or amounts


def find_labels(dataset: Any, column: str) -> tuple[str, ...]:
    """The names of all classes in a column, in the order of their numbers.

    Names are those that the data set states; texts in alphabetical order; or, of whole numbers,
    "0" up to the largest one. Texts that are whole numbers are numbers.

    Args:
        dataset: of one label a row, or a list of them.
        column: of the labels.

    Raises:
        UsageError: there are no labels, or they are neither texts nor whole numbers from 0 up.
    """
    if stated := stated_names(dataset, column):
        return stated
    values: set[int | str] = set()
    for batch in dataset.select_columns([column]).iter(batch_size=1000):
        values.update(_number(value, column) for value in _flat(batch[column]))
        if len(values) > MAX_CLASSES:
            raise UsageError(
                f"the column {column} has more than {MAX_CLASSES:,} different labels; name the "
                "column of classes"
            )
    return _in_order(values, column)


def _in_order(values: set[int | str], column: str) -> tuple[str, ...]:
    if not values:
        raise UsageError(f"the column {column} has no labels; give a split that has some")
    if all(isinstance(value, int) for value in values):
        return tuple(map(str, range(max(map(int, values)) + 1)))
    return tuple(sorted(map(str, values)))


def find_several(dataset: Any, column: str, options: TextOptions) -> tuple[str, ...]:
    """The names of all classes in a column of which a cell may have several, as `find_labels`.

    Args:
        dataset: of lists of labels, or of texts with a separator between labels.
        column: of the labels.
        options: of the texts, with a separator or none.

    Raises:
        UsageError: as `find_labels`.
    """
    if stated := stated_names(dataset, column):
        return stated
    cells = [
        cell for batch in dataset.select_columns([column]).iter(1000) for cell in batch[column]
    ]
    texts = [cell for cell in cells if isinstance(cell, str)]
    usual = next((mark for mark in SEPARATORS if any(mark in text for text in texts)), None)
    split = replace(options, separator=options.separator or usual)
    values = {_number(one, column) for cell in cells for one in split_labels(cell, split)}
    return _in_order(values, column)


def split_labels(cell: Any, options: TextOptions) -> list[Any]:
    """The labels in a cell: those of a list, or those that a text joins.

    Args:
        cell: a list, a text, or one number; an empty text has no labels.
        options: whose separator is used; without one "|" or ",", by which all parts of the text
            are among `options.labels`.
    """
    if isinstance(cell, list):
        return cell
    if not isinstance(cell, str):
        return [cell]
    marks = [options.separator] if options.separator else ["\n", *SEPARATORS]
    known = set(options.labels)
    for mark in marks:
        parts = [part.strip() for part in cell.split(mark) if part.strip()]
        if not known or len(marks) == 1 or known.issuperset(parts):
            return parts
    return [cell]


def stated_names(dataset: Any, column: str) -> tuple[str, ...]:
    """The names that a data set states for the numbers in a column; none where it states none."""
    import datasets

    feature = (dataset.features or {}).get(column)
    feature = getattr(feature, "feature", feature)  # of a list
    return tuple(feature.names) if isinstance(feature, datasets.ClassLabel) else ()


def name_label(value: Any, stated: tuple[str, ...]) -> Any:
    """A number, or each of a list, by the name that is stated for it; the rest as it is."""
    if isinstance(value, list):
        return [name_label(each, stated) for each in value]
    return stated[value] if isinstance(value, int) and 0 <= value < len(stated) else value


def number_labels(values: Iterable[Any], names: tuple[str, ...], column: str) -> list[int]:
    """The class numbers of labels.

    Args:
        values: texts or numbers.
        names: of the classes, as `find_labels` finds them.
        column: of the labels, for messages.

    Raises:
        UsageError: a label is none of the classes.
    """
    numbers = {name: number for number, name in enumerate(names)}
    found = []
    for value in values:
        number = _number(value, column)
        if isinstance(value, str) and value in numbers:
            number = numbers[value]
        elif not isinstance(number, int):
            number = -1
        elif str(number) in numbers:
            number = numbers[str(number)]
        if not 0 <= number < len(names):
            known = ", ".join(names[:5]) + (", ..." if len(names) > 5 else "")
            raise UsageError(
                f"the column {column} has the label {value!r:.40}, which is none of the classes "
                f"({known}); leave those rows out, or train on data that has them all"
            )
        found.append(number)
    return found


def _number(value: Any, column: str) -> int | str:
    """A label as a whole number, if it is one, else as text."""
    if isinstance(value, str) and not value.strip():
        raise UsageError(
            f"the column {column} has an empty cell; leave such rows out, or write their label"
        )
    if isinstance(value, str) and not (value.isascii() and value.isdigit() and len(value) < 6):
        return value
    if isinstance(value, str | int) or (isinstance(value, float) and value.is_integer()):
        number = int(value)
        if 0 <= number < MAX_CLASSES:
            return number
    raise UsageError(
        f"the column {column} has the label {value!r:.40}; classes are texts, or whole numbers "
        f"from 0 to {MAX_CLASSES - 1}"
    )


def _flat(values: list[Any]) -> Iterable[Any]:
    """Labels of a batch, of rows or of the words in them."""
    return chain.from_iterable(values) if values and isinstance(values[0], list) else values
