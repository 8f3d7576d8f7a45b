"""What the documents say can be done, can be done."""

import re
import shlex
import tomllib

import pytest

from zoo import errors
from zoo.cli.group import load_verb
from zoo.cli.readme import BEGIN, END, replace_table, tables
from zoo.cli.verbs import VERBS
from zoo.data.sources import DATASETS
from zoo.errors import UsageError
from zoo.registry import embedded

READMES = ("README.md", "README.zh-CN.md")
ROOMS = (
    "cards/README.md",
    *(f"zoo/{room}/README.md" for room in ("card", "cli", "compression", "data", "evaluation")),
    *(f"zoo/{room}/README.md" for room in ("models", "registry", "training")),
    "zoo/models/images/ENERGIES.md",
    "zoo/models/text/HEADS.md",
    "zoo/models/RECIPES.md",
    "zoo/encoding/README.md",
    "zoo/exporting/README.md",
    "convert/README.md",
)
DOCUMENTS = (*READMES, *ROOMS, "CONTRIBUTING.md", "CHANGELOG.md")
FRONT_LINES = 150


@pytest.fixture(params=READMES)
def readme(request, root):
    return (root / request.param).read_text(encoding="utf-8")


@pytest.fixture(params=DOCUMENTS)
def place(request, root):
    return root / request.param


@pytest.fixture
def document(place):
    return place.read_text(encoding="utf-8")


def test_the_front_page_is_short(readme):
    assert len(readme.splitlines()) <= FRONT_LINES


def code_lines(text):
    """The lines of fenced blocks that a shell is given."""
    blocks = re.findall(r"^```\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [line for block in blocks for line in block.splitlines()]


def commands(text):
    """Every `genae` command of a document, in blocks and in the running text."""
    spans = re.findall(r"`(genae [^`]+)`", re.sub(r"^```.*?^```", "", text, flags=re.M | re.S))
    lines = [line for line in code_lines(text) if line.startswith("genae ")]
    return [shlex.split(line, comments=True) for line in lines + spans]


def test_readme_begins_with_the_two_commands(readme):
    assert [line.split("#")[0].strip() for line in code_lines(readme)[:2]] == [
        "make demo",
        "make test",
    ]


@pytest.mark.parametrize(("name", "table"), tables().items())
def test_tables_of_models_are_current(name, table, root):
    page = (root / name).read_text(encoding="utf-8")
    assert replace_table(page, table) == page, "run: make readme"


def test_table_goes_between_its_markers():
    assert replace_table(f"a\n{BEGIN}\nold\n{END}\nb", "new") == f"a\n{BEGIN}\nnew\n{END}\nb"


@pytest.mark.parametrize("text", ["", BEGIN, f"{END} {BEGIN}", f"{BEGIN} {BEGIN} {END}"])
def test_table_needs_its_markers(text):
    with pytest.raises(UsageError):
        replace_table(text, "new")


def test_both_readmes_show_the_same_code(root):
    english, chinese = ((root / name).read_text(encoding="utf-8") for name in READMES)

    def blocks(text):
        found = re.findall(r"^```(?:python)?\n(.*?)^```", text, re.M | re.S)
        return [re.sub(r" +# .*", "", block) for block in found]

    assert blocks(english) == blocks(chinese)


def test_links_lead_to_files(document, place):
    links = re.findall(r"\]\(([^)]+)\)", document)
    missing = [li for li in links if "://" not in li and not (place.parent / li).exists()]
    assert not missing


def test_commands_exist_with_their_options(document):
    for words in commands(document):
        verb = words[1]
        if verb.startswith("--") or verb == "COMMAND":
            continue
        assert verb in VERBS, words
        known = {name for p in load_verb(verb).params for name in (*p.opts, *p.secondary_opts)}
        given = {word.partition("=")[0] for word in words[2:] if word.startswith("-")}
        assert given <= known | {"--help"}, words


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_is_in_the_readmes(verb, root):
    for name in READMES:
        assert re.search(rf"\b{verb}\b", (root / name).read_text(encoding="utf-8"))


def test_named_models_and_cards_exist(document):
    named = re.findall(r"\bgenae/([a-z]+-[a-z0-9-]+)|\bcards/([a-z]+-[a-z0-9-]+)", document)
    assert {a or b for a, b in named} <= {folder.name for folder in embedded.folders()}


def test_make_targets_exist(document, root):
    makefile = (root / "Makefile").read_text(encoding="utf-8")
    for target in re.findall(r"\bmake ([a-z]+)\b(?=[`\s]*(?:#|`|$))", document, re.MULTILINE):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


def test_exit_codes_are_those_of_the_errors(root):
    page = (root / "zoo/cli/README.md").read_text(encoding="utf-8")
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", page, re.MULTILINE)}
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    known = {k.exit_code for k in kinds if issubclass(k, errors.GenaeError)}
    assert documented == known | {0, errors.INTERRUPTED}


def test_data_sets_are_listed(root):
    readme = (root / "zoo/data/README.md").read_text(encoding="utf-8")
    for name, source in DATASETS.items():
        assert f"`{name}`" in readme or name == "cifar10", name
        if name != "cifar10" and source.hub_id:
            assert f"`{name}` | `{source.folder}` | `{source.hub_id}`" in readme


def test_constraints_pin_every_dependency(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    lines = (root / "constraints.txt").read_text(encoding="utf-8").splitlines()
    pins = {line.partition("==")[0].lower().replace("_", "-") for line in lines if "==" in line}
    wanted = [*project["dependencies"], *project["optional-dependencies"]["test"]]
    assert {re.split(r"[<>=]", line)[0] for line in wanted} <= pins


def test_changelog_knows_the_version(root):
    project = tomllib.loads((root / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    assert project["version"] in (root / "CHANGELOG.md").read_text(encoding="utf-8")


def test_notice_names_every_folder_of_examples(root):
    notice = (root / "NOTICE").read_text(encoding="utf-8")
    for folder in (root / "cards/examples").iterdir():
        assert not folder.is_dir() or f"cards/examples/{folder.name}" in notice


#: Commands that need a full data set, or minutes of training; each in its own tests.
LONG = re.compile(
    r"--data mnist|train cards/c?vae|out/c?vae-|infomax-cifar10|evaluate genae/|"
    r"dde-stacked-mnist|^pip |^make |^hf |^python |export |chinese_L-12|MODEL|DIR"
)


def python_blocks(text):
    return re.findall(r"^```python\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


@pytest.fixture
def workplace(root, tmp_path, monkeypatch):
    """A folder with the checkout's cards, a text and a table, as if genae were run there."""
    (tmp_path / "cards").symlink_to(root / "cards")
    lines = (f"The line number {number} of a text of one's own.\n" for number in range(200))
    (tmp_path / "mine.txt").write_text("".join(lines), encoding="utf-8")
    reviews = (f"服务{'很好' if row % 2 else '不好'}{row},{row % 2}\n" for row in range(64))
    (tmp_path / "reviews.csv").write_text("".join(["text,label\n", *reviews]), encoding="utf-8")
    (tmp_path / "out").mkdir()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_python_of_a_page_runs(place, workplace):
    blocks = python_blocks(place.read_text(encoding="utf-8"))
    if place.parent.name == "convert":
        blocks = [block for block in blocks if "cards/" in block]
    values = {}
    if any("pixel_values" in block for block in blocks):
        import torch

        values = {"pixel_values": torch.rand(2, 3, 32, 32)}
    for block in blocks:
        exec(compile(block, str(place), "exec"), values)


@pytest.mark.slow
@pytest.mark.timeout(600)
def test_commands_of_the_pages_run(root, workplace, monkeypatch):
    from zoo.cli import app

    monkeypatch.setenv("HF_HUB_OFFLINE", "1")
    ran = 0
    for name in ("README.md", "zoo/training/README.md", *ROOMS):
        for line in code_lines((root / name).read_text(encoding="utf-8")):
            if LONG.search(line) or not line.startswith("genae "):
                continue
            words = shlex.split(line, comments=True)[1:]
            made = [word for word in words if word.startswith("out/")]
            if words[0] in ("convert", "train") and made and (workplace / made[0]).exists():
                continue  # made by an earlier page
            try:
                code = app(words) or 0
            except SystemExit as end:
                code = end.code or 0
            assert code == 0 or (words[0], code) == ("diff", 1), f"{name}: {line}"
            ran += 1
    assert ran > 15
