"""Under `--json` stdout is one JSON document, whatever happens, and nothing is hinted."""

import json
from typing import Annotated

import pytest
import typer

from zoo.cli import calls
from zoo.cli.common import hint, print_json
from zoo.cli.group import load_verb
from zoo.cli.verbs import VERBS
from zoo.errors import ToleranceError

#: What each verb needs besides a model that there is not.
MORE = {
    "reconstruct": ("x.png", "-o", "y.png"),
    "interpolate": ("x.png", "-o", "y.png"),
    "neighbors": ("x.png", "-o", "y.png"),
    "encode": ("texts.txt", "-o", "out"),
    "denoise": ("x.png", "-o", "y.png"),
    "inpaint": ("x.png", "-o", "y.png", "--mask", "left"),
    "sample": ("-o", "y.png"),
    "compress": ("y.gnz", "--model", "no_such_folder"),
    "diff": ("genae/vae-mnist",),
    "decompress": ("out",),
    "convert": ("out",),
    "export": ("out", "--to", "keras-hdf5"),
    "fill-mask": ("a [MASK]",),
    "attention": ("a text",),
    "classify": ("a text",),
    "tag": ("a text",),
    "extract": ("a text",),
    "answer": ("a text", "--question", "which?"),
    "new": ("--data", "no_such_folder", "--architecture", "vae"),
    "push": ("me/model", "--to", "place"),
    "pull": ("--to", "out"),
}
ANSWERING = [name for name in VERBS if any("--json" in p.opts for p in load_verb(name).params)]
#: Those that name no model, or one of a registry alone.
OTHERS = ("list", "registry", "env", "withdraw")
NAMING = [name for name in ANSWERING if name not in OTHERS]


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)


def error_of(done):
    """The error of an answer, which is all there is."""
    answer = json.loads(done.out)
    assert set(answer) == {"error", "kind", "exit_code"}
    assert answer["exit_code"] == done.code > 0
    assert done.err == ""
    return answer["error"]


@pytest.mark.parametrize("name", ANSWERING)
def test_a_wrong_option_is_told_in_json(run, name):
    assert "--no-such-option" in error_of(run(name, "--json", "--no-such-option"))


@pytest.mark.parametrize("name", NAMING)
def test_a_folder_that_is_not_there_is_told_in_json_at_once(run, name, tmp_path):
    said = error_of(run(name, "no_such_folder", *MORE.get(name, ()), "--json"))
    assert "no_such_folder" in said
    assert not list(tmp_path.iterdir())


def test_the_same_words_stand_on_stderr_without_json(run):
    words = ("info", "no_such_folder")
    assert run(*words).err == f"genae: {error_of(run(*words, '--json'))}\n"
    assert run("list", "--", "--json").err.startswith("genae: ")  # no option behind `--`


def test_there_is_room_for_one_answer(run, monkeypatch):
    def verb(as_json: bool = typer.Option(False, "--json")) -> None:
        print_json({"ok": False})
        hint("genae list")
        raise ToleranceError("off")

    monkeypatch.setattr("zoo.catalog.load", lambda reference: verb)
    done = run("sample", "--json")
    assert (done.code, json.loads(done.out), done.err) == (9, {"ok": False}, "genae: off\n")
    assert run("sample").tried == ["genae list"]


def test_a_command_is_given_again_with_all_that_was_given(run, monkeypatch):
    said = []

    def verb(
        model: str,
        images: list[str],
        rows: int = typer.Option(3, "--rows", "-r"),
        jump: bool = typer.Option(True, "--jump/--no-jump"),
        word: Annotated[list[str] | None, typer.Option("--word")] = None,
        output: str = typer.Option("x.png", "--output", "-o"),
        quiet: bool = typer.Option(False, "--quiet", "-q"),
    ) -> None:
        said.append(calls.again(output="b.png"))
        said.append(calls.again("other", images=["c"], word=None, jump=None))

    monkeypatch.setattr("zoo.catalog.load", lambda reference: verb)
    words = ("train", "m", "a b", "d", "-r3", "--no-jump", "--word", "x", "--word", "y=z", "-q")
    assert run(*words).code == 0
    assert said == [
        'genae train m "a b" d --rows 3 --no-jump --word x --word y=z --output b.png',
        "genae other m c --rows 3",
    ]
