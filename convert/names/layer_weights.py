"""Which of a Keras layer's weights is which: known by their names, where names say it.

Places are those of bert4keras since 0.5.6: kernel before bias, beta before gamma, maps of a
condition behind them, q, k, v and o in the order in which they were made. Its releases before,
Keras's own normalisation and keras-bert list gamma first; a rewritten file lists them as it likes.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import pairwise, takewhile
from typing import Any

from convert.readers.tensorflow.object_graph import ORDER, VALUE

#: What names of weights end in, in the order of places.
KINDS = ("kernel", "bias", "embeddings", "beta", "gamma")
#: Other words for them.
WORDS = {kind: kind for kind in KINDS} | {"gain": "gamma", "W": "kernel", "b": "bias"}
LEAF = re.compile(r"(kernel|bias|embeddings|beta|gamma|gain)(?:_(\d+))?$")
#: keras-bert's `Encoder-1-FeedForward_W2`, `..._bq`; Keras 1's `dense_1_W`.
SHORT = re.compile(r"(?:.*[_-])?([Wb])([qkvo12]?)$")
MAPS = "qkvo12"
#: Added to a value, not multiplied with it.
OFFSETS = ("bias", "beta")
#: Words of scopes inside a layer, in the order in which they are made.
SCOPES = (*ORDER, "query", "key", "value", "attention_output", "output")
NUMBERED = re.compile(r"(.*?)(?:_(\d+))?$")


def kind_of(name: str) -> str | None:
    """One of `KINDS`, where a weight's name ends in a word for it.

    Example:
        >>> kind_of("Embedding-Norm/Embedding-Norm/gamma_1:0"), kind_of("layers/dense/vars/0")
        ('gamma', None)
    """
    match = _match(name)
    return WORDS[match[1]] if match else None


def is_offset(name: str) -> bool | None:
    """Whether a weight is added to a value; None where its name does not say it."""
    kind = kind_of(name)
    return None if kind is None else kind in OFFSETS


def by_name(names: Sequence[str]) -> list[str]:
    """The weights of a layer in the order of places.

    Args:
        names: as stored.

    Returns:
        The same names; in the order given where one of them does not say what it is, or two say
        the same.
    """
    kinds = {name: kind for name in names if (kind := kind_of(name))}
    if len(names) < 2 or len(kinds) < len(names):
        return list(names)

    def by_kind(name: str) -> int:
        return KINDS.index(kinds[name])

    if len(set(kinds.values())) == len(names):
        return sorted(names, key=by_kind)
    inner = _inner_scopes(names)
    units = [name for name in names if any("scale_offset" in word for word in inner[name])]
    rest = [name for name in names if name not in units]
    own = [name for name in rest if kinds[name] in ("beta", "gamma") and not inner[name]]
    maps = [name for name in rest if name not in own]
    for group in (units, maps):
        when = _when(group, inner)
        group.sort(key=lambda name: [*when[name], by_kind(name)])
        if any((*when[a], kinds[a]) == (*when[b], kinds[b]) for a, b in pairwise(group)):
            return list(names)
    own.sort(key=by_kind)
    # A gated attention unit makes its scales before its last map; each has its own numbers.
    last = next((i for i, name in enumerate(maps) if inner[name] == inner[maps[-1]]), 0)
    return [*own, *maps[:last], *units, *maps[last:]]


def _match(name: str) -> re.Match[str] | None:
    leaf = _path(name)[-1]
    return LEAF.match(leaf) or SHORT.match(leaf)


def _path(name: str) -> list[str]:
    """A name's scopes and its last word."""
    return name.removesuffix(VALUE).split(":")[0].split("/")


def _inner_scopes(names: Sequence[str]) -> dict[str, list[str]]:
    """The scopes of each weight inside its layer: those that not all of them share."""
    scopes = {name: _path(name)[:-1] for name in names}
    shared = takewhile(lambda words: len(set(words)) == 1, zip(*scopes.values(), strict=False))
    depth = len(list(shared))
    return {name: words[depth:] for name, words in scopes.items()}


def _when(names: Sequence[str], inner: dict[str, list[str]]) -> dict[str, list[Any]]:
    """When Keras made each weight, as something to sort by.

    Scopes of one word are numbered as they were made (`dense`, `dense_1`); others come in an order
    that is known of their words, or else in the order in which they are stored.
    """
    words = {name: NUMBERED.match(inner[name][0] if inner[name] else "") for name in names}
    bases = [match[1] for match in words.values() if match]
    stored = list(dict.fromkeys(tuple(inner[name]) for name in names))
    found: dict[str, list[Any]] = {}
    for name in names:
        word, leaf = words[name], _match(name)
        assert word
        assert leaf
        scope = (0, 0)
        if len(set(bases)) == 1:
            scope = (0, int(word[2] or 0))
        elif all(base in SCOPES for base in bases):
            scope = (SCOPES.index(word[1]), int(word[2] or 0))
        number = leaf[2] or "0"
        made = int(number) if leaf.re is LEAF else MAPS.find(number)
        found[name] = [*scope, stored.index(tuple(inner[name])), made]
    return found
