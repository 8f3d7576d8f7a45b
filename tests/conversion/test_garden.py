"""Google's BERT and ALBERT of TensorFlow 2: every form of names gives the same weights."""

import json
import re

import numpy as np
import pytest

import convert
from convert.readers.safetensors import open_safetensors
from tests.conversion.bundles import graph_of, write_bundle
from tests.conversion.records import LEGACY
from tests.conversion.rewritten import arrays_of, rewritten, weights_of
from zoo.errors import NotFoundError, UsageError

HEADS = 4
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"
GROUP = "bert/encoder/transformer/group_0/inner_group_0"

#: Google's names in TensorFlow 1 -> those of variables, in the order in which they are replaced.
VARIABLES = (
    (r"^bert/embeddings/word_embeddings$", "word_embeddings/embeddings"),
    (r"^bert/embeddings/token_type_embeddings$", "type_embeddings/embeddings"),
    (r"^bert/embeddings/position_embeddings$", "position_embedding/embeddings"),
    (r"^bert/embeddings/LayerNorm", "embeddings/layer_norm"),
    (r"^bert/encoder/embedding_hidden_mapping_in", "embedding_projection"),
    (rf"^{GROUP}/", "transformer/"),
    (r"^bert/encoder/layer_", "transformer/layer_"),
    (r"attention(_1)?/self", "self_attention"),
    (r"attention(_1)?/output/dense", "self_attention/attention_output"),
    (r"attention/output/LayerNorm", "self_attention_layer_norm"),
    (r"(ffn_1/)?intermediate/output/dense", "output"),
    (r"(ffn_1/)?intermediate/dense", "intermediate"),
    (r"output/dense", "output"),
    (r"output/LayerNorm", "output_layer_norm"),
    (r"^transformer/LayerNorm/", "transformer/self_attention_layer_norm/"),
    (r"^transformer/LayerNorm_1/", "transformer/output_layer_norm/"),
    (r"^bert/pooler/dense", "pooler_transform"),
    (r"^cls/predictions/output_bias", "bert/cls/predictions/output_bias/bias"),
    (r"^cls/seq_relationship/output_bias", "predictions/transform/logits/bias"),
    (r"^cls/seq_relationship/output_weights", "predictions/transform/logits/kernel"),
)
#: Names of variables -> attributes of a block.
ATTRIBUTES = (
    (r"self_attention/attention_output", "_attention_layer/_output_dense"),
    (r"self_attention/(\w+)/", r"_attention_layer/_\1_dense/"),
    (r"self_attention_layer_norm", "_attention_layer_norm"),
    (r"/intermediate", "/_intermediate_dense"),
    (r"/output/", "/_output_dense/"),
    (r"/output_layer_norm", "/_output_layer_norm"),
)
KEPT = (
    (r"^word_embeddings", "_embedding_layer"),
    (r"^position_embedding/", "_position_embedding_layer/"),
    (r"^type_embeddings", "_type_embedding_layer"),
    (r"^embeddings/layer_norm", "_embedding_norm_layer"),
    (r"^embedding_projection", "_embedding_projection"),
    (r"^transformer/layer_", "_transformer_layers/"),
    (r"^pooler_transform", "_pooler_layer"),
)


def renamed(name, table):
    for pattern, word in table:
        name = re.sub(pattern, word, name)
    return name


def split(name, array):
    """Kernels of attention head by head."""
    if "/self/" in name:
        return array.reshape(*array.shape[:-1], HEADS, -1)
    if re.search(r"attention(_1)?/output/dense/kernel", name):
        return array.reshape(HEADS, -1, array.shape[-1])
    return array.T.copy() if name == "cls/seq_relationship/output_weights" else array


def variables(arrays):
    """By the names of variables."""
    return {renamed(name, VARIABLES): split(name, array) for name, array in arrays.items()}


def encoder(arrays):
    """Without heads of pretraining, which other forms keep under other names."""
    return {name: array for name, array in arrays.items() if not name.startswith("cls/")}


def attributed(arrays, block=ATTRIBUTES):
    """Keys of an object graph of attributes."""
    return {
        "encoder/" + renamed(renamed(name, block), KEPT) + VALUE: array
        for name, array in variables(encoder(arrays)).items()
    }


def counted(arrays, first, pooler, block=ATTRIBUTES):
    """Keys of an object graph that counts layers."""
    tables = ("word_embeddings/", "position_embedding/", "type_embeddings/")
    places = {name: number for number, name in enumerate(tables)}
    places |= {
        "embeddings/layer_norm/": 3,
        "embedding_projection/": 4,
        "pooler_transform/": pooler,
    }
    found = {}
    for name, array in variables(encoder(arrays)).items():
        name = renamed(name, block)
        name = re.sub(
            r"^transformer/(?:layer_(\d+)/)?",
            lambda match: f"layer_with_weights-{first + int(match[1] or 0)}/",
            name,
        )
        for start, number in places.items():
            if name.startswith(start):
                name = f"layer_with_weights-{number}/{name.removeprefix(start)}"
        found[f"model/{name}{VALUE}"] = array
    return found


def old(arrays):
    """Names of 2019, converted: flat."""
    found = {}
    for name, array in arrays.items():
        name = renamed(name, VARIABLES).replace("self_attention/attention", "self_attention")
        name = name.replace("transformer/", "encoder/").replace(
            "type_", "embedding_postprocessor/type_"
        )
        name = name.replace("type_embeddings/embeddings", "type_embeddings")
        name = name.replace("position_embedding/", "embedding_postprocessor/position_")
        name = name.replace("embeddings/layer_norm", "embedding_postprocessor/layer_norm")
        name = name.replace("word_embedding_postprocessor", "word_embeddings")
        if name.startswith(("bert/", "predictions/", "cls/")):
            continue
        found[f"bert_model/{name}"] = array
    return found


def remembered(arrays):
    """Keys that say nothing, and a graph that remembers names of variables."""
    named = variables(arrays)
    keys = {f"variables/{number}{VALUE}": name for number, name in enumerate(sorted(named))}
    return {key: named[name] for key, name in keys.items()}, keys


def with_slots(arrays):
    """What an optimizer keeps beside each variable, and for itself."""
    slots = {
        name.replace(VALUE, f"/.OPTIMIZER_SLOT/optimizer/{slot}{VALUE}"): array
        for name, array in arrays.items()
        for slot in ("m", "v", "average")
    }
    counters = {
        f"{name}{VALUE}": np.ones((), np.int64) for name in ("optimizer/iter", "save_counter")
    }
    return arrays | slots | counters


EARLY = ((r"self_attention/attention_output", "_attention_output_dense"), *ATTRIBUTES[1:])
FORMS = {
    "variables": (variables, True),
    "old": (old, False),
    "attributes": (attributed, False),
    "counted": (lambda arrays: counted(arrays, 4, 7), False),
    "counted, with slots": (lambda arrays: with_slots(counted(arrays, 4, 7)), False),
    "counted early": (lambda arrays: counted(arrays, 4, 7, EARLY), False),
}


@pytest.fixture(scope="module")
def plain(tmp_path_factory):
    made = {}

    def weights(name, heads):
        if (name, heads) not in made:
            folder = tmp_path_factory.mktemp("plain")
            kept = dict if heads else encoder
            source = rewritten(name, folder / "in", lambda a: without_steps(kept(a)))
            convert.convert_checkpoint(source, folder / "out")
            made[name, heads] = weights_of(folder / "out")
        return made[name, heads]

    return weights


def without_steps(arrays):
    return {name: array for name, array in arrays.items() if name != "global_step"}


def check_same(folder, out, wanted, **more):
    assert convert.inspect(folder, **more).missing == []
    report = convert.convert_checkpoint(folder, out, **more)
    ours = weights_of(out)
    assert ours.keys() == wanted.keys()
    assert all(np.array_equal(ours[name], wanted[name]) for name in wanted)
    assert any("Model Garden" in note for note in report.notes)
    return report


@pytest.mark.parametrize("form", FORMS)
def test_every_form_of_bert_gives_the_same_weights(form, plain, tmp_path):
    change, heads = FORMS[form]
    folder = rewritten("bert_full", tmp_path / "in", lambda a: change(without_steps(a)))
    check_same(folder, tmp_path / "out", plain("bert_full", heads))


def test_a_graph_that_remembers_names_needs_no_keys_and_no_configuration(plain, tmp_path):
    folder = rewritten("bert_full", tmp_path / "in")
    arrays, names = remembered(without_steps(arrays_of("bert_full")))
    flag = {
        f"do_lower_case{VALUE}": np.ones((), np.int32),
        f"save_counter{VALUE}": np.ones((), np.int64),
    }
    write_bundle(folder, arrays | flag, texts={"_CHECKPOINTABLE_OBJECT_GRAPH": graph_of(names)})
    check_same(folder, tmp_path / "out", plain("bert_full", True))
    (folder / "bert_config.json").unlink()
    report = check_same(folder, tmp_path / "two", plain("bert_full", True))
    assert any("sizes and heads are those of the tensors" in note for note in report.notes)
    told = json.loads((tmp_path / "two/config.json").read_text("utf-8"))
    with_file = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert told == with_file
    assert any("gelu is taken in its erf form" in warning for warning in report.warnings)
    convert.convert_checkpoint(folder, tmp_path / "three", options={"gelu": "tanh"})
    told = json.loads((tmp_path / "three/config.json").read_text("utf-8"))
    assert told == with_file | {"hidden_act": "gelu_pytorch_tanh"}


ALBERT = {
    "variables": (variables, True),
    "counted": (lambda arrays: counted(arrays, 5, 6), False),
}


@pytest.mark.parametrize("form", ALBERT)
def test_every_form_of_albert_gives_the_same_weights(form, plain, tmp_path):
    change, heads = ALBERT[form]
    folder = rewritten("albert", tmp_path / "in", lambda a: change(without_steps(a)))
    report = check_same(folder, tmp_path / "out", plain("albert", heads))
    assert report.family == "albert"
    assert report.defaults["gelu"] == "tanh"  # Google trained none with the erf form
    assert not report.warnings
    (folder / "bert_config.json").unlink()  # one block for all layers: their number is nowhere
    with pytest.raises(NotFoundError, match=r"no bert_config\.json"):
        convert.convert_checkpoint(folder, tmp_path / "two")


@pytest.mark.parametrize(
    ("scope", "where"),
    [
        ("model/", "classification_heads/0/out_proj"),
        ("model/", "sentence_prediction/out_proj"),
        ("", "layer_with_weights-1"),
    ],
)
def test_a_head_beside_an_encoder_is_named(scope, where, tmp_path):
    arrays = without_steps(arrays_of("bert_full"))
    inner = {
        name.replace("model/", f"{scope}layer_with_weights-0/"): array
        for name, array in counted(arrays, 4, 7).items()
    }
    head = {
        f"{scope}{where}/kernel{VALUE}": np.arange(72, dtype=np.float32).reshape(24, 3),
        f"{scope}{where}/bias{VALUE}": np.ones(3, np.float32),
    }
    folder = rewritten("bert_full", tmp_path / "in", lambda a: inner | head)
    with pytest.raises(UsageError, match="of 3 labels"):
        convert.convert_checkpoint(folder, tmp_path / "out")
    convert.convert_checkpoint(folder, tmp_path / "out", options={"head": "none"})
    table = {"kind": "classifier", "pooling": "pooler", "activation": "softmax"}
    with_head = tmp_path / "head"
    report = convert.convert_checkpoint(folder, with_head, options={"heads": [table]})
    assert report.result["architectures"] == ["BertForSequenceClassification"]
    assert len(report.result["id2label"]) == 3
    with open_safetensors(with_head) as tensors:
        kernel = np.arange(72).reshape(24, 3)
        assert (tensors["classifier.weight"].numpy() == kernel.T).all()
        assert (tensors["classifier.bias"].numpy() == 1).all()


def test_object_graphs_of_bert4keras_are_not_taken_for_it():
    source, config = LEGACY / "bert_encoder/tf2_object", LEGACY / "bert_encoder/bert_config.json"
    assert not any("Garden" in note for note in convert.inspect(source, config=config).notes)


def test_a_model_of_tensorflow_hub_is_taken_from_its_folder(plain, tmp_path):
    folder = rewritten("bert_full", tmp_path / "made")
    arrays, names = remembered(without_steps(arrays_of("bert_full")))
    write_bundle(folder, arrays, texts={"_CHECKPOINTABLE_OBJECT_GRAPH": graph_of(names)})
    hub = tmp_path / "bert_en_uncased_L-3_H-24_A-4_1"
    (hub / "variables").mkdir(parents=True)
    (hub / "assets").mkdir()
    (hub / "saved_model.pb").write_bytes(b"\x08\x01")
    for end in (".index", ".data-00000-of-00001"):
        (folder / f"model.ckpt{end}").rename(hub / f"variables/variables{end}")
    (folder / "vocab.txt").rename(hub / "assets/vocab.txt")
    for number, source in enumerate((hub, hub / "variables")):
        out = tmp_path / f"out{number}"
        check_same(source, out, plain("bert_full", True))
        assert (out / "tokenizer.json").is_file()
