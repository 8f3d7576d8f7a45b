"""The models that bert4keras recorded; see tests/fixtures/README.md."""

import itertools
import json
from pathlib import Path

import pytest

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
LEGACY = FIXTURES / "legacy"
WEIGHTS = (
    "bert_model.ckpt.index",
    "model.weights",
    "model_tf2.h5",
    "full_model.h5",
    "full_model_tf2.h5",
    "model_tf2.weights.h5",
    "bert_model.ckpt",
    "tf2_object",
)

RESIZED = ("bert_autoresize", "model_tf2.weights.h5")

#: A checkpoint that lacks what the condition adds to layer norms; the HDF5 file has it.
WITHOUT_CONDITION = ("bert_cln", ".index")


def record(name: str) -> dict:
    """What the original software says of a fixture."""
    return json.loads((LEGACY / name / "fixture.json").read_text("utf-8"))


def options(fixture: dict) -> dict:
    """What its builder was told."""
    told = fixture["build_kwargs"] | {key: fixture[key] for key in ("application", "gelu")}
    if pairs := fixture.get("compound_tokens_pairs"):
        told["compound_tokens"] = pairs
    if "t5" in fixture["model"]:
        told["semantics"] = "bert4keras"
        del told["application"]
    return told


def sources(name: str) -> list[Path]:
    """The files that a fixture's weights are in."""
    borrowed = record(name)["loads_checkpoint_of"]
    for folder in (LEGACY / name, LEGACY / (borrowed or name)):  # its own, where it has any
        found = [folder / file for file in WEIGHTS if (folder / file).exists()]
        if found:
            # Resized weights are of other shapes than the layers that are looked for.
            return [file for file in found if (name, file.name) != RESIZED]
    return []


MODELS = sorted(path.parent.name for path in LEGACY.glob("*/fixture.json"))
_KINDS = {name: (record(name)["model"], record(name)["application"]) for name in MODELS}
#: One recorded model of each family and application.
FEW = {*{kind: name for name, kind in _KINDS.items()}.values()}


def few_or_all(*more: str) -> list:
    """Every recorded model; all but a model of each kind, and these, are marked slow."""
    quick = FEW.union(more)
    return [pytest.param(n, marks=[pytest.mark.slow] * (n not in quick)) for n in MODELS]


def spread(*axes):
    """Every combination of several axes; all but a diagonal of them is marked slow.

    That leaves a quarter of the cases to the default suite, and 14 of 40 seconds.
    """
    found = []
    for places in itertools.product(*(range(len(axis)) for axis in axes)):
        marks = [pytest.mark.slow] * bool(sum(places) % 5)
        found.append(
            pytest.param(*(axis[i] for axis, i in zip(axes, places, strict=True)), marks=marks)
        )
    return found
