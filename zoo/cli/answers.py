"""What the verbs of legacy checkpoints answer: in lines, as tables or as JSON."""

from collections.abc import Mapping
from typing import TYPE_CHECKING

import typer

from zoo.cli.common import console, print_json, say, size

if TYPE_CHECKING:
    from convert.backward.layers import KerasReport
    from convert.inspection import Inspection
    from convert.layers.summary import Summary
    from convert.report import Report
    from convert.weights.steps import Plan


def answer(report: "Report", show_map: bool, as_json: bool, quiet: bool) -> None:
    """What became of everything: in a line, as a table or as JSON."""
    from convert.report import deciding, summary

    if as_json:
        print_json(report.to_dict() | {"out": str(report.out), "files": report.files})
        for warning in report.warnings:
            say(warning)
        return
    if show_map:
        _show_map(report.plan, report.unreadable)
    typer.echo(summary(report))
    if report.parity and not quiet:
        _show_parity(report)
    for words in deciding(report):
        say(words, quiet=quiet)
    for warning in report.warnings:
        say(warning)
    for note in report.notes:
        say(note, quiet=quiet or note in report.warnings)
    if show_map and report.defaults:
        taken = ", ".join(f"{key}={value}" for key, value in report.defaults.items())
        say(f"all defaults: {taken}", quiet=quiet)


def answer_keras(report: "KerasReport", show_map: bool, as_json: bool, quiet: bool) -> None:
    """What became of a model that goes back to Keras: in a line, as a table or as JSON."""
    if as_json:
        print_json(report.to_dict() | {"out": str(report.out), "files": report.files})
        return
    if show_map:
        _show_map(report.plan)
    typer.echo(report.summary())
    for note in report.notes:
        say(note, quiet=quiet)


def _show_map(plan: "Plan", unreadable: Mapping[str, str] | None = None) -> None:
    """What became of every tensor, layers folded into one line."""
    from rich.table import Table

    from convert.report import fold
    from zoo.cli.tables import WHOLE, Name

    table = Table("from", "to", "shape", "operation", box=None, pad_edge=False)
    for source, target, *rest in fold(plan, unreadable or {}):
        table.add_row(Name(source), Name(target), *rest)
    console(width_if_piped=WHOLE).print(table)


def _show_parity(report: "Report") -> None:
    """Each recorded output, and how far the result is from it."""
    from rich.table import Table

    parity = Table("output", box=None, pad_edge=False)
    for heading in ("largest difference", "relative", "tolerance", ""):
        parity.add_column(heading, justify="right")
    for p in report.parity:
        parity.add_row(
            p.name,
            f"{p.max_absolute:.1e}",
            f"{p.max_relative:.1e}",
            f"{p.tolerance:.1e}",
            "ok" if p.ok else "OFF",
        )
    typer.echo()
    console().print(parity)
    for rule in dict.fromkeys(p.rule for p in report.parity if p.rule):
        say(f"tolerance: {rule}")


#: Facts of checkpoints of text models; those of images have none of them.
OF_TEXTS = ("release", "parts", "heads", "sizes", "options", "defaults")


def show_inspection(found: "Inspection") -> None:
    """What a checkpoint is, a line a fact; facts of texts where it is one, or they are known."""
    from rich.table import Table

    from convert.families import FAMILIES

    facts = found.to_dict()
    if not {family.name for family in FAMILIES} & set(found.families):
        facts = {key: value for key, value in facts.items() if value or key not in OF_TEXTS}
    facts["bytes"] = size(found.bytes)
    if found.release:
        facts["release"] = f"{' or '.join(found.release['names'])} (by {found.release['by']})"
    facts["left_out"] = f"{found.dropped} (optimizer slots, counters)"
    table = Table(box=None, pad_edge=False, show_header=False)
    for key, value in facts.items():
        if isinstance(value, dict):
            sign, between = (": ", "; ") if key == "unreadable" else ("=", ", ")
            value = between.join(f"{name}{sign}{one}" for name, one in value.items())
        if key == "defaults":
            value = "; ".join([*found.deciding(), f"all: {value}"])
        shown = "; ".join(value) if isinstance(value, list) else str(value or "")
        table.add_row(key.replace("_", " "), shown or "nothing")
    console().print(table)


def show_layers(found: "Summary") -> None:
    """A Keras model: a line a layer, sums, and what stops its conversion."""
    from rich.table import Table

    from zoo.cli.tables import WHOLE, Name

    table = Table("layer", "class", "output shape", box=None, pad_edge=False)
    table.add_column("parameters", justify="right")
    table.add_column("connected to")
    for line in found.lines:
        shapes = "; ".join(
            f"({', '.join('any' if size is None else str(size) for size in shape)})"
            for shape in line.shapes
        )
        inputs = ", ".join(line.inputs[:3]) + (" ..." if len(line.inputs) > 3 else "")
        kind = f"{line.kind} (not supported)" if line.problem else line.kind
        table.add_row(Name(line.name), kind, shapes or "?", f"{line.parameters:,}", Name(inputs))
    console(width_if_piped=WHOLE).print(table)
    typer.echo(
        f"{found.name or 'model'}, Keras {found.keras or '?'}, {found.form}: "
        f"{found.parameters:,} parameters, {found.untrained:,} of them not trained"
    )
    for note in found.notes:
        say(note)
    for problem in found.missing:
        say(problem)


def show_known(as_json: bool) -> None:
    """Every known release, and where it was published."""
    from rich.table import Table

    from convert.published import known_releases

    found = known_releases()
    if as_json:
        print_json(found)
        return
    table = Table("name", "family", "options", "gelu", "case", "where", box=None, pad_edge=False)
    for one in found:
        options = " ".join(f"{key}={value}" for key, value in one["options"].items())
        gelu = one["activation"] if one["gelu"] == "none" else one["gelu"]
        case = "lower" if one["lower_case"] else "as it is"
        where = " ".join(one["where"])
        name = one["name"] + f" ({', '.join(one['also'][:2])} ...)" * bool(one["also"])
        table.add_row(name, one["family"] or "none", options, gelu, case, where)
    console(width_if_piped=250).print(table)
