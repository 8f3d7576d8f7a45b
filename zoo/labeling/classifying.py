"""`zoo.classify`: labels of whole texts."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

from zoo.errors import UsageError
from zoo.labeling.answers import Classified, Label
from zoo.labeling.reading import (
    BATCH_SIZE,
    Labeler,
    answer_each,
    check_numbers,
    checked,
    inputs_of,
    open_labeler,
)
from zoo.loading import Model

if TYPE_CHECKING:
    from torch import Tensor

THRESHOLD = 0.5


def classify(
    model: Model,
    texts: Sequence[str] | Sequence[tuple[str, str]],
    *,
    number: int | None = None,
    threshold: float | None = None,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
    quiet: bool = True,
) -> list[Classified]:
    """Ask a classifier for the labels of whole texts.

    Args:
        model: an id or a folder.
        texts: texts, or pairs of them. What is longer than the model reads is cut at its end, and
            the answer says so.
        number: of labels for a text, best first; None is 1. Where several labels may hold, their
            number is not asked for.
        threshold: where several labels may hold, those of at least this probability do, in
            [0, 1]; None is 0.5.
        head: of a model with several, the one to ask.
        max_length: number of tokens that are read at once, such as the one that the model was
            fine-tuned with; None is as many as it can.
        batch_size: number of texts that are read at once; answers do not depend on it.
        device: of the model, such as "cuda" or "auto"; None is the CPU.
        quiet: draw no progress bar.

    Returns:
        One for each text, in order.

    Raises:
        UsageError: the model does not label whole texts, texts and pairs are mixed, or an option
            is out of its range or not of this kind of head.
        NotFoundError: there is no such model, or no tokenizer among its files.
        IntegrityError: the files of the model or its tokenizer are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed, or the machine
            has no such device.
    """
    given = list(checked(texts, pairs=True))
    if len({isinstance(text, str) for text in given}) > 1:
        raise UsageError("texts are single ones or pairs, not both; ask for each kind by itself")
    return list(
        iter_classified(
            model, given, number=number, threshold=threshold, head=head, max_length=max_length,
            batch_size=batch_size, device=device, total=len(given), quiet=quiet,
        )
    )  # fmt: skip


def iter_classified(
    model: Model | Labeler,
    texts: Iterable[str] | Iterable[tuple[str, str]],
    *,
    number: int | None = None,
    threshold: float | None = None,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
    total: int | None = None,
    quiet: bool = True,
) -> Iterator[Classified]:
    """As `classify`, of texts that are read, and answers that are given, as they come.

    Args:
        model: as of `classify`, like what else is not named here; or a model in memory.
        texts: any number, all of them texts or all of them pairs.
        number: as there.
        threshold: as there.
        head: as there.
        max_length: as there.
        batch_size: as there.
        device: as there.
        total: number of texts, for the bar; None where nobody knows yet.
        quiet: draw no progress bar.
    """
    check_numbers(number=number, max_length=max_length, batch_size=batch_size)
    if threshold is not None and not 0 <= threshold <= 1:
        raise UsageError(f"threshold must be 0 to 1, got {threshold}")
    labeler = open_labeler(model, "classifies", "classify", head, max_length, device)
    several, names = labeler.several, labeler.names()
    if not several and len(names) == 1:
        raise UsageError(f"{labeler.name} gives a number for a text, no label; ask it in Python")
    if several and number is not None:
        raise UsageError(f"{labeler.name}: several labels may hold; give threshold, not number")
    if not several and threshold is not None:
        raise UsageError(f"{labeler.name}: one label holds for a text; leave threshold out")
    least = THRESHOLD if threshold is None else threshold
    kept = len(names) if several else number or 1

    def read(outputs: Any, mask: "Tensor") -> list[list[Label]]:
        logits = labeler.of_head(outputs.logits).cpu().double()
        scores = logits.sigmoid() if several else logits.softmax(-1)
        best = scores.sort(dim=-1, descending=True, stable=True)
        return [
            [
                Label(names[place], round(score, 6))
                for place, score in zip(places, values, strict=True)
                if not several or score >= least
            ]
            for places, values in zip(
                best.indices[:, :kept].tolist(), best.values[:, :kept].tolist(), strict=True
            )
        ]

    def answer(
        window: list[str] | list[tuple[str, str]], bar: Callable[[float], None]
    ) -> Iterator[Classified]:
        pairs = [(text, None) if isinstance(text, str) else text for text in window]
        firsts, seconds = [first for first, _ in pairs], [second for _, second in pairs]
        encoded = labeler.tokenizer(
            firsts,
            None if None in seconds else seconds,
            truncation=True,
            max_length=labeler.limit,
            verbose=False,
        )
        answers = labeler.ask(inputs_of(labeler, encoded), read, batch_size, bar)
        for first, second, found, one in zip(
            firsts, seconds, answers, encoded.encodings, strict=True
        ):
            yield Classified(first, second, found, bool(one.overflowing))

    yield from answer_each(
        checked(texts, pairs=True), answer, batch_size=batch_size, total=total, quiet=quiet
    )
