"""What models say of texts. Characters are counted from 0; `text[start:end]` is the span."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Label:
    """A label of a text.

    Attributes:
        label: its name.
        probability: that the model gives it, in [0, 1], to six digits. Of a head that scores
            labels without an activation, the sigmoid of the score.
    """

    label: str
    probability: float


@dataclass(frozen=True)
class Classified:
    """A text and its labels.

    Attributes:
        text: as it was passed.
        second: the second text of a pair; None of a single text.
        labels: best first; where several may hold, those that do, which may be none.
        truncated: whether the model read the beginning alone, as it reads no more tokens.
    """

    text: str
    second: str | None
    labels: list[Label]
    truncated: bool


@dataclass(frozen=True)
class Token:
    """A token and its label.

    Attributes:
        text: the characters it stands for.
        label: of several labels all, with `|` between them.
        start: of its first character.
        end: behind its last character.
    """

    text: str
    label: str
    start: int
    end: int


@dataclass(frozen=True)
class Span:
    """Some characters of a text that stand together.

    Attributes:
        text: those characters.
        start: of the first.
        end: behind the last.
    """

    text: str
    start: int
    end: int


@dataclass(frozen=True)
class Entity(Span):
    """A span of a type.

    Attributes:
        type: its name; empty where labels have none, as `B` and `I` alone.
    """

    type: str


@dataclass(frozen=True)
class Relation:
    """Two spans and what holds between them.

    Attributes:
        subject: of which it holds.
        predicate: its name.
        object: that it names.
    """

    subject: Span
    predicate: str
    object: Span


@dataclass(frozen=True)
class Tagged:
    """A text and the labels of its tokens.

    Attributes:
        text: as it was passed.
        tokens: in order, without those that stand for no text.
        entities: that the labels spell as `B-TYPE`, `I-TYPE`, `O` or with M, E, S, L, U; in
            order, none where labels are of another kind.
        parts: number of parts, overlapping, in which the model read the text.
    """

    text: str
    tokens: list[Token]
    entities: list[Entity]
    parts: int


@dataclass(frozen=True)
class Extracted:
    """A text and what was found in it.

    Attributes:
        text: as it was passed.
        entities: by their first characters; none of a model of relations.
        relations: by the first characters of their subjects; none of a model of entities.
        parts: number of parts, overlapping, in which the model read the text.
    """

    text: str
    entities: list[Entity]
    relations: list[Relation]
    parts: int


@dataclass(frozen=True)
class Answer(Span):
    """A span that answers a question.

    Attributes:
        score: the sum of the logits of its start and its end, of models of SQuAD 2 that of the
            logarithms of both probabilities; to six digits.
        probability: of the 20 best spans, or as many as there are, by a softmax of their scores.
    """

    score: float
    probability: float


@dataclass(frozen=True)
class Answered:
    """A text and what answers a question there.

    Attributes:
        text: as it was passed.
        question: as it was passed.
        answers: best first; none where there is no answer.
        null_score: how much rather there is no answer than the best one: the score of the first
            token, the least of all windows, minus that of the best span; of models of SQuAD 2 the
            least logit that there is none. None of a text without tokens.
        parts: number of windows, overlapping, in which the model read the text.
    """

    text: str
    question: str
    answers: list[Answer]
    null_score: float | None
    parts: int
