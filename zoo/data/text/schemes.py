"""Entities that labels of tokens spell: BIO, BMES, BIOES, BILOU."""

import re
from collections.abc import Iterable, Sequence
from typing import NamedTuple

OUTSIDE = "O"
#: A label of such a scheme: where the token stands in its entity, and the type.
LABEL = re.compile(r"O|([BIMELSU])(?:[-_](.+))?", re.DOTALL)
FIRST, LAST = frozenset("BSU"), frozenset("ELSU")


def spells_entities(names: Iterable[str]) -> bool:
    """Whether all labels of a model belong to such a scheme.

    Example:
        >>> spells_entities(["O", "B-LOC", "I-LOC"]), spells_entities(["noun", "verb"])
        (True, False)
    """
    names = list(names)
    return any(name.startswith("B") for name in names) and all(map(LABEL.fullmatch, names))


def read_entities(labels: Sequence[str]) -> list[tuple[str, int, int]]:
    """The entities of a row of labels.

    A label inside an entity that follows none of its type begins one, as conlleval reads it.

    Args:
        labels: of the tokens, in order.

    Returns:
        Type, first token and last token of each, in order.

    Example:
        >>> read_entities(["O", "B-LOC", "I-LOC", "S-PER"])
        [('LOC', 1, 2), ('PER', 3, 3)]
    """
    found: list[tuple[str, int, int]] = []
    goes_on = False  # whether the next token may belong to the last entity
    for place, label in enumerate(labels):
        matched = LABEL.fullmatch(label)
        where, kind = (matched[1], matched[2] or "") if matched else (None, "")
        if where is None:
            goes_on = False
            continue
        if goes_on and where not in FIRST and found[-1][0] == kind:
            found[-1] = (kind, found[-1][1], place)
        else:
            found.append((kind, place, place))
        goes_on = where not in LAST
    return found


class Scheme(NamedTuple):
    """How entities are spelled by labels, token by token.

    Attributes:
        begin: letter of an entity's first token.
        inside: of those between.
        end: of its last token.
        single: of the only one.
        mark: what stands between a letter and a type.
    """

    begin: str = "B"
    inside: str = "I"
    end: str = "I"
    single: str = "B"
    mark: str = "-"

    @property
    def letters(self) -> str:
        """Its letters, in order, each once."""
        return "".join(dict.fromkeys(self[:4]))

    def name(self, letter: str, kind: str) -> str:
        """The label of a letter and a type, which may be empty."""
        return f"{letter}{self.mark}{kind}" if kind else letter

    def spell(self, kind: str, length: int) -> list[str]:
        """The labels of an entity of so many tokens.

        Example:
            >>> SCHEMES["BMES"].spell("", 3), SCHEMES["BIO"].spell("LOC", 2)
            (['B', 'M', 'E'], ['B-LOC', 'I-LOC'])
        """
        if length == 1:
            return [self.name(self.single, kind)]
        inner = [self.inside] * (length - 2)
        return [self.name(letter, kind) for letter in (self.begin, *inner, self.end)]


SCHEMES = {
    "BIO": Scheme(),
    "BIOES": Scheme(end="E", single="S"),
    "BMES": Scheme(inside="M", end="E", single="S"),
    "BILOU": Scheme(end="L", single="U"),
}


def scheme_of(names: Iterable[str]) -> Scheme | None:
    """The scheme that labels belong to; None where they spell no entities.

    Example:
        >>> scheme_of(["B_LOC", "I_LOC", "O"]).mark, scheme_of(["noun", "verb"])
        ('_', None)
    """
    names = set(names)
    typed = all(map(LABEL.fullmatch, names)) and any(len(name) > 1 for name in names)
    if not (typed or spells_entities(names)):  # CoNLL's first ones have I- alone
        return None
    letters = {name[0] for name in names if name != OUTSIDE}
    marks = {name[1] for name in names if len(name) > 1}
    inside = "M" if "M" in letters else "I"
    end = next((letter for letter in "EL" if letter in letters), inside)
    single = next((letter for letter in "SU" if letter in letters), "B")
    return Scheme("B", inside, end, single, "_" if marks == {"_"} else "-")


def complete(names: Iterable[str], scheme: Scheme) -> tuple[str, ...]:
    """The labels of a scheme for all types among some, in bert4keras's order: O, then by type.

    Args:
        names: labels; `O` is there afterwards if it was before, or where types have names.
        scheme: they belong to.

    Example:
        >>> complete(["I-PER", "B-LOC", "B-PER"], SCHEMES["BIO"])
        ('O', 'B-LOC', 'I-LOC', 'B-PER', 'I-PER')
    """
    names = set(names)
    kinds = sorted({name[2:] for name in names if name != OUTSIDE})
    outside = [OUTSIDE] * (OUTSIDE in names or kinds != [""])
    labels = [scheme.name(letter, kind) for kind in kinds for letter in scheme.letters]
    return (*outside, *labels)


def follows(before: str, label: str) -> bool:
    """Whether a label may stand behind another, or first behind `O`.

    Example:
        >>> follows("B-LOC", "I-LOC"), follows("O", "I-LOC"), follows("B", "S")
        (True, False, True)
    """
    first, second = LABEL.fullmatch(before), LABEL.fullmatch(label)
    if second is None or second[1] is None or second[1] in FIRST:
        return True
    return bool(first and first[1] and first[1] not in LAST and first[2] == second[2])
