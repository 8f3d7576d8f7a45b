import json
import os
import re
import shlex
import shutil
import subprocess
import sys

import pytest
import typer

import zoo
from tests.fresh import commands
from zoo import registry
from zoo.card import Card
from zoo.cli.group import load_verb
from zoo.cli.verbs import VERBS
from zoo.errors import GenaeError, UnsafeError
from zoo.hints import command
from zoo.registry import embedded, manifest

HEAVY = {"torch", "transformers", "numpy", "huggingface_hub", "fsspec", "datasets", "PIL"}
SCRIPT = "from zoo.cli import app; app(prog_name='genae')"


def process(root, *words, code=SCRIPT, **settings):
    """The verb in a process of its own."""
    environment = os.environ | {"PYTHONPATH": str(root)}
    return subprocess.run(
        [sys.executable, "-c", code, *words],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        **settings,
    )


@pytest.fixture
def shipped(tmp_path, root, monkeypatch, tiny_config):
    """The id of a model that ships in a registry of its own; the card is a real one."""
    folder = tmp_path / "embedded" / "eae-mnist"
    zoo.EAEModel(tiny_config("eae")).save_pretrained(folder)
    shutil.copy(root / "cards" / "eae-mnist" / "card.toml", folder)
    manifest.write(folder, Card.load(folder), {"by": "a test"})
    monkeypatch.setattr(embedded, "ROOT", folder.parent)
    return "genae/eae-mnist"


@pytest.fixture
def verb(monkeypatch):
    """`verb(function)`: the function as `genae sample`."""

    def install(function):
        monkeypatch.setattr("zoo.catalog.load", lambda reference: function)

    return install


def test_light_verbs_load_nothing_heavy(tmp_path):
    lines = ["list"], ["list", "--json"], ["--help"], [], ["--version"], ["lst"]
    for words, *_, loaded in commands(*lines, cwd=tmp_path):
        assert "zoo.cli" in loaded
        heavy = HEAVY | {"pydantic", "zoo.cli.images", "zoo.cli.train"}
        assert not heavy & {*loaded}, words


def test_list_shows_every_card(run):
    table = run("list")
    assert table.code == 0
    rows = json.loads(run("list", "--json").out)
    assert [row["id"] for row in rows] == [card.id for card in registry.list_models()]
    assert not [row["id"] for row in rows if row["status"] == "fixture"]
    everything = json.loads(run("list", "--all", "--json").out)
    assert len(everything) > len(rows)
    assert {row["status"] for row in everything if row not in rows} == {"fixture"}
    for row in rows:
        assert {"id", "status", "architecture", "parameters", "bytes", "license", "summary"} <= {
            *row
        }
        assert row["id"] in table.out
        assert row["license"] in table.out


def test_hints_go_to_stderr_and_can_be_silenced(run, shipped):
    assert run("list").err.startswith("try: genae sample genae/")
    assert run("list", "--quiet").err == ""


def test_help_names_every_verb_in_one_line_each(run):
    text = run("--help").out
    assert run().out == text
    for name, row in VERBS.items():
        assert re.search(rf"^\s+{name}\s+{re.escape(row.help)}$", text, re.MULTILINE)


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_can_be_loaded_and_explains_itself(run, name):
    command = load_verb(name)
    assert command.name == name
    assert len(command.help) > 20
    done = run(name, "--help")
    assert (done.code, done.err) == (0, "")
    assert f"genae {name}" in done.out


def test_the_version_is_one_line(run):
    done = run("--version")
    assert (done.code, done.err) == (0, "")
    assert re.fullmatch(r"genae \S+\n", done.out)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["lst"], 2, "'list'"),
        (["list", "--jsno"], 2, "--json"),
        (["info"], 2, "MODEL"),
        (["new"], 2, "NAME"),
        (["convert", "cards", "x", "--verify"], 2, "`genae convert --help`"),
        (["info", "genae/eae-mnsit"], 3, "Did you mean 'genae/eae-mnist'"),
        (["info", "nothing-like-it"], 3, "nothing-like-it"),
        (["verify", "genae/eae-celeba"], 3, "genae train cards/eae-celeba"),
        (["pull", "someone/model", "--to", "x"], 3, "someone/model"),
        (["info", ""], 2, "names no model"),
        (["verify", " "], 2, "names no model"),
        (["pull", "", "--to", "x"], 2, "names no model"),
        (["sample", "", "-o", "new/a.png"], 2, "names no model"),
        (["sample", "someone/model", "-o", "new/a.png"], 3, "someone/model"),
        (["sample", "genae/eae-mnsit", "-o", "new/a.png"], 3, "eae-mnist"),
        (["evaluate", "someone/model"], 3, "within reach"),
        (["evaluate", "genae/classifier-mnist", "--device", "foo"], 2, "no device 'foo'"),
    ],
)
def test_mistakes_are_one_line_on_stderr_with_the_right_code(
    run, words, code, message, tmp_path, monkeypatch
):
    monkeypatch.chdir(tmp_path)
    done = run(*words)
    assert done.code == code
    assert done.out == ""
    assert message in done.err
    assert re.fullmatch(r"genae: .*\n", done.err)
    assert not list(tmp_path.iterdir())


def _errors(kind=GenaeError):
    for child in kind.__subclasses__():
        yield child
        yield from _errors(child)


@pytest.mark.parametrize("kind", [GenaeError, *_errors()], ids=lambda kind: kind.__name__)
def test_every_error_of_ours_ends_with_its_code(run, verb, kind, monkeypatch):
    monkeypatch.setattr("zoo.cli.group.TURN", 0.0)  # seconds that a process left alone waits

    def fail() -> None:
        raise kind("what, why\n  what next")

    verb(fail)
    done = run("sample")
    assert (done.code, done.out) == (kind.exit_code, "")
    assert done.err == "genae: what, why\n  what next\n"


@pytest.mark.parametrize(
    ("error", "code", "message"),
    [
        (ValueError("latent_size\n  is   wrong"), 1, "genae: latent_size is wrong\n"),
        (OSError("no file"), 1, "genae: no file\n"),
        (OSError(28, "No space left on device"), 6, "space"),
        (ModuleNotFoundError("No module named 'nope'"), 6, "'nope'"),
        (KeyError("x"), 1, "genae: KeyError: 'x' (`--debug` shows where)\n"),
        (RuntimeError(), 1, "RuntimeError"),
        (KeyboardInterrupt(), 130, "interrupted"),
    ],
)
def test_other_errors_are_one_line_without_a_traceback(run, verb, error, code, message):
    def fail() -> None:
        raise error

    verb(fail)
    done = run("sample")
    assert done.code == code
    assert message in done.err
    assert "Traceback" not in done.err
    assert done.err.count("\n") <= 1


def test_an_error_cannot_drive_the_terminal(run, verb):
    def fail() -> None:
        raise UnsafeError("name \x1b[2J of a file")

    verb(fail)
    assert "\x1b" not in run("sample").err


@pytest.mark.parametrize("words", [["--debug", "sample"], ["sample", "--debug"]])
def test_debug_shows_where_and_keeps_the_code(run, verb, words):
    def fail() -> None:
        raise UnsafeError("a pickle")

    verb(fail)
    done = run(*words)
    assert done.code == 8
    assert "Traceback" in done.err
    assert done.err.endswith("genae: a pickle\n")


def test_a_word_after_two_dashes_is_not_an_option(run, verb):
    seen = []

    def echo(word: str) -> None:
        seen.append(word)

    verb(echo)
    assert run("sample", "--", "--debug").code == 0
    assert seen == ["--debug"]


def test_an_exit_code_of_a_verb_is_kept(run, verb):
    def stop() -> None:
        raise typer.Exit(9)

    verb(stop)
    assert run("sample").code == 9


def test_a_closed_pipe_is_quiet(root):
    code = f"import os, sys; os.close(1); os.dup(os.open(os.devnull, 1)); {SCRIPT}"
    assert process(root, "list", code=code).returncode == 0
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as stdout:
        done = subprocess.run(
            [sys.executable, "-c", SCRIPT, "list", "--json", "-q"],
            env=os.environ | {"PYTHONPATH": str(root)},
            stdout=stdout,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (done.returncode, done.stderr) == (1, "")


def test_info_of_a_recipe_says_how_to_train_it(run):
    done = run("info", "genae/eae-celeba")
    assert done.code == 0
    assert "to be trained" in done.out
    assert done.err == "try: genae train cards/eae-celeba\n"


def test_info_in_json_holds_the_whole_card(run):
    answer = json.loads(run("info", "genae/eae-mnist", "--json").out)
    card = registry.load_card("genae/eae-mnist")
    assert answer["card"]["config"] == card.config
    assert answer["id"] == card.id


def test_every_card_has_an_info(run):
    for card in registry.list_models(fixtures=True):
        done = run("info", card.id, "-q")
        assert (done.code, done.err) == (0, "")
        assert isinstance(Card.load(card.path), Card)


def test_a_model_of_another_script_is_not_asked_in_chinese(run, tmp_path):
    folder = shutil.copytree(embedded.ROOT / "tiny-gpt2", tmp_path / "gpt")
    tokens = (folder / "tokenizer.json").read_text(encoding="utf-8")
    assert "的" in run("info", folder).tried[0]
    (folder / "tokenizer.json").write_text(tokens.replace("的", "đ"), encoding="utf-8")
    assert shlex.split(run("info", folder).tried[0])[-2:] == ["--seed", "0"]
    assert "的" not in run("info", folder).tried[0]


def test_hints_can_be_pasted_whatever_a_folder_is_called(run, shipped, tmp_path, monkeypatch):
    target = str(tmp_path / "it's $HOME; a copy")
    monkeypatch.setattr("zoo.training.train", lambda *_, **__: target)
    for words in (
        ["train", shipped, "-o", target],
        ["pull", shipped, "--to", target],
        ["info", target],
    ):
        done = run(*words)
        assert done.code == 0
        assert target in shlex.split(done.err.splitlines()[-1])


def test_pull_then_verify(run, shipped, tmp_path):
    target = tmp_path / "copy"
    done = run("pull", shipped, "--to", str(target))
    assert (done.code, done.out) == (0, f"{target}\n")
    assert run("pull", shipped, "--to", str(target)).code == 7
    done = run("verify", str(target))
    assert done.code == 0
    assert shipped in done.out
    (target / "extra.json").touch()
    done = run("verify", str(target))
    assert done.code == 5
    assert "extra.json" in done.err
    done = run("verify", str(target), "--json")
    assert done.code == 5
    assert json.loads(done.out)["problems"] == ["extra.json: not in the manifest"]
    (target / "extra.pkl").touch()
    assert run("verify", str(target)).code == 8


@pytest.mark.parametrize(
    "form", [("--output", "~/deep/x.png"), ("--output=~/deep/x.png",), ("-o~/deep/x.png",)]
)
def test_a_path_from_home_that_the_shell_left_is_resolved(run, tmp_path, monkeypatch, form):
    monkeypatch.setenv("HOME", str(tmp_path))
    done = run("sample", "genae/vae-mnist", "-n", "2", *form)
    assert done.code == 0, done.err
    assert (tmp_path / "deep/x.png").is_file()


def test_env_says_that_a_token_exists_and_not_which(run, monkeypatch):
    monkeypatch.setenv("HF_TOKEN", "hf_this_is_not_shown")
    monkeypatch.setenv("GENAE_DATA", "some/where")
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "https://me:secret@mirror.test/hf")
    answer = run("env", "--json")
    facts = json.loads(answer.out)
    assert facts["Hub token"] is True
    assert facts["GENAE_DATA"] == "some/where"
    assert facts["Hub endpoint"] == "https://mirror.test/hf"
    text = answer.out + run("env").out
    assert "hf_this" not in text
    assert "secret" not in text
    assert {"torch", "transformers", "python", "device"} <= set(facts)


def test_completion_knows_verbs_and_models(root):
    environment = {"_GENAE_COMPLETE": "complete_bash", "COMP_CWORD": "1"}
    done = process(root, code=_completing(environment | {"COMP_WORDS": "genae rec"}))
    assert done.stdout.split() == ["reconstruct"]
    words = {"COMP_WORDS": "genae info genae/eae-m", "COMP_CWORD": "2"}
    done = process(root, code=_completing(environment | words))
    assert "genae/eae-mnist" in done.stdout.split()


def _completing(environment):
    return f"import os; os.environ |= {environment!r}; {SCRIPT}"


REFUSED = (
    ["sample", "genae/eae-mnst", "-o", "a.png"],
    ["reconstruct", "genae/eae-mnst", "examples-mnist", "-o", "a.png"],
    ["interpolate", "genae/eae-mnst", "examples-mnist", "-o", "a.png"],
    ["neighbors", "genae/eae-mnst", "examples-mnist", "-o", "a.png"],
    ["density", "genae/vae-mnst", "examples-mnist"],
    ["sample", "genae/eae-mnist", "--trace", "a.png"],
    ["sample", "genae/eae-mnist", "-o", "a.png", "--sampler", "langevin"],
    ["density", "genae/dde-gaussians-2d", "--data", "mnist"],
    ["density", "genae/dde-gaussians-2d", "--data", "gaussians-2d", "--samples", "3"],
    ["energy", "genae/eae-mnist", "examples-mnist"],
    ["energy", "genae/dde-gaussians-2d", "examples-mnist"],
    ["energy", "genae/dde-gaussians-2d", "--grid", "-o", "a.png", "--data", "mnist"],
    ["energy", "genae/eae-mnist"],
    ["denoise", "genae/eae-mnist", "examples-mnist", "-o", "a.png"],
    ["inpaint", "genae/eae-mnist", "examples-mnist", "--mask", "left", "-o", "a.png"],
    ["inpaint", "genae/eae-mnist", "examples-mnist", "--mask", "lefd", "-o", "a.png"],
    ["reconstruct", "genae/eae-mnist", "nowhere.png", "-o", "a.png"],
    ["sample", "genae/eae-mnist", "-o", "a.xyz"],
    ["train", "genae/eae-mnist", "-o", "full"],
    ["inspect", "nowhere"],
    ["inspect", "nowhere", "full"],
    ["convert", "nowhere", "out"],
    ["convert", "genae", "full"],
    ["export", "nowhere", "out", "--to", "keras-hdf5"],
    ["export", "nowhere", "out", "--to", "onnx"],
    ["export", "nowhere", "full", "--to", "tf-checkpoint"],
)


def test_what_can_be_refused_at_once_is_refused_before_torch(tmp_path):
    (tmp_path / "full").mkdir()
    (tmp_path / "full/a").touch()
    for words, code, _, said, loaded in commands(*REFUSED, cwd=tmp_path):
        assert code in (2, 3, 7), (words, said)
        assert "torch" not in loaded, words


@pytest.mark.parametrize(
    ("words", "completed"),
    [
        (["withdraw", "me/x@v1.0.0", "--why", "x y"], "--from ./models"),
        (["neighbors", "genae/vae-mnist", "examples-mnist"], "--output nearest.png"),
        (["export", "A", "B"], "--to keras-hdf5"),
        (["convert"], None),
    ],
    ids=lambda value: value[0] if isinstance(value, list) else None,
)
def test_what_is_missing_is_shown_in_the_whole_command(words, completed, run):
    done = run(*words)
    tried = done.err.rpartition("or try: ")[2].strip()
    wanted = command("genae", *words) + f" {completed}" if completed else VERBS[words[0]].epilog
    assert (done.code, tried) == (2, wanted)


def test_what_stands_behind_two_dashes_stays_there(run):
    done = run("export", "--", "-A", "B")
    assert done.err.endswith("or try: genae export --to keras-hdf5 -- -A B\n")
