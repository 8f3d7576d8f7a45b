"""What the documents say can be done, can be done."""

import re
import shlex
import tomllib

import pytest

from zoo import errors
from zoo.cli.group import VERBS, load_verb
from zoo.cli.readme import BEGIN, END, models_table, replace_table
from zoo.data.sources import DATASETS
from zoo.errors import UsageError
from zoo.registry import embedded, list_models

READMES = ("README.md", "README.zh-CN.md")
DOCUMENTS = (*READMES, "CONTRIBUTING.md", "CHANGELOG.md")


@pytest.fixture(params=READMES)
def readme(request, root):
    return (root / request.param).read_text(encoding="utf-8")


@pytest.fixture(params=DOCUMENTS)
def document(request, root):
    return (root / request.param).read_text(encoding="utf-8")


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


def test_table_of_models_is_current(readme):
    assert replace_table(readme, models_table(list_models())) == readme, "run: make readme"


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


def test_links_lead_to_files(document, root):
    links = re.findall(r"\]\(([^)]+)\)", document)
    missing = [link for link in links if "://" not in link and not (root / link).exists()]
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


def test_exit_codes_are_those_of_the_errors(readme):
    documented = {int(code) for code in re.findall(r"^\| (\d+) \|", readme, re.MULTILINE)}
    kinds = [k for k in vars(errors).values() if isinstance(k, type)]
    known = {k.exit_code for k in kinds if issubclass(k, errors.GenaeError)}
    assert documented == known | {0, errors.INTERRUPTED}


def test_data_sets_are_listed(readme):
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
