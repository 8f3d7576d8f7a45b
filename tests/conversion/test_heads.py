"""Heads of fine-tuning are named as such, and left out where somebody says so."""

import json
from pathlib import Path

import h5py
import numpy as np
import pytest
from typer.testing import CliRunner

import convert
from convert import families
from convert.heads.finding import find
from convert.names.naming import Naming
from convert.weights.rows import expand
from tests.conversion.bundles import graph_of, write_bundle
from tests.conversion.records import LEGACY, sources
from tests.conversion.rewritten import rewritten, weights_of
from zoo.cli import app
from zoo.errors import IntegrityError, UsageError

#: Tensors of a head -> how it is named. 24 is the width of the recorded models.
HEADS = {
    "a classifier of 4 labels": {"output_weights": (4, 24), "output_bias": (4,)},
    "a classifier of 8 labels": {"loss/output_weights": (8, 24), "loss/output_bias": (8,)},
    "a classifier of one value (a regression, or one choice)": {
        "output_weights": (1, 24),
        "output_bias": (1,),
    },
    "question answering (SQuAD)": {
        "cls/squad/output_weights": (2, 24),
        "cls/squad/output_bias": (2,),
    },
    "question answering with unanswerable questions (SQuAD 2)": {
        "start_logits/dense/kernel": (24, 1),
        "start_logits/dense/bias": (1,),
    },
    "the head of task_specific/mnli of 3 labels": {
        "task_specific/mnli/dense/kernel": (24, 3),
        "task_specific/mnli/dense/bias": (3,),
    },
    "a recurrent layer": {"BiLSTM/fw/lstm_cell/kernel": (24, 8)},
    "a CRF of 7 labels": {"crf_loss/transitions": (7, 7)},
    "a tagger of 7 labels": {
        "project/hidden/W": (24, 24),
        "project/hidden/b": (24,),
        "project/logits/W": (24, 7),
        "project/logits/b": (7,),
    },
    "a classifier of 5 labels": {"dense/kernel": (24, 5), "dense/bias": (5,)},
    "a classifier of 6 labels": {"classifier/kernel": (24, 6), "classifier/bias": (6,)},
    "a classifier of 2 labels, of two maps": {
        "classifier/dense/kernel": (24, 24),
        "classifier/dense/bias": (24,),
        "classifier/out_proj/kernel": (24, 2),
        "classifier/out_proj/bias": (2,),
    },
}


def zeros(shapes):
    return {name: np.zeros(shape, np.float32) for name, shape in shapes.items()}


@pytest.mark.parametrize("title", HEADS)
def test_a_head_is_named_and_left_out_on_request(title, tmp_path):
    source = rewritten("bert_full", tmp_path / "in", lambda a: a | zeros(HEADS[title]))
    with pytest.raises(UsageError) as caught:
        convert.convert_checkpoint(source, tmp_path / "out")
    assert f"{title}: {', '.join(HEADS[title])}. " in str(caught.value)
    assert "--option head=none" in str(caught.value)
    found = convert.inspect(source)
    assert (found.missing, found.exit_code) == ([str(caught.value)], 2)
    assert found.heads == [f"{title}: {', '.join(HEADS[title])}"]
    given = {"head": "none"}
    assert convert.inspect(source, options=given).missing == []
    report = convert.convert_checkpoint(source, tmp_path / "out", options=given)
    assert {report.plan.dropped[name] for name in HEADS[title]} == {
        f"{title}, left out by head=none"
    }
    convert.convert_checkpoint(
        LEGACY / "bert_full/bert_model.ckpt.index",
        tmp_path / "plain",
        options={"with_mlm": False, "with_nsp": False},
    )
    ours, plain = weights_of(tmp_path / "out"), weights_of(tmp_path / "plain")
    assert all(np.array_equal(ours[name], plain[name]) for name in ours.keys() | plain.keys())
    assert "head" not in report.options


#: A fixture of each family with a backbone, by the class that has it.
BACKBONES = {
    "albert": "AlbertModel",
    "bert_full": "BertModel",
    "bert_unilm": "BertModel",
    "electra": "ElectraModel",
    "gau_alpha": "GenaeGAUAlphaModel",
    "mt5": "MT5Model",
    "nezha": "GenaeNezhaModel",
    "roformer_sim": "GenaeRoFormerModel",
    "roformer_v2": "GenaeRoFormerV2Model",
    "t5": "T5Model",
    "t5_v1_1": "T5Model",
}
ASKED = {"nezha": "nezha", "roformer_sim": "roformer"}


@pytest.mark.parametrize("name", BACKBONES)
def test_without_any_head_the_backbone_is_left(name, tmp_path):
    """Those of pretraining as well, unless one is asked for."""
    source, given = sources(name)[0], {"head": "none"}
    report = convert.convert_checkpoint(
        source, tmp_path / "out", family=ASKED.get(name), options=given
    )
    assert report.architecture == BACKBONES[name]
    left = [word for tensor in weights_of(tmp_path / "out") for word in tensor.split(".")]
    assert not {"cls", "lm_head", "predictions", "discriminator_predictions"} & set(left)


def test_a_head_that_is_asked_for_stays(tmp_path):
    given = {"head": "none", "with_mlm": True}
    report = convert.convert_checkpoint(sources("bert_full")[0], tmp_path / "out", options=given)
    assert report.architecture == "BertForMaskedLM"


@pytest.mark.parametrize("name", ["gpt", "gpt2", "gpt2_ml"])
def test_a_table_that_predicts_is_no_head_to_leave_out(name, tmp_path):
    with pytest.raises(UsageError, match="no head to leave out; leave the option out"):
        convert.convert_checkpoint(sources(name)[0], tmp_path / "out", options={"head": "none"})
    assert not [*tmp_path.iterdir()]


def test_no_weight_of_any_family_is_a_head():
    for family in families.FAMILIES:
        parts = {part: True for row in family.rows for part in row.part.split("+")}
        rows = [*expand(family.rows, parts, 2)]
        for kind in ("tensorflow", "keras"):
            names = {name: name for row in rows if (name := row.name_in(kind))}
            assert find(Naming(kind, names), dict.fromkeys(names, (2, 2))) == []


def test_two_heads_are_two(tmp_path):
    more = HEADS["a tagger of 7 labels"] | HEADS["a CRF of 7 labels"]
    source = rewritten("bert_full", tmp_path / "in", lambda a: a | zeros(more))
    assert [one.partition(":")[0] for one in convert.inspect(source).heads] == [
        "a CRF of 7 labels",
        "a tagger of 7 labels",
    ]
    convert.convert_checkpoint(source, tmp_path / "out", options={"head": "none"})


def test_patterns_of_a_person_still_count(tmp_path):
    more = HEADS["a classifier of 4 labels"]
    source = rewritten("bert_full", tmp_path / "in", lambda a: a | zeros(more))
    report = convert.convert_checkpoint(source, tmp_path / "out", allow_unused=["output_*"])
    assert report.plan.dropped["output_bias"] == "allowed by output_*"


def test_slots_of_a_head_are_no_head(tmp_path):
    more = HEADS["a classifier of 4 labels"]
    slots = {f"{name}/adam_m": shape for name, shape in more.items()}
    source = rewritten("bert_full", tmp_path / "in", lambda a: a | zeros(more | slots))
    assert convert.inspect(source).heads == [
        "a classifier of 4 labels: output_weights, output_bias"
    ]


def test_what_is_no_head_is_no_head(tmp_path):
    stray = zeros({"bert/encoder/layer_3/output/dense/bias": (24,), "more/of/this": (3,)})
    source = rewritten("bert_full", tmp_path / "in", lambda a: a | stray)
    with pytest.raises(IntegrityError, match="not in the map: more/of/this"):
        convert.convert_checkpoint(source, tmp_path / "out", options={"head": "none"})


def test_what_nobody_knows_beside_a_whole_model_is_not_called_a_wrong_configuration(tmp_path):
    stray = zeros({"my/own/part": (3,), "my/own/other": (4,), "alone": (2,)})
    source = rewritten("bert_full", tmp_path / "in", lambda a: a | stray)
    with pytest.raises(IntegrityError) as caught:
        convert.convert_checkpoint(source, tmp_path / "out")
    assert "all weights of BERT are there, and 3 tensors more" in str(caught.value)
    assert "right configuration" not in str(caught.value)
    assert '--allow-unused alone --allow-unused "my/own/*"' in str(caught.value)
    convert.convert_checkpoint(source, tmp_path / "out", allow_unused=["alone", "my/own/*"])
    fewer = rewritten("bert_full", tmp_path / "two", config={"num_hidden_layers": 2})
    with pytest.raises(IntegrityError, match="Is it the right configuration"):
        convert.convert_checkpoint(fewer, tmp_path / "more")


@pytest.mark.parametrize(
    ("name", "whose"),
    [
        ("bert/encoder/layer_0/bottleneck/input/dense/kernel", "MobileBERT"),
        ("model/transformer/layer_0/rel_attn/q/kernel", "XLNet"),
        ("model/h0/attn/c_attn/w", "OpenAI's GPT-2"),
    ],
)
def test_models_of_other_kinds_are_named_as_what_they_are(name, whose, tmp_path):
    alike = whose == "MobileBERT"
    source = rewritten(
        "bert_full", tmp_path / "in", lambda a: (a if alike else {}) | zeros({name: (24, 24)})
    )
    with pytest.raises(UsageError, match=rf"names of {whose} \({name}\)"):
        convert.convert_checkpoint(source, tmp_path / "out")
    assert convert.inspect(source).exit_code == 2


def test_a_wrong_configuration_beside_a_head_says_both(tmp_path):
    more = HEADS["a classifier of 4 labels"]
    source = rewritten(
        "bert_full", tmp_path / "in", lambda a: a | zeros(more), {"num_hidden_layers": 4}
    )
    with pytest.raises(IntegrityError, match="absent from the checkpoint") as caught:
        convert.convert_checkpoint(source, tmp_path / "out")
    assert "a classifier of 4 labels" in str(caught.value)


@pytest.fixture
def dense(tmp_path):
    """Keras files with layers behind the model: in both layouts of names."""

    def make(file, *layers):
        source = tmp_path / "in"
        rewritten("bert_full", source)
        for path in source.glob("model.ckpt*"):
            path.unlink()
        path = source / file
        path.write_bytes((LEGACY / "bert_full" / file).read_bytes())
        with h5py.File(path, "a") as h5:
            names = [*h5.attrs["layer_names"]]
            for layer, shapes in layers:
                group = h5.create_group(layer)
                weights = [f"{layer}/{word}:0" for word in shapes]
                for name, shape in zip(weights, shapes.values(), strict=True):
                    group.create_dataset(name, data=np.zeros(shape, np.float32))
                group.attrs["weight_names"] = np.array(weights, "S")
                names.append(layer.encode())
            h5.attrs["layer_names"] = np.array(names, "S")
        return path

    return make


@pytest.mark.parametrize("file", ["model.weights", "model_tf2.h5"])
def test_a_layer_behind_a_keras_model_is_a_head(file, dense, tmp_path):
    source = dense(file, ("dense_25", {"kernel": (24, 2), "bias": (2,)}))
    with pytest.raises(UsageError, match=r"a classifier of 2 labels: .*dense_25"):
        convert.convert_checkpoint(source, tmp_path / "out")
    report = convert.convert_checkpoint(source, tmp_path / "out", options={"head": "none"})
    assert [why for why in report.plan.dropped.values() if "head=none" in why] == [
        "a classifier of 2 labels, left out by head=none"
    ] * 2


def test_several_layers_are_several_heads(dense, tmp_path):
    source = dense(
        "model.weights",
        ("bidirectional_1", {"forward/kernel": (24, 40), "forward/bias": (40,)}),
        ("dense_25", {"kernel": (20, 7), "bias": (7,)}),
        ("conditional_random_field_1", {"_trans": (7, 7)}),
    )
    assert [head.partition(":")[0] for head in convert.inspect(source).heads] == [
        "a recurrent layer",
        "a classifier of 7 labels",
        "a CRF of 7 labels",
    ]
    convert.convert_checkpoint(source, tmp_path / "out", options={"head": "none"})


def test_a_layer_behind_layers_without_names_is_a_head(tmp_path):
    folder = rewritten("bert_encoder", tmp_path / "in")
    for path in folder.glob("model.ckpt*"):
        path.unlink()
    with convert.open_checkpoint(LEGACY / "bert_encoder/tf2_object") as found:
        arrays = {name: tensor.numpy() for name, tensor in found.items()}
    top = "layer_with_weights-99/{}/.ATTRIBUTES/VARIABLE_VALUE"
    head = {top.format("kernel"): (30, 3), top.format("bias"): (3,)}
    write_bundle(folder, arrays | zeros(head), strings=["_CHECKPOINTABLE_OBJECT_GRAPH"])
    with pytest.raises(UsageError, match=r"a classifier of 3 labels: layer_with_weights-99"):
        convert.convert_checkpoint(folder, tmp_path / "out")
    convert.convert_checkpoint(folder, tmp_path / "out", options={"head": "none"})


def graph(layers):
    """An object graph of layers in a model's order: arrays by key, and their full names."""
    arrays, names = {}, {}
    for number, (layer, weights) in enumerate(layers):
        for word, array in weights.items():
            key = f"layer_with_weights-{number}/{word}/.ATTRIBUTES/VARIABLE_VALUE"
            arrays[key], names[key] = array, f"{layer}/{word}"
    return arrays, names


def test_a_graph_that_remembers_names_tells_a_classifier_from_a_next_sentence(tmp_path):
    """Both are a map to two values behind the pooler: by shape and order they are the same."""
    with convert.open_checkpoint(LEGACY / "bert_full/model.weights") as found:
        layers = [
            (
                layer.name,
                {
                    name.removeprefix(f"{layer.name}/{layer.name}/").removesuffix(":0"): found[
                        name
                    ].numpy()
                    for name in layer.tensors
                },
            )
            for layer in found.layers
            if not layer.name.startswith(("MLM", "NSP"))
        ]
    head = ("dense", zeros({"kernel": (24, 2), "bias": (2,)}))
    arrays, names = graph([*layers, head])
    folder = rewritten("bert_full", tmp_path / "in")
    texts = {"_CHECKPOINTABLE_OBJECT_GRAPH": graph_of(names)}
    write_bundle(folder, arrays, texts=texts)
    found = convert.inspect(folder)
    assert (found.format, found.families) == ("tf_object", ["bert"])
    assert found.heads[0].startswith("a classifier of 2 labels")
    report = convert.convert_checkpoint(folder, tmp_path / "out", options={"head": "none"})
    assert not any("names in the file mean nothing" in note for note in report.notes)
    assert report.architecture == "GenaeBertModel" or report.architecture == "BertModel"
    for damaged in (b"", b"\xff" * 40, graph_of(names)[:-3]):  # then order is all there is
        write_bundle(folder, arrays, texts={"_CHECKPOINTABLE_OBJECT_GRAPH": damaged})
        assert convert.inspect(folder).format == "tf_object"


def test_a_block_that_the_configuration_leaves_out_is_no_head(tmp_path):
    folder = rewritten("bert_encoder", tmp_path / "in", config={"num_hidden_layers": 1})
    source, config = LEGACY / "bert_encoder/tf2_object", folder / "bert_config.json"
    found = convert.inspect(source, family="bert", config=config)
    assert found.heads == []
    assert "not in the map" in found.missing[0]


def test_the_command_says_what_to_do(tmp_path):
    more = HEADS["a classifier of 4 labels"]
    source = rewritten("bert_full", tmp_path / "in", lambda a: a | zeros(more))
    run = CliRunner().invoke(app, ["convert", str(source), str(tmp_path / "out")])
    assert run.exit_code == 2
    assert "--option head=none" in run.output
    run = CliRunner().invoke(app, ["inspect", str(source)])
    assert "a classifier of 4 labels" in run.output
    told = ["convert", str(source), str(tmp_path / "out"), "--option", "head=none"]
    assert CliRunner().invoke(app, told).exit_code == 0
    with pytest.raises(UsageError, match="head is 'keep'; it can be none"):
        convert.convert_checkpoint(source, tmp_path / "two", options={"head": "keep"})


def test_nezha_is_named_by_its_configuration(tmp_path):
    def change(arrays):
        return arrays

    source = rewritten("nezha", tmp_path / "a", change)
    assert {*convert.inspect(source).families} == {"nezha", "roformer"}
    source = rewritten("nezha", tmp_path / "b0", change, {"use_relative_position": "True"})
    assert convert.inspect(source).families == ["nezha"]
    source = rewritten("nezha", tmp_path / "b", change, {"use_relative_position": True})
    report = convert.convert_checkpoint(source, tmp_path / "out")
    assert report.family == "nezha"
    assert any("as the configuration says" in note for note in report.notes)
    for says in (
        {"model_type": "roformer"},
        {"use_relative_position": True, "model_type": "bert"},
    ):
        source = rewritten("roformer", tmp_path / "c", change, says)
        found = convert.inspect(source).families
        assert found == [says["model_type"].replace("bert", "nezha")]
    source = rewritten("bert_full", tmp_path / "d", change, {"use_relative_position": True})
    with pytest.raises(UsageError, match="use_relative_position: true, as NEZHA's do"):
        convert.convert_checkpoint(source, tmp_path / "two")
    assert convert.convert_checkpoint(source, tmp_path / "two", family="bert").family == "bert"


TUNED = Path(__file__).resolve().parents[3] / "shared/fixtures/finetuned"
FILES = [path for path in sorted(TUNED.rglob("*")) if path.suffix in (".weights", ".h5", ".index")]


@pytest.mark.skipif(not FILES, reason="needs ../shared/fixtures/finetuned")
@pytest.mark.parametrize(
    "path",
    [
        pytest.param(
            path,
            id=str(path.relative_to(TUNED)),
            marks=[pytest.mark.slow] * (path.parent == last.parent),  # one of a folder
        )
        for last, path in zip([Path(), *FILES], FILES, strict=False)
    ],
)
def test_heads_of_models_that_people_saved_are_named(path):
    folder = TUNED / path.relative_to(TUNED).parts[0]
    heads_there = sum(
        len(head.get("weights", ()))
        for head in json.loads((folder / "fixture.json").read_text("utf-8"))["heads"]
        if head["role"] != "condition"  # which is the backbone's
    )
    config = folder / "bert_config.json"
    found = convert.inspect(path, config=config)
    told = sum(head.count(":0") or head.count(", ") + 1 for head in found.heads)
    assert (told > 0) == (heads_there > 0), found.heads
    left = convert.inspect(path, config=config, options={"head": "none"}).missing
    assert not any("not in the map" in line or "fine-tuning, which" in line for line in left), left
