"""Measure every fixture from every file form, and write the table of `convert/README.md`.

python -m tests.conversion.table convert/README.md
"""

import sys
import tempfile
from pathlib import Path

import convert
from tests.conversion.records import LEGACY, MODELS, WITHOUT_CONDITION, options, record, sources

BEGIN, END = "<!-- parity:begin -->", "<!-- parity:end -->"
HEAD = (
    "| fixture | file | result | largest difference | output | allowed |\n"
    "| --- | --- | --- | --: | --- | --: |\n"
)


def rows():
    """One line of the table for each fixture and file."""
    for name in MODELS:
        for source in sources(name):
            if (name, source.suffix) == WITHOUT_CONDITION:
                continue
            with tempfile.TemporaryDirectory() as place:
                report = convert.convert_checkpoint(
                    source,
                    Path(place) / "out",
                    family=record(name)["model"],
                    config=LEGACY / name / "bert_config.json",
                    options=options(record(name)),
                    verify=LEGACY / name / "reference.npz",
                )
            worst = max(report.parity, key=lambda one: one.max_absolute / one.tolerance)
            yield (
                f"| {name} | {source.name} | {report.architecture} | {worst.max_absolute:.1e} "
                f"| {worst.name.removeprefix('out_')} | {worst.tolerance:.1e} |\n"
            )


def main(path: str) -> None:
    """Put the table between its two marks."""
    file = Path(path)
    before, rest = file.read_text(encoding="utf-8").split(BEGIN)
    after = rest.split(END)[1]
    table = "".join(rows())
    file.write_text(f"{before}{BEGIN}\n{HEAD}{table}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
