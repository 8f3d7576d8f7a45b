"""Several checkpoints in one folder: the first kind, where all hold the same tensors."""

import shlex
import shutil

import pytest

import convert
from convert.choosing import KINDS, open_one
from convert.readers import SeveralCheckpointsError
from convert.readers.base import FORMS
from tests.conversion.records import LEGACY
from tests.weights import content
from zoo.errors import UsageError

FULL = LEGACY / "bert_full"
TENSORFLOW = ("bert_model.ckpt.index", "bert_model.ckpt.data-00000-of-00001")
NEAR = ("bert_config.json", "vocab.txt")


@pytest.fixture
def folder(tmp_path):
    """`folder("model.weights", ...)`: some of the files of one model."""

    def make(*names, of=FULL):
        place = tmp_path / "in"
        place.mkdir(exist_ok=True)
        for name in (*NEAR, *names):
            shutil.copy(of / name, place)
        return place

    return make


def test_every_form_is_of_a_kind():
    assert sorted(form for forms in KINDS.values() for form in forms) == sorted(FORMS)


def test_of_the_same_tensors_those_of_tensorflow_are_taken(folder, tmp_path):
    place = folder(*TENSORFLOW, "model.weights", "model_tf2.h5")
    report = convert.convert_checkpoint(place, tmp_path / "out")
    assert report.format == "tf_bundle"
    (said,) = (note for note in report.notes if note.startswith("taken"))
    assert "passed over: model.weights, model_tf2.h5; --prefer keras" in said
    direct = convert.convert_checkpoint(place / "bert_model.ckpt", tmp_path / "direct")
    assert report.files == direct.files
    weights = [tmp_path / name / "model.safetensors" for name in ("out", "direct")]
    assert content(weights[0]) == content(weights[1])


def test_the_other_kind_is_taken_where_it_is_asked_for(folder):
    place = folder(*TENSORFLOW, "model.weights")
    found = convert.inspect(place, prefer="keras")
    assert (found.format, found.missing) == ("keras_hdf5", [])
    assert "taken: model.weights (--prefer keras); passed over: bert_model.ckpt" in found.notes
    assert convert.inspect(place, prefer="tensorflow").format == "tf_bundle"
    with pytest.raises(UsageError, match="Did you mean 'keras'"):
        convert.inspect(place, prefer="kears")
    alone = folder("model.weights")
    for name in TENSORFLOW:
        (alone / name).unlink()
    assert convert.inspect(alone, prefer="keras").format == "keras_hdf5"


def test_a_family_that_is_undecided_is_asked_for_and_not_the_file(folder):
    place = folder(*TENSORFLOW, "model.weights", of=LEGACY / "nezha")
    found = convert.inspect(place)
    assert found.format == "tf_bundle"
    assert "--family nezha" in found.missing[0]
    assert convert.inspect(place, family="nezha").missing == []


@pytest.mark.parametrize(
    ("names", "of", "message"),
    [
        ((*TENSORFLOW, "model.weights"), "bert_cln", "differ in bert.*condition"),
        (("model.weights", "model_tf2.h5"), "bert_full", "of the same kind, whose values may"),
    ],
)
def test_others_are_asked_about_with_the_commands_for_each(
    folder, run, tmp_path, names, of, message
):
    place = folder(*names, of=LEGACY / of)
    with pytest.raises(SeveralCheckpointsError, match=message) as caught:
        open_one(place)
    assert len(caught.value.choices) == 2
    words = (place, tmp_path / "out", "--option", "gelu=erf")
    done = run("convert", *words)
    assert (done.code, done.out) == (2, "")
    first, *commands = done.err.splitlines()
    assert "several checkpoints" in first
    assert not (tmp_path / "out").exists()
    for command in commands:
        genae, verb, *rest = shlex.split(command)
        assert (genae, verb) == ("genae", "convert")
        assert run("inspect", *rest).code == 0
    assert len(commands) == 2


def test_checkpoints_in_folders_below_are_no_forms_of_one_model(folder, tmp_path, run):
    for name in ("a", "b"):
        folder("model.weights").rename(tmp_path / name)
    with pytest.raises(SeveralCheckpointsError, match="folders in it do"):
        convert.inspect(tmp_path, prefer="keras")
    commands = run("inspect", tmp_path).err.splitlines()[1:]
    assert [shlex.split(one)[-1] for one in commands] == [f"{tmp_path}/a", f"{tmp_path}/b"]
