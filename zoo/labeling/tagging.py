"""`zoo.tag` and `zoo.extract`: labels of tokens, entities, relations."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from zoo.data.text.parts import Piece, pieces
from zoo.data.text.schemes import read_entities, spells_entities
from zoo.errors import UsageError
from zoo.labeling.answers import Entity, Extracted, Relation, Span, Tagged, Token
from zoo.labeling.reading import (
    BATCH_SIZE,
    Labeler,
    Made,
    answer_each,
    check_numbers,
    checked,
    open_labeler,
    shown,
)
from zoo.loading import Model


def tag(
    model: Model,
    texts: Sequence[str],
    *,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
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
        device: of the model, such as "cuda" or "auto"; None is the CPU.
        quiet: draw no progress bar.

    Returns:
        One for each text, in order.

    Raises:
        UsageError: the model labels no tokens, its tokenizer does not say which characters they
            are, or an option is out of its range.
        NotFoundError: there is no such model, or no tokenizer among its files.
        IntegrityError: the files of the model or its tokenizer are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed, or the machine
            has no such device.
    """
    given = list(checked(texts))
    return list(
        iter_tagged(
            model, given, head=head, max_length=max_length, batch_size=batch_size, device=device,
            total=len(given), quiet=quiet,
        )
    )  # fmt: skip


def iter_tagged(
    model: Model | Labeler,
    texts: Iterable[str],
    *,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
    total: int | None = None,
    quiet: bool = True,
) -> Iterator[Tagged]:
    """As `tag`, of texts that are read, and answers that are given, as they come.

    Args:
        model: as of `tag`, like what else is not named here; or a model in memory.
        texts: any number.
        head: as there.
        max_length: as there.
        batch_size: as there.
        device: as there.
        total: number of texts, for the bar; None where nobody knows yet.
        quiet: draw no progress bar.
    """
    check_numbers(max_length=max_length, batch_size=batch_size)
    labeler = open_labeler(model, "tags", "tag", head, max_length, device)
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
            Entity(*shown(text, places[first][0], places[last][1]), kind)
            for kind, first, last in (read_entities(labels) if spelled else ())
        ]
        tokens = [
            Token(text[start:end], label, start, end)
            for label, (start, end) in zip(labels, places, strict=True)
        ]
        return Tagged(text, tokens, entities, len(parts))

    yield from _each(labeler, texts, labeler.decode, tagged, batch_size, total, quiet)


def extract(
    model: Model,
    texts: Sequence[str],
    *,
    threshold: float | None = None,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
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
        device: of the model, such as "cuda" or "auto"; None is the CPU.
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
    given = list(checked(texts))
    return list(
        iter_extracted(
            model, given, threshold=threshold, head=head, max_length=max_length,
            batch_size=batch_size, device=device, total=len(given), quiet=quiet,
        )
    )  # fmt: skip


def iter_extracted(
    model: Model | Labeler,
    texts: Iterable[str],
    *,
    threshold: float | None = None,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
    total: int | None = None,
    quiet: bool = True,
) -> Iterator[Extracted]:
    """As `extract`, of texts that are read, and answers that are given, as they come.

    Args:
        model: as of `extract`, like what else is not named here; or a model in memory.
        texts: any number.
        threshold: as there.
        head: as there.
        max_length: as there.
        batch_size: as there.
        device: as there.
        total: number of texts, for the bar; None where nobody knows yet.
        quiet: draw no progress bar.
    """
    check_numbers(max_length=max_length, batch_size=batch_size)
    labeler = open_labeler(model, "extracts", "extract", head, max_length, device)
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

    def read(outputs: Any, mask: Any) -> Any:
        return labeler.decode(outputs, mask, **options)

    yield from _each(labeler, texts, read, extracted, batch_size, total, quiet)


def _each(
    labeler: Labeler,
    texts: Iterable[str],
    read: Callable[[Any, Any], Sequence[Any]],
    made: Callable[[str, list[tuple[Piece, Any]]], Made],
    batch_size: int,
    total: int | None,
    quiet: bool,
) -> Iterator[Made]:
    """What is made of each text, its parts and what was read from their outputs."""
    if not labeler.tokenizer.is_fast:
        raise UsageError(
            f"{labeler.name}: its tokenizer does not say which characters a token is; save it "
            "with a tokenizer.json of the `tokenizers` library"
        )

    def answer(window: list[str], bar: Callable[[float], None]) -> Iterator[Made]:
        found = list(pieces(labeler.tokenizer, window, labeler.limit))
        flat = [piece.inputs for each in found for piece in each]
        answers = iter(labeler.ask(flat, read, batch_size, bar))
        for text, each in zip(window, found, strict=True):
            yield made(text, [(piece, next(answers)) for piece in each])

    yield from answer_each(checked(texts), answer, batch_size=batch_size, total=total, quiet=quiet)


def _of_tokens(text: str, piece: Piece, first: int, last: int) -> tuple[str, int, int]:
    return shown(text, piece.places[first][0], piece.places[last][1])
