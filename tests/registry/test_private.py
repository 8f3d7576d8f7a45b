"""Names that other packages do not publish: each fails by its name when it disappears."""

import re

import pytest

from zoo.registry.hub.private import USED


@pytest.mark.parametrize(("home", "name"), USED, ids=[name for _, name in USED])
def test_a_private_name_is_still_there(home, name):
    assert hasattr(home, name), f"{home.__name__} has no {name} any more"


def test_no_other_module_uses_private_names(root):
    private = re.compile(
        r"(from|import) (huggingface_hub|httpx2)[\w.]*\._|(huggingface_hub|httpx2)[\w.]* import _"
        r"|\b_http\b|\._build_hf_headers"
    )
    for path in (root / "zoo").rglob("*.py"):
        if path.name != "private.py":
            assert not private.search(path.read_text("utf-8")), path
