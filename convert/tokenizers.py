"""vocab.txt of BERT and bert4keras -> the tokenizer files of transformers.

What is the same is tested against bert4keras's recorded results; what is not, is in `DIFFERENCES`.
Pairs are cut from the longer text, as bert4keras does; of two that are equally long it cuts the
first, transformers the second. Cutting at an index and the pattern `S*ES*E` have no counterpart.
"""

from __future__ import annotations

import json
import unicodedata
from collections.abc import Sequence
from pathlib import Path

from zoo.errors import IntegrityError, NotFoundError

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

LONGEST_WORD = 200  # characters; bert4keras's `word_maxlen`


def read_vocab(path: str | Path) -> list[str]:
    """The tokens of a vocabulary, in the order of their ids: the first word of each line.

    Raises:
        NotFoundError: there is no such file.
        IntegrityError: it is not UTF-8, a line is empty, or a token occurs twice.
    """
    path = Path(path)
    if not path.is_file():
        raise NotFoundError(f"{path} does not exist; check the name")
    try:
        text = path.read_bytes().decode("utf-8")
    except UnicodeDecodeError as error:
        raise IntegrityError(f"{path}: not UTF-8 at byte {error.start}") from None
    lines = text.removesuffix("\n").split("\n")
    tokens = []
    for line in lines:
        words = line.split()
        tokens.append(words[0] if words else line.strip())
    seen: dict[str, int] = {}
    for number, token in enumerate(tokens, start=1):
        if token in seen:
            raise IntegrityError(
                f"{path}: line {number} repeats {token!r} of line {seen[token]}; every token "
                "needs an id of its own"
            )
        seen[token] = number
    return tokens


def simplify_vocab(
    tokens: Sequence[str], startswith: Sequence[str] = ()
) -> tuple[list[str], list[int]]:
    """Leave out what bert4keras's `load_vocab(simplified=True)` leaves out.

    Args:
        tokens: the vocabulary.
        startswith: tokens to put first.

    Returns:
        The tokens left, and their old ids: what `keep_tokens` wants.
    """
    ids = {token: number for number, token in enumerate(tokens)}
    first = [token for token in startswith if token in ids]
    kept = [token for token in tokens if token not in set(startswith) and not _redundant(token)]
    left = first + kept
    return left, [ids[token] for token in left]


def _redundant(token: str) -> bool:
    """Several characters, one of them CJK or punctuation."""
    if len(token) > 1:
        for character in _stem(token):
            if _is_cjk(character) or _is_punctuation(character):
                return True
    return False


def _stem(token: str) -> str:
    return token[2:] if token[:2] == "##" else token


CJK = (
    (0x4E00, 0x9FFF),
    (0x3400, 0x4DBF),
    (0x20000, 0x2A6DF),
    (0x2A700, 0x2B73F),
    (0x2B740, 0x2B81F),
    (0x2B820, 0x2CEAF),
    (0xF900, 0xFAFF),
    (0x2F800, 0x2FA1F),
)


def _is_cjk(character: str) -> bool:
    return any(low <= ord(character) <= high for low, high in CJK)


def _is_punctuation(character: str) -> bool:
    code = ord(character)
    ascii_signs = 33 <= code <= 47 or 58 <= code <= 64 or 91 <= code <= 96 or 123 <= code <= 126
    return ascii_signs or unicodedata.category(character).startswith("P")


def keep_vocab(tokens: Sequence[str], keep_tokens: Sequence[int], compounds: int) -> list[str]:
    """The vocabulary after `keep_tokens`, with names for appended compound tokens."""
    taken = {tokens[number] for number in keep_tokens}
    names = (f"[compound{number}]" for number in range(1, len(tokens) + compounds + 2))
    free = [name for name in names if name not in taken]
    return [tokens[number] for number in keep_tokens] + free[:compounds]


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
        models.WordPiece(
            vocab, unk_token=SPECIAL["unk_token"], max_input_chars_per_word=LONGEST_WORD
        )
    )
    steps: list[normalizers.Normalizer] = []
    if do_lower_case:
        steps += [
            normalizers.NFD(),
            normalizers.Lowercase(),
            normalizers.Replace(Regex(r"\p{Mn}"), ""),
        ]
    # bert4keras drops control characters, and surrounds CJK and punctuation by spaces.
    steps += [normalizers.Replace(Regex(r"[\ufffd\p{Cc}\p{Cf}&&[^\t\n\r]]"), "")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    ranges = "".join(f"\\x{{{low:X}}}-\\x{{{high:X}}}" for low, high in CJK)
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(r"[\t\n\r\p{Z}]+"), "removed"),
            pre_tokenizers.Split(Regex(rf"[{ranges}]|[!-/:-@\[-`{{-~\p{{P}}]"), "isolated"),
        ]
    )
    tokenizer.decoder = decoders.WordPiece(prefix="##")
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
    (folder / "vocab.txt").write_text("".join(f"{token}\n" for token in tokens), encoding="utf-8")
    return ["tokenizer.json", "tokenizer_config.json", "vocab.txt"]
