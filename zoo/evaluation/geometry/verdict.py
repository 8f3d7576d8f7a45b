"""A paragraph, made from the numbers, on how the codes differ from N(0, I)."""

import math
from collections.abc import Callable
from dataclasses import dataclass

from .survey import Statistic, Survey

CLOSE, NEAR = 1.5, 0.2  # sliced Wasserstein-2: multiples of the band's end; absolute
CAPPED = 0.3  # nats below log n from which the mutual information only says "at least"


@dataclass(frozen=True, slots=True)
class Finding:
    """One way in which codes can differ from the prior.

    Attributes:
        name: a key for programs.
        holds: whether the numbers show it, by an effect that matters and not by a p-value.
        text: the sentence about it.
        unless: findings that imply it; with one of them it gets no sentence.
    """

    name: str
    holds: Callable[[Survey], bool]
    text: Callable[[Survey], str]
    unless: tuple[str, ...] = ()


@dataclass(frozen=True)
class Verdict:
    """The findings, and a text about them.

    Attributes:
        closeness: `indistinguishable`, `close` or `far`.
        findings: names of those that hold, without those that others imply.
        paragraph: the text.
    """

    closeness: str
    findings: tuple[str, ...]
    paragraph: str


def _share(value: float) -> str:
    """A share as a percentage.

    Example:
        >>> _share(0.123), _share(0.0042)
        ('12 %', '0.4 %')
    """
    return f"{100 * value:.0f} %" if value >= 0.0995 else f"{100 * value:.1f} %"


def band(statistic: Statistic) -> str:
    """The band in the statistic's decimals."""
    digits = statistic.row.digits
    return f"{statistic.low:.{digits}f} to {statistic.high:.{digits}f}"


def _number(statistic: Statistic) -> str:
    return f"{statistic.value:.{statistic.row.digits}f}"


def _beyond(name: str, min_value: float, times: float = 2) -> Callable[[Survey], bool]:
    """Whether a value is both large and far above the band."""
    return lambda s: name in s and s[name].value > max(min_value, times * s[name].high)


def _dead(s: Survey) -> list[int]:
    """Indices of the dimensions without information, by variance or, with noise, by rate."""
    parts = s["rate"].parts if "rate" in s else s["active_units"].parts
    return [i for i, part in enumerate(parts) if part <= 0.01]


def _dead_text(s: Survey) -> str:
    dead = _dead(s)
    listed = ", ".join(map(str, dead[:8])) + (" ..." if len(dead) > 8 else "")
    return f"{len(dead)} of {s.codes.size} dimensions say nothing about the image ({listed})."


def _center_text(s: Survey) -> str:
    return f"The cloud lies off-centre: its mean is {_number(s['center'])} from the origin."


def _spread_text(width: str) -> Callable[[Survey], str]:
    return lambda s: f"It is too {width}: the mean variance is {_number(s['variance'])}, not 1."


def _uneven_text(s: Survey) -> str:
    law = "Var(mu) + E s^2" if s.codes.stochastic else "variance"
    low, high = min(s["law_error"].parts), max(s["law_error"].parts)
    return f"Dimensions are uneven: their {law} runs from {low:.2f} to {high:.2f}."


def _line_text(s: Survey) -> str:
    return (
        f"Dimensions are redundant: the codes lie near a line or a sheet, and correlation leaves "
        f"{_number(s['effective_dims'])} of {int(s['active_units'].value)} active dimensions."
    )


def _correlated_text(s: Survey) -> str:
    return (
        f"Dimensions are correlated ({_number(s['correlation'])} root mean square); "
        f"{_number(s['effective_dims'])} are left."
    )


def _ring_text(s: Survey) -> str:
    return (
        f"The codes lie on a ring with an empty middle: their distances from its centre spread "
        f"{_number(s['radius_spread'])} times as far as those of N(0, I) codes."
    )


def _shell_text(s: Survey) -> str:
    return (
        f"They lie in a thin shell: norms spread only {_number(s['radius_spread'])} times as far "
        "as chi(d)."
    )


def _normal_text(s: Survey) -> str:
    return (
        f"Projections on random lines are not normal: the maximum Kolmogorov-Smirnov distance is "
        f"{_number(s['ks_lines'])} (N(0, I): {band(s['ks_lines'])})."
    )


def _entropy_text(s: Survey) -> str:
    gap = -s["entropy_gap"].value
    return f"Neighbours are too close: the entropy is {gap:.2f} nats short of that of N(0, I)."


def _holes_text(s: Survey) -> str:
    return (
        f"There are holes: {_share(s['holes'].value)} of prior codes fall in places emptier than "
        "99 % of held-out codes do (1 % if nothing is missing)."
    )


def _uncovered_text(s: Survey) -> str:
    return (
        f"Only {_share(s['coverage'].value)} of prior codes lie in some image's ball, and "
        f"{_share(s['coverage_held_out'].value)} of held-out codes do."
    )


def _dip_text(s: Survey) -> str:
    line, arc = s["dip_linear"], s["dip_slerp"]
    return (
        f"Straight lines between codes lead through less dense places: half-way the log-density "
        f"changes by {-line.value:+.1f} nats ({-line.high:+.1f} at least for N(0, I) codes), "
        f"along the arc by {-arc.value:+.1f} ({-arc.high:+.1f})."
    )


def _drift_text(s: Survey) -> str:
    return (
        f"Prior codes, decoded and encoded again, land {_number(s['drift_ratio'])} times as far "
        "from where they started as codes of images do."
    )


def _far_text(s: Survey) -> str:
    return (
        f"There are outliers: {_share(s['far_out'].value)} of codes lie beyond the 0.999 quantile."
    )


MISPLACED = ("off-centre", "wide", "narrow")
DEGENERATE = ("dead", "line", "ring")

FINDINGS = (
    Finding("dead", lambda s: bool(_dead(s)), _dead_text),
    Finding(
        "off-centre",
        lambda s: s["center"].value > max(0.2 * s.codes.size**0.5, 2 * s["center"].high),
        _center_text,
    ),
    Finding("wide", lambda s: s["variance"].value > 1.25, _spread_text("wide")),
    Finding("narrow", lambda s: s["variance"].value < 0.8, _spread_text("narrow")),
    Finding("uneven", _beyond("law_error", 0.25), _uneven_text, ("wide", "narrow")),
    Finding("line", lambda s: s["thinnest"].value < 0.05, _line_text),
    Finding("correlated", _beyond("correlation", 0.1), _correlated_text, ("line",)),
    Finding("ring", lambda s: s["radius_spread"].value < 0.4, _ring_text),
    Finding("shell", lambda s: s["radius_spread"].value < 0.8, _shell_text, ("ring",)),
    Finding(
        "not normal", _beyond("ks_lines", 0.1), _normal_text, (*MISPLACED, *DEGENERATE)
    ),
    Finding(
        "low entropy",
        lambda s: s["entropy_gap"].value < min(-0.1 * s.codes.size, 2 * s["entropy_gap"].low),
        _entropy_text,
        ("narrow", *DEGENERATE),
    ),
    Finding("holes", _beyond("holes", 0.04), _holes_text),
    Finding(
        "uncovered",
        lambda s: s["coverage"].value
        < min(s["coverage"].low - 0.05, 0.9 * s["coverage_held_out"].value),
        _uncovered_text,
        ("holes",),
    ),
    Finding("dip", lambda s: s["dip_linear"].value > s["dip_linear"].high + 1, _dip_text),
    Finding("drift", _beyond("drift_ratio", 1.3, 1.2), _drift_text),
    Finding("outliers", _beyond("far_out", 0.01), _far_text, MISPLACED),
)  # fmt: skip


def verdict(s: Survey) -> Verdict:
    """Turn the numbers into a paragraph."""
    holding = [finding for finding in FINDINGS if finding.holds(s)]
    names = {finding.name for finding in holding}
    kept = [finding for finding in holding if not names & set(finding.unless)]
    distance = s["sliced_wasserstein"]
    closeness = (
        "indistinguishable"
        if not kept and distance.value < CLOSE * distance.high
        else "close" if distance.value < NEAR else "far"
    )  # fmt: skip
    sentences = [_opening(s, closeness), _encoder(s)]
    sentences += [finding.text(s) for finding in kept]
    if not kept:
        sentences.append("Nothing differs by an effect that would matter.")
    sentences.append(ADVICE[closeness])
    return Verdict(closeness, tuple(f.name for f in kept), " ".join(filter(None, sentences)))


ADVICE = {
    "indistinguishable": "The prior can be sampled as it is.",
    "close": "The prior can be sampled; a mixture fitted to the codes follows them more closely.",
    "far": "Do not sample the prior: fit a Gaussian or a mixture to the codes first.",
}
OPENINGS = {
    "indistinguishable": "As a whole these codes look like N(0, I) samples",
    "close": "As a whole these codes are close to N(0, I), but not the same",
    "far": "As a whole these codes are far from N(0, I)",
}


def _opening(s: Survey, closeness: str) -> str:
    distance, kernel = s["sliced_wasserstein"], s["mmd"]
    return (
        f"{OPENINGS[closeness]}: sliced Wasserstein-2 distance {_number(distance)} (N(0, I) "
        f"samples: {band(distance)}), squared MMD {kernel.value:.4f} "
        f"({kernel.low:.4f} to {kernel.high:.4f}), {s.codes.count} codes of {s.codes.size} "
        "dimensions."
    )


def _encoder(s: Survey) -> str:
    """What kind of codes these are: points, or balls that cost nats."""
    overlap = s["overlapping"]
    if "rate" not in s:
        return (
            "The codes are points, without Gaussian noise: balls as wide as the distance to the "
            f"5th neighbour stand in for posteriors; {_share(overlap.value)} of them overlap "
            "the nearest."
        )
    information, marginal = s["mutual_information"], s["marginal_kl"]
    capped = information.value > math.log(information.count) - CAPPED
    split = (
        f"of these at least {information.value:.2f} say which image it is, the maximum for "
        f"{information.count} images (log n), so that the {marginal.value:.2f} left for the "
        f"distance to the prior are an upper bound (N(0, I): {band(marginal)})"
        if capped
        else f"of these {information.value:.2f} say which image it is, and {marginal.value:.2f} "
        f"separate the codes as a whole from the prior (N(0, I): {band(marginal)})"
    )
    return (
        f"The encoder adds noise: a code is a ball and costs {s['rate'].value:.2f} nats; {split}. "
        f"{_share(overlap.value)} of balls overlap the nearest."
    )
