"""The card of a conversion: what the model is, where its weights come from, how near it is."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.readers.base import FORMS
from convert.report import Report, block
from convert.weights.steps import parameters
from zoo import catalog
from zoo.card import CARD_FILE, Card
from zoo.card.starting import first_card, line
from zoo.header import marks
from zoo.registry import code, manifest

#: What a card calls the forms of checkpoints.
FORMATS = {
    "tf_bundle": "tf-checkpoint",
    "tf_object": "tf-checkpoint",
    "tf_v1": "tf-checkpoint",
    "keras_hdf5": "keras-hdf5",
    "keras3": "keras-zip",
}


def sums(files: Sequence[Path]) -> dict[str, str]:
    """The SHA-256 of each file that weights and whatever else came from, by name."""
    return {line(path.name): manifest.sha256(path) for path in files}


def origin(sources: Mapping[str, str]) -> dict[str, str]:
    """What the header of converted weights says of their sources, as `sums` gives them."""
    return marks(source=json.dumps(sources, ensure_ascii=False))


def write_card(
    folder: Path,
    report: Report,
    title: str,
    sources: Mapping[str, str],
    *,
    paper: str = "",
    with_code: bool = False,
) -> list[str]:
    """Write card, page and manifest of a conversion into its folder, which has all else.

    Args:
        folder: where weights, configuration, tokenizer and `conversion.json` lie.
        report: on the conversion.
        title: what was converted, as the beginning of a sentence.
        sources: as `sums` gives them.
        paper: where it was described; empty where nobody says it.
        with_code: add the modelling files, so that transformers loads it without genae.

    Returns:
        The names of the files written.
    """
    entry = catalog.find_config(report.result["model_type"])
    written: set[str] = set()
    if with_code:
        written = code.add_code(folder, entry) - {"config.json"}
        report.result = manifest.read_config(folder)
    text = first_card(
        report.out.resolve().name,
        entry,
        report.architecture,
        f"{title}, converted from the {FORMS[report.format]} `{report.source.name}`.",
        _source(report, sources),
        papers=[paper] if paper else [],
        tags=[report.family, "converted"],
        limits=["`conversion.json` says what became of each tensor.", *report.notes],
    )
    card = Card.parse(text, folder / CARD_FILE)
    made = {"by": "genae convert", "from": report.source.name, "load": block(report)}
    if report.example:
        made["example"] = report.example
    manifest.write(
        folder,
        card,
        made,
        parameters=parameters(report.plan.steps),
        place=".",
        texts={CARD_FILE: card.text.encode("utf-8")},
    )
    return [*sorted(written), "README.md", CARD_FILE, manifest.MANIFEST_FILE]


def _source(report: Report, sources: Mapping[str, str]) -> dict[str, Any]:
    """Where the weights come from, and how near the outputs are to the original's."""
    options = {name: value for name, value in report.options.items() if value is not None}
    source: dict[str, Any] = {
        "format": FORMATS[report.format],
        "family": report.family,
        "files": dict(sources),
    }
    if options:
        source["options"] = options
    if report.parity:
        source["parity"] = {
            "outputs": sorted(line(p.name.removeprefix("out_")) for p in report.parity),
            "max_abs_error": _short(max(p.max_absolute for p in report.parity)),
            "atol": _short(max(p.tolerance for p in report.parity)),
        }
    return source


def _short(number: float) -> float:
    """A number of which three digits are worth reading."""
    return float(f"{number:.3g}")
