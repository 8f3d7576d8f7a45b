"""The README of a converted model: what it was, what loads it, what was proved."""

from __future__ import annotations

from typing import TYPE_CHECKING

from convert import advice, planning

if TYPE_CHECKING:
    from convert.converting import Report
    from convert.families import Family


def render(report: Report, family: Family) -> str:
    """Markdown with the front matter that the Hub reads."""
    ours = report.architecture.startswith("Genae")
    lines = [
        "---",
        f"library_name: {'genae' if ours else 'transformers'}",
        "tags:",
        f"- {family.name}",
        "- converted",
        "---",
        "",
        f"# {report.out.resolve().name}",
        "",
        f"{family.title} ({family.paper}), converted by genae from the {report.format} checkpoint "
        f"`{report.source.name}`, without TensorFlow.",
        "",
        "In this folder:",
        "",
        "```python",
        *advice.block(report),
        "```",
        "",
        f"{planning.parameters(report.plan.steps):,} values in {len(report.plan.steps)} tensors; "
        f"{len(report.plan.dropped)} left out. `conversion.json` says what became of each.",
        "",
    ]
    if report.parity:
        lines += [
            "Recorded outputs of the original software, and how far the result is from them:",
            "",
            "| output | largest difference | relative to the largest value | tolerance |",
            "| --- | --: | --: | --: |",
            *(
                f"| {p.name} | {p.max_absolute:.1e} | {p.max_relative:.1e} | {p.tolerance:.1e} |"
                for p in report.parity
            ),
            "",
        ]
    lines += [f"- {note}" for note in report.notes]
    return "\n".join(lines).rstrip() + "\n"
