"""Measure every kind of layer, and whole models, and write the tables of `convert/README.md`.

python -m tests.conversion.layer_table convert/README.md
"""

import sys
from collections.abc import Iterator
from pathlib import Path

from convert.layers.kinds import KINDS
from convert.layers.network import build
from convert.layers.parsing import parse
from convert.layers.text import read
from tests.conversion.keras_files import SHARED, case, cases
from tests.conversion.layer_models import differences

BEGIN, END = "<!-- layers:begin -->", "<!-- layers:end -->"
KINDS_HEAD = (
    "| layers | `kind` in `config.json` | files | float32 | float64 |\n"
    "| --- | --- | --: | --: | --: |\n"
)
MODELS_HEAD = (
    "\n| models | layers | files | float32 | float64 |\n| --- | --: | --: | --: | --: |\n"
)
#: Half precision computes with numbers of two bytes, whatever the layer.
HALF = ("mixed_float16", "weights_float16", "weights_bfloat16")

Measured = tuple[frozenset[str], int, dict[str, float]]


def measure(path: Path) -> Measured:
    """Classes of the layers of a file, how many layers it has, and how far its outputs are."""
    layers = build(parse(read(case(path)))).layers.values()
    return frozenset(one.layer.kind for one in layers), len(layers), differences(path)


def numbers(found: list[Measured]) -> str:
    """Number of files, and the largest difference in float32 and in float64, as cells."""
    cells = [str(len(found))]
    for double in (False, True):
        gaps = [
            gap
            for _, _, each in found
            for name, gap in each.items()
            if name.endswith("_f64") == double
        ]
        cells.append(f"{max(gaps):.0e}".replace("0e+00", "0") if gaps else "")
    return " | ".join(cells)


def kind_rows(alone: list[Measured], rest: list[Measured]) -> Iterator[str]:
    """One line for each kind: of models made for their layers, else of any that has one."""
    kinds: dict[str, list[str]] = {}
    for name, kind in KINDS.items():
        kinds.setdefault(kind.compute, []).append(name)
    for compute, names in kinds.items():
        found = [one for one in alone if one[0] & {*names}]
        found = found or [one for one in rest if one[0] & {*names}]
        classes = ", ".join(f"`{name}`" for name in names)
        yield f"| {classes} | `{compute}` | {numbers(found)} |\n"


def model_rows(folders: dict[str, list[Measured]]) -> Iterator[str]:
    """One line for each model."""
    for name, found in folders.items():
        counts = [count for _, count, _ in found]
        sizes = " to ".join(map(str, sorted({min(counts), max(counts)})))
        yield f"| {name} | {sizes} | {numbers(found)} |\n"


def tables() -> str:
    """Both tables."""
    alone = {
        path: measure(path)
        for path in cases(SHARED / "keras_layers")
        if path.parent.name not in HALF
    }
    models: dict[str, list[Measured]] = {}
    for path in cases(SHARED / "keras_models"):
        models.setdefault(f"`{path.parent.name}`", []).append(measure(path))
    for path in cases(SHARED / "keras_era"):
        version = f"`{path.parent.parent.name}`, five models"
        models.setdefault(version, []).append(measure(path))
    for name in HALF:
        paths = cases(SHARED / "keras_layers" / name)
        models[f"`{name}`"] = [measure(path) for path in paths]
    rest = [one for found in models.values() for one in found]
    kinds = "".join(kind_rows(list(alone.values()), rest))
    return f"{KINDS_HEAD}{kinds}{MODELS_HEAD}{''.join(model_rows(models))}"


def main(path: str) -> None:
    """Put the tables between their two marks."""
    file = Path(path)
    before, rest = file.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    file.write_text(f"{before}{BEGIN}\n{tables()}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
