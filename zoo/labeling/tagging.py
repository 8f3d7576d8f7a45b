"""`zoo.tag` and `zoo.extract`: labels of tokens, entities, relations."""

from collections.abc import Callable, Sequence
from typing import Any

from zoo.data.text.parts import Piece, pieces
from zoo.data.text.schemes import read_entities, spells_entities
from zoo.errors import UsageError
from zoo.labeling.answers import Entity, Extracted, Relation, Span, Tagged, Token
from zoo.labeling.reading import BATCH_SIZE, Labeler, check, open_labeler
from zoo.loading import Model


def tag(
    model: Model,
    texts: Sequence[str],
    *,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    quiet: bool = True,
) -> list[Tagged]:
    """Ask a tagger for the labels of tokens, and the entities that they spell.

    Args:
        model: an id or a folder.
        texts: of any length: a long one is read in parts that overlap, cut where sentences end.
        head: of a model with several, the one to ask.
        max_length: number of tokens that are read at once, such as the one that the model was
            fine-tuned with; None is as many as it can.
        batch_size: number of parts that are read at once; answers do not depend on it.
        quiet: draw no progress bar.

    Returns:
        One for each text, in order.

    Raises:
        UsageError: the model labels no tokens, its tokenizer does not say which characters they
            are, or an option is out of its range.
        NotFoundError: there is no such model, or no tokenizer among its files.
        IntegrityError: the files of the model or its tokenizer are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed.
    """
    check(texts, max_length=max_length, batch_size=batch_size)
    labeler = _open(model, "tags", "tag", head, max_length)
    names = labeler.names()
    spelled = spells_entities(names.values())

    def tagged(text: str, parts: list[tuple[Piece, Any]]) -> Tagged:
        labels: list[str] = []
        places: list[tuple[int, int]] = []
        for piece, path in parts:
            places += piece.places[piece.own.start : piece.own.stop]
            for label in path[piece.own.start : piece.own.stop]:
                each = label if isinstance(label, list) else [label]
                labels.append("|".join(names[one] for one in each))
        entities = [
            Entity(*_shown(text, places[first][0], places[last][1]), kind)
            for kind, first, last in (read_entities(labels) if spelled else ())
        ]
        tokens = [
            Token(text[start:end], label, start, end)
            for label, (start, end) in zip(labels, places, strict=True)
        ]
        return Tagged(text, tokens, entities, len(parts))

    answers = _ask(labeler, texts, labeler.decode, batch_size, quiet)
    return [tagged(text, found) for text, found in zip(texts, answers, strict=True)]


def extract(
    model: Model,
    texts: Sequence[str],
    *,
    threshold: float | None = None,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    quiet: bool = True,
) -> list[Extracted]:
    """Ask a model of pointers for the entities of texts, or for relations of spans.

    Args:
        model: an id or a folder.
        texts: of any length: a long one is read in parts that overlap, cut where sentences end;
            a relation is found where both its spans are in one part.
        threshold: of the scores of spans, any number; None is the model's own. Half pointers have
            thresholds of their own alone.
        head: of a model with several, the one to ask.
        max_length: number of tokens that are read at once, such as the one that the model was
            fine-tuned with; None is as many as it can.
        batch_size: number of parts that are read at once; answers do not depend on it.
        quiet: draw no progress bar.

    Returns:
        One for each text, in order.

    Raises:
        UsageError: the model has no pointers, its tokenizer does not say which characters tokens
            are, or an option is out of its range or not of this kind of head.
        NotFoundError: as `tag`.
        IntegrityError: as `tag`.
        MissingDependencyError: as `tag`.
    """
    check(texts, max_length=max_length, batch_size=batch_size)
    labeler = _open(model, "extracts", "extract", head, max_length)
    if threshold is not None and not hasattr(labeler.settings, "threshold"):
        raise UsageError(
            f"{labeler.name}: its half pointers have thresholds of their own, in config.json; "
            "leave threshold out"
        )
    names = labeler.names()
    options = {} if threshold is None else {"threshold": threshold}

    def extracted(text: str, parts: list[tuple[Piece, Any]]) -> Extracted:
        entities: list[Entity] = []
        relations: list[Relation] = []
        for piece, found in parts:
            for one in found:
                if len(one) == 3:
                    kind, first, last = one
                    shown = _of_tokens(text, piece, first, last)
                    entities += [Entity(*shown, names[kind])] * (first in piece.own)
                else:
                    subject, target = (
                        Span(*_of_tokens(text, piece, *ends)) for ends in (one[:2], one[3:])
                    )
                    relations += [Relation(subject, names[one[2]], target)] * (one[0] in piece.own)
        entities.sort(key=lambda one: (one.start, one.end, one.type))
        relations.sort(key=lambda one: (one.subject.start, one.object.start, one.predicate))
        return Extracted(text, entities, relations, len(parts))

    answers = _ask(
        labeler,
        texts,
        lambda outputs, mask: labeler.decode(outputs, mask, **options),
        batch_size,
        quiet,
    )
    return [extracted(text, found) for text, found in zip(texts, answers, strict=True)]


def _open(
    model: Model, ability: str, verb: str, head: str | None, max_length: int | None
) -> Labeler:
    """A model whose tokenizer says which characters tokens are."""
    labeler = open_labeler(model, ability, verb, head, max_length)
    if not labeler.tokenizer.is_fast:
        raise UsageError(
            f"{labeler.name}: its tokenizer does not say which characters a token is; save it "
            "with a tokenizer.json of the `tokenizers` library"
        )
    return labeler


def _ask(
    labeler: Labeler,
    texts: Sequence[str],
    read: Callable[[Any, Any], Sequence[Any]],
    batch_size: int,
    quiet: bool,
) -> list[list[tuple[Piece, Any]]]:
    """The parts of each text, each with what was read from the outputs."""
    found = list(pieces(labeler.tokenizer, texts, labeler.limit)) if texts else []
    flat = [piece.inputs for each in found for piece in each]
    answers = iter(labeler.ask(flat, read, batch_size, quiet))
    return [[(piece, next(answers)) for piece in each] for each in found]


def _of_tokens(text: str, piece: Piece, first: int, last: int) -> tuple[str, int, int]:
    return _shown(text, piece.places[first][0], piece.places[last][1])


def _shown(text: str, start: int, end: int) -> tuple[str, int, int]:
    """Characters without the space that tokens of SentencePiece begin with, and where they are."""
    inner = text[start:end].lstrip()
    start = end - len(inner)
    inner = inner.rstrip()
    return inner, start, start + len(inner)
