"""Who may import whom, read off the source and off a live interpreter; see CONTRIBUTING.md."""

import ast
import functools
import re
import subprocess
import sys
import tomllib
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
STDLIB = sys.stdlib_module_names
NEVER = {"tensorflow", "keras", "pickle", "torchvision", "cPickle", "dill", "cloudpickle"}
SOURCES = sorted(p for top in ("zoo", "convert", "cards") for p in (ROOT / top).rglob("*.py"))

DISTRIBUTIONS = {
    "faiss": "faiss-cpu",
    "PIL": "pillow",
    "google_crc32c": "google-crc32c",
    "huggingface_hub": "huggingface-hub",
    "model_signing": "model-signing",
    "ml_dtypes": "ml-dtypes",
    "sentence_transformers": "sentence-transformers",
    "sklearn": "scikit-learn",
}

MAX_LINES = 400

#: Standard library only: one table of architectures, one set of errors for everybody.
PLAIN = (
    "zoo.errors zoo.hints zoo.lazy zoo.staging zoo.header zoo.heads zoo.entry zoo.catalog "
    "zoo.advice"
)
ISLAND = "torch transformers huggingface_hub.dataclasses huggingface_hub.errors"
HUB = "huggingface_hub httpx2 fsspec filelock model_signing"

#: Room -> packages besides the standard library, and other rooms, that it may import: in functions
#: and for types, too. From the ground up: a room's rooms stand above its line.
ROOMS = {
    "zoo.errors": ("", ""),
    "zoo.hints": ("", ""),
    "zoo.lazy": ("", ""),
    "zoo.version": ("", ""),
    "zoo.ranks": ("", ""),
    "zoo.ahead": ("", ""),
    "cards": ("", ""),
    "zoo.places": ("fsspec filelock", "zoo.errors"),
    "zoo.progress": ("rich", ""),
    "zoo.scores": ("scipy", "zoo.errors"),
    "zoo.device": ("torch", "zoo.errors zoo.ranks"),
    "zoo.gathering": ("torch", "zoo.errors zoo.ranks"),
    "zoo.staging": ("", "zoo.errors"),
    "zoo.header": ("", "zoo.errors"),
    "zoo.heads": ("", ""),
    "zoo.entry": ("", ""),
    "zoo.catalog": ("", "zoo.errors zoo.hints zoo.heads zoo.entry"),
    "zoo.advice": ("", "zoo.errors zoo.hints zoo.catalog"),
    "zoo.card": ("", PLAIN),
    # transformers' module follows relative imports as the Hub's own loader does; it has no torch.
    "zoo.registry": (f"{HUB} transformers.dynamic_module_utils", f"{PLAIN} zoo.card cards"),
    "zoo.models.images": (ISLAND, ""),
    "zoo.models.text": (ISLAND, ""),
    "zoo.models": ("transformers", f"{PLAIN} zoo.registry zoo.models.images zoo.models.text"),
    "zoo.loading": ("transformers huggingface_hub", f"{PLAIN} zoo.registry zoo.models"),
    "zoo.plots": ("numpy torch PIL", "zoo.errors"),
    "zoo.data": (
        "numpy torch PIL datasets pyarrow huggingface_hub filelock",
        f"{PLAIN} zoo.ahead zoo.places zoo.progress zoo.registry zoo.models.images",
    ),
    "zoo.data.text": (
        "numpy torch datasets pyarrow tokenizers transformers",
        f"{PLAIN} zoo.places zoo.data zoo.models.text",
    ),
    "zoo.embedding": ("torch", f"{PLAIN} zoo.models zoo.loading"),
    "zoo.labeling": ("torch", f"{PLAIN} zoo.progress zoo.device zoo.loading zoo.data.text"),
    "zoo.training": (
        "numpy torch transformers accelerate datasets safetensors sklearn huggingface_hub peft "
        "matplotlib filelock",
        f"{PLAIN} zoo.ahead zoo.places zoo.progress zoo.card zoo.registry zoo.models zoo.loading "
        "zoo.plots zoo.data zoo.scores zoo.ranks zoo.gathering",
    ),
    "zoo.evaluation": (
        "numpy torch transformers datasets scipy sklearn matplotlib pyarrow PIL sacrebleu",
        f"{PLAIN} zoo.progress zoo.device zoo.card zoo.registry zoo.models zoo.loading zoo.plots "
        "zoo.data zoo.embedding zoo.labeling zoo.scores zoo.ranks zoo.gathering zoo.training",
    ),
    "zoo.image_pipelines": ("transformers", ""),
    "zoo.pipelines": (
        "transformers",
        f"{PLAIN} zoo.registry zoo.models zoo.loading zoo.image_pipelines",
    ),
    "zoo.encoding": (
        "numpy torch PIL datasets pyarrow fsspec filelock faiss",
        f"{PLAIN} zoo.ahead zoo.places zoo.progress zoo.registry zoo.models zoo.loading "
        "zoo.device zoo.data zoo.data.text zoo.evaluation zoo.embedding zoo.ranks zoo.gathering",
    ),
    "zoo.generating": ("torch", f"{PLAIN} zoo.registry zoo.loading"),
    "zoo.exporting": (
        "numpy torch transformers sentence_transformers",
        f"{PLAIN} zoo.registry zoo.models zoo.loading zoo.embedding zoo.generating",
    ),
    "zoo.whitening": ("torch", "zoo.errors"),
    "zoo.filling": ("torch", f"{PLAIN} zoo.loading"),
    "zoo.grids": ("torch", f"{PLAIN} zoo.plots"),
    "zoo.chains": (
        "torch numpy",
        f"{PLAIN} zoo.progress zoo.models.images zoo.loading zoo.plots zoo.grids",
    ),
    "zoo.energies": (
        "torch",
        f"{PLAIN} zoo.progress zoo.registry zoo.loading zoo.plots zoo.data zoo.evaluation "
        "zoo.grids zoo.chains",
    ),
    "zoo.drawing": (
        "torch",
        f"{PLAIN} zoo.progress zoo.loading zoo.plots zoo.data zoo.evaluation zoo.grids zoo.chains",
    ),
    "zoo.gallery": (
        "torch",
        f"{PLAIN} zoo.progress zoo.version zoo.registry zoo.loading zoo.plots zoo.data "
        "zoo.evaluation zoo.grids",
    ),
    "zoo.compression": (
        "numpy PIL safetensors constriction",
        f"{PLAIN} zoo.progress zoo.card zoo.registry zoo.data.files",
    ),
}

#: The same of convert: a floor a line, each of which may import those above its line, and PLAIN.
FLOORS = (
    "wire",  # bytes without meaning
    "weights",  # lazy tensors, and the language of the tables
    "readers",  # every form of file as a mapping of lazy tensors
    "arguments advice parity names.leftovers",  # what a person gives and is told
    "layers",  # architectures of Keras, a row for each kind of layer
    "images",  # published scripts of image models, sizes from shapes
    "families writers",  # a weight table each; the files that are made
    "names",  # what tensors are called, what a training left
    "dialects",  # other names for the same layers
    "identify heads",  # which family it is
    "published plan",  # known releases; what becomes of every tensor
    "gelu companions tokenizers",  # what else the files say
    "preparing report verify",  # all that is known before a value is read; the only torch
    "choosing",  # which of several is meant
    "card",  # the model's page
    "writing",  # the folder of a Keras model
    "layered",  # models of any layers
    "scripted",  # image models of published scripts
    "inspection forward backward",  # what is it, the way in, the way out
)
NUMBERS = "numpy ml_dtypes h5py tokenizers google_crc32c"
below = PLAIN
for floor in FLOORS:
    rooms = [f"convert.{name}" for name in floor.split()]
    ROOMS |= dict.fromkeys(rooms, (NUMBERS, below))
    below = " ".join([below, *rooms])
ROOMS["convert.card"] = (NUMBERS, f"{ROOMS['convert.card'][1]} zoo.card zoo.registry")
ROOMS["convert.verify"] = (
    f"{NUMBERS} torch transformers safetensors",
    f"{ROOMS['convert.verify'][1]} zoo.models",
)

#: The doors. Facades name what they offer in their `__init__.pyi`.
ROOMS |= {
    "zoo": ("", PLAIN),
    "convert": ("", "zoo.lazy"),
    "zoo.cli": ("typer rich torch transformers huggingface_hub", "zoo convert cards"),
    "zoo.__main__": ("", "zoo.cli"),
}

#: What single modules need besides: images, NumPy's legacy random numbers, texts.
MORE = {
    "zoo.data.png": "imagecodecs",
    "zoo.models.images.image_processing_genae": "numpy PIL",
    "zoo.models.text.decoding": "numpy",
    "zoo.models.text.tokenization_genae": "tokenizers jieba",
}

#: What a verb's module may import outside functions, so that other verbs and --help are quick.
AT_ONCE = (
    f"{PLAIN} zoo.ranks zoo.cli zoo.chains zoo.drawing zoo.energies zoo.filling zoo.generating "
    "zoo.gallery.writing zoo.progress typer"
)


def within(module: str, allowed: set[str]) -> bool:
    """Whether a module is one of those allowed, or inside one."""
    return any(module == name or module.startswith(f"{name}.") for name in allowed)


def modules() -> dict[str, Path]:
    """Every module of ours and its file."""
    found = {}
    for path in SOURCES:
        parts = path.relative_to(ROOT).with_suffix("").parts
        found[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = path
    return found


MODULES = modules()


def imported_by(module: str, nodes: Iterable[ast.AST]) -> Iterator[tuple[str, int]]:
    """(dotted module, line) of what nodes of a module's syntax tree import."""
    path = MODULES[module]
    package = module if path.name == "__init__.py" else module.rpartition(".")[0]
    for node in nodes:
        if isinstance(node, ast.Import):
            yield from ((alias.name, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            up = package.split(".")[: len(package.split(".")) - node.level + 1]
            base = ".".join([*(up if node.level else ()), *filter(None, [node.module])])
            for alias in node.names:
                inside = f"{base}.{alias.name}"
                yield inside if inside in MODULES else base, node.lineno


@functools.cache
def imports(module: str) -> list[tuple[str, int]]:
    """The same of all that a module imports, in functions and for types too."""
    return [*imported_by(module, ast.walk(ast.parse(MODULES[module].read_text("utf-8"))))]


OPTIONAL = "chinese images lora search sentence-transformers signing text".split()


def test_dependencies_are_what_the_code_imports():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))["project"]
    lines = project["dependencies"] + [
        line for extra in OPTIONAL for line in project["optional-dependencies"][extra]
    ]
    declared = {re.split(r"[<>=\[]", line)[0] for line in lines}
    own = {"zoo", "convert", "cards"}
    tops = {name.partition(".")[0] for module in MODULES for name, _ in imports(module)}
    imported = {DISTRIBUTIONS.get(top, top) for top in tops - STDLIB - own}
    assert imported == declared - {"pyopenssl"}  # demanded by model-signing


def of(path: Path) -> str:
    return str(path.relative_to(ROOT))


def graph() -> dict[str, set[str]]:
    """Every module and those of ours that it imports."""
    return {
        module: {name for name, _ in imports(module) if name in MODULES} - {module}
        for module in MODULES
    }


def test_no_two_files_import_each_other():
    left = graph()
    # Whoever imports none of those left cannot be in a circle.
    while free := [module for module, used in left.items() if not used & left.keys()]:
        for module in free:
            del left[module]
    assert not left, "these import each other: " + ", ".join(sorted(left))


def test_no_file_is_longer_than_anyone_reads():
    lengths = {of(path): len(path.read_text("utf-8").splitlines()) for path in SOURCES}
    assert not {name: length for name, length in lengths.items() if length > MAX_LINES}


def test_there_is_something_to_read():
    assert len(SOURCES) > 20


def test_banned_packages_are_imported_nowhere():
    for module in MODULES:
        banned = [(name, line) for name, line in imports(module) if within(name, NEVER)]
        assert not banned, module


ISLANDS = [ROOT / "zoo/models/images", ROOT / "zoo/models/text"]
ISLANDERS = sorted(p for i in ISLANDS for p in i.rglob("*.py") if p.stem != "__init__")


def test_an_island_imports_siblings_in_the_only_form_that_the_hub_follows():
    for path in ISLANDERS:
        assert path.parent in ISLANDS, "an island is flat"
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if not isinstance(node, ast.Import | ast.ImportFrom):
                continue
            place = f"{of(path)}:{node.lineno}"
            if isinstance(node, ast.ImportFrom) and node.level:
                # The Hub's code copier follows `from .sibling import x` and nothing else.
                assert node.level == 1, place
                assert node.module, place
                assert "." not in node.module, place
            else:
                names = [node.module or ""] if isinstance(node, ast.ImportFrom) else []
                names = names or [alias.name for alias in node.names]
                assert not [name for name in names if within(name, {"zoo", "convert"})], place


def test_both_islands_refuse_by_the_same_rules():
    images, text = ((island / "checks.py").read_text("utf-8") for island in ISLANDS)
    assert images == text


def test_no_line_about_registries_travels():
    assert len(ISLANDERS) > 40
    for path in ISLANDERS:
        assert "resolve" not in path.read_text("utf-8"), of(path)


def room_of(module: str) -> str:
    """The room that a module is in: the longest name that fits."""
    return max((room for room in ROOMS if within(module, {room})), key=len)


def test_a_module_imports_what_its_room_may():
    for module, path in MODULES.items():
        room = room_of(module)
        packages, rooms = ROOMS[room]
        allowed = {*packages.split(), *rooms.split(), *MORE.get(module, "").split()}
        for name, line in imports(module):
            if name.partition(".")[0] in STDLIB or (name in MODULES and room_of(name) == room):
                continue
            what = f"{of(path)}:{line} imports {name}"
            assert within(name, allowed), f"{what}, which ROOMS does not grant {room}"


def test_no_arrow_runs_up_a_floor():
    places = {name: place for place, name in enumerate(ROOMS)}
    assert {*ROOMS} == {room_of(module) for module in MODULES}, "a room without modules"
    for room, (_, rooms) in ROOMS.items():
        above = [name for name in rooms.split() if places[room_of(name)] >= places[room]]
        assert not above, room


def test_verbs_import_what_is_heavy_inside_functions():
    for module, path in MODULES.items():
        # What `make readme` runs is no verb.
        if not module.startswith("zoo.cli.") or module == "zoo.cli.readme":
            continue
        body = ast.parse(path.read_text("utf-8")).body
        at_once = [node for node in body if not isinstance(node, ast.If)]
        for name, line in imported_by(module, at_once):
            quick = name.partition(".")[0] in STDLIB or within(name, set(AT_ONCE.split()))
            assert quick, f"{of(path)}:{line} imports {name}"


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
