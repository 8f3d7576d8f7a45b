"""Entities that labels of tokens spell: BIO, BMES, BIOES, BILOU."""

import re
from collections.abc import Iterable, Sequence

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
