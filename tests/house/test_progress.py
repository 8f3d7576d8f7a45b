"""There are two progress bars, built in one module and drawn on terminals that want them."""

import ast
import io
import sys
from pathlib import Path

import pytest

from zoo import progress

ROOT = Path(__file__).resolve().parents[2]
SOURCES = [path for top in ("zoo", "convert") for path in (ROOT / top).rglob("*.py")]


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


def terminal(monkeypatch) -> Terminal:
    """Make stderr a terminal; not in a fixture, as pytest sets stderr after those."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    monkeypatch.setattr(sys, "stderr", Terminal())
    return sys.stderr


def test_bars_are_built_in_one_module():
    for path in SOURCES:
        text = path.read_text("utf-8")
        if "rich" not in text and "tqdm" not in text:
            continue  # most files: parsing them would take seconds
        names = {
            name
            for node in ast.walk(ast.parse(text))
            for name in (
                [f"{node.module}.{alias.name}" for alias in node.names]
                if isinstance(node, ast.ImportFrom)
                else [alias.name for alias in node.names]
                if isinstance(node, ast.Import)
                else ()
            )
        }
        drawn = [name for name in names if name.startswith(("rich.progress", "tqdm", "rich.live"))]
        assert not drawn or path == ROOT / "zoo/progress.py", path


def test_items_pass_through_and_are_counted(monkeypatch):
    drawn = terminal(monkeypatch)
    assert list(progress.track(iter("abc"), "spelling [b]", total=3)) == ["a", "b", "c"]
    assert "spelling [b]" in drawn.getvalue()
    assert "3/3" in drawn.getvalue()


def test_a_bar_of_items_shows_its_note_and_may_stay(monkeypatch):
    drawn = terminal(monkeypatch)
    with progress.items_bar("training", keep=True) as bar:
        bar.expect(8)
        bar.move_to(5)
        bar.note("loss 78.21")
    stays = drawn.getvalue().rpartition("\r")[2]
    assert "training" in stays
    assert "5/8" in stays
    assert "loss 78.21\n" in stays


def test_a_bar_of_bytes_shows_sizes(monkeypatch):
    drawn = terminal(monkeypatch)
    with progress.bytes_bar("fetching") as bar:
        bar.expect(2_000_000)
        bar(1_500_000)
    assert "1.5/2.0 MB" in drawn.getvalue()


@pytest.mark.parametrize("make", [progress.items_bar, progress.bytes_bar])
@pytest.mark.parametrize("reason", ["quiet", "piped"])
def test_nothing_is_drawn_where_it_is_not_wanted(monkeypatch, make, reason):
    drawn = terminal(monkeypatch)
    if reason == "piped":
        monkeypatch.setattr(drawn, "isatty", lambda: False)
    with make("working", 3, quiet=reason == "quiet") as bar:
        assert list(bar.through("ab")) == ["a", "b"]
        bar(1)
        bar.expect(2)
        bar.move_to(2)
        bar.note("done")
    assert drawn.getvalue() == ""
