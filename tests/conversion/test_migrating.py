"""The page for people who come from bert4keras runs as it stands, and says the same twice."""

import re

import pytest

PAGES = ("convert/MIGRATING.md", "convert/MIGRATING.zh-CN.md")
CODE = re.compile(r"```python\n(.*?)```", re.DOTALL)


def blocks(root, page):
    return CODE.findall((root / page).read_text(encoding="utf-8"))


def test_its_code_runs(root, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # where it saves a model
    exec("\n".join(blocks(root, PAGES[0])), {})
    assert "torch.Size" in capsys.readouterr().out


@pytest.mark.parametrize("page", PAGES[1:])
def test_both_languages_have_the_same_code_and_calls(root, page):
    assert blocks(root, page) == blocks(root, PAGES[0])
    rows = [
        [
            line.split("|")[1]
            for line in (root / one).read_text("utf-8").splitlines()
            if "| `" in line
        ]
        for one in (PAGES[0], page)
    ]
    assert len(rows[0]) == len(rows[1]) > 8
