"""`zoo.answer`: spans of texts that answer questions."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from math import exp
from typing import TYPE_CHECKING, Any

from zoo.data.text.parts import Piece
from zoo.errors import UsageError
from zoo.labeling.answers import Answer, Answered
from zoo.labeling.reading import (
    BATCH_SIZE,
    Labeler,
    answer_each,
    check_numbers,
    checked,
    open_labeler,
    shown,
)
from zoo.labeling.windows import windows
from zoo.loading import Model

if TYPE_CHECKING:
    from torch import Tensor

#: Spans that are weighed against each other, as google-research/bert's run_squad.py does.
BEST = 20
#: Tokens of the longest answer, as there.
LONGEST = 30


@dataclass(frozen=True)
class _Logits:
    """What a model says of the tokens of a window.

    Attributes:
        start: logits that an answer starts there, `(length,)`.
        end: the same of its last token.
    """

    start: "Tensor"
    end: "Tensor"

    def null(self, place: int) -> float:
        """The score of no answer, for which the token at a place stands."""
        return float(self.start[place] + self.end[place])

    def spans(self, window: Piece, longest: int) -> list[tuple[float, int, int]]:
        """The best spans, score, first and last token of each, which start in its own tokens."""
        import torch

        inner, own = window.inner, window.own
        if not inner:
            return []
        beyond = self.end.new_full((longest - 1,), -torch.inf)
        ends = torch.cat([self.end[inner.start : inner.stop], beyond]).unfold(0, longest, 1)
        ends = ends[own.start - inner.start : own.stop - inner.start]
        sums = (self.start[own.start : own.stop, None] + ends).flatten()
        best = sums.topk(min(BEST, len(sums)))
        return [
            (score, own.start + place // longest, own.start + place // longest + place % longest)
            for score, place in zip(best.values.tolist(), best.indices.tolist(), strict=True)
            if score > -torch.inf
        ]


@dataclass(frozen=True)
class _Beams:
    """The same of a model of SQuAD 2.

    Attributes:
        found: spans that its search found, the sum of the logarithms of both probabilities, first
            and last token, best first.
        none: the logit that there is no answer.
    """

    found: list[tuple[float, int, int]]
    none: float

    def null(self, place: int) -> float:
        """The score of no answer, which stands by itself."""
        return self.none

    def spans(self, window: Piece, longest: int) -> list[tuple[float, int, int]]:
        """As `_Logits.spans`."""
        return [
            (score, first, last)
            for score, first, last in self.found
            if first in window.own and last in window.inner and last - first < longest
        ]


def answer(
    model: Model,
    texts: Sequence[str],
    question: str | Sequence[str],
    *,
    number: int = 1,
    null_threshold: float | None = None,
    stride: int | None = None,
    max_answer_length: int = LONGEST,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
    quiet: bool = True,
) -> list[Answered]:
    """Find the spans of texts that answer a question, as google-research/bert's run_squad.py does.

    A long text is read in windows that overlap; a span counts in the window where its first token
    has most around it.

    Args:
        model: an id or a folder, with a head of question answering.
        texts: of any length, in which the answers are looked for.
        question: of all texts, or one of each.
        number: of answers to each, best first, 1 to 20.
        null_threshold: there is no answer where `null_score` is above this; None always gives the
            best. Models of SQuAD 2 are asked with one, such as 0.
        stride: number of tokens from one window to the next, at most those of a window; None is
            128, or half a window.
        max_answer_length: number of tokens of the longest answer.
        head: of a model with several, the one to ask.
        max_length: number of tokens of a window, question and special ones included, such as the
            one that the model was fine-tuned with; None is as many as it can.
        batch_size: number of windows that are read at once; answers do not depend on it.
        device: of the model, such as "cuda" or "auto"; None is the CPU.
        quiet: draw no progress bar.

    Returns:
        One for each text, in order.

    Raises:
        UsageError: the model answers no questions, its tokenizer does not say which characters
            tokens are, there is not a question for each text, one is as long as a window, or an
            option is out of its range.
        NotFoundError: there is no such model, or no tokenizer among its files.
        IntegrityError: the files of the model or its tokenizer are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed, or the machine
            has no such device.
    """
    given = list(checked(texts))
    questions = [question] * len(given) if isinstance(question, str) else list(question)
    if len(questions) != len(given):
        raise UsageError(
            f"{len(questions)} questions for {len(given)} texts; give one, or one for each text"
        )
    return list(
        iter_answered(
            model, zip(given, questions, strict=True), number=number,
            null_threshold=null_threshold, stride=stride, max_answer_length=max_answer_length,
            head=head, max_length=max_length, batch_size=batch_size, device=device,
            total=len(given), quiet=quiet,
        )
    )  # fmt: skip


def iter_answered(
    model: Model,
    rows: Iterable[tuple[str, str]],
    *,
    number: int = 1,
    null_threshold: float | None = None,
    stride: int | None = None,
    max_answer_length: int = LONGEST,
    head: str | None = None,
    max_length: int | None = None,
    batch_size: int = BATCH_SIZE,
    device: str | None = None,
    total: int | None = None,
    quiet: bool = True,
) -> Iterator[Answered]:
    """As `answer`, of texts that are read, and answers that are given, as they come.

    Args:
        model: as of `answer`, like what else is not named here.
        rows: a text and its question each.
        number: as there.
        null_threshold: as there.
        stride: as there.
        max_answer_length: as there.
        head: as there.
        max_length: as there.
        batch_size: as there.
        device: as there.
        total: number of rows, for the bar; None where nobody knows yet.
        quiet: draw no progress bar.
    """
    check_numbers(
        number=number, stride=stride, max_answer_length=max_answer_length, max_length=max_length,
        batch_size=batch_size,
    )  # fmt: skip
    if number > BEST:
        raise UsageError(f"number must be 1 to {BEST}, got {number}")
    labeler = open_labeler(model, "answers", "answer", head, max_length, device)

    read_one = _read_beams if hasattr(labeler.settings, "end_top") else _read

    def read(outputs: Any, mask: "Tensor") -> Sequence[_Logits | _Beams]:
        return read_one(labeler, outputs)

    def answered(
        window: list[tuple[str, str]], bar: Callable[[float], None]
    ) -> Iterator[Answered]:
        found = list(windows(labeler.tokenizer, window, labeler.limit, stride))
        flat = [piece.inputs for each in found for piece in each]
        answers = iter(labeler.ask(flat, read, batch_size, bar))
        for (text, question), each in zip(window, found, strict=True):
            seen = [(piece, next(answers)) for piece in each]
            null = min(logits.null(_null(labeler, piece)) for piece, logits in seen)
            best = _ranked(text, seen, max_answer_length)
            null -= best[0][1] if best and read_one is _read else 0.0
            yield _answered(text, question, best, null, len(seen), number, null_threshold)

    yield from answer_each(
        checked(rows, pairs=True), answered, batch_size=batch_size, total=total, quiet=quiet
    )


def _read(labeler: Labeler, outputs: Any) -> list[_Logits]:
    """The logits of starts and of ends of each window of a batch."""
    if labeler.head is None:
        start, end = outputs.start_logits, outputs.end_logits
    else:
        start, end = labeler.of_head(outputs.logits).unbind(-1)
    return list(map(_Logits, start.double().cpu(), end.double().cpu()))


def _read_beams(labeler: Labeler, outputs: Any) -> list[_Beams]:
    """The spans that the head's search finds in each window of a batch."""
    head = labeler.network.heads[labeler.head]
    logits = {
        name: value.cpu().double() if value.is_floating_point() else value.cpu()
        for name, value in labeler.of_head(outputs.logits).items()
    }
    return [
        _Beams(head.spans(logits, row), null) for row, null in enumerate(logits["null"].tolist())
    ]


def _null(labeler: Labeler, piece: Piece) -> int:
    """The token that stands for no answer: `[CLS]`, or the first."""
    ids, first = piece.inputs["input_ids"], labeler.tokenizer.cls_token_id
    return ids.index(first) if first in ids else 0


def _ranked(
    text: str, seen: Sequence[tuple[Piece, _Logits | _Beams]], longest: int
) -> list[tuple[tuple[str, int, int], float]]:
    """The best spans of all windows of a text, its characters and its score each."""
    best: dict[tuple[str, int, int], float] = {}
    for piece, logits in seen:
        for score, first, last in logits.spans(piece, longest):
            place = shown(text, piece.places[first][0], piece.places[last][1])
            if place[0]:
                best[place] = max(score, best.get(place, score))
    return sorted(best.items(), key=lambda one: (-one[1], one[0][1:]))[:BEST]


def _answered(
    text: str,
    question: str,
    ranked: Sequence[tuple[tuple[str, int, int], float]],
    null: float,
    parts: int,
    number: int,
    null_threshold: float | None,
) -> Answered:
    """The answers of a text, or that there is none."""
    if not ranked:
        return Answered(text, question, [], None, parts)
    highest = ranked[0][1]
    whole = sum(exp(score - highest) for _, score in ranked)
    none = null_threshold is not None and null > null_threshold
    answers = [
        Answer(*place, round(score, 6), round(exp(score - highest) / whole, 6))
        for place, score in ranked[: 0 if none else number]
    ]
    return Answered(text, question, answers, round(null, 6), parts)
