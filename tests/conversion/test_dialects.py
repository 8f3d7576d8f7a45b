"""Other names for the same layers: what is read, and that the result is the same."""

import numpy as np
import pytest

import convert
from convert.dialects import Dialect, Rule, translated
from convert.readers.base import Checkpoint
from convert.weights.lazy import boxes
from convert.weights.ops import IDENTITY, TRANSPOSE, ZEROS, merge, part, then, times
from convert.weights.views import InMemory
from tests.conversion.rewritten import rewritten
from zoo.errors import IntegrityError, UsageError


def held(**arrays):
    """A checkpoint in memory; `__` in names is `/`."""
    tensors = {
        name.replace("__", "/"): InMemory(array, name.replace("__", "/"))
        for name, array in arrays.items()
    }
    return Checkpoint("tf_bundle", [], tensors)


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (merge(0), lambda a: a.reshape(6, 4)),
        (merge(1), lambda a: a.reshape(2, 12)),
        (part(2, 1, 2), lambda a: a[..., 2:]),
        (part(0, 0, 2), lambda a: a[:1]),
        (then(merge(1), TRANSPOSE), lambda a: a.reshape(2, 12).T),
        (then(merge(1), part(1, 2, 3)), lambda a: a.reshape(2, 12)[:, 8:]),
    ],
)
def test_an_operation_gives_any_box_of_its_result(op, expected):
    array = np.arange(24.0).reshape(2, 3, 4)
    made, wanted = op.view(InMemory(array)), expected(array)
    assert made.shape == wanted.shape
    for most in (1, 2, 5, 7, 100):
        for box in boxes(made.shape, most):
            assert np.array_equal(made.block(box), wanted[box])


@pytest.mark.parametrize(
    ("op", "expected"),
    [
        (
            times(InMemory(np.arange(20.0).reshape(4, 5))),
            lambda a: a @ np.arange(20.0).reshape(4, 5),
        ),
        (IDENTITY, lambda a: np.eye(4)),
        (ZEROS, np.zeros_like),
        (then(times(InMemory(np.ones((4, 2)))), TRANSPOSE), lambda a: (a @ np.ones((4, 2))).T),
    ],
)
def test_an_operation_on_matrices_gives_any_box_of_its_result(op, expected):
    array = np.arange(12.0).reshape(3, 4)
    made, wanted = op.view(InMemory(array)), expected(array)
    for most in (1, 3, 7, 100):
        for box in boxes(made.shape, most):
            assert np.array_equal(made.block(box), wanted[box])
    made.verify()


def test_operations_refuse_axes_that_are_not_there():
    flat = InMemory(np.zeros((2, 3)))
    with pytest.raises(IntegrityError, match="no axes 1 and 2"):
        merge(1).view(flat)
    with pytest.raises(IntegrityError, match="not 2 parts"):
        part(1, 0, 2).view(flat)
    with pytest.raises(IntegrityError, match="cannot be multiplied"):
        times(flat).view(flat)


TOY = Dialect(
    "toy",
    "a toy",
    r"block1/split/kernel",
    (
        Rule(r"block(?P<i>\d+)/split/kernel", "bert/{i}/left", part(0, 0, 2)),
        Rule(r"block(?P<i>\d+)/split/kernel", "bert/{i}/right", part(0, 1, 2)),
        Rule(r"block(?P<i>\d+)/seen", dropped="a counter"),
    ),
    (Rule(r"head/(?P<w>kernel|bias)", "cls/{w}"),),
    first=1,
)


def test_rules_name_split_number_and_leave_out():
    kernel = np.arange(8.0).reshape(4, 2)
    checkpoint = held(
        net__body__block1__split__kernel=kernel,
        net__body__block1__seen=np.zeros(()),
        net__head__bias=np.ones(2),
        other=np.ones(3),
        body__block2__seen=np.ones(4),
    )
    (naming,) = translated([TOY], checkpoint)
    assert naming.names == {
        "bert/0/left": "net/body/block1/split/kernel",
        "bert/0/right": "net/body/block1/split/kernel",
        "cls/bias": "net/head/bias",
        "other": "other",
        "body/block2/seen": "body/block2/seen",
    }
    assert naming.dropped == {"net/body/block1/seen": "a counter"}
    assert naming.shapes(checkpoint)["bert/0/right"] == (2, 2)
    right = naming.op("bert/0/right").view(checkpoint["net/body/block1/split/kernel"])
    assert np.array_equal(right.numpy(), kernel[2:])
    assert any("a toy" in note for note in naming.notes)
    assert any("net/body/" in note for note in naming.notes)


def test_a_dialect_does_not_apply_where_names_would_be_one_or_axes_are_others():
    twice = held(
        block1__split__kernel=np.zeros((4, 2)), head__bias=np.ones(2), cls__bias=np.ones(2)
    )
    odd = held(block1__split__kernel=np.zeros((3, 2)))
    assert not list(translated([TOY], twice))
    assert not list(translated([TOY], odd))
    assert not list(translated([TOY], held(block1__kernel=np.zeros((4, 2)))))


def factorised(arrays, blocks):
    """A BERT whose table of tokens is a product, as brightmart's first ALBERTs have it.

    `blocks` is "shared" for one block, "own" for several.
    """
    random = np.random.default_rng(0)
    first = random.normal(size=(83, 8)).astype(np.float32)
    second = random.normal(size=(8, 24)).astype(np.float32)
    tokens = "bert/embeddings/word_embeddings"
    kept = {name: value for name, value in arrays.items() if "layer_" not in name}
    for name, value in arrays.items():
        if blocks == "own" and "layer_" in name:
            kept[name] = value
        elif "layer_0" in name:
            kept[name.replace("layer_0", "layer_shared")] = value
    return kept | {tokens: first, f"{tokens}_2": second, "global_step": np.ones((), np.int64)}


def plain(arrays, blocks):
    """The same as a BERT: the product, and the block as often as there are layers."""
    made = factorised(arrays, blocks)
    first, second = (made[f"bert/embeddings/word_embeddings{end}"] for end in ("", "_2"))
    wide = first.astype(np.float64) @ second
    found = {name: value for name, value in arrays.items() if "layer_" not in name}
    for name, value in arrays.items():
        if "layer_" in name:
            number = name.partition("layer_")[2].partition("/")[0]
            own = name if blocks == "own" else name.replace(f"layer_{number}/", "layer_0/")
            found[name] = arrays[own] if blocks == "shared" else value
    return found | {"bert/embeddings/word_embeddings": wide.astype(np.float32)}


@pytest.mark.parametrize(
    ("blocks", "architecture"), [("shared", "AlbertForPreTraining"), ("own", "BertForPreTraining")]
)
def test_a_factorised_table_of_tokens_computes_what_its_product_does(
    blocks, architecture, tmp_path
):
    import torch
    import transformers

    more = {"embedding_size": 8}
    source = rewritten("bert_full", tmp_path / "in", lambda a: factorised(a, blocks), more)
    assert convert.inspect(source).missing == []
    told = {"gelu": "tanh"}
    report = convert.convert_checkpoint(source, tmp_path / "out", options=told)
    assert report.architecture == architecture
    assert any("brightmart" in note for note in report.notes)
    assert not any("epsilon" in note for note in report.notes)
    wide = rewritten("bert_full", tmp_path / "wide", lambda a: plain(a, blocks))
    convert.convert_checkpoint(wide, tmp_path / "bert", options=told)
    ids = torch.tensor([[2, 45, 7, 82, 3, 0]])
    found = []
    for folder in ("out", "bert"):
        model = transformers.AutoModelForPreTraining.from_pretrained(tmp_path / folder).eval()
        with torch.no_grad():
            made = model(ids, output_hidden_states=True)
        second = made.sop_logits if "sop_logits" in made else made.seq_relationship_logits
        found.append([made.prediction_logits, second, *made.hidden_states])
    ours, wanted = found
    for one, other in zip(ours[:2] + ours[-3:], wanted[:2] + wanted[-3:], strict=True):
        assert torch.allclose(one, other, atol=2e-4), (one - other).abs().max()


def test_blocks_that_are_normalised_first_are_refused(tmp_path):
    more = {"ln_type": "preln"}
    source = rewritten("bert_full", tmp_path / "in", lambda a: factorised(a, "shared"), more)
    with pytest.raises(UsageError, match="ln_type is 'preln'"):
        convert.convert_checkpoint(source, tmp_path / "out")
    assert convert.inspect(source).exit_code == 2
