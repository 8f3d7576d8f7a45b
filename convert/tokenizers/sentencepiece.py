"""A SentencePiece model -> the tokenizer files of transformers.

Ids are SentencePiece's, and those that bert4keras's `SpTokenizer` recorded. What is not the same
is in `DIFFERENCES`.
"""

from __future__ import annotations

import re
import struct
import sys
import unicodedata
from collections.abc import Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from convert.tokenizers import cjk
from convert.tokenizers.files import special_tokens, template, write_files
from convert.tokenizers.spm_model import SPACE, Kind, Piece, SpmModel
from zoo.errors import UsageError

if TYPE_CHECKING:
    from tokenizers import decoders, normalizers

#: What differs from SentencePiece and bert4keras's `SpTokenizer` -> texts that show it. Nothing
#: recorded does; of 20,000 texts of random letters and accents, 19 were normalized otherwise.
DIFFERENCES: dict[str, tuple[str, ...]] = {
    # The name of a control piece is that piece, also with `split_special_tokens=True`.
    "names of control pieces": ("a</s>b", "<unk>"),
    # It takes a ligature apart and leaves the accent behind it; here that joins the last letter.
    # Several accents in a row are sorted here, and stay as they are there.
    "accents": ("\N{LATIN SMALL LIGATURE FI}\N{COMBINING ACUTE ACCENT}",),
}
#: Texts come back as `SpTokenizer.decode` has them, but for what transformers does otherwise.
DECODED = {
    "skip_special_tokens=True": "unknown pieces leave nothing, where it writes ' \u2047 '",
    "skip_special_tokens=False": "control pieces stand in the text, where it leaves them out",
}
#: Roles of pieces by name, where training gave none.
ROLES = {
    "cls_token": ("[CLS]", "<cls>"),
    "sep_token": ("[SEP]", "<sep>"),
    "mask_token": ("[MASK]", "<mask>"),
}
#: CPM writes spaces and line ends of a text as pieces of their own.
MARKS = {" ": "\N{LOWER ONE QUARTER BLOCK}", "\n": "\N{LOWER THREE EIGHTHS BLOCK}"}

#: Characters that Unicode counts to the one before: `Precompiled` looks at both together and drops
#: what follows the first, where SentencePiece looks at each. A mark between parts them.
JOINED = (
    r"(?<=[\s\S])(?=[\p{M}\x{200C}\x{200D}\x{FF9E}\x{FF9F}\x{1100}-\x{11FF}\x{A960}-\x{A97F}"
    r"\x{D7B0}-\x{D7FF}\x{E33}\x{EB3}\x{1F1E6}-\x{1F1FF}\x{1F3FB}-\x{1F3FF}])|(?<=\r)(?=\n)"
    r"|(?<=[\x{200D}\x{600}-\x{605}\x{6DD}\x{70F}])(?=[\s\S])"
)
#: Pieces that Google's ALBERT takes apart again after SentencePiece: a number and its comma.
WITH_COMMA = re.compile(r".*\d,", re.DOTALL)
NEVER = 100.0  # below any score: only where no other path is
MARK = "\x01"
PRIVATE = 0xF0000  # characters of a private area stand for pieces while texts are normalized


def keep_pieces(model: SpmModel, keep_tokens: Sequence[int] | None, compound: int = 0) -> SpmModel:
    """The model after `keep_tokens`: the pieces kept, in their new order, with their scores.

    Args:
        model: the model before.
        keep_tokens: ids of the pieces kept; None keeps all.
        compound: how many compound tokens are appended. No text gives one: their names, and those
            alone, have a space.

    Raises:
        UsageError: an id has no piece or is kept twice, or the unknown piece is left out.
    """
    pieces = model.pieces
    if keep_tokens is not None:
        for number in keep_tokens:
            if not 0 <= number < len(pieces):
                raise UsageError(
                    f"keep_tokens: {number} is none of the ids 0 to {len(pieces) - 1} that the "
                    "SentencePiece model has pieces for"
                )
        if len(set(keep_tokens)) < len(keep_tokens):
            twice = next(n for n in keep_tokens if list(keep_tokens).count(n) > 1)
            raise UsageError(f"keep_tokens: {twice} is there twice; a piece has one id")
        if pieces.index(model.unk) not in keep_tokens:
            raise UsageError(
                f"keep_tokens leaves out {pieces.index(model.unk)}, {model.unk.text}: what is not "
                "in the vocabulary becomes that piece; keep it as well"
            )
        pieces = tuple(pieces[number] for number in keep_tokens)
    names = tuple(
        Piece(f"<compound {number}>", kind=Kind.UNUSED) for number in range(1, compound + 1)
    )
    return replace(model, pieces=(*pieces, *names))


def scores(model: SpmModel, part_commas: bool = False) -> list[tuple[str, float]]:
    """The vocabulary with which Viterbi finds SentencePiece's path.

    It gives user-defined pieces a score that always wins, and never takes unused ones: a space in
    the name keeps them out, which is never in a normalized text.

    Args:
        model: the pieces.
        part_commas: part numbers from a comma behind them, as `write_sentencepiece`.
    """
    best = max(piece.score for piece in model.pieces if piece.kind is Kind.NORMAL)
    found = []
    for piece in model.pieces:
        text, score = piece.text, piece.score
        if piece.kind is Kind.USER_DEFINED:
            score = _float32(len(text.encode()) * best - 0.1)
        elif piece.kind is Kind.UNUSED and " " not in text:
            text = f"{text} unused"
        elif piece.kind is Kind.NORMAL and part_commas and WITH_COMMA.fullmatch(text):
            score -= NEVER
        found.append((text, score))
    return found


def _float32(value: float) -> float:
    return float(struct.unpack("<f", struct.pack("<f", value))[0])


@cache
def accents() -> str:
    """A class of regular expressions: what combines with a letter, as Python has it."""
    found: list[list[int]] = []
    for code in range(sys.maxunicode + 1):
        if unicodedata.combining(chr(code)):
            if found and found[-1][1] == code - 1:
                found[-1][1] = code
            else:
                found.append([code, code])
    return "[" + "".join(f"\\x{{{low:X}}}-\\x{{{high:X}}}" for low, high in found) + "]"


def lowered(spaces: bool = True) -> list[normalizers.Normalizer]:
    """What Google's ALBERT does to texts before SentencePiece sees them (`preprocess_text`).

    Spaces are made one, letters are taken apart (NFKD), accents left out, the rest lower-cased.
    bert4keras leaves it to the caller. transformers' `AlbertTokenizer` does so as well, and writes
    `` and '' as ", which Google's code does not.

    Args:
        spaces: whether to touch spaces.
    """
    from tokenizers import Regex, normalizers

    one_space = [
        normalizers.Replace(Regex(r"[\s\x{1C}-\x{1F}]+"), " "),
        normalizers.Replace(Regex(r"\A | \z"), ""),
    ]
    return [
        *(one_space if spaces else []),
        normalizers.NFKD(),
        normalizers.Replace(Regex(accents()), ""),
        normalizers.Replace(Regex(cjk.FINAL_SIGMA), "\N{GREEK SMALL LETTER FINAL SIGMA}"),
        normalizers.Lowercase(),
    ]


def steps(model: SpmModel, pre_tokenize: str | None = None) -> list[normalizers.Normalizer]:
    """SentencePiece's normalization, in its order."""
    from tokenizers import Regex, normalizers

    made: list[normalizers.Normalizer] = []
    texts = {piece.text for piece in model.pieces}
    if pre_tokenize:
        made += [normalizers.Replace(a, b) for a, b in MARKS.items() if b in texts]
    if model.charsmap:
        precompiled = normalizers.Precompiled(model.charsmap)
        # Pieces that the user defined are not normalized.
        safe = [
            (piece.text, chr(PRIVATE + number))
            for number, piece in enumerate(model.pieces)
            if piece.kind is Kind.USER_DEFINED
            and precompiled.normalize_str(piece.text) != piece.text
        ]
        safe.sort(key=lambda pair: -len(pair[0]))
        # It composes letters and accents of two characters, which `Precompiled` does not find.
        compose = precompiled.normalize_str("e\N{COMBINING ACUTE ACCENT}") == "\xe9"
        composed = [normalizers.NFC()] if compose else []
        made += [
            *(normalizers.Replace(text, private) for text, private in safe),
            *composed,
            normalizers.Replace(Regex(JOINED), MARK),
            precompiled,
            normalizers.Replace(MARK, ""),
            *composed,
            *(normalizers.Replace(private, text) for text, private in safe),
        ]
    if model.remove_extra_whitespaces:
        made += [
            normalizers.Replace(Regex(rf"\A +|[ {SPACE}]+\z"), ""),
            normalizers.Replace(Regex(" {2,}"), " "),
        ]
    if model.add_dummy_prefix:
        made.append(normalizers.Prepend(" "))
    if model.escape_whitespaces:
        made.append(normalizers.Replace(" ", SPACE))
    return made


def joints(model: SpmModel) -> list[decoders.Decoder]:
    """SentencePiece's `decode`, step by step."""
    from tokenizers import Regex, decoders

    unknown = rf"\A{_quoted(model.unk.text)}\z"
    made: list[decoders.Decoder] = [decoders.Replace(Regex(unknown), MARK)]
    if model.byte_fallback:
        made.append(decoders.ByteFallback())
    made += [decoders.Replace(SPACE, " "), decoders.Fuse()]
    if model.remove_extra_whitespaces or model.add_dummy_prefix:
        first = r"\A +" if model.remove_extra_whitespaces else r"\A "
        made.append(decoders.Replace(Regex(first), ""))
    return [*made, decoders.Replace(MARK, model.unk_surface)]


def _quoted(text: str) -> str:
    return "".join(f"\\x{{{ord(character):X}}}" for character in text)


def write_sentencepiece(
    folder: Path,
    model: SpmModel,
    *,
    max_length: int,
    do_lower_case: bool = False,
    part_commas: bool = False,
    end: bool = False,
    segments: bool = True,
    pre_tokenize: str | None = None,
) -> list[str]:
    """Write what `AutoTokenizer` loads.

    Args:
        folder: where to.
        model: the pieces, in the order of ids, and how texts are normalized.
        max_length: tokens the model takes.
        do_lower_case: lower-case and strip accents first, as `lowered`.
        part_commas: make two pieces of a number and a comma, which are one in the model ("2010,"),
            as Google's ALBERT does (`encode_pieces`), and transformers' `AlbertTokenizer`.
        end: end texts with the piece for that, as T5 wants it. Else they stand between [CLS] and
            [SEP] where there are such pieces, and alone where not.
        segments: whether the model takes `token_type_ids`.
        pre_tokenize: "jieba" to cut texts into words first, as CPM does it.

    Returns:
        The names of the files.
    """
    from tokenizers import Tokenizer, decoders, models, normalizers

    vocabulary = scores(model, part_commas)
    unk = model.pieces.index(model.unk)
    tokenizer = Tokenizer(models.Unigram(vocabulary, unk, model.byte_fallback))
    first_steps = lowered(spaces=not pre_tokenize) if do_lower_case else []
    if found := [*first_steps, *steps(model, pre_tokenize)]:
        tokenizer.normalizer = normalizers.Sequence(found)
    tokenizer.decoder = decoders.Sequence(joints(model))
    texts = {text for text, _ in vocabulary}
    roles = {f"{role}_token": name for role, name in model.names.items() if name in texts}
    for role, names in ROLES.items():
        for name in reversed([name for name in names if name in texts]):
            roles[role] = name
    special = special_tokens(tokenizer, roles | {"unk_token": model.unk.text})
    first, last = None, special.get("eos_token") if end else None
    if not end and {"[CLS]", "[SEP]"} <= set(special.values()):
        first, last = "[CLS]", "[SEP]"
    tokenizer.post_processor = template(tokenizer, first, last)
    others = [piece.text for piece in model.pieces if piece.kind is Kind.CONTROL]
    tokenizer.add_special_tokens([text for text in others if text not in special.values()])
    settings = {"do_lower_case": do_lower_case, "model_max_length": max_length}
    return write_files(
        folder,
        tokenizer,
        settings,
        special,
        segments,
        pre_tokenize,
        whole_text_steps=len(first_steps),
    )
