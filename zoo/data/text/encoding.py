"""Texts of a batch as tokens, cut to a length."""

from collections.abc import Iterable, Sequence
from itertools import accumulate
from typing import Any

from zoo.errors import MissingDependencyError, UsageError
from zoo.models.text.tokenization_genae import jieba_words

Rows = dict[str, list[Any]]


def encode(
    tokenizer: Any, texts: Sequence[Sequence[Any]], max_length: int | None, **wanted: Any
) -> Rows:
    """Tokens of texts, or of pairs of them.

    What looks like a special token in a text is text.

    Args:
        tokenizer: of transformers.
        texts: one or two columns of texts; with `is_split_into_words=True` lists of words.
        max_length: where to cut, special tokens included; None does not cut.
        **wanted: as for `tokenizer(...)`.

    Returns:
        The columns that the tokenizer makes, of a fast one `word_ids`, and `cut`: whether each
        text was.
    """
    wanted |= {
        "return_attention_mask": False,
        "return_token_type_ids": len(texts) > 1
        and "token_type_ids" in tokenizer.model_input_names,
        "split_special_tokens": True,
        "verbose": False,
    }
    rows = _rows(tokenizer(*map(list, texts), truncation=False, **wanted))
    lengths = map(len, rows["input_ids"])
    rows["cut"] = [max_length is not None and length > max_length for length in lengths]
    if long := [number for number, cut in enumerate(rows["cut"]) if cut]:
        again = [[column[n] for n in long] for column in texts]
        cut = _rows(tokenizer(*again, truncation=True, max_length=max_length, **wanted))
        for name, values in cut.items():
            for number, value in zip(long, values, strict=True):
                rows[name][number] = value
    return rows


def _rows(encoded: Any) -> Rows:
    rows: Rows = dict(encoded)
    if encoded.is_fast:
        rows["word_ids"] = [encoded.word_ids(n) for n in range(len(rows["input_ids"]))]
    return rows


def jieba_numbers(text: str, offsets: Iterable[tuple[int, int]]) -> list[int]:
    """To which word of jieba's each token belongs, by where it begins in the text.

    Raises:
        MissingDependencyError: jieba is not installed.
    """
    try:
        ends = list(accumulate(map(len, jieba_words(text))))
    except ImportError:
        raise MissingDependencyError(
            "whole_words needs the words of jieba, which is not installed: "
            'pip install "genae[chinese]", or leave whole_words out'
        ) from None
    numbers: list[int] = []
    for number, end in enumerate(ends):
        numbers += [number] * (end - len(numbers))
    return [numbers[begin] if begin < end else -1 for begin, end in offsets]


def check_texts(values: Iterable[tuple[int, Any]], column: str) -> None:
    """Raise `UsageError` unless all values are texts; each comes with its row."""
    for row, value in values:
        if not isinstance(value, str):
            what = "nothing (null)" if value is None else f"{value!r:.40}"
            raise UsageError(
                f"row {row}: the column {column} has {what} where a text should be; name the "
                "column of texts, or leave those rows out"
            )
