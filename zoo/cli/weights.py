"""What `genae info` shows of a single file of weights."""

import json
from pathlib import Path
from typing import Any

from zoo.cli.common import console, hint, print_json, say, size
from zoo.header import elements, provenance, safetensors_header
from zoo.hints import command

#: What the facts of a header are called, where they are not called what they are.
NAMES = {"card": "card's SHA-256", "source": "SHA-256 of the source"}


def show(path: Path, as_json: bool, quiet: bool) -> None:
    """Show a safetensors file: its tensors by number and type, and where they come from.

    Raises:
        IntegrityError: it is none.
        UnsafeError: it is a pickle.
    """
    header, origin = safetensors_header(path), provenance(path)
    facts: dict[str, Any] = {
        "file": str(path),
        "bytes": path.stat().st_size,
        "tensors": len(header),
        "values": elements(header),
        "dtypes": sorted({str(info["dtype"]) for info in header.values()}),
    }
    known = {name: _read(text) for name, text in origin.items()}
    if as_json:
        print_json({**facts, "provenance": known or None})
        return
    from rich.table import Table

    shown = Table(box=None, pad_edge=False, show_header=False)
    shown.add_row("file", facts["file"])
    shown.add_row("size", size(facts["bytes"]))
    shown.add_row("tensors", f"{facts['tensors']:,} of {', '.join(facts['dtypes'])}")
    shown.add_row("values", f"{facts['values']:,}")
    for name, value in known.items():
        lines = value if isinstance(value, dict) else {"": value}
        for file, text in lines.items():
            shown.add_row(NAMES.get(name, name), f"{file} {text}".strip())
    console().print(shown)
    if not known:
        say("its header does not say where the weights come from", quiet=quiet)
    if (path.parent / "card.toml").is_file():
        hint(command("genae", "info", path.parent), quiet=quiet)


def _read(text: str) -> Any:
    """A fact as it is, or the table that it is the text of."""
    try:
        found = json.loads(text)
    except (ValueError, RecursionError):
        return text
    return found if isinstance(found, dict) else text
