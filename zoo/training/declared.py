"""What a class declares, read off its source: fields, defaults, and what its docstring says.

To import transformers' classes takes seconds, which a mistyped setting should not.
"""

import ast
import importlib.util
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

#: An entry of a docstring: `name: text` or `name (type): text`, the text over several lines.
ENTRY = re.compile(r"^(\w+) ?(?:\(.*\))?:(?: (.*)|$)")
LINK = re.compile(r"\[`([^`\]]*)`\](?:\([^)]*\))?|\[([^\]]*)\]\([^)]*\)")
WIDTH = 110  # characters of a meaning


@dataclass(frozen=True)
class Declared:
    """One field of a class, or argument of its constructor.

    Attributes:
        default: its default as source, such as `5e-05`; empty if it has none.
        meaning: the first sentence that the docstring says of it; empty if nothing.
    """

    default: str = ""
    meaning: str = ""


@dataclass(frozen=True)
class ClassSource:
    """A class as it is written, and those it is made of.

    Attributes:
        node: its definition.
        bases: the classes it inherits from whose source is in reach, the nearest first.
    """

    node: ast.ClassDef
    bases: tuple["ClassSource", ...] = ()

    def line(self) -> Iterator[ast.ClassDef]:
        """The definitions from the furthest base to the class itself."""
        for base in reversed(self.bases):
            yield from base.line()
        yield self.node


def fields_of(module: str, name: str) -> dict[str, Declared]:
    """The annotated fields of a dataclass and of its bases, in their order.

    Args:
        module: dotted; of transformers, the module in which the class is written.
        name: of the class.
    """
    found: dict[str, Declared] = {}
    for node in _read(module, name).line():
        meanings = _meanings(node)
        for name_, known in found.items():
            if name_ in meanings:
                found[name_] = Declared(known.default, meanings[name_])
        for statement in node.body:
            if not isinstance(statement, ast.AnnAssign) or not isinstance(
                statement.target, ast.Name
            ):
                continue
            if "ClassVar" in ast.unparse(statement.annotation):
                continue
            field = statement.target.id
            meaning = meanings.get(field) or found.get(field, Declared()).meaning
            found[field] = Declared(_default(statement.value), meaning)
    return found


def aliases_of(module: str, name: str) -> dict[str, str]:
    """A configuration's `attribute_map`: other names of its fields."""
    found: dict[str, str] = {}
    for node in _read(module, name).line():
        for statement in node.body:
            targets = statement.targets if isinstance(statement, ast.Assign) else []
            if any(isinstance(t, ast.Name) and t.id == "attribute_map" for t in targets):
                assert isinstance(statement, ast.Assign)
                found = ast.literal_eval(statement.value)
    return found


def arguments_of(module: str, name: str) -> dict[str, Declared]:
    """The named arguments of a class's constructor."""
    node = _read(module, name).node
    meanings = _meanings(node)
    for statement in node.body:
        if isinstance(statement, ast.FunctionDef) and statement.name == "__init__":
            arguments = statement.args.args[1:]
            values = statement.args.defaults
            missing = [None] * (len(arguments) - len(values))
            return {
                each.arg: Declared(_default(value), meanings.get(each.arg, ""))
                for each, value in zip(arguments, [*missing, *values], strict=True)
            }
    return {}


def _default(value: ast.expr | None) -> str:
    """A default as it is written; of `field(default=...)` what stands inside."""
    if isinstance(value, ast.Call) and getattr(value.func, "id", "") == "field":
        inside = {word.arg: word.value for word in value.keywords}
        value = inside.get("default")
        if value is None:
            return ""
    return "" if value is None else ast.unparse(value)


def _meanings(node: ast.ClassDef) -> dict[str, str]:
    """The first sentence of each entry in a class's docstring."""
    lines = (ast.get_docstring(node) or "").splitlines()
    texts: dict[str, list[str]] = {}
    name, indent = "", 0
    for line in lines:
        depth = len(line) - len(line.lstrip())
        entry = ENTRY.match(line.strip())
        if entry and depth and (not name or depth <= indent):
            name, indent = entry[1], depth
            texts[name] = [entry[2] or ""]
        elif name and line.strip() and depth > indent:
            texts[name].append(line.strip())
        elif name and (not line.strip() or depth <= indent):
            name = ""
    return {name: _sentence(" ".join(parts)) for name, parts in texts.items()}


def _sentence(text: str) -> str:
    """The first sentence of a text, without markup, on one line."""
    plain = LINK.sub(lambda found: found[1] or found[2], text).replace("*", "").replace("`", "")
    first = re.split(r"(?<=\w\w[.)]) (?=[A-Z])", " ".join(plain.split()), maxsplit=1)[0].rstrip(
        "."
    )
    if len(first) > WIDTH:
        return f"{first[: WIDTH - 3].rsplit(' ', 1)[0]}..."
    return f"{first}." if first else ""


@cache
def _read(module: str, name: str) -> ClassSource:
    """A class of a module, with the bases that it imports from siblings or has beside it.

    Raises:
        LookupError: the module has no such class.
    """
    file = _file(module)
    if not file.is_file():
        raise LookupError(f"no module {module}")
    tree = ast.parse(file.read_text(encoding="utf-8"))
    homes = {
        alias.asname or alias.name: _absolute(module, node)
        for node in tree.body
        if isinstance(node, ast.ImportFrom) and node.level == 1
        for alias in node.names
    }
    classes = {node.name: node for node in tree.body if isinstance(node, ast.ClassDef)}
    if name not in classes:
        raise LookupError(f"{module} has no class {name}")
    node = classes[name]
    names = [base.id for base in node.bases if isinstance(base, ast.Name)]
    bases = []
    for each in names:
        with suppress(LookupError):  # of another package, such as transformers' mix-ins
            bases.append(_read(homes[each] if each in homes else module, each))
    return ClassSource(node, tuple(bases))


def _absolute(module: str, node: ast.ImportFrom) -> str:
    """The dotted module that `from .sibling import x` names."""
    return f"{module.rpartition('.')[0]}.{node.module}"


def _file(module: str) -> Path:
    """The file of a module, without importing it or the packages it is in."""
    top, *parts = module.split(".")
    spec = importlib.util.find_spec(top)
    if spec is None or not spec.submodule_search_locations:
        raise LookupError(f"no package {top}")
    return Path(spec.submodule_search_locations[0], *parts).with_suffix(".py")
