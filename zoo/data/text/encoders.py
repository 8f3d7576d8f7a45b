"""Rows of whole texts, for each task that is about them."""

import math
from collections.abc import Callable
from typing import Any

from zoo.errors import UsageError

from .encoding import Rows, encode, jieba_numbers
from .labels import number_labels, split_labels
from .options import TextOptions
from .packing import renumber

#: Makes rows of a batch of columns.
Encode = Callable[[list[list[Any]], Any, TextOptions], Rows]


def encode_masked(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Texts without a token that can be masked are left out."""
    (texts,) = columns
    length = None if options.packing else options.max_length
    wanted = {"add_special_tokens": not options.packing}
    rows = encode(tokenizer, columns, length, return_offsets_mapping=options.whole_words, **wanted)
    special = set(tokenizer.all_special_ids)
    if options.whole_words:
        rows["words"] = [
            renumber([-1 if t in special else w for t, w in zip(tokens, words, strict=True)])
            for tokens, words in zip(
                rows["input_ids"], map(jieba_numbers, texts, rows["offset_mapping"]), strict=True
            )
        ]
    return keep(rows, [not special.issuperset(tokens) for tokens in rows["input_ids"]])


def encode_causal(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Texts with the token that ends them, where there is room for it behind the whole text.

    Of a text by itself, a token that no other follows teaches nothing, and is left out.
    """
    length = None if options.packing else options.max_length
    rows = encode(tokenizer, columns, length, add_special_tokens=False)
    end = separator(tokenizer)
    if length is not None and end is not None:
        rows["input_ids"] = [[*t, end] if len(t) < length else t for t in rows["input_ids"]]
    return keep(rows, [len(tokens) > (length is not None) for tokens in rows["input_ids"]])


def encode_pairs(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Sources as what is read, targets as labels; pairs without either are left out."""
    sources, targets = columns
    rows = encode(tokenizer, [sources], options.max_length)
    wanted = encode(tokenizer, [targets], options.max_length)
    rows["labels"] = wanted["input_ids"]
    rows["cut"] = [one or other for one, other in zip(rows["cut"], wanted["cut"], strict=True)]
    present = [bool(s.strip() and t.strip()) for s, t in zip(sources, targets, strict=True)]
    return keep(rows, present)


def encode_classified(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Texts, or pairs of them, with a class each."""
    *texts, labels = columns
    rows = encode(tokenizer, texts, options.max_length)
    rows["labels"] = number_labels(labels, options.labels, str(options.label))
    return keep(rows, [bool(tokens) for tokens in rows["input_ids"]])


def encode_labeled(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Texts with any number of classes each, as their numbers."""
    *texts, cells = columns
    rows = encode(tokenizer, texts, options.max_length)
    column = str(options.label)
    rows["labels"] = [
        sorted(set(number_labels(split_labels(cell, options), options.labels, column)))
        for cell in cells
    ]
    return keep(rows, [bool(tokens) for tokens in rows["input_ids"]])


def encode_scored(columns: list[list[Any]], tokenizer: Any, options: TextOptions) -> Rows:
    """Two texts each by itself, and how near they are to each other; pairs without one are out."""
    first, second, scores = columns
    rows = encode(tokenizer, [first], options.max_length)
    others = encode(tokenizer, [second], options.max_length)
    rows["second_ids"] = others["input_ids"]
    rows["labels"] = [_score(value, str(options.label)) for value in scores]
    rows["cut"] = [one or other for one, other in zip(rows["cut"], others["cut"], strict=True)]
    return keep(rows, [bool(s.strip() and t.strip()) for s, t in zip(first, second, strict=True)])


def _score(value: Any, column: str) -> float:
    try:
        score = float(value)
    except (TypeError, ValueError):
        score = math.nan
    if not math.isfinite(score):
        raise UsageError(
            f"the column {column} has {value!r:.40} where a number should be, the higher the "
            "nearer two texts are; name the column of scores"
        )
    return score


def separator(tokenizer: Any) -> int | None:
    """The token that ends texts, or None."""
    end = tokenizer.eos_token_id
    found = end if end is not None else tokenizer.sep_token_id
    return None if found is None else int(found)


def keep(rows: Rows, kept: list[bool]) -> Rows:
    """The rows that are kept."""
    if all(kept):
        return rows
    return {
        name: [value for value, keep in zip(values, kept, strict=True) if keep]
        for name, values in rows.items()
    }
