"""Who may import whom, read off the source and off a live interpreter; see CONTRIBUTING.md."""

import ast
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STDLIB = sys.stdlib_module_names
NEVER = {"tensorflow", "keras", "pickle", "torchvision", "cPickle", "dill", "cloudpickle"}
SOURCES = sorted(p for top in ("zoo", "convert", "cards") for p in (ROOT / top).rglob("*.py"))

DISTRIBUTIONS = {
    "PIL": "pillow",
    "google_crc32c": "google-crc32c",
    "huggingface_hub": "huggingface-hub",
    "model_signing": "model-signing",
    "ml_dtypes": "ml-dtypes",
    "sklearn": "scikit-learn",
}

MAX_LINES = 400

# What an import of the folder's modules may name besides the standard library and itself.
ISLAND = {"torch", "transformers", "huggingface_hub.dataclasses"}
#: What single islanders need besides: images, NumPy's legacy random numbers, words.
MORE = {
    "image_processing_genae": {"numpy", "PIL"},
    "decoding": {"numpy"},
    "tokenization_genae": {"tokenizers", "jieba"},
}
# Of zoo the plain standard library: one table of architectures, one set of errors for both.
CONVERT = {"numpy", "ml_dtypes", "h5py", "safetensors", "tokenizers", "google_crc32c"} | {
    "zoo.catalog",
    "zoo.errors",
    "zoo.header",
    "zoo.hints",
    "zoo.lazy",
    "zoo.staging",
}
PLAIN = ("errors", "hints", "lazy", "staging", "header", "catalog")
BARE = {f"zoo.{name}" for name in (*PLAIN, "card")}


def named(path: Path) -> Iterator[tuple[int, str, int]]:
    """(relative level, dotted module, line) of every import in a file, also inside functions."""
    for node in ast.walk(ast.parse(path.read_text("utf-8"), str(path))):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield 0, alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.module is None:
                yield node.level, "", node.lineno
            elif node.level == 0 and node.module in {"zoo", "convert"}:
                for alias in node.names:
                    yield 0, f"{node.module}.{alias.name}", node.lineno
            else:
                yield node.level, node.module, node.lineno


def within(module: str, allowed: set[str]) -> bool:
    """Whether a module is one of those allowed, or inside one."""
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def strangers(path: Path, allowed: set[str]) -> list[str]:
    """Absolute imports that are neither allowed nor of the standard library."""
    return [
        f"{path.relative_to(ROOT)}:{line} imports {module}"
        for level, module, line in named(path)
        if level == 0 and module.split(".")[0] not in STDLIB and not within(module, allowed)
    ]


def test_dependencies_are_what_the_code_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["dependencies"] + [
        line
        for extra in ("chinese", "signing")
        for line in project["optional-dependencies"][extra]
    ]
    declared = {re.split(r"[<>=\[]", line)[0] for line in lines}
    own = {"zoo", "convert", "cards"}
    tops = {m.split(".")[0] for p in SOURCES for level, m, _ in named(p) if level == 0}
    imported = {DISTRIBUTIONS.get(top, top) for top in tops - STDLIB - own}
    # Demanded by transformers.Trainer, and by model-signing.
    assert imported == declared - {"accelerate", "pyopenssl"}


def of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def graph() -> dict[str, set[str]]:
    """Every module and those of ours that it imports, typing imports and functions included."""
    modules = {}
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    found: dict[str, set[str]] = {}
    for module, path in modules.items():
        package = module if path.name == "__init__.py" else module.rpartition(".")[0]
        found[module] = set()
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom):
                up = package.split(".")[: len(package.split(".")) - node.level + 1]
                base = ".".join([*(up if node.level else ()), *filter(None, [node.module])])
                inside = [f"{base}.{alias.name}" for alias in node.names]
                names = [name if name in modules else base for name in inside]
            else:
                continue
            found[module] |= {name for name in names if name in modules} - {module}
    return found


def test_no_two_files_import_each_other():
    left = graph()
    # Whoever imports none of those left cannot be in a circle.
    while free := [module for module, used in left.items() if not used & left.keys()]:
        for module in free:
            del left[module]
    assert not left, "these import each other: " + ", ".join(sorted(left))


@pytest.mark.parametrize("path", SOURCES, ids=of)
def test_no_file_is_longer_than_anyone_reads(path):
    assert len(path.read_text("utf-8").splitlines()) <= MAX_LINES


def test_there_is_something_to_read():
    assert len(SOURCES) > 20


@pytest.mark.parametrize("path", SOURCES, ids=of)
def test_banned_packages_are_imported_nowhere(path):
    found = [(module, line) for _, module, line in named(path) if within(module, NEVER)]
    assert not found


ISLANDS = [ROOT / "zoo/models/images", ROOT / "zoo/models/text"]
ISLANDERS = sorted(p for i in ISLANDS for p in i.rglob("*.py") if p.stem != "__init__")


@pytest.mark.parametrize("path", ISLANDERS, ids=of)
def test_the_island_imports_only_torch_transformers_and_siblings(path):
    assert path.parent in ISLANDS, "an island is flat"
    allowed = ISLAND | MORE.get(path.stem, set())
    assert not strangers(path, allowed)
    for level, module, line in named(path):
        # The Hub's code copier follows `from .sibling import x` and nothing else.
        assert level == 0 or (level == 1 and module and "." not in module), f"{of(path)}:{line}"


def test_both_islands_refuse_by_the_same_rules():
    images, text = ((island / "checks.py").read_text("utf-8") for island in ISLANDS)
    assert images == text


def test_no_line_about_registries_travels():
    assert len(ISLANDERS) > 40
    for path in ISLANDERS:
        assert "resolve" not in path.read_text("utf-8"), of(path)


@pytest.mark.parametrize(
    "path",
    [
        ROOT / f"zoo/{name}.py"
        for name in ("errors", "hints", "lazy", "staging", "header", "catalog")
    ]
    + sorted((ROOT / "zoo/card").glob("*.py")),
    ids=of,
)
def test_cards_and_catalog_need_only_the_standard_library(path):
    assert not strangers(path, BARE)


@pytest.mark.parametrize("path", sorted((ROOT / "zoo/registry").rglob("*.py")), ids=of)
def test_the_registry_needs_no_torch(path):
    allowed = BARE | {
        "zoo.card",
        "zoo.registry",
        "zoo.models",
        "filelock",
        "huggingface_hub",
        "httpx2",
        "fsspec",
        "model_signing",
        # Follows relative imports as the Hub's own loader does; imports no torch.
        "transformers.dynamic_module_utils",
        "cards",
    }
    assert not strangers(path, allowed)


@pytest.mark.parametrize(
    "path",
    sorted(
        p
        for room in ("data", "training", "evaluation")
        for p in (ROOT / "zoo" / room).rglob("*.py")
    ),
    ids=of,
)
def test_rooms_do_not_import_the_command_line(path):
    assert not [m for _, m, _ in named(path) if within(m, {"zoo.cli", "typer"})]


@pytest.mark.parametrize("path", sorted((ROOT / "zoo/data").rglob("*.py")), ids=of)
def test_data_knows_neither_training_nor_evaluation(path):
    assert not [m for _, m, _ in named(path) if within(m, {"zoo.training", "zoo.evaluation"})]


@pytest.mark.parametrize("path", sorted((ROOT / "zoo/compression").rglob("*.py")), ids=of)
def test_compression_needs_no_torch(path):
    allowed = BARE | {
        "zoo.card",
        "zoo.registry",
        "zoo.data.files",
        "zoo.progress",
        "constriction",
        "numpy",
        "PIL",
        "safetensors",
    }
    assert not strangers(path, allowed)


@pytest.mark.parametrize("path", sorted((ROOT / "convert").rglob("*.py")), ids=of)
def test_convert_knows_neither_torch_nor_the_zoo(path):
    if path != ROOT / "convert/verify.py":  # the only bridge
        assert not strangers(path, CONVERT | {"convert"})


def loaded_by(statement: str) -> set[str]:
    """Top-level modules that a fresh interpreter holds after a statement."""
    code = f"{statement}\nimport sys; print(*{{name.split('.')[0] for name in sys.modules}})"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


HEAVY = {"torch", "transformers", "numpy", "huggingface_hub", "datasets", "PIL", "fsspec"}


@pytest.mark.parametrize(
    "statement",
    [
        "import zoo, convert",
        "import zoo; zoo.list_models(); zoo.load_card('genae/eae-mnist')",
        "import zoo.cli",
        "import cards",
    ],
)
def test_looking_around_loads_nothing_heavy(statement):
    assert not loaded_by(statement) & HEAVY


def test_zoo_and_convert_need_only_the_standard_library():
    own = {"zoo", "convert", "__main__", "sitecustomize", "usercustomize"}
    before, after = loaded_by("pass"), loaded_by("import zoo, convert")
    assert not {name for name in after - before - own if name not in STDLIB}


def test_the_facade_offers_every_class_without_loading_it():
    statement = "import zoo; assert {'EAEModel', 'VAEConfig', 'from_pretrained'} <= set(dir(zoo))"
    assert not loaded_by(statement) & HEAVY
