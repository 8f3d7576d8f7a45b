"""Compute every diagnostic for some codes, and for N(0, I) samples to compare with."""

from dataclasses import dataclass
from typing import Any

import torch

from zoo.evaluation.subject import generator_of
from zoo.progress import track

from .codes import Codes
from .table import DIAGNOSTICS, GROUPS, Diagnostic
from .tools import Network, Readings, Tools


@dataclass(frozen=True)
class Statistic:
    """One number with its band.

    Attributes:
        name: of the row in `DIAGNOSTICS`.
        value: the number.
        low: minimum over the N(0, I) samples.
        high: maximum over them.
        replicates: number of N(0, I) samples, of the same n and d. The value of one
            more would fall outside the band with probability 2 / (replicates + 1).
        count: number of codes, pairs or images behind the number.
        size: d.
        seed: of everything random.
        p_value: of the hypothesis N(0, I), if there is a test.
        parts: the number for each dimension, if defined.
    """

    name: str
    value: float
    low: float
    high: float
    replicates: int
    count: int
    size: int
    seed: int
    p_value: float | None = None
    parts: tuple[float, ...] = ()

    @property
    def row(self) -> Diagnostic:
        """Its row in the table of diagnostics."""
        return DIAGNOSTICS[self.name]

    @property
    def within(self) -> bool:
        """Whether the value is within the band."""
        return self.low <= self.value <= self.high

    def as_dict(self) -> dict[str, Any]:
        """The statistic for JSON."""
        return {
            "name": self.name,
            "title": self.row.title,
            "unit": self.row.unit,
            "value": self.value,
            "band": [self.low, self.high],
            "replicates": self.replicates,
            "good": self.row.good,
            "p_value": self.p_value,
            "n": self.count,
            "d": self.size,
            "seed": self.seed,
            "parts": list(self.parts),
        }


@dataclass(frozen=True)
class Survey:
    """All statistics of some codes, by name in the table's order.

    Attributes:
        statistics: those that are defined for the encoder.
        undefined: names of those that are not, with the reason.
        codes: the codes they are of.
        seed: of everything random.
    """

    statistics: dict[str, Statistic]
    undefined: dict[str, str]
    codes: Codes
    seed: int

    def __getitem__(self, name: str) -> Statistic:
        """One statistic."""
        return self.statistics[name]

    def __contains__(self, name: str) -> bool:
        """Whether a statistic is defined here."""
        return name in self.statistics


NO_NOISE = "the encoder has no Gaussian noise around a mean, whose rate could be computed"
NO_MODEL = "there is no model behind the codes"


def survey(
    codes: Codes,
    *,
    seed: int = 0,
    decode: Network | None = None,
    encode: Network | None = None,
    quiet: bool = True,
) -> Survey:
    """Compute all diagnostics.

    Args:
        codes: the codes to describe.
        seed: of everything random.
        decode: codes `(k, d)`, float32, to images; None leaves out statistics that need a model.
        encode: images to codes.
        quiet: draw no progress bar.
    """
    undefined: dict[str, str] = {}
    found: dict[str, Statistic] = {}
    chosen = []
    for name, group in GROUPS.items():
        reason = (
            NO_NOISE
            if group.posterior and not codes.stochastic
            else NO_MODEL
            if group.networks and decode is None
            else None
        )
        if reason is None:
            chosen.append((name, group))
        else:
            undefined |= {row.name: reason for row in _rows(name)}
    max_replicates = max(group.replicates for _, group in chosen)
    readings: dict[str, Readings] = {}
    references: dict[str, list[Readings]] = {name: [] for name, _ in chosen}
    for replicate in track(range(max_replicates + 1), "comparing with N(0, I)", quiet=quiet):
        sample = (
            codes.reference(generator_of(seed, f"reference {replicate}")) if replicate else codes
        )
        for name, group in chosen:
            if replicate > group.replicates:
                continue
            generator = generator_of(seed, f"{name} {replicate}")
            tools = Tools(generator, decode, encode, tests=not replicate)
            with torch.no_grad():
                computed = group.function(sample, tools)
            if replicate:
                references[name].append(computed)
            else:
                readings[name] = computed
    for name, _ in chosen:
        for row in _rows(name):
            found[row.name] = _statistic(row, readings[name], references[name], codes.size, seed)
    return Survey(found, undefined, codes, seed)


def _rows(group: str) -> list[Diagnostic]:
    return [row for row in DIAGNOSTICS.values() if row.group == group]


def _statistic(
    row: Diagnostic, own: Readings, others: list[Readings], size: int, seed: int
) -> Statistic:
    """A reading, compared with those of the N(0, I) samples."""
    reading = own[row.name]
    values = [other[row.name].value for other in others]
    shift = sum(values) / len(values) if row.relative else 0.0
    return Statistic(
        name=row.name,
        value=reading.value - shift,
        low=min(values) - shift,
        high=max(values) - shift,
        replicates=len(values),
        count=reading.count,
        size=size,
        seed=seed,
        p_value=reading.p_value,
        parts=reading.parts,
    )
