"""Which vocabulary belongs to a checkpoint, and the tokenizer that it gives."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import cjk
from convert.tokenizers.sentencepiece import keep_pieces, write_sentencepiece
from convert.tokenizers.spm_model import SpmModel, read_spm
from convert.tokenizers.vocabulary import FIRST, UNKNOWN, keep_vocab, read_vocab, simplify_vocab
from convert.tokenizers.wordpiece import write_tokenizer
from zoo.errors import IntegrityError, UsageError

if TYPE_CHECKING:
    from convert.families.base import Settings

VOCAB = "vocab.txt"
#: Names that SentencePiece models were published under, taken before any other `*.model`.
KNOWN_MODELS = ("spiece.model", "sentencepiece.model", "spm.model", "chinese_vocab.model")
#: Families whose texts end with the piece for that.
ENDED = "t5"


def find_vocabulary(folder: Path) -> Path | None:
    """The vocabulary beside a checkpoint, `vocab.txt` or a SentencePiece model; None without.

    Raises:
        UsageError: there are several.
    """
    known = [folder / name for name in KNOWN_MODELS if (folder / name).is_file()]
    found = known or sorted(path for path in folder.glob("*.model") if path.is_file())
    if (folder / VOCAB).is_file():
        found.append(folder / VOCAB)
    if len(found) > 1:
        raise UsageError(
            f"several vocabularies lie beside the checkpoint: {', '.join(p.name for p in found)}; "
            "leave the one that belongs to it and move the others away"
        )
    return next(iter(found), None)


def with_simplified(options: Mapping[str, Any], folder: Path) -> dict[str, Any]:
    """Options in which `simplified` has become the `keep_tokens` that bert4keras gets of it.

    Args:
        options: `simplified`, and the tokens that `startswith` puts first: [PAD], [UNK], [CLS]
            and [SEP] unless told.
        folder: of the checkpoint and its vocab.txt.

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
    place = find_vocabulary(folder)
    if place is None or place.name != VOCAB:
        raise UsageError(
            "simplified leaves out tokens of a vocab.txt, and none lies beside the checkpoint"
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


def write_beside(
    folder: Path, source: Path, settings: Settings, model_type: str, notes: list[str]
) -> list[str]:
    """Write the tokenizer's files, where a vocabulary lies beside the checkpoint.

    Args:
        folder: where to.
        source: the folder of the checkpoint.
        settings: what decides about the conversion; what is found out here goes to its defaults.
        model_type: of the result.
        notes: what a person should know is added to them.

    Returns:
        The names of the files.

    Raises:
        UsageError: several vocabularies, or options that do not go with the one there is.
        IntegrityError: it is damaged, or of another size than the checkpoint.
    """
    place = find_vocabulary(source)
    if place is None:
        if settings.options["pre_tokenize"]:
            raise UsageError(
                f"pre_tokenize={settings.options['pre_tokenize']} without a vocabulary: put the "
                f"{VOCAB} or SentencePiece model that belongs to the checkpoint beside it"
            )
        notes.append(
            f"no {VOCAB} and no SentencePiece model beside the checkpoint: the result has no "
            "tokenizer"
        )
        return []
    common = {
        "max_length": settings.sizes["positions"],
        "segments": bool(
            settings.parts.get("segments") or settings.options.get("shared_segment_embeddings")
        ),
        "pre_tokenize": settings.options["pre_tokenize"],
    }
    if place.name != VOCAB:
        model = _kept_pieces(place, settings, notes)
        return write_sentencepiece(folder, model, end=ENDED in model_type, **common)
    tokens = _kept_tokens(place, settings)
    words = sum(len(token) > 1 and all(map(cjk.is_cjk, token)) for token in tokens)
    if words and not common["pre_tokenize"]:
        notes.append(
            f"{words} tokens of {VOCAB} are words of several ideographs, which no text gives "
            "unless it is cut into words first, as bert4keras's pre_tokenize does: "
            "--option pre_tokenize=jieba"
        )
    lower = settings.options["do_lower_case"]
    if lower is None:  # a vocabulary for cased text has capitals
        lower = not any(re.search("[A-Z]", word) for word in tokens if not word.startswith("["))
        settings.defaults["do_lower_case"] = lower
    return write_tokenizer(folder, tokens, do_lower_case=bool(lower), **common)


def _kept_tokens(place: Path, settings: Settings) -> list[str]:
    tokens = read_vocab(place)
    if len(tokens) != settings.source_vocab:
        raise IntegrityError(
            f"{place} has {len(tokens)} tokens, the checkpoint {settings.source_vocab}; put the "
            "vocabulary that belongs to it there, or move this one away"
        )
    keep, extra = settings.options["keep_tokens"], settings.compounds
    if keep is None and not extra:
        return tokens
    return keep_vocab(tokens, range(len(tokens)) if keep is None else keep, len(extra))


def _kept_pieces(place: Path, settings: Settings, notes: list[str]) -> SpmModel:
    model = read_spm(place)
    count, rows = len(model.pieces), settings.source_vocab
    keep: Sequence[int] | None = settings.options["keep_tokens"]
    if count > rows:
        raise IntegrityError(
            f"{place} has {count} pieces, the checkpoint {rows} rows of embeddings: a piece "
            "without a row has no meaning. Put the model that belongs to the checkpoint there, "
            "or move this one away"
        )
    if keep is not None and count == len(keep) < rows:
        notes.append(
            f"{place.name} has {count} pieces, as many as keep_tokens keeps: it is taken as cut "
            "down already"
        )
        keep = None
    elif count < rows:
        notes.append(
            f"{place.name} has {count} pieces, the checkpoint {rows} rows of embeddings: those "
            "behind the pieces pad the table, and no text gives them"
        )
    extra = settings.compounds
    if extra and keep is None and count < rows:
        raise UsageError(
            f"compound_tokens go behind the {rows} rows, but {place.name} has {count} pieces; "
            "give keep_tokens as well"
        )
    return keep_pieces(model, keep, len(extra))
