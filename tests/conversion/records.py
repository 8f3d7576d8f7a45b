"""The models that bert4keras recorded; see tests/fixtures/README.md."""

import json
from pathlib import Path

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"
LEGACY = FIXTURES / "legacy"
WEIGHTS = (
    "bert_model.ckpt.index",
    "model.weights",
    "model_tf2.h5",
    "full_model.h5",
    "full_model_tf2.h5",
)


def record(name: str) -> dict:
    """What the original software says of a fixture."""
    return json.loads((LEGACY / name / "fixture.json").read_text("utf-8"))


def options(fixture: dict) -> dict:
    """What its builder was told."""
    told = fixture["build_kwargs"] | {key: fixture[key] for key in ("application", "gelu")}
    if pairs := fixture.get("compound_tokens_pairs"):
        told["compound_tokens"] = pairs
    return told


def sources(name: str) -> list[Path]:
    """The files that a fixture's weights are in."""
    folder = LEGACY / (record(name)["loads_checkpoint_of"] or name)
    return [folder / file for file in WEIGHTS if (folder / file).exists()]


MODELS = sorted(path.parent.name for path in LEGACY.glob("*/fixture.json"))
