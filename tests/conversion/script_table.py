"""Measure every family of image scripts, and write the table of `convert/README.md`.

python -m tests.conversion.script_table convert/README.md
"""

import sys
from pathlib import Path

import torch

from convert.images.families import FAMILIES
from tests.conversion.script_models import (
    PARTS,
    THERE,
    TOLERANCES,
    WHOLE,
    forms,
    gaps,
    load,
    record,
)
from zoo import catalog

BEGIN, END = "<!-- scripts:begin -->", "<!-- scripts:end -->"
HEAD = (
    "| `--family` | its files | become | asked for | arrays | float32 | float64 |\n"
    "| --- | --- | --- | --- | --: | --: | --: |\n"
)


def largest(name: str, dtype: torch.dtype) -> tuple[int, float]:
    """How many arrays of a family's whole model are compared, and the largest difference."""
    _, compute, options = WHOLE[name]
    given, expected = record(THERE / name, dtype)
    expected = {
        key: one
        for key, one in expected.items()
        if not key.endswith(PARTS) and not key.startswith("trainmode")
    }
    found = []
    for path in forms(name):
        with torch.no_grad():
            made = compute(load(path, name, dtype, **options), given)
        found += gaps(made, expected).values()
    return len(expected), max(found)


def rows():
    """One line of the table for each family."""
    for name, family in FAMILIES.items():
        classes: dict[str, list[str]] = {}
        for holds, file in family.files.items():
            made = catalog.find_config(file.model).model_class
            classes.setdefault(made, []).append(holds)
        files = "; ".join(", ".join(holds) for holds in classes.values())
        measured = [largest(name, dtype) for dtype in TOLERANCES]
        numbers = " | ".join(f"{gap:.0e}" for _, gap in measured)
        asked = ", ".join(f"`{one}`" for one in family.asked)
        yield (
            f"| `{name}` | {files} | {'; '.join(f'`{one}`' for one in classes)} | {asked} "
            f"| {measured[0][0]} | {numbers} |\n"
        )


def main(path: str) -> None:
    """Put the table between its two marks."""
    file = Path(path)
    before, rest = file.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    file.write_text(f"{before}{BEGIN}\n{HEAD}{''.join(rows())}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
