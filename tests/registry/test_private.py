"""Names that other packages do not publish: each fails by its name when it disappears."""

import ast

import pytest

from zoo.registry.hub.private import USED

#: Packages of which `private.py` alone uses what they do not publish.
PACKAGES = {"huggingface_hub", "httpx2", "fsspec", "filelock"}
MODULES = {"_http", "_utils"}  # as private.py imports them


@pytest.mark.parametrize(("home", "name"), USED, ids=[name for _, name in USED])
def test_a_private_name_is_still_there(home, name):
    assert hasattr(home, name), f"{home.__name__} has no {name} any more"


def _is_private(name):
    return any(part.startswith("_") and not part.startswith("__") for part in name.split("."))


def _private_names(tree):
    """Names with an underscore that code imports from the packages, or takes from objects."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (a.name for a in node.names if a.name.split(".")[0] in PACKAGES)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] in PACKAGES:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.Attribute):
            if not (isinstance(node.value, ast.Name) and node.value.id in ("self", "cls")):
                yield node.attr
        elif isinstance(node, ast.Call) and getattr(node.func, "id", "") in ("getattr", "setattr"):
            yield from (a.value for a in node.args[1:2] if isinstance(a, ast.Constant))


def test_no_other_module_uses_private_names(root):
    """Imports everywhere; attributes where objects of these packages are in hand."""
    for path in (p for part in ("zoo", "convert", "tests") for p in (root / part).rglob("*.py")):
        text = path.read_text("utf-8")
        elsewhere = not path.is_relative_to(root / "zoo" / "registry")
        if elsewhere and not any(package in text for package in PACKAGES):
            continue  # most files: parsing them would take seconds
        found = set(filter(_is_private, _private_names(ast.parse(text))))
        if elsewhere:
            found = {name for name in found if name.split(".")[0] in PACKAGES}
        assert not found or path.name == "private.py", f"{path}: {found}"


def test_every_private_name_is_listed(root):
    tree = ast.parse((root / "zoo/registry/hub/private.py").read_text("utf-8"))
    taken = {
        node.attr
        for node in ast.walk(tree)
        if isinstance(node, ast.Attribute)
        and (_is_private(node.attr) or ast.unparse(node.value) in MODULES)
    }
    assert taken == {name for _, name in USED}
