"""Known releases: which one a checkpoint is, and what is known of it.

`published.toml` is the table. A release is known by the hash of its TensorFlow index, which holds
checksums of every weight, or by its vocabulary's hash and its sizes together. Many releases share
a vocabulary and their sizes: of those that it may be, only what all of them agree on is taken.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert import families
from convert.families.activations import is_plain_gelu, word_of
from convert.identify.evidence import sizes_present
from zoo.errors import UsageError
from zoo.hints import nearest

if TYPE_CHECKING:
    from convert.families import Family
    from convert.names.naming import Naming
    from convert.readers import Checkpoint

TABLE = Path(__file__).with_name("published.toml")
INDEX, SIZES, VOCABULARY, NAMED = "its index", "vocabulary and sizes", "vocabulary", "its name"


@dataclass(frozen=True)
class Release:
    """A published model; `published.toml` says what each field means."""

    name: str
    where: str
    gelu: str
    gelu_source: str
    lower_case: bool
    family: str = ""
    also: tuple[str, ...] = ()
    vocabulary: tuple[str, ...] = ()
    index: tuple[str, ...] = ()
    rows: int | None = None
    sizes: tuple[Mapping[str, int], ...] = ()
    activation: str = "gelu"
    words: str = ""
    options: Mapping[str, Any] = field(default_factory=dict)
    note: str = ""

    def facts(self, vocabulary: Path | None) -> dict[str, Any]:
        """The options that it decides, with this vocabulary."""
        found = dict(self.options)
        if self.gelu in ("erf", "tanh"):
            found["gelu"] = self.gelu
        if vocabulary is not None:
            found["do_lower_case"] = self.lower_case
        if vocabulary is not None and self.words:
            found["pre_tokenize"] = self.words
        return found

    def has(self, sizes: Mapping[str, int]) -> bool:
        """Whether a model of these sizes may be it."""
        return not differences(self, sizes) if self.sizes else False

    def to_dict(self) -> dict[str, Any]:
        """Everything that is known, in types that JSON has."""
        return {
            "name": self.name,
            "also": list(self.also),
            "family": self.family or None,
            "options": dict(self.options) | ({"pre_tokenize": self.words} if self.words else {}),
            "gelu": self.gelu,
            "gelu_source": self.gelu_source,
            "activation": self.activation,
            "lower_case": self.lower_case,
            "words": self.words or None,
            "rows": self.rows,
            "sizes": [dict(one) for one in self.sizes],
            "vocabulary": list(self.vocabulary),
            "index": list(self.index),
            "where": [f"https://github.com/{place}" for place in self.where.split(", ")],
            "note": self.note,
        }


@dataclass(frozen=True)
class Recognition:
    """What a checkpoint may be.

    Attributes:
        releases: those that it may be.
        by: what it is recognised by.
        facts: the options that follow, on which all of them agree.
    """

    releases: tuple[Release, ...] = ()
    by: str = ""
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def certain(self) -> Release | None:
        """The one release that it is said or proved to be."""
        return self.releases[0] if self.by in (NAMED, INDEX) and self.releases else None

    @property
    def family(self) -> str:
        """What family it is of, where that is beyond doubt."""
        if self.certain:
            return self.certain.family
        names = {one.family for one in self.releases}
        shared = {digest for one in self.releases for digest in one.vocabulary}
        return names.pop() if len(names) == 1 and len(_sharing(shared)) == 1 else ""

    def words(self, taken: Mapping[str, Any]) -> str:
        """What it is and which options were taken of it, as a note."""
        if not self.releases:
            return ""
        shown = 3 if self.by == VOCABULARY else 6
        names = " or ".join(_called(one) for one in self.releases[:shown])
        more = len(self.releases) - shown
        names += f" or {more} more" if more > 0 else ""
        first = {
            NAMED: f"named as {names}",
            INDEX: f"recognised by its index: {names}",
            VOCABULARY: f"its vocabulary is that of {names}, its sizes are not",
        }.get(self.by, f"recognised by vocabulary and sizes: {names}")
        said = ", ".join(f"{key}={value}" for key, value in taken.items())
        several = ", on which all agree" if len(self.releases) > 1 else ""
        return f"{first}; taken from what is known of it{several}: {said or 'no option'}"

    def to_dict(self) -> dict[str, Any] | None:
        """For JSON; None where nothing was recognised."""
        if not self.releases:
            return None
        names = [one.name for one in self.releases]
        return {"names": names, "by": self.by, "facts": dict(self.facts)}


@cache
def releases() -> tuple[Release, ...]:
    """Every row of the table."""
    rows: list[dict[str, Any]] = tomllib.loads(TABLE.read_text(encoding="utf-8"))["release"]
    return tuple(map(_release, rows))


def _release(row: Mapping[str, Any]) -> Release:
    fields: dict[str, Any] = {
        key: tuple(value) if type(value) is list else value for key, value in row.items()
    }
    return Release(**fields)


def known_releases() -> list[dict[str, Any]]:
    """Every known release with what is known of it, in types that JSON has.

    Returns:
        Tables with name, family, options, gelu, casing, words, sizes, hashes and `where`, the
        addresses of those who published it.
    """
    return [one.to_dict() for one in releases()]


def find(name: str) -> Release:
    """The release of a name, in any case.

    Raises:
        UsageError: none is called so; the message has the nearest.
    """
    known = {
        also.lower(): replace(one, name=also, also=(), sizes=(size,))
        for one in releases()
        for also, size in zip(one.also, one.sizes if one.also else (), strict=True)
    }
    known |= {one.name.lower(): one for one in releases()}
    if name.lower() in known:
        return known[name.lower()]
    names = [word for one in releases() for word in (one.name, *one.also)]
    longer = [word for word in names if word.lower().startswith(name.lower())]
    near = (nearest(name, longer or names) or next(iter(longer), None)) if len(name) > 3 else None
    hint = f"Did you mean {near!r}? " if near else ""
    raise UsageError(f"no release is known as {name!r}. {hint}`genae inspect --known` lists them")


def named(name: str, family: str | None) -> Release:
    """The release of a name, to be converted as such.

    Raises:
        UsageError: none is called so, it is of no family that is known, or of another one.
    """
    release = find(name)
    if not release.family:
        raise UsageError(f"{release.name} cannot be converted: {release.note}")
    if family is not None and families.find(family) is not families.find(release.family):
        raise UsageError(
            f"--as {release.name} is of family {release.family}, and --family says {family}: "
            "leave one of them out"
        )
    return release


def recognise(
    pairs: Sequence[tuple[Family, Naming]],
    checkpoint: Checkpoint,
    config: Mapping[str, Any],
    vocabulary: Path | None,
    release: Release | None = None,
) -> Recognition:
    """Say which release a checkpoint is, or may be.

    Args:
        pairs: families that fit it, each with what the tensors are called there.
        checkpoint: the files.
        config: the legacy configuration.
        vocabulary: the companion of the checkpoint.
        release: the one that somebody says it is.

    Raises:
        UsageError: the files are not of the release that was named.
    """
    table = [sizes_of(family, naming, checkpoint, config) for family, naming in pairs]
    if release is not None:
        against = differences(release, table[0] if table else {})
        if pairs and not pairs[0][0].fits(pairs[0][1].names):
            others = " or ".join(one.name for one in families.fitting(pairs[0][1].names))
            shown = f" ({others})" if others else ""
            against.insert(
                0, f"its family is {release.family}, of which these tensors are not{shown}"
            )
        own = config.get("hidden_act")
        if own is not None and _other_activation(release, own):
            against.append(f"hidden_act is {release.activation} there and {own} here")
        if against:
            raise UsageError(
                f"--as {release.name}: the files are of another model: {'; '.join(against)}. "
                "Leave --as out, or give what applies with --option KEY=VALUE"
            )
        return Recognition((release,), NAMED, release.facts(vocabulary))
    if proved := by_index(checkpoint):
        return Recognition((proved,), INDEX, proved.facts(vocabulary))
    if vocabulary is None or not pairs:
        return Recognition()
    prints = _hashes(vocabulary)
    alike = [one for one in releases() if prints & {*one.vocabulary}]
    fitting = tuple(
        one
        for one in alike
        if any(
            _is_of(*pair, one) and one.has(sizes) for pair, sizes in zip(pairs, table, strict=True)
        )
    )
    if fitting:
        return Recognition(fitting, SIZES, agreed([one.facts(vocabulary) for one in fitting]))
    same = tuple(one for one in alike if any(_is_of(*pair, one) for pair in pairs))
    facts = agreed([one.facts(vocabulary) for one in alike])
    facts = {name: facts[name] for name in ("do_lower_case",) if name in facts}
    return Recognition(same, VOCABULARY, facts) if same else Recognition()


def by_index(checkpoint: Checkpoint) -> Release | None:
    """The release that a checkpoint is, byte for byte, by the checksums in its index."""
    index = next((file for file in checkpoint.files if file.suffix == ".index"), None)
    digests = _hashes(index) if index is not None else set()
    return next((one for one in releases() if digests & {*one.index}), None)


def sizes_of(
    family: Family, naming: Naming, checkpoint: Checkpoint, config: Mapping[str, Any]
) -> dict[str, int]:
    """The sizes by which releases are known: of the tensors, else of the configuration."""
    sizes = sizes_present(family, naming.kind, naming.shapes(checkpoint))
    for word, key in (("layers", "num_hidden_layers"), ("heads", "num_attention_heads")):
        if type(config.get(key)) is int:
            sizes.setdefault(word, config[key])
    return sizes


def differences(release: Release, sizes: Mapping[str, int]) -> list[str]:
    """What sets a model of these sizes apart from a release, in words; empty: nothing."""
    rows = {} if release.rows is None else {"vocab": release.rows}
    found = []
    for one in release.sizes or ({},):
        others = {
            word: (size, sizes[word])
            for word, size in (rows | dict(one)).items()
            if sizes.get(word, size) != size
        }
        found.append(
            [f"{word} is {there} there and {here} here" for word, (there, here) in others.items()]
        )
    return min(found, key=len)


def doubts(
    recognition: Recognition, config: Mapping[str, Any], sizes: Mapping[str, int]
) -> list[str]:
    """Where the files say otherwise than what is known of the one release that they are."""
    if len(recognition.releases) != 1:
        return []
    release, act = recognition.releases[0], config.get("hidden_act")
    found = []
    if act is not None and _other_activation(release, act):
        found.append(
            f"hidden_act is {act} in the configuration and {release.activation} in that of "
            f"{release.name}; the first is followed; is it the right file (--config)?"
        )
    if recognition.by == INDEX and (apart := differences(release, sizes)):
        found.append(
            f"the configuration says otherwise than {release.name} is published "
            f"({'; '.join(apart)}) and is followed; is it the right file (--config)?"
        )
    return found


def agreed(tables: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """What every one of several tables says; empty if there is none."""
    first, *others = tables or [{}]
    return {
        key: value
        for key, value in first.items()
        if all(key in other and other[key] == value for other in others)
    }


def _called(release: Release) -> str:
    return f"{release.name} (github.com/{release.where.split(', ')[0]})"


def _other_activation(release: Release, act: object) -> bool:
    plain = is_plain_gelu(release.activation)
    word = word_of(act[0] if isinstance(act, list) and act else act)
    if plain:
        return "gelu" not in word
    return {word, release.activation} not in ({"silu", "swish"}, {release.activation})


def _is_of(family: Family, naming: Naming, release: Release) -> bool:
    """Whether a release is of a family, or of one that its files cannot be distinguished from."""
    same = (family.name, release.family) in families.SAME
    return family.name == release.family or (
        same and families.find(release.family).fits(naming.names)
    )


def _sharing(prints: set[str]) -> set[str]:
    """The families of all releases with one of these vocabularies."""
    return {one.family for one in releases() if prints & {*one.vocabulary}}


def _hashes(path: Path) -> set[str]:
    """SHA-256 of a file, and of the same text with other line ends or a mark in front."""
    data = path.read_bytes()
    plain = data.removeprefix(b"\xef\xbb\xbf").replace(b"\r\n", b"\n")
    return {sha256(data).hexdigest(), sha256(plain).hexdigest()}
