"""Files of no known family: what they are, what was nearest, and why not."""

import io
import json
import zipfile

import h5py
import numpy as np
import pytest

import convert
from convert import families
from convert.dialects.foreign import foreign
from tests.conversion.bundles import write_bundle
from tests.conversion.records import LEGACY
from tests.conversion.test_check_agrees import ends
from zoo.errors import IntegrityError, NotFoundError, UsageError

BLOCK = {"kernel": (4, 4), "bias": (4,)}


def bundle(folder, names):
    """A checkpoint of tensors of these names, all zero."""
    return write_bundle(folder, {name: np.zeros((4, 4), np.float32) for name in names})


def refusal(source, **given):
    """What a conversion says, which an inspection must say too."""
    out = source.parent / "out"
    code, said = ends(lambda: convert.convert_checkpoint(source, out, **given))
    seen, missing = ends(lambda: convert.inspect(source, **given))
    assert code
    assert (seen, missing) == (code, said)
    assert not out.exists()
    return said


#: Whose model, and a few of its names.
MODELS = {
    "XLNet": (
        "model/transformer/layer_0/rel_attn/q/kernel",
        "model/transformer/mask_emb/mask_emb",
    ),
    "Transformer-XL": ("transformer/adaptive_embed/lookup_table", "transformer/r_w_bias"),
    "OpenAI's GPT-2": ("model/h0/attn/c_attn/w", "model/wte"),
    "ELECTRA's generator alone": ("generator/encoder/layer_0/output/dense/kernel",),
    "tensor2tensor's Transformer": ("transformer/body/encoder/layer_0/ffn/conv1/kernel",),
    "Pegasus": ("decoder/layer_0/memory_attention/output_proj/kernel",),
    "PaddlePaddle's ERNIE": ("encoder_layer_0_multi_head_att_query_fc.w_0",),
    "transformers' DistilBERT": ("tf_distil_bert_model/distilbert/embeddings/weight",),
    "an image classifier of TensorFlow": ("resnet_v1_50/conv1/weights",),
    "a PyTorch model": ("encoder.layer.0.output.dense.weight",),
}


@pytest.mark.parametrize("model", MODELS)
def test_well_known_models_are_named(model, tmp_path):
    said = refusal(bundle(tmp_path, MODELS[model]))
    assert f"these are names of {model} ({MODELS[model][0]})" in said
    assert "TensorFlow V2 checkpoint, 1 data file" in said
    assert "bert_config.json" not in said  # it would not help


@pytest.mark.parametrize("family", [one.name for one in families.FAMILIES])
def test_no_family_of_ours_is_taken_for_another(family):
    rows = families.find(family).rows
    assert foreign([row.source.format(i=0) for row in rows if row.source]) is None


def test_the_nearest_family_is_named_with_what_it_lacks(tmp_path):
    with convert.open_checkpoint(LEGACY / "bert_full/bert_model.ckpt") as tensors:
        kept = {
            name: tensor.numpy()
            for name, tensor in tensors.items()
            if "layer_0/attention/self/query" not in name
        }
    said = refusal(write_bundle(tmp_path, kept))
    assert "the nearest is bert: 18 of the 20 names" in said
    assert "absent are bert/encoder/layer_0/attention/self/query/kernel, " in said
    said = refusal(bundle(tmp_path, ["a/b", "c"]))
    assert "the nearest is" not in said


def keras(path, layers):
    """Weights of a Keras model: layer -> shapes."""
    with h5py.File(path, "w") as file:
        file.attrs["layer_names"] = [name.encode() for name in layers]
        file.attrs["backend"], file.attrs["keras_version"] = b"tensorflow", b"2.3.1"
        for name, shapes in layers.items():
            group = file.create_group(name)
            names = [f"{name}/{kind}:0" for kind, _ in zip(BLOCK, shapes, strict=False)]
            group.attrs["weight_names"] = [one.encode() for one in names]
            for one, shape in zip(names, shapes, strict=True):
                group[one] = np.zeros(shape, np.float32)
    return path


def test_a_network_of_keras_is_described_by_its_layers(tmp_path):
    layers = {"conv2d_1": [(3, 3, 1, 4), (4,)], "conv2d_2": [(3, 3, 4, 4), (4,)]}
    said = refusal(keras(tmp_path / "a.h5", layers))
    assert "its layers: conv2d (2); it looks like a network for images" in said
    assert "Keras HDF5, weights only, written by Keras 2.3.1" in said
    assert "bert_config.json" not in said


def test_layers_that_could_be_a_familys_are_compared_by_shape(tmp_path):
    config = LEGACY / "bert_encoder/bert_config.json"
    table = json.loads(config.read_text("utf-8"))
    size = table["hidden_size"]
    layers = {
        "embedding_1": [(table["vocab_size"], size)],
        "dense_1": [(size, size), (size,)],
        "dense_2": [(size, 7), (7,)],
    }
    source = keras(tmp_path / "a.h5", layers)
    assert "--config" in refusal(source)  # whose sizes tell it
    said = refusal(source, config=config)
    assert "The nearest is" in said
    assert "layers are there; absent is" in said


def zipped(*names):
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        for name in names:
            archive.writestr(name, b"\x80\x02}q\0.")
    return stream.getvalue()


#: Files of other programs: a word of what is said.
FILES = {
    "pytorch_model.bin": (zipped("archive/data.pkl", "archive/version"), "PyTorch"),
    "lightning.ckpt": (zipped("model/data.pkl", "model/data/0", "model/version"), "PyTorch"),
    "old.pt": (b"\x80\x02}q\0.", "PyTorch"),
    "model.safetensors": (b"\x10" + bytes(7) + b'{"a": {}}      ', "safetensors"),
    "weights.npz": (zipped("a.npy", "b.npy"), "NumPy"),
    "saved_model.pb": (b"\x08\x01\x12\x90", "SavedModel"),
    "frozen.pb": (b"\n\x1d\n\x05input", "graph of TensorFlow"),
    "model.onnx": (b"\x08\x07\x12\x07pytorch", "ONNX"),
    "model.tflite": (b"\x1c\0\0\0TFL3", "TensorFlow Lite"),
    "model.gguf": (b"GGUF\3\0\0\0", "GGUF"),
    "ernie.pdparams": (b"\x80\x02}q\0.", "pickle"),
    "inference.pdiparams": (b"\1\0\0\0", "PaddlePaddle"),
    "encoder_layer_0_multi_head_att_key_fc.w_0": (bytes(4) + b"\1", "PaddlePaddle"),
    "flax_model.msgpack": (b"\x81\xa6params\x80", "Flax"),
}


@pytest.mark.parametrize("name", FILES)
def test_files_of_other_programs_are_named(name, tmp_path):
    content, word = FILES[name]
    (tmp_path / name).write_bytes(content)
    for source, kind in ((tmp_path / name, IntegrityError), (tmp_path, NotFoundError)):
        with pytest.raises(kind, match=word):
            convert.inspect(source)
        with pytest.raises(kind, match=word):
            convert.convert_checkpoint(source, tmp_path / "out")


@pytest.mark.parametrize("family", [one.name for one in families.FAMILIES])
def test_every_family_takes_the_application_that_is_the_default(family):
    found = families.find(family)
    assert found.options["application"] == "encoder"
    assert "encoder" in found.applications


def test_t5_has_no_other_application(tmp_path):
    source = LEGACY / "t5/bert_model.ckpt"
    told = {"semantics": "google", "application": "encoder"}
    assert convert.inspect(source, options=told).missing == []
    convert.convert_checkpoint(source, tmp_path / "out", options=told)
    with pytest.raises(UsageError, match="it can be encoder"):
        convert.convert_checkpoint(source, tmp_path / "no", options=told | {"application": "lm"})


@pytest.mark.parametrize(
    ("kind", "name"),
    [
        ("xlnet", "transformer/tf_xl_net_model/transformer/layer_._0/rel_attn/q:0"),
        ("mobilebert", "mobilebert/tf_mobile_bert_model/mobilebert/embeddings/weight:0"),
        ("gptj", "transformer/wte/weight:0"),  # GPT-2 has this table as well
        ("bart", "model/encoder/layers.0/self_attn/k_proj/kernel:0"),
    ],
)
def test_another_model_of_transformers_is_named_by_its_type(kind, name, tmp_path):
    source = tmp_path / "tf_model.h5"
    with h5py.File(source, "w") as file:
        file.attrs["layer_names"] = [b"a"]
        file.create_group("a").attrs["weight_names"] = [name.encode()]
        file["a"][name] = np.zeros((4, 4), np.float32)
    (tmp_path / "config.json").write_text(json.dumps({"model_type": kind}), "utf-8")
    said = refusal(source)
    assert f"its configuration says model_type '{kind}', which is not converted" in said
