"""vocab.txt of BERT and bert4keras -> the tokenizer files of transformers.

What is the same is tested against bert4keras's recorded results; what is not, is in `DIFFERENCES`.
Pairs are cut from the longer text, as bert4keras does; of two that are equally long it cuts the
first, transformers the second. Cutting at an index and the pattern `S*ES*E` have no counterpart
there: `truncate` is bert4keras's way. `BertTokenizer` of transformers would not do: it takes 100
characters for the longest word and replaces the normalizer of a `tokenizer.json` by its own.
"""

from __future__ import annotations

import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import TypeVar

from convert import cjk
from zoo.errors import IntegrityError, NotFoundError, UsageError

T = TypeVar("T")

SPECIAL = {
    "pad_token": "[PAD]",
    "unk_token": "[UNK]",
    "cls_token": "[CLS]",
    "sep_token": "[SEP]",
    "mask_token": "[MASK]",
}
#: Recorded texts whose ids, segments or offsets differ from bert4keras's, and for which casing:
#: offsets there are positions in the lower-cased text, which is longer where a letter becomes two.
#: All hold with `split_special_tokens=True`; without it a [MASK] in a text is the token.
DIFFERENCES: dict[str, tuple[str, ...]] = {
    "\u0130stanbul": ("lower",),
}
#: What bert4keras's `Tokenizer` may be told and `vocab.txt` does not say, and what became of it.
NOT_WRITTEN = {
    "token_start": "[CLS]; `add_special_tokens=False` in a call leaves both out",
    "token_end": "[SEP]",
    "word_maxlen": "200, its default",
    "token_translate": "none: token for token is a change of the vocabulary",
    "pre_tokenize": "none: it is a function",
}
UNKNOWN = SPECIAL["unk_token"]
LONGEST_WORD = 200  # characters; bert4keras's `word_maxlen`


def read_words(path: str | Path) -> list[str]:
    """The first word of each line, as bert4keras's `load_vocab` takes it; a blank line gives "".

    Args:
        path: a vocabulary in UTF-8; a byte-order mark is no part of its first token.

    Returns:
        One word a line, repeated ones too.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not UTF-8.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; check the name")
    data = path.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise IntegrityError(
            f"{path}: not UTF-8 at byte {error.start}, line {line}; save the file as UTF-8"
        ) from None
    # The line ends of a file opened as text: not those of `splitlines`, which has U+2028 as well.
    return [(line.split() or [""])[0] for line in io.StringIO(text, newline=None)]


def read_vocab(path: str | Path) -> list[str]:
    """The tokens of a vocabulary, in the order of their ids.

    Args:
        path: as `read_words`.

    Returns:
        The tokens, all different: bert4keras gives a repeated token an id that another token has
        as well, which no tokenizer's file can say.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not UTF-8, a token occurs twice, or there is none for unknown words.
    """
    tokens = read_words(path)
    seen: dict[str, int] = {}
    for number, token in enumerate(tokens, start=1):
        if token in seen:
            raise IntegrityError(
                f"{path}: line {number} repeats {token!r} of line {seen[token]}; every token "
                "needs an id of its own"
            )
        seen[token] = number
    if UNKNOWN not in seen:
        raise IntegrityError(
            f"{path}: none of its {len(tokens)} lines is {UNKNOWN}, which words that are not in "
            "it become; is this the vocabulary of a BERT tokenizer?"
        )
    return tokens


def simplify_vocab(
    tokens: Sequence[str], startswith: Sequence[str] | None = None
) -> tuple[list[str], list[int]]:
    """Leave out what bert4keras's `load_vocab(simplified=True)` leaves out.

    Args:
        tokens: the vocabulary.
        startswith: tokens to put first; the special tokens go unless they are among them.

    Returns:
        The tokens left, and their old ids: what `keep_tokens` wants.

    Raises:
        UsageError: a token of `startswith` is not in the vocabulary.
    """
    ids = {token: number for number, token in enumerate(tokens)}
    first = dict.fromkeys(startswith or ())
    unknown = [token for token in first if token not in ids]
    if unknown:
        raise UsageError(f"startswith names {unknown[0]!r}, which the vocabulary lacks")
    kept = [token for token in tokens if token not in first and not _redundant(token)]
    left = [*first, *kept]
    return left, [ids[token] for token in left]


def _redundant(token: str) -> bool:
    """Several characters, one of them CJK or punctuation."""
    if len(token) > 1:
        for character in _stem(token):
            if cjk.is_cjk(character) or cjk.is_punctuation(character):
                return True
    return False


def _stem(token: str) -> str:
    return token[2:] if token[:2] == "##" else token


def keep_vocab(tokens: Sequence[str], keep_tokens: Sequence[int], compound: int = 0) -> list[str]:
    """The vocabulary after `keep_tokens`.

    Args:
        tokens: the vocabulary before.
        keep_tokens: ids of the tokens kept, in their new order.
        compound: how many compound tokens are appended. They are named `[compound1]` and on: a
            text is split at brackets, so none gives such a token by accident.

    Returns:
        The tokens, in the order of their new ids.

    Raises:
        UsageError: an id is outside the vocabulary, or kept twice.
    """
    kept: dict[str, int] = {}
    for number in keep_tokens:
        if not 0 <= number < len(tokens):
            raise UsageError(f"keep_tokens: {number} is none of the ids 0 to {len(tokens) - 1}")
        if tokens[number] in kept:
            raise UsageError(f"keep_tokens: {number} is there twice; a token has one id")
        kept[tokens[number]] = number
    names = (f"[compound{number}]" for number in range(1, len(kept) + compound + 1))
    free = [name for name in names if name not in kept]
    return [*kept, *free[:compound]]


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
    folder: Path, tokens: Sequence[str], *, do_lower_case: bool, max_length: int
) -> list[str]:
    """Write what `AutoTokenizer` loads.

    Args:
        folder: where to.
        tokens: the vocabulary, in the order of ids.
        do_lower_case: lower-case and strip accents, as uncased models want it.
        max_length: tokens the model takes.

    Returns:
        The names of the files.
    """
    from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers
    from tokenizers.processors import TemplateProcessing

    vocab = {token: number for number, token in enumerate(tokens)}
    special = {role: token for role, token in SPECIAL.items() if token in vocab}
    tokenizer = Tokenizer(
        models.WordPiece(vocab, unk_token=UNKNOWN, max_input_chars_per_word=LONGEST_WORD)
    )
    tokenizer.normalizer = normalizers.Sequence(cjk.steps(do_lower_case))
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\t\n\r\p{Z}]+"), "removed"),
            pre_tokenizers.Split(Regex(f"{cjk.IDEOGRAPH}|{cjk.SIGN}"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.Sequence(cjk.joints())
    if "cls_token" in special and "sep_token" in special:
        cls, sep = special["cls_token"], special["sep_token"]
        tokenizer.post_processor = TemplateProcessing(
            single=f"{cls} $A {sep}",
            pair=f"{cls} $A {sep} $B:1 {sep}:1",
            special_tokens=[(cls, vocab[cls]), (sep, vocab[sep])],
        )
    tokenizer.add_special_tokens(list(special.values()))
    tokenizer.save(str(folder / "tokenizer.json"))
    settings = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "do_lower_case": do_lower_case,
        "model_max_length": max_length,
        "model_input_names": ["input_ids", "token_type_ids", "attention_mask"],
        "clean_up_tokenization_spaces": False,
        **special,
    }
    (folder / "tokenizer_config.json").write_text(
        json.dumps(settings, indent=2, ensure_ascii=False) + "\n", encoding="utf-8"
    )
    lines = "".join(f"{token}\n" for token in tokens)
    (folder / "vocab.txt").write_text(lines, encoding="utf-8", newline="\n")
    return ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]
