"""Fine-tuned models that go back to bert4keras with their heads."""

import json
import os
import subprocess

import h5py
import numpy as np
import pytest
from safetensors.numpy import load_file

import convert
import zoo
from convert.backward.heads import read_heads
from convert.heads import labels
from tests.conversion.test_finetuned import HERE, MODELS, SHARED, SMALL, asked, converted, forms
from zoo.errors import IntegrityError, UsageError


def layers(path):
    """Layers with weights of an HDF5 file, in its order: name -> (name, array) of each."""

    def words(group, key):
        return [w.decode() if isinstance(w, bytes) else w for w in group.attrs[key]]

    with h5py.File(path) as file:
        root = file.get("model_weights", file)
        return {
            layer: [(word, root[layer][word][()]) for word in words(root[layer], "weight_names")]
            for layer in words(root, "layer_names")
            if len(root[layer].attrs["weight_names"])
        }


def tensors(folder):
    """The bytes of the tensors of a folder by name; its header says from which file they came."""
    found = load_file(folder / "model.safetensors")
    return {name: (one.shape, one.tobytes()) for name, one in found.items()}


def check(source, found, name):
    """Every weight of every layer is that of a file, to the bit, in its order."""
    assert len(source) == len(found)
    for (layer, first), (other, second) in zip(source.items(), found.items(), strict=True):
        assert [one.shape for _, one in first] == [one.shape for _, one in second]
        if name == "classifier_nezha" and layer.endswith("Relative-Position"):
            continue  # sines, computed anew
        for (_, one), (_, two) in zip(first, second, strict=True):
            assert one.tobytes() == two.tobytes(), (layer, other)


@pytest.mark.parametrize("name", SMALL)
def test_a_fine_tuned_model_goes_back(name, tmp_path):
    converted(HERE, name, SMALL[name], tmp_path / "ours")
    report = convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="keras-hdf5")
    assert any("build the recipe's model" in note for note in report.notes)
    found = layers(tmp_path / "out/model.weights")
    if SMALL[name].startswith("tf_format"):
        options = {key: value for key, value in asked(name).items() if key == "heads"}
        convert.convert_checkpoint(
            tmp_path / "out/model.weights", tmp_path / "again", options=options
        )
        assert tensors(tmp_path / "ours") == tensors(tmp_path / "again")
    else:
        check(layers(HERE / name / SMALL[name]), found, name)
    wanted = {
        "ner_crf": ["dense", "conditional_random_field"],
        "classifier_pool_full": ["Pooler-Dense", "dense"],
        "relation_half_pointer": ["Transformer-1-FeedForward-Norm", "dense_1", "dense"],
        "hand_named": ["classifier", "tags_v2", "last"],
    }[name]
    assert list(found)[-len(wanted) :] == wanted
    if name == "relation_half_pointer":
        assert list(found)[-4] == "layer_normalization"
        assert [word for word, _ in found["layer_normalization"]] == [
            f"layer_normalization/{one}:0"
            for one in ("beta", "gamma", "dense/kernel", "dense_1/kernel")
        ]
    if name == "ner_crf":
        assert "tags: give its layer lr_multiplier=1000" in report.notes


def test_a_model_that_was_saved_again_goes_back_in_the_order_of_its_file(tmp_path):
    converted(HERE, "hand_named", SMALL["hand_named"], tmp_path / "ours")
    model = zoo.from_pretrained(tmp_path / "ours")
    assert list(model.heads) != sorted(model.heads)
    model.save_pretrained(tmp_path / "saved")
    again = zoo.from_pretrained(tmp_path / "saved")
    assert list(again.heads) == list(model.heads) == again.config.head_order
    again.save_pretrained(tmp_path / "again")
    for folder in ("ours", "again"):
        convert.export_checkpoint(tmp_path / folder, tmp_path / f"{folder}-out", to="keras-hdf5")
    first, second = (layers(tmp_path / f"{one}-out/model.weights") for one in ("ours", "again"))
    assert list(first) == list(second)
    check(first, second, "hand_named")


def test_a_checkpoint_has_the_names_of_googles_scripts_and_no_others(tmp_path):
    converted(HERE, "classifier_pool_full", "model.h5", tmp_path / "ours")
    convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")
    settings = ["pooling=pooler", "activation=softmax"]
    options = {"gelu": "tanh", "heads": labels.read_heads(["classifier"], settings, None)}
    convert.convert_checkpoint(tmp_path / "out", tmp_path / "again", options=options)
    assert tensors(tmp_path / "ours") == tensors(tmp_path / "again")
    converted(HERE, "ner_crf", SMALL["ner_crf"], tmp_path / "crf")
    with pytest.raises(UsageError, match=r"the head tags .*no name.*--to keras-hdf5"):
        convert.export_checkpoint(tmp_path / "crf", tmp_path / "none", to="tf-checkpoint")
    assert not (tmp_path / "none").exists()


def test_heads_that_cannot_be_read_are_refused(tmp_path):
    converted(HERE, "ner_crf", SMALL["ner_crf"], tmp_path / "ours")
    config = json.loads((tmp_path / "ours/config.json").read_text())
    for table, message in (
        ({"tags": {"kind": "other"}}, "tags is of no kind"),
        ({"tags": {"kind": "memm"}, "more": {"kind": "crf"}}, "more .*absent from the folder"),
        ({"tags": {"kind": "span"}}, "no sizes of the start and the end"),
    ):
        (tmp_path / "ours/config.json").write_text(json.dumps(config | {"heads": table}))
        with pytest.raises(IntegrityError, match=message):
            convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="keras-hdf5")
    assert not (tmp_path / "out").exists()
    assert not read_heads({"architectures": ["BertForMaskedLM"]}, {}, {}).kinds


@pytest.mark.slow
@pytest.mark.parametrize("name", MODELS)
def test_every_recorded_model_goes_back_to_the_bit(name, tmp_path):
    if not SHARED.exists():
        pytest.skip("no recorded models in ../shared/fixtures/finetuned")
    file = forms(name)[0]
    converted(SHARED, name, file, tmp_path / "ours")
    convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="keras-hdf5")
    source, found = layers(SHARED / name / file), layers(tmp_path / "out/model.weights")
    check(source, found, name)
    if "keras231" not in file and name != "hand_named":
        assert list(source) == list(found)


PYTHON = os.environ.get("GENAE_BERT4KERAS_PYTHON")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not PYTHON, reason="GENAE_BERT4KERAS_PYTHON names no interpreter")
def test_bert4keras_computes_with_heads_what_it_computed_before(root, tmp_path):
    jobs = []
    for name in MODELS:
        fixture = json.loads((SHARED / name / "fixture.json").read_text())
        if name == "relation_half_pointer":  # its recipe is a model of three
            continue
        converted(SHARED, name, forms(name)[0], tmp_path / name)
        out = tmp_path / f"{name}-out"
        report = convert.export_checkpoint(tmp_path / name, out, to="keras-hdf5")
        with np.load(SHARED / name / "reference.npz") as arrays:
            outputs = [
                head.get("output") or "emissions"
                for head in fixture["heads"]
                if head["role"] != "emissions"
            ]
            assert all(f"out_{one}" in arrays for one in outputs)
        jobs.append(
            {
                "folder": str(out),
                "reference": str(SHARED / name / "reference.npz"),
                "outputs": outputs,
                "options": report.options,
                "heads": fixture["heads"],
            }
        )
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    script = root / "tests/conversion/old_stack.py"
    done = subprocess.run(
        [PYTHON, script, tmp_path / "jobs.json"], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(jobs)
    for line in lines:
        assert "error" not in line, line
        assert max(line["differences"].values()) <= 1, line
