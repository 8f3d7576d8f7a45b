"""What a conversion tells people to do next is done: every printed line, every README's code."""

import ast
import json
import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers

import convert
import zoo.models
from convert import advice
from tests.conversion.bundles import write_bundle
from tests.conversion.records import LEGACY, few_or_all, options, record, sources
from zoo import catalog, hints
from zoo.cli import app
from zoo.errors import GenaeError

#: Fixtures of transformers' classes that have one tensor less or more than the files, by design.
SAID = {
    "bert_v1": ("unexpected_keys", "bert.pooler."),
    "roberta": ("unexpected_keys", "bert.pooler."),
    "roformer_small": ("missing_keys", "roformer.encoder.embed_positions.weight"),
}


@pytest.fixture
def run(run):
    """`run("convert", ...)`: exit code, stdout, and the words behind `try:`."""

    def call(*words):
        done = run(*words)
        return done.code, done.out, done.tried

    return call


def code_of(command):
    """The Python of a `python -c`, as sh hands it over."""
    words = shlex.split(command)
    assert words[:2] == ["python", "-c"]
    assert len(words) == 3
    return words[2]


def block_of(readme):
    """The code of a README."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", readme, re.M | re.S))


def loaded(code):
    """What the last statement of some code loads, and what transformers says of it."""
    *lines, last = ast.parse(code).body
    values = {}
    exec(compile(ast.Module(lines, []), "README", "exec"), values)
    call = last.value
    call.keywords.append(ast.keyword("output_loading_info", ast.Constant(True)))
    expression = ast.fix_missing_locations(ast.Expression(call))
    return eval(compile(expression, "README", "eval"), values)


def given(name):
    """The options of a fixture as words of the command line."""
    told = options(record(name)).items()
    pairs = (("--option", f"{key}={json.dumps(value)}") for key, value in told)
    return [word for pair in pairs for word in pair]


def check_result(name, out, command):
    """Run what is advised of a result: the command, and the README's code in its folder."""
    architecture = json.loads((out / "config.json").read_text("utf-8"))["architectures"][0]
    model, said = loaded(code_of(command))
    assert type(model).__name__ == architecture
    kind, beginning = SAID.get(name, ("", ""))
    for keys in ("missing_keys", "unexpected_keys", "mismatched_keys"):
        odd = [key for key in said[keys] if keys != kind or not str(key).startswith(beginning)]
        assert not odd
    values = {}
    exec(block_of((out / "README.md").read_text("utf-8")), values)  # in its folder
    again = values["model"]
    assert type(again) is type(model)
    assert all(
        torch.equal(a, b) for a, b in zip(model.parameters(), again.parameters(), strict=True)
    )
    if (out / "tokenizer.json").is_file():
        assert values["tokenizer"]("[CLS]").input_ids


@pytest.mark.parametrize("name", few_or_all(*SAID))
def test_what_follows_a_conversion_loads_the_model(name, run, tmp_path, monkeypatch):
    out = tmp_path / "it's a $model"
    config = LEGACY / name / "bert_config.json"
    words = ["--family", record(name)["model"], "--config", config, *given(name)]
    source = sources(name)[0]
    code, _, (looked,) = run("inspect", source, out, *words)
    assert code == 0
    again = shlex.split(looked)
    assert again[0] == "genae"
    code, _, (command,) = run(*again[1:])
    assert code == 0
    monkeypatch.chdir(out)
    check_result(name, out, command)
    text = (out / "README.md").read_text("utf-8")
    assert ("calls" in text) == (name in SAID)


@pytest.mark.parametrize("to", ["tf-checkpoint", "keras-hdf5"])
@pytest.mark.parametrize("name", ["bert_full", "gpt2", "t5"])
def test_the_line_for_bert4keras_names_what_is_there(name, to, run, tmp_path, monkeypatch):
    ours, out = tmp_path / "ours", tmp_path / "it's a $model"
    words = ["--family", record(name)["model"], *given(name)]
    assert run("convert", sources(name)[0], ours, *words)[0] == 0
    code, _, (line,) = run("export", ours, out, "--to", to)
    assert code == 0
    seen = []

    class Model:
        def load_weights(self, path):
            seen.append(path)

        def summary(self):
            pass

    class models:
        def build_transformer_model(config_path=None, checkpoint_path=None, **told):
            seen.extend([config_path, *([checkpoint_path] * (checkpoint_path is not None))])
            assert told["model"] == record(name)["model"]
            return Model()

    monkeypatch.setitem(sys.modules, "bert4keras", type(sys)("bert4keras"))
    monkeypatch.setitem(sys.modules, "bert4keras.models", models)
    values = {}
    exec(code_of(line), values)
    assert isinstance(values["model"], Model)
    assert [path.rpartition("/")[0] for path in seen] == [str(out)] * 2
    assert all(list(out.glob(path.rpartition("/")[2] + "*")) for path in seen)


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
@pytest.mark.parametrize("semantics", ["google", "bert4keras"])
def test_one_stack_of_t5_is_loaded_alone(stack, semantics, run, tmp_path, monkeypatch):
    out = tmp_path / "out"
    source = LEGACY / "t5/bert_model.ckpt"
    words = ("--family", f"t5_{stack}", "--option", f"semantics={semantics}")
    code, _, (command,) = run("convert", source, out, *words)
    assert code == 0
    monkeypatch.chdir(out)
    check_result("t5", out, command)


def architectures():
    """Every class of the catalog and of the families that transformers or genae has."""
    found = {entry.model_class for entry in catalog.TEXTS}
    found |= {
        name for name in dir(zoo.models) if name.startswith("Genae") and "Config" not in name
    }
    found -= {"GenaeImageProcessor", "GenaeWordTokenizer"}
    return sorted(found)


@pytest.mark.parametrize("architecture", architectures())
def test_every_class_is_found_by_its_auto_class(architecture):
    auto = getattr(transformers, catalog.auto_class(architecture))
    owner = zoo.models if hasattr(zoo.models, architecture) else transformers
    model = getattr(owner, architecture)
    found = auto._model_mapping[model.config_class]
    assert model in (found if isinstance(found, tuple) else (found,))


def test_an_unknown_head_is_loaded_by_its_own_class():
    config = {"architectures": ["GenaeBertForWhatever"], "model_type": "genae_bert"}
    how = advice.loading(config, [])
    assert how.imports == ("from zoo.models import GenaeBertForWhatever",)
    assert how.call("x") == "GenaeBertForWhatever.from_pretrained(x)"


NAMES = (
    *("plain", "two words", "it's", 'a "quoted" one', "$HOME", "`id`", "back\\slash", "a\\$b"),
    *("-n", "~", "*", "#x", "a;b", "a&b", "(a)", "[a]", "{a,b}", "%PATH%", "!x", "春", "a=b", "^"),
    *("trailing\\", "tab\tbed", "line\nfeed", "", "a\\\\b", "<x>", "|", "'", '"'),
)


@pytest.mark.parametrize("name", NAMES)
def test_words_reach_a_program_through_sh_as_they_are(name):
    show = "import sys; sys.stdout.buffer.write(ascii(sys.argv[1:]).encode())"
    line = f"{shlex.quote(sys.executable)} -c {shlex.quote(show)} {hints.command(name, 'x')}"
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert ast.literal_eval(done.stdout.decode()) == [name, "x"]
    code = hints.python(
        f"import sys; sys.stdout.buffer.write(ascii({hints.literal(name)}).encode())"
    )
    line = code.replace("python", shlex.quote(sys.executable), 1)
    done = subprocess.run(["sh", "-c", line], capture_output=True, check=True)
    assert ast.literal_eval(done.stdout.decode()) == name


@pytest.mark.slow
def test_what_is_printed_runs_in_a_real_shell(tmp_path):
    folder = tmp_path / "my 'old' $models; `id`"
    shutil.copytree(LEGACY / "bert_encoder", folder)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
        "PYTHONPATH": str(Path(zoo.models.__file__).parents[2]),
    }
    line = hints.command("genae", "inspect", folder / "bert_model.ckpt", folder / "out")
    for _ in range(3):
        done = subprocess.run(
            ["sh", "-c", line], cwd=tmp_path, env=environment, capture_output=True, check=False
        )
        said = done.stderr.decode()
        assert done.returncode == 0, (line, said)
        if "python -c" in line:
            break
        (line,) = (one[5:] for one in said.splitlines() if one.startswith("try: "))
    else:
        pytest.fail("the model was not loaded")
    assert "MISSING" not in said
    assert "newly initialized" not in said


def as_cmd_reads(line):
    """Words as Windows splits a command line: double quotes alone, a backslash before them."""
    words, word, quoted, begun, slashes = [], "", False, False, 0
    for sign in line:
        if sign == "\\":
            slashes += 1
            continue
        if sign == '"':
            word += "\\" * (slashes // 2)
            begun = True
            if slashes % 2:
                word += sign
            else:
                quoted = not quoted
        elif sign == " " and not quoted:
            word += "\\" * slashes
            if begun or word:
                words.append(word)
            word, begun = "", False
        else:
            word += "\\" * slashes + sign
        slashes = 0
    return [*words, word + "\\" * slashes]


@pytest.mark.parametrize("name", NAMES)
def test_python_reaches_cmd_as_it_is(name):
    command = hints.python(f"print({hints.literal(name)})")
    assert command.count('"') == 2
    assert not set("%\n") & set(command)
    words = as_cmd_reads(command)
    assert words[:2] == ["python", "-c"]
    assert ast.literal_eval(words[2].removeprefix("print")) == name


@pytest.mark.parametrize("name", [n for n in NAMES if not set('$`"\\!\n') & set(n)])
def test_words_reach_cmd_as_they_are(name):
    assert as_cmd_reads(hints.command("genae", name)) == ["genae", name]


#: Option and value as a message proposes them.
PROPOSED = re.compile(r"--(?:family|option|allow-unused) (?:\"[^\"]*\"|[^\s;,)?]+)")


def with_more(name):
    """Tensors of a fixture with two that belong to nobody."""

    def make(folder):
        with convert.open_checkpoint(LEGACY / name / "bert_model.ckpt") as found:
            tensors = {name: tensor.numpy() for name, tensor in found.items()}
        for more in ("mine/a b/kernel", "scalar"):
            tensors[more] = np.zeros((2, 2), np.float32)
        write_bundle(folder, tensors)
        shutil.copy(LEGACY / name / "bert_config.json", folder)
        return folder

    return make


def with_words(folder):
    """A T5 with a vocabulary of a BERT."""
    for file in (LEGACY / "t5").glob("bert_*"):
        shutil.copy(file, folder)
    table = json.loads((folder / "bert_config.json").read_text("utf-8"))
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    words += [chr(0x4E00 + n) for n in range(table["vocab_size"] - len(words))]
    (folder / "vocab.txt").write_text("\n".join(words), "utf-8")
    return folder


@pytest.mark.parametrize(
    ("make", "together", "least"),
    [
        (lambda folder: LEGACY / "nezha/bert_model.ckpt", False, 2),
        (lambda folder: LEGACY / "bert_nosegment/bert_model.ckpt", False, 1),
        (with_words, False, 2),
        (with_more("bert_encoder"), True, 2),
    ],
    ids=["family", "segments", "semantics", "leftovers"],
)
def test_what_a_refusal_proposes_is_taken(make, together, least, run, tmp_path, capsys):
    (tmp_path / "in").mkdir()
    source = make(tmp_path / "in")
    with pytest.raises(GenaeError) as refused:
        convert.convert_checkpoint(source, tmp_path / "no")
    found = [shlex.split(words) for words in PROPOSED.findall(str(refused.value))]
    assert len(found) >= least, refused.value
    tries = [[word for words in found for word in words]] if together else found
    for number, words in enumerate(tries):
        assert run("convert", source, tmp_path / f"out{number}", *words)[0] == 0, words


def test_warnings_reach_the_quiet_and_hints_do_not(capsys, tmp_path, monkeypatch):
    from convert import forward

    made = forward.convert_checkpoint

    def warned(*args, **given):
        report = made(*args, **given)
        report.notes.append("a thing to know")
        report.notes.append("a thing not to miss")
        report.warnings.append("a thing not to miss")
        return report

    monkeypatch.setattr(forward, "convert_checkpoint", warned)
    for number, more in enumerate((("-q",), ("--json",), ("--json", "-q"))):
        words = [str(LEGACY / "bert_encoder/bert_model.ckpt"), str(tmp_path / f"{number}")]
        words = ["convert", *words, "--option", "gelu=erf", *more]
        with pytest.raises(SystemExit) as end:
            app(words, prog_name="genae")
        assert not end.value.code
        assert capsys.readouterr().err == "a thing not to miss\n"


@pytest.mark.parametrize(
    ("name", "lacks"), [("bert_mlm_linear", True), ("bert_unilm", True), ("bert_nosegment", False)]
)
def test_a_checkpoint_without_a_pooler_is_said_to_have_none(name, lacks):
    said = [note for note in convert.inspect(LEGACY / name).notes if "no pooler" in note]
    assert len(said) == lacks
    assert all("mean of its last hidden state" in note for note in said)
