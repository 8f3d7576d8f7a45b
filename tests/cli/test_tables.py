"""Tables fit the terminal: a line a row, names cut in the middle."""

import json

import pytest
from rich.cells import cell_len
from rich.console import Console

from zoo.cli.tables import MIN_NAME, MIN_REST, WHOLE, fitting, middle

NAMES = [
    "bert/encoder/layer_0/output",
    "bert/encoder/layer_0/intermediate",
    "詞向量/第一層/輸出",
    "a",
]


@pytest.mark.parametrize("name", NAMES)
def test_a_name_keeps_both_ends(name):
    for width in range(3, 40):
        cut = middle(name, width)
        assert cell_len(cut) <= width
        if cell_len(name) <= width:
            assert cut == name
        else:
            head, tail = cut.split("…")
            assert name.startswith(head)
            assert name.endswith(tail)
            assert cell_len(cut) > width - 4  # nothing is left out that had room
    assert middle("0123456789", 5) == "01…89"


def _drawn(width):
    rows = [
        {"id": name, "size": f"{number} MB", "kind": "plain", "summary": "A model of texts. " * 5}
        for number, name in enumerate(NAMES)
    ]
    console = Console(width=width, force_terminal=False)
    table = fitting(rows, width, name="id", rest="summary", spare=("kind",))
    with console.capture() as capture:
        console.print(table)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_a_table_is_a_line_a_row_in_any_terminal():
    narrowest = MIN_NAME + MIN_REST + len("size") + 2 * 2
    for width in range(narrowest, 140, 7):
        lines = _drawn(width)
        assert len(lines) == 1 + len(NAMES)
        assert max(map(cell_len, lines)) <= width
        assert all(f"{number} MB" in lines[number + 1] for number in range(len(NAMES)))
    assert "kind" not in _drawn(60)[0]
    assert "plain" in _drawn(80)[1]
    assert _drawn(WHOLE)[1].endswith("A model of texts.")
    assert "…" not in "".join(_drawn(WHOLE))


def test_a_list_is_filtered(run):
    found = json.loads(run("list", "vae", "--json").out)
    assert {row["architecture"] for row in found} == {"vae", "vq_vae"}
    assert len(run("list", "vae").out.splitlines()) == 1 + len(found)
    assert run("list", "MASK").tried == ["genae info genae/bert-poetry-zh"]
    missing = run("list", "vaee")
    assert (missing.code, missing.out) == (3, "")
    assert "did you mean 'vae'?" in missing.err
