"""Inspection and conversion agree: what stops one stands under `missing` of the other."""

import json
import shutil

import pytest

import convert
from tests.conversion.records import LEGACY, few_or_all
from zoo.errors import GenaeError


def copied(tmp_path, name):
    """A folder of a fixture's TensorFlow checkpoint, its configuration and vocabulary."""
    folder = tmp_path / "in"
    folder.mkdir()
    for file in (LEGACY / name).iterdir():
        kept = file.name.startswith(("bert_model.ckpt", "bert_config", "vocab", "checkpoint"))
        if kept or file.suffix == ".model":
            shutil.copy(file, folder)
    return folder


def configured(**changes):
    """A change of the configuration: None takes a key away."""

    def change(folder):
        path = folder / "bert_config.json"
        table = json.loads(path.read_text("utf-8")) | changes
        path.write_text(json.dumps({k: v for k, v in table.items() if v is not None}), "utf-8")

    return change


def vocabulary(edit):
    """A change of the lines of the vocabulary."""

    def change(folder):
        path = folder / "vocab.txt"
        path.write_text("\n".join(edit(path.read_text("utf-8").splitlines())) + "\n", "utf-8")

    return change


def without(name):
    return lambda folder: (folder / name).unlink()


def with_copy(name, other):
    return lambda folder: shutil.copy(folder / name, folder / other)


def moved(name, other):
    return lambda folder: (folder / name).rename(folder / other)


def another(name):
    """A second vocabulary of the same size, with other tokens."""

    def change(folder):
        lines = (folder / "vocab.txt").read_text("utf-8").splitlines()
        (folder / name).write_text("\n".join(lines[::-1]) + "\n", "utf-8")

    return change


def nothing(folder):
    pass


#: Fixture, what is done to it, what is given, a word of the refusal; None: it converts.
CASES = {
    "as_it_is": ("bert_full", nothing, {}, None),
    "no_activation": ("bert_full", configured(hidden_act="blorp"), {}, "blorp"),
    "other_heads": ("bert_full", configured(num_attention_heads=7), {}, "multiple"),
    "other_size": ("bert_full", configured(intermediate_size=99), {}, "another shape"),
    "no_size": ("bert_full", configured(intermediate_size=None), {}, "intermediate_size"),
    "more_layers": ("bert_full", configured(num_hidden_layers=9), {}, "absent"),
    "fewer_layers": ("bert_full", configured(num_hidden_layers=1), {}, "not in the map"),
    "no_configuration": ("bert_full", without("bert_config.json"), {}, "--config"),
    "vocabulary_repeats": ("bert_full", vocabulary(lambda v: [*v[:-1], v[5]]), {}, ""),
    "vocabulary_longer": ("bert_full", vocabulary(lambda v: [*v, "more"]), {}, "tokens"),
    "vocabulary_shorter": ("bert_full", vocabulary(lambda v: v[:-2]), {}, ""),
    "two_vocabularies": ("bert_full", another("vocab_other.txt"), {}, "several"),
    "vocabulary_twice": ("bert_full", with_copy("vocab.txt", "my_vocab.txt"), {}, None),
    "other_name": ("bert_full", moved("vocab.txt", "vocab_chinese.txt"), {}, None),
    "no_vocabulary": ("bert_full", without("vocab.txt"), {}, None),
    "no_vocabulary_to_cut": (
        "bert_full", without("vocab.txt"), {"options": {"pre_tokenize": "jieba"}}, "pre_tokenize",
    ),
    "undecided": ("nezha", nothing, {}, "--family"),
    "another_family": ("bert_full", nothing, {"family": "gpt2"}, "absent"),
    "no_family": ("bert_full", nothing, {"family": "bart"}, "bart"),
    "no_option": ("bert_full", nothing, {"options": {"hidden": 3}}, "hidden"),
    "no_value": ("bert_full", nothing, {"options": {"gelu": "fast"}}, "gelu"),
    "no_dtype": ("bert_full", nothing, {"dtype": "float8"}, "float8"),
    "no_shard": ("bert_full", nothing, {"max_shard_size": "big"}, "big"),
    "no_record": ("bert_full", nothing, {"verify": "absent.npz"}, "absent.npz"),
    "rows_outside": ("bert_full", nothing, {"options": {"keep_tokens": [10**6]}}, "keep_tokens"),
    "whose": ("t5", with_copy("bert_config.json", "vocab.txt"), {}, ""),
}  # fmt: skip


def ends(call):
    """The exit code of a call, and what it says."""
    try:
        found = call()
    except GenaeError as error:
        return error.exit_code, str(error)
    return getattr(found, "exit_code", 0), "\n".join(getattr(found, "missing", ()))


@pytest.mark.parametrize("case", CASES)
def test_what_stops_a_conversion_is_missing(case, tmp_path):
    name, change, given, word = CASES[case]
    folder = copied(tmp_path, name)
    change(folder)
    code, said = ends(lambda: convert.convert_checkpoint(folder, tmp_path / "out", **given))
    seen, missing = ends(lambda: convert.inspect(folder, **given))
    assert seen == code, (said, missing)
    assert said in missing
    assert (word or "") in said
    if word:
        assert code
    if word is None:
        assert (code, missing) == (0, "")


@pytest.mark.parametrize(
    "name",
    [
        one
        for one in few_or_all("bert_full")
        if any((LEGACY / one.values[0]).glob("bert_model.ckpt*"))
    ],
)
def test_every_record_is_checked_as_it_is_converted(name, tmp_path):
    source = min((LEGACY / name).glob("bert_model.ckpt*"))
    code, said = ends(lambda: convert.convert_checkpoint(source, tmp_path / "out"))
    seen, missing = ends(lambda: convert.inspect(source))
    assert (seen, bool(missing)) == (code, bool(code))
    assert said in missing


def test_a_place_that_is_taken_is_found_as_well(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/file").touch()
    folder = copied(tmp_path, "bert_full")
    both = [
        ends(lambda: convert.convert_checkpoint(folder, tmp_path / "out")),
        ends(lambda: convert.inspect(folder, out=tmp_path / "out")),
    ]
    assert both[0] == both[1]
    assert both[0][0] == 7


@pytest.mark.slow
def test_whatever_people_bring_is_checked_as_it_is_converted(shared_data, tmp_path):
    """Cases and fine-tuned models, each as a folder and file by file."""
    root = shared_data.parent
    places = [
        path
        for room in ("cases", "fixtures/finetuned", "fixtures/keras_odd")
        for path in sorted((root / room).rglob("*"))
        if (path.is_dir() and any(file.is_file() for file in path.iterdir()))
        or path.suffix in (".h5", ".weights", ".keras", ".index", ".zip")
    ]
    if not places:
        pytest.skip("no cases in ../shared")
    different = []
    for number, path in enumerate(places):
        out = tmp_path / str(number)
        code, said = ends(lambda path=path, out=out: convert.convert_checkpoint(path, out))
        seen, missing = ends(lambda path=path: convert.inspect(path))
        shutil.rmtree(out, ignore_errors=True)
        if seen != code or said not in missing or bool(code) != bool(missing):
            different.append((path, code, said, seen, missing))
    assert not different
