"""What the index alone tells: family, options and form of every recorded model, or candidates."""

import json
import shutil

import h5py
import pytest

import convert
from convert import families
from tests.conversion.bundles import write_bundle
from tests.conversion.records import LEGACY, few_or_all, options, record, sources
from zoo.errors import IntegrityError

#: Families whose tensors are called the same in TensorFlow's files; NEZHA's HDF5 has a table more.
ALIKE = {"nezha", "roformer"}
#: Without a table of segments: there are none, or they are looked up among the tokens.
WITHOUT_SEGMENTS = (
    "bert_nosegment",
    "bert_shared_segment",
    "gpt_nosegment",
    "gpt_shared_segment",
)
#: Options that say which heads there are.
HEADS = ("with_pool", "with_nsp", "with_mlm", "with_discriminator")

#: Beginnings of forms in words, and what else sets a file apart.
FORMS = {
    "bert_model.ckpt.index": "TensorFlow V2 checkpoint, 1 data file",
    "bert_model.ckpt": "TensorFlow V1 checkpoint",
    "tf2_object": "TensorFlow 2 object graph, 1 data file",
    "model_tf2.weights.h5": "Keras 3 weights",
    "model.weights": "Keras HDF5, weights only, written by Keras 2.3.1",
    "model_tf2.h5": "Keras HDF5, weights only, written by Keras 2.13.1",
    "full_model.h5": "Keras HDF5, a full model, written by Keras 2.3.1",
    "full_model_tf2.h5": "Keras HDF5, a full model, written by Keras 2.13.1",
}
OTHER_FORMS = {
    "bert_shards": "TensorFlow V2 checkpoint, 3 data files",
    "t5_long": "TensorFlow V2 checkpoint, 2 data files",
    "bert_sliced": "TensorFlow V2 checkpoint, 1 data file, 4 tensors in slices",
}

EVERY = [
    pytest.param(name, source, id=f"{name}-{source.name}", marks=marks)
    for (name,), marks, _ in few_or_all(
        "bert_full", "bert_pool", "bert_encoder", "bert_v1", *OTHER_FORMS
    )
    for source in sources(name)
]


def emptied(source, folder):
    """A copy of a checkpoint in which every value is zero; its index is as it was."""
    if source.is_dir():
        source = next(source.glob("*.index"))
    for file in source.parent.glob(f"{source.name.removesuffix('.index')}*"):
        shutil.copy(file, folder)
        if ".data-" in file.name:
            (folder / file.name).write_bytes(bytes(file.stat().st_size))
    if not source.name.startswith("bert_model.ckpt") and source.suffix in (".weights", ".h5"):
        with h5py.File(folder / source.name, "r+") as file:
            file.visititems(
                lambda _, item: (
                    item.write_direct(item[()] * 0)
                    if isinstance(item, h5py.Dataset) and item.dtype.kind == "f"
                    else None
                )
            )
    return folder / source.name


@pytest.mark.parametrize(("name", "source"), EVERY)
def test_the_index_alone_names_family_options_and_form(name, source, tmp_path):
    fixture = record(name)
    config = LEGACY / name / "bert_config.json"
    found = convert.inspect(emptied(source, tmp_path), config=config)

    family = families.find(fixture["model"]).name
    if family in ALIKE and source.suffix == ".index":
        assert set(found.families) == ALIKE
        assert "--family nezha or --family roformer" in " ".join(found.missing)
    else:
        (one,) = found.families
        assert one == family or (one, family) in families.SAME
    assert found.form == OTHER_FORMS.get(name, FORMS[source.name])
    assert found.sizes["layers" if "layers" in found.sizes else "hidden"]  # ALBERT shares one

    if fixture["loads_checkpoint_of"]:  # what was kept of it is not in the files
        return
    told, effective = options(fixture), fixture["effective"]
    asked = {option for option in HEADS if told.get(option)}
    asked |= {"with_pool"} if "with_nsp" in asked else set()
    asked |= {"with_mlm"} if told.get("application", "encoder") != "encoder" else set()
    asked |= {"with_discriminator"} if name == "electra_encoder" else set()  # its files have one
    held = {option for option in HEADS if found.options.get(option)}
    assert held == asked & {*found.options}
    assert found.sizes["vocab"] == effective["vocab_size"]
    assert found.sizes["hidden"] == effective["hidden_size"]
    rests = {
        "embedding_size": effective["hidden_size"],
        "attention_head_size": effective["hidden_size"] // effective["num_attention_heads"],
        "attention_key_size": effective["attention_head_size"],
    }
    if family != "gau_alpha":  # one head, of another kind
        for option, rest in rests.items():
            assert found.options.get(option, rest) == effective[option], option
    config = json.loads(config.read_text("utf-8"))
    kinds = effective.get("segment_vocab_size", config.get("type_vocab_size", 2))
    assert name in WITHOUT_SEGMENTS or found.options.get("segment_vocab_size", 2) == kinds
    asked_about = any("segment_vocab_size=0" in line for line in found.missing)
    assert asked_about == (name in WITHOUT_SEGMENTS)
    if name == "bert_cln" and source.suffix == ".weights":
        assert found.options["layer_norm_cond"] == fixture["conditional_layer_norm"]["dim"]
    assert found.defaults.keys().isdisjoint(found.options)
    undecided = {"application", "gelu", "hierarchical_position", "cross_position_bias"}
    assert undecided & {*families.find(family).options} <= {*found.defaults}


T5_STRINGS = [
    f"{name}{ending}" for name in ("t5", "t5.1.0", "t5.1.1", "mt5.1.1")
    for ending in ("", "_encoder", "_decoder")
]  # fmt: skip
STRINGS = (
    *("bert", "roberta", "albert", "albert_unshared", "nezha", "roformer", "roformer_v2"),
    *("electra", "gpt", "gpt2", "gpt2_ml", "gau_alpha", *T5_STRINGS),
)


@pytest.mark.parametrize("name", STRINGS)
def test_every_model_string_of_bert4keras_names_a_family(name):
    family, meant = families.find(name), families.meant_by(name)
    if name in T5_STRINGS:
        stem, _, stack = name.partition("_")
        assert family.name == {"t5": "t5.1.0"}.get(stem, stem)
        assert meant == {"stack": stack or "both"}
    else:
        assert meant == {}


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
def test_one_stack_of_t5_is_what_the_files_hold(stack, tmp_path):
    with convert.open_checkpoint(LEGACY / "t5/bert_model.ckpt") as found:
        tensors = {
            name: tensor.numpy()
            for name, tensor in found.items()
            if name.startswith((stack, "shared"))
        }
    source, config = write_bundle(tmp_path, tensors), LEGACY / "t5/bert_config.json"
    found = convert.inspect(source, config=config)
    assert (found.families, found.options["stack"], found.missing) == (["t5.1.0"], stack, [])
    report = convert.convert_checkpoint(source, tmp_path / "out", config=config)
    assert report.defaults["stack"] == stack
    assert {step.source for step in report.plan.steps} == set(tensors)
    with pytest.raises(IntegrityError, match="absent from the checkpoint"):  # both were asked for
        convert.convert_checkpoint(source, tmp_path / "more", config=config, family="t5")
