"""Heads of fine-tuning on recorded hidden states, with the weights of bert4keras's files."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers

from zoo.models import BertForMultiTask
from zoo.models.text.configuration_heads import KINDS, read_heads
from zoo.models.text.heads_base import States
from zoo.models.text.heads_fine_tuning import HEADS
from zoo.models.text.spans import find_spans

FIXTURES = Path(__file__).resolve().parents[1] / "fixtures"


def recorded(folder, name):
    """Arrays that bert4keras made; what it decoded is under `decoded`."""
    with np.load(FIXTURES / folder / f"{name}.npz") as arrays:
        return {
            key: json.loads(str(value)) if key == "decoded" else torch.from_numpy(value)
            for key, value in arrays.items()
        }


def near(found, wanted):
    torch.testing.assert_close(found, wanted, rtol=2e-5, atol=2e-5)


def head_of(kind, width, labels, **table):
    """A head in eval mode."""
    ((_, settings),) = read_heads({"it": {"kind": kind, **table}}).values()
    config = SimpleNamespace(hidden_size=width, num_labels=labels)
    return HEADS[kind](config, settings).eval()


def fill(given, **modules):
    """Put the weights of layers, in the order of the file, into parameters; maps turned."""
    for role, parameters in modules.items():
        for place, parameter in enumerate(parameters):
            with torch.no_grad():
                parameter.copy_(given[f"{role}|{place}"])


def linear(*layers):
    """The parameters of maps, their weights as Keras turns them."""
    return [
        value for layer in layers for value in (layer.weight.T, layer.bias) if value is not None
    ]


def states_of(given, **more):
    return States(given["out_hidden"], given["mask"].bool(), **more)


CHAINS = {
    "ner_crf": ("crf", {"lr_multiplier": 1000}),
    "ner_crf_keras231": ("crf", {"lr_multiplier": 100}),
    "ner_memm": ("memm", {"lr_multiplier": 1000}),
    "ner_memm_lowrank": ("memm", {"lr_multiplier": 100, "hidden_dim": 3}),
}


@pytest.mark.parametrize("name", CHAINS)
def test_chains_of_labels(name):
    given = recorded("heads", name)
    kind, table = CHAINS[name]
    head = head_of(kind, 20, len(given["trans"]), **table)
    own = list(head.parameters(recurse=False))
    fill(given, emissions=linear(head.classifier), **{kind: own})
    near(head.transitions, given["trans"])
    mask, labels = given["mask"].bool(), given["labels"]
    emissions = head(states_of(given))
    near(emissions, given["out_emissions"])
    if kind == "crf":
        near(head.loss(emissions, labels, mask), given["out_loss_per_row"].mean())
    else:
        near(head.loss(emissions, labels, mask), given["out_loss"])
    for told in given["decoded"]["viterbi"]:
        rules = {name: told[name] for name in ("starts", "ends")}
        assert head.decode(emissions, mask, **rules) == told["rows"]


def layers_of(head):
    return linear(*(layer for layer in head.children() if isinstance(layer, torch.nn.Linear)))


@pytest.mark.parametrize(
    ("name", "table"),
    [
        ("ner_global_pointer", {"size": 8, "kind": "global_pointer"}),
        ("ner_efficient_global_pointer", {"size": 6, "kind": "efficient_global_pointer"}),
    ],
)
def test_pointers_of_entities(name, table):
    given = recorded("heads", name)
    head = head_of(labels=given["out_logits"].shape[1], width=20, **table)
    fill(given, pointer=layers_of(head))
    mask = given["mask"].bool()
    logits = head(states_of(given))
    near(logits, given["out_logits"])
    sparse = head_of(**table | {"loss": "sparse"}, labels=1, width=20)
    wanted = given["out_loss_sparse"]
    near(sparse.loss(logits, given["labels"], mask), wanted)
    cells = torch.zeros_like(logits)
    for row, heads in enumerate(given["labels"].long().tolist()):
        for number, spans in enumerate(heads):
            for start, end in spans:
                cells[row, number, start, end] = float((start, end) != (0, 0))
    near(head.loss(logits, cells, mask), given["out_loss_dense"])
    assert head.decode(logits, mask) == given["decoded"]["entities"]


LAYERS = {
    "global_pointer_rope0_tril0": {"rope": False, "triangle": False},
    "global_pointer_rope0_tril1": {"rope": False},
    "global_pointer_rope1_tril0": {"triangle": False},
    "global_pointer_rope1_tril1": {},
    "global_pointer_nobias_nomask": {"bias": False},
    "efficient_global_pointer_full": {"triangle": False},
    "efficient_global_pointer_rope0": {"rope": False},
    "efficient_global_pointer_rope1": {},
}


@pytest.mark.parametrize("name", LAYERS)
def test_every_option_of_a_pointer(name):
    given = recorded("layers", name)
    kind = name.partition("pointer")[0] + "pointer"
    head = head_of(kind, 10, 3, size=6, **LAYERS[name])
    stored = {f"it|{key[1:]}": value for key, value in given.items() if key[0] == "w"}
    fill(stored, it=layers_of(head))
    mask = given.get("mask0", torch.ones(3, 7)).bool()
    near(head(States(given["in0"], mask)), given["out0"])


def test_triples_by_three_pointers():
    given = recorded("heads", "relation_gplinker")
    head = head_of("gplinker", 20, 4, size=8)
    fill(given, **{name: layers_of(getattr(head, name)) for name in head.names})
    mask = given["mask"].bool()
    logits = head(states_of(given))
    for name in ("entity", "head", "tail"):
        near(logits[name], given[f"out_{name}_logits"])
    labels = {name: given[f"labels_{name}"] for name in head.names}
    near(head.loss(logits, labels, mask).double(), given["out_loss"])
    wanted = given["decoded"]["relations"]
    assert head.decode(logits, mask) == [each["triples"] for each in wanted]
    entities = find_spans(logits["entity"], mask)
    for role, name in enumerate(("subjects", "objects")):
        found = [[span[1:] for span in row if span[0] == role] for row in entities]
        assert found == [each[name] for each in wanted]


def test_triples_by_half_pointers():
    given = recorded("heads", "relation_half_pointer")
    head = head_of("half_pointer", 20, 5, epsilon=1e-7)
    norm = head.norm
    fill(
        given,
        subject=linear(head.subject),
        object=linear(head.object),
        conditional_norm=[
            norm.bias,
            norm.weight,
            *linear(norm.condition_bias, norm.condition_weight),
        ],
    )
    mask, residual = given["mask"].bool(), given["out_hidden_before_last_norm"]
    logits = head(states_of(given, residual=residual, subject_ids=given["in_subject_ids"]))
    found = head.probabilities(logits)
    near(norm(residual, given["out_subject_vector"]), given["out_conditional_norm"])
    near(found["subject"], given["out_subject_probs"])
    near(found["object"], given["out_object_probs"])
    labels = {name: given[f"labels_{name}"] for name in ("subject", "object")}
    near(head.loss(logits, labels, mask), given["out_loss"])
    wanted = given["decoded"]["relations"]
    assert head.subjects(logits, mask) == [each["subjects"] for each in wanted]
    assert head.decode(logits, mask, residual) == [each["triples"] for each in wanted]
    with pytest.raises(ValueError, match="subject_ids"):
        head.loss({"subject": logits["subject"]}, labels, mask)
    with pytest.raises(ValueError, match="whole output"):
        head.decode(logits, mask)


def test_labels_of_texts():
    for name, table, role in (
        ("classifier_pool", {"pooling": "pooler"}, "probs"),
        ("classifier_multilabel", {"pooling": "pooler", "activation": "sigmoid"}, "probs"),
        ("classifier_multilabel_logits", {"pooling": "mean", "activation": "linear"}, "logits"),
    ):
        given = recorded("heads", name)
        wanted = given[f"out_{role}"]
        head = head_of("classifier", 20, wanted.shape[1], **table)
        fill(given, classifier=linear(head.classifier))
        mask = given["mask"].bool()
        logits = head(states_of(given, pooled=given["out_pooled"]))
        made = {
            "softmax": logits.softmax(-1), "sigmoid": logits.sigmoid(), "linear": logits
        }[head.settings.activation]  # fmt: skip
        near(made, wanted)
        labels = given["labels"].long().squeeze(-1)
        near(head.loss(logits, labels, mask), given["out_loss"])
        assert head.reads_pooler == (table["pooling"] == "pooler")
        holds = {"softmax": wanted.argmax(-1), "sigmoid": wanted > 0.5, "linear": wanted > 0}
        told = holds[head.settings.activation]
        assert head.decode(logits, mask) == (
            told.tolist() if told.ndim == 1 else [row.nonzero()[:, 0].tolist() for row in told]
        )


def test_labels_of_tokens_and_of_the_text_side_by_side():
    given = recorded("heads", "multi_task")
    for role, kind, labels in (("head_0", "classifier", 4), ("head_1", "token_classifier", 6)):
        head = head_of(kind, 20, labels)
        fill(given, **{role: linear(head.classifier)})
        near(head(states_of(given)).softmax(-1), given[f"out_{role}"])
    logits, mask = head(states_of(given)), given["mask"].bool()
    found = head.decode(logits, mask)
    assert found == [row[seen].argmax(-1).tolist() for row, seen in zip(logits, mask, strict=True)]


def test_a_span_ends_after_its_start_and_is_no_padding():
    head = head_of("span", 6, 2)
    mask = torch.tensor([[1, 1, 1, 1, 0]]).bool()
    logits = head(States(torch.randn(1, 5, 6), mask))
    assert logits.isinf().any(-1).tolist() == [[False] * 4 + [True]]
    logits[0, :4] = torch.tensor([[-20.0, 9.0], [1, 0], [3, 2], [2, 1]])
    assert head.decode(logits, mask) == [[2, 2]]
    places = torch.tensor([[1, 3]])
    wanted = -logits.log_softmax(1)[0, [1, 3], [0, 1]].mean()
    near(head.loss(logits, places, mask), wanted)


def test_what_a_table_leaves_out_has_its_default():
    made = read_heads(
        {
            "tags": {"kind": "memm", "hidden_dim": 3, "starts": [0]},
            "spans": {"kind": "gplinker", "size": 8, "head": {"rope": True}},
            "mood": {"kind": "classifier", "labels": ["bad", "good"], "pooling": "mean"},
        }
    )
    (_, tags), (kind, spans), (_, mood) = made.values()
    assert kind == "gplinker"
    assert (tags.hidden_dim, tags.starts, tags.ends, tags.lr_multiplier) == (3, [0], None, 1.0)
    assert (mood.count(9), tags.count(9)) == (2, 9)
    found = spans.pointers(4)
    assert [found[name].num_labels for name in ("entity", "head", "tail")] == [2, 4, 4]
    assert [each.rope for each in found.values()] == [True, True, False]
    assert [each.triangle for each in found.values()] == [True, False, False]
    assert {each.size for each in found.values()} == {8}
    assert KINDS.keys() == HEADS.keys()


@pytest.mark.parametrize(
    ("heads", "message"),
    [
        ({"a.b": {"kind": "crf"}}, "'a.b'"),
        ({"it": {"kind": "crff"}}, "classifier, token_classifier, crf.*'crff'"),
        ({"it": "crf"}, "must be a table"),
        ({"it": {"kind": "crf", "multiplier": 3}}, "'it' has no setting 'multiplier'.*lr_mult"),
        ({"it": {"kind": "crf", "lr_multiplier": 0}}, "'it'.*above 0, got 0"),
        ({"it": {"kind": "crf", "lr_multiplier": "3"}}, "'it'.*lr_multiplier"),
        ({"it": {"kind": "crf", "forbidden": [[1]]}}, "pairs"),
        ({"it": {"kind": "memm", "hidden_dim": 0}}, "hidden_dim must be at least 1"),
        ({"it": {"kind": "global_pointer", "size": 5}}, "size 5 must be even"),
        ({"it": {"kind": "global_pointer", "loss": "none"}}, "dense, sparse"),
        ({"it": {"kind": "gplinker", "head": {"depth": 1}}}, "'head' has no setting 'depth'"),
        ({"it": {"kind": "classifier", "pooling": "max"}}, "cls, pooler, mean"),
        ({"it": {"kind": "classifier", "activation": "tanh"}}, "softmax, sigmoid, linear"),
        ({"it": {"kind": "span", "dropout": 1}}, "below 1, got 1"),
        ({"it": {"kind": "span", "labels": ["a"], "num_labels": 2}}, "labels has 1 names"),
    ],
)
def test_a_table_that_cannot_be_read_is_refused_by_name(heads, message):
    with pytest.raises(ValueError, match=message):
        read_heads(heads)


def test_heads_keep_their_order(tmp_path):
    tables = {name: {"kind": "classifier", "num_labels": 2} for name in ("z", "a", "m")}
    config = transformers.BertConfig(
        vocab_size=9, hidden_size=4, num_hidden_layers=1, num_attention_heads=1,
        intermediate_size=4, max_position_embeddings=4, heads=tables,
    )  # fmt: skip
    model = BertForMultiTask(config).eval()
    for place in ("one", "two"):
        model.save_pretrained(tmp_path / place)
        model = BertForMultiTask.from_pretrained(tmp_path / place)
        assert list(model(torch.ones(1, 3, dtype=torch.long)).logits) == ["z", "a", "m"]
    more = {"b": tables["z"], **tables}  # what the order lacks comes last
    changed = BertForMultiTask.from_pretrained(tmp_path / "two", heads=more)
    assert list(changed.heads) == changed.config.head_order == ["z", "a", "m", "b"]
    alone = BertForMultiTask(config, heads={"only": tables["z"]})
    assert alone.config.head_order is None
