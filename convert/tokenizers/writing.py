"""Which vocabulary belongs to a checkpoint, and the tokenizer that it gives."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.tokenizers import cjk
from convert.tokenizers.candidates import VOCAB, is_pieces
from convert.tokenizers.casing import Casing, casing_of, casing_of_pieces, checked
from convert.tokenizers.finding import Found, fits, refused
from convert.tokenizers.sentencepiece import keep_pieces, write_sentencepiece
from convert.tokenizers.spm_model import SpmModel, read_spm
from convert.tokenizers.vocabulary import (
    FIRST,
    UNKNOWN,
    Vocabulary,
    keep_vocab,
    load_vocab,
    pad_vocab,
    read_vocab,
    simplify_vocab,
)
from convert.tokenizers.wordpiece import write_tokenizer
from zoo.errors import UsageError

if TYPE_CHECKING:
    from convert.families.base import Settings

#: Families whose texts end with the piece for that.
ENDED = "t5"
#: The type whose authors part numbers from commas.
COMMAS_PARTED = "albert"
START, END = "[CLS]", "[SEP]"


def with_simplified(options: Mapping[str, Any], vocabulary: Found) -> dict[str, Any]:
    """Options in which `simplified` has become the `keep_tokens` that bert4keras gets of it.

    Args:
        options: `simplified`, and the tokens that `startswith` puts first: [PAD], [UNK], [CLS]
            and [SEP] by default.
        vocabulary: the checkpoint's.

    Raises:
        UsageError: it says `keep_tokens` too, there is no vocab.txt, or `startswith` is no list of
            its tokens, [UNK] among them.
        IntegrityError: as `read_vocab`.
    """
    simplified, first = options.get("simplified"), options.get("startswith")
    if not simplified:
        if first is not None:
            raise UsageError("startswith is a part of simplified=true; give that as well")
        return dict(options)
    if options.get("keep_tokens") is not None:
        raise UsageError(
            "simplified and keep_tokens: the first computes the second from vocab.txt; give one"
        )
    place = vocabulary.words
    if place is None:
        raise UsageError(
            "simplified leaves out tokens of a vocab.txt, and there is none next to the "
            "checkpoint; give --vocab FILE"
        )
    tokens = read_vocab(place)
    first = [token for token in FIRST if token in tokens] if first is None else first
    if not isinstance(first, list | tuple) or UNKNOWN not in first:
        raise UsageError(
            f"startswith is {first!r}: a list of tokens is needed, {UNKNOWN} among them, because "
            "other special tokens than these are left out"
        )
    return dict(options) | {
        "startswith": list(first),
        "keep_tokens": simplify_vocab(tokens, first)[1],
    }


def write_files(
    folder: Path, vocabulary: Found, settings: Settings, model_type: str, notes: list[str]
) -> list[str]:
    """Write the tokenizer's files, where there is a vocabulary.

    Args:
        folder: where to.
        vocabulary: the checkpoint's.
        settings: what decides about the conversion; what is found out here goes to its defaults.
        model_type: of the result.
        notes: what a person should know is added to them.

    Returns:
        The names of the files.

    Raises:
        UsageError: options that do not go with the vocabulary there is.
        IntegrityError: it is damaged, or of another size than the checkpoint.
    """
    place = vocabulary.path
    checked(settings.options["do_lower_case"])
    notes += [*vocabulary.notes, *vocabulary.warnings]
    if place is None:
        if settings.options["pre_tokenize"]:
            raise UsageError(
                f"pre_tokenize={settings.options['pre_tokenize']} without a vocabulary: put the "
                f"{VOCAB} or SentencePiece model that belongs to the checkpoint next to it, or "
                "give --vocab FILE"
            )
        notes.append(
            "no vocabulary was asked for: the result has no tokenizer"
            if vocabulary.given
            else f"no {VOCAB} and no SentencePiece model next to the checkpoint: the result "
            "has no tokenizer"
        )
        return []
    common = {
        "max_length": settings.sizes["positions"],
        "segments": bool(
            settings.parts.get("segments") or settings.options.get("shared_segment_embeddings")
        ),
        "pre_tokenize": settings.options["pre_tokenize"],
    }
    if is_pieces(place):
        whole = read_spm(place)
        casing = _casing(casing_of_pieces(whole, place.name), settings, notes)
        model = _kept_pieces(place.name, whole, settings, notes)
        return write_sentencepiece(
            folder,
            model,
            do_lower_case=casing.lower and not casing.inside,
            part_commas=model_type == COMMAS_PARTED,
            end=ENDED in model_type,
            **common,
        )
    read = load_vocab(place)
    notes += read.notes
    casing = _casing(casing_of(read.tokens, place.name), settings, notes)
    tokens = _kept_tokens(vocabulary, read, settings, notes)
    if lacking := [token for token in (START, END) if token not in tokens]:
        notes.append(
            f"{place.name} has no {' and no '.join(lacking)}: the tokenizer puts no special "
            "tokens around texts, which such models are trained with"
        )
    words = sum(len(token) > 1 and all(map(cjk.is_cjk, token)) for token in tokens)
    if words and not common["pre_tokenize"]:
        notes.append(
            f"{words} tokens of {place.name} are words of several ideographs, which no text gives "
            "unless it is cut into words first, as bert4keras's pre_tokenize does: "
            "--option pre_tokenize=jieba"
        )
    return write_tokenizer(folder, tokens, do_lower_case=casing.lower, **common)


def _casing(found: Casing, settings: Settings, notes: list[str]) -> Casing:
    """What the option says, else what the vocabulary does; the reason goes to the notes."""
    given = checked(settings.options["do_lower_case"])
    if given is None:
        settings.defaults["do_lower_case"] = found.lower
        notes.append(f"do_lower_case={found.lower}: {found.why}")
        return found
    if given == found.lower:
        return found
    if found.inside:
        notes.append(f"do_lower_case={given} was given, and texts are lower-cased: {found.why}")
        return found
    notes.append(
        f"do_lower_case={given} was given; left out, it would be {found.lower}: {found.why}"
    )
    return Casing(given, found.why)


def _kept_tokens(
    vocabulary: Found, read: Vocabulary, settings: Settings, notes: list[str]
) -> list[str]:
    assert vocabulary.path is not None
    tokens = read.tokens
    name, count, rows = vocabulary.path.name, len(tokens), settings.source_vocab
    keep: Sequence[int] | None = settings.options["keep_tokens"]
    extra = settings.compounds
    if _cut_already(name, count, keep, rows, "tokens", notes):
        keep = None
    elif count > rows or not (fits(count, rows) or vocabulary.given):
        raise refused(f"{vocabulary.path} has {count} tokens", rows, read.notes)
    elif count < rows:
        tokens = pad_vocab(tokens, rows)
        last = f" to {tokens[-1]}" if rows - count > 1 else ""
        notes.append(
            f"{name} has {count} tokens, the checkpoint {rows} rows of embeddings: those behind "
            f"the tokens pad the table; they are called {tokens[count]}{last}, which no text gives"
        )
    if keep is None and not extra:
        return tokens
    return keep_vocab(tokens, range(len(tokens)) if keep is None else keep, len(extra))


def _kept_pieces(name: str, model: SpmModel, settings: Settings, notes: list[str]) -> SpmModel:
    count, rows = len(model.pieces), settings.source_vocab
    keep: Sequence[int] | None = settings.options["keep_tokens"]
    if count > rows:
        raise refused(f"{name} has {count} pieces", rows)
    if _cut_already(name, count, keep, rows, "pieces", notes):
        keep = None
    elif count < rows:
        notes.append(
            f"{name} has {count} pieces, the checkpoint {rows} rows of embeddings: those "
            "behind the pieces pad the table, and no text gives them"
        )
    extra = settings.compounds
    if extra and keep is None and count < rows and settings.options["keep_tokens"] is None:
        raise UsageError(
            f"compound_tokens go behind the {rows} rows, but {name} has {count} pieces; "
            "give keep_tokens as well"
        )
    return keep_pieces(model, keep, len(extra))


def _cut_already(
    name: str, count: int, keep: Sequence[int] | None, rows: int, what: str, notes: list[str]
) -> bool:
    """Whether a vocabulary has the kept tokens alone, as `keep_tokens` wants to make it."""
    if keep is None or not count == len(keep) < rows or max(keep, default=0) < count:
        return False
    notes.append(
        f"{name} has {count} {what}, as many as keep_tokens keeps: it is taken as cut down already"
    )
    return True
