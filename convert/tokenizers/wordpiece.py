"""A BERT vocabulary -> the tokenizer files of transformers.

What is the same is tested against bert4keras's recorded results; what is not, is in `DIFFERENCES`.
Pairs are cut from the longer text, as bert4keras does; of two that are equally long it cuts the
first, transformers the second. Cutting at an index and the pattern `S*ES*E` have no counterpart
there: `truncate` is bert4keras's way. `BertTokenizer` of transformers would not do: it takes 100
characters for the longest word and replaces the normalizer of a `tokenizer.json` by its own.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from convert.tokenizers import cjk
from convert.tokenizers.files import special_tokens, template, write_files
from convert.tokenizers.vocabulary import UNKNOWN
from zoo.errors import UsageError

T = TypeVar("T")

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": UNKNOWN,
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
#: Recorded texts whose ids, segments or offsets differ from bert4keras's, and for which casing:
#: offsets there are positions in the lower-cased text, which is longer where a letter becomes two.
#: All are true with `split_special_tokens=True`; without it a [MASK] in a text is the token.
DIFFERENCES: dict[str, tuple[str, ...]] = {
    "\u0130stanbul": ("lower",),
}
#: What bert4keras's `Tokenizer` may be given and `vocab.txt` does not say, and what became of it.
NOT_WRITTEN = {
    "token_start": "[CLS]; `add_special_tokens=False` in a call leaves both out",
    "token_end": "[SEP]",
    "word_maxlen": "200, its default",
    "token_translate": "none: token for token is a change of the vocabulary",
    "pre_tokenize": "none, or jieba (the option of that name): any other function is the caller's",
}
LONGEST_WORD = 200  # characters; bert4keras's `word_maxlen`


def truncate(maxlen: int, index: int, *sequences: Sequence[T]) -> list[list[T]]:
    """Shorten sequences together as bert4keras does, one element at a time from the longest.

    With the special tokens in the sequences, its `truncate_from="right"` is the index -2 and
    "left" is 1; the pattern `S*E*E`, which drops the second start token after, takes maxlen + 1.

    Args:
        maxlen: of all together.
        index: of the element to take out.
        sequences: in order: of several longest the first is shortened. Empty ones are left out.

    Returns:
        What is left of them.

    Raises:
        UsageError: the longest has no such element.

    Example:
        >>> truncate(5, -2, "abcd", "xyz")
        [['a', 'd'], ['x', 'y', 'z']]
    """
    left = [list(sequence) for sequence in sequences if sequence]
    while sum(map(len, left)) > maxlen:
        longest = max(left, key=len)
        if not -len(longest) <= index < len(longest):
            raise UsageError(f"maxlen {maxlen} is too short: no element {index} is left to take")
        longest.pop(index)
    return left


def write_tokenizer(
    folder: Path,
    tokens: Sequence[str],
    *,
    do_lower_case: bool,
    max_length: int,
    segments: bool = True,
    pre_tokenize: str | None = None,
) -> list[str]:
    """Write what `AutoTokenizer` loads.

    Args:
        folder: where to.
        tokens: the vocabulary, in the order of ids.
        do_lower_case: lower-case and strip accents, as uncased models want it.
        max_length: tokens the model takes.
        segments: whether the model takes `token_type_ids`.
        pre_tokenize: "jieba" to cut texts into words first. A word of the vocabulary is a token;
            the others are split as ever.

    Returns:
        The names of the files.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers

    vocab = {token: number for number, token in enumerate(tokens)}
    tokenizer = Tokenizer(
        models.WordPiece(vocab, unk_token=UNKNOWN, max_input_chars_per_word=LONGEST_WORD)
    )
    steps = cjk.steps(do_lower_case)
    tokenizer.normalizer = normalizers.Sequence(steps)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\t\n\r\p{Z}]+"), "removed"),
            pre_tokenizers.Split(Regex(f"{cjk.IDEOGRAPH}|{cjk.SIGN}"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(cjk.joints())
    special = special_tokens(tokenizer, SPECIAL)
    if "cls_token" in special and "sep_token" in special:
        tokenizer.post_processor = template(tokenizer, special["cls_token"], special["sep_token"])
    settings = {"do_lower_case": do_lower_case, "model_max_length": max_length}
    # bert4keras segments lower-cased text, and drops control characters of each word.
    names = write_files(
        folder,
        tokenizer,
        settings,
        special,
        segments,
        pre_tokenize,
        whole_text_steps=len(steps) - 1,
    )
    lines = "".join(f"{token}\n" for token in tokens)
    (folder / "vocab.txt").write_text(lines, encoding="utf-8", newline="\n")
    return [*names, "vocab.txt"]
