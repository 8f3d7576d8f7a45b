"""Language models that write by a class: the table of conditions, there and back."""

import json
import shlex

import h5py
import numpy as np
import pytest
import torch
from transformers import AutoTokenizer

import convert
import zoo
from tests.conversion.records import FIXTURES
from zoo.errors import UsageError
from zoo.models import GenaeBertConfig, GenaeBertForCausalLM, GenaeBertForMaskedLM
from zoo.models.text.decoding import beam_search, random_sample

HERE = FIXTURES / "finetuned/conditional_lm"
WEIGHTS = HERE / "best_model.weights"
#: As the original was asked: class, and what else it was told.
ASKED = json.loads((HERE / "decoded.json").read_text())["decode"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The recorded model, its classes named."""
    out = tmp_path_factory.mktemp("conditions") / "out"
    options = {"application": "lm", "labels": ["sad", "glad"]}
    convert.convert_checkpoint(WEIGHTS, out, options=options)
    return out


@pytest.fixture(scope="module")
def model(folder):
    return zoo.from_pretrained(folder).eval()


def test_probabilities_by_number_and_by_vector_are_the_recorded_ones(model):
    with np.load(HERE / "reference.npz") as arrays:
        given = {name: torch.from_numpy(np.asarray(array)) for name, array in arrays.items()}
    mask = given["mask"].bool()
    table = model.get_submodule("bert.condition_embeddings").weight
    vectors = given["out_condition_vector"]
    torch.testing.assert_close(table[given["in_condition"].flatten().long()], vectors)
    for condition in (given["in_condition"].long(), given["in_condition"][:, 0].int(), vectors):
        with torch.no_grad():
            logits = model(
                given["in_token_ids"].long(), attention_mask=mask.long(),
                token_type_ids=given["in_segment_ids"].long(), condition=condition,
            ).logits  # fmt: skip
        wanted = given["out_probs"][mask]
        torch.testing.assert_close(logits.softmax(-1)[mask], wanted, rtol=2e-5, atol=2e-6)


@pytest.mark.parametrize("asked", ASKED, ids=lambda one: f"{one['method']}-{one['condition']}")
def test_texts_of_a_class_are_the_recorded_ones(model, folder, asked):
    ways = {
        "beam_search": lambda: {"custom_generate": beam_search, "topk": asked["topk"]},
        "random_sample": lambda: {
            "custom_generate": random_sample, "n": asked["n"], "topp": asked["topp"],
            "numpy_seed": asked["numpy_seed"],
        },
    }  # fmt: skip
    found = model.generate(
        torch.tensor([[asked["start_id"]]]), condition=torch.tensor([asked["condition"]]),
        end_id=asked["end_id"], max_new_tokens=asked["maxlen"], **ways[asked["method"]](),
    )  # fmt: skip
    output = asked["output"]
    assert found.tolist() == (output if isinstance(output[0], list) else [output])
    if asked.get("topk") == 1:  # and so does the verb write
        label = ("sad", "glad")[asked["condition"]]
        written = zoo.generate(folder, greedy=True, max_new_tokens=asked["maxlen"], label=label)
        tokenizer = AutoTokenizer.from_pretrained(folder)
        assert written.texts == [tokenizer.decode(output, skip_special_tokens=True)]


def test_the_command_line_names_the_classes(run, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "labels.txt").write_text("sad\nglad\n")
    words = ("--option", "application=lm", "--labels", "labels.txt")
    done = run("convert", WEIGHTS, "out", *words)
    assert (done.code, done.tried) == (0, ["genae generate out --label sad"])
    named, numbered = (
        run(*shlex.split(done.tried[0])[1:-1], label, "--seed", 3) for label in ("sad", "0")
    )
    assert named.code == 0
    assert named.out == numbered.out
    assert run("generate", "out", "--label", "glad", "--seed", 3).out != named.out
    for words, said in (
        ((), "needs a label; choose one of its 2, such as sad, glad"),
        (("--label", "good"), "has no label 'good'; choose one of its 2"),
    ):
        done = run("generate", "out", *words)
        assert (done.code, said in done.err) == (2, True)
    done = run("generate", "genae/tiny-gpt", "--label", "sad")
    assert (done.code, "no table of labels" in done.err) == (2, True)


def test_names_are_as_many_as_rows():
    options = {"application": "lm", "labels": ["a", "b", "c"]}
    found = convert.inspect(WEIGHTS, options=options)
    assert "3 labels are given, and the table of conditions has 2" in found.missing[0]
    assert not convert.inspect(WEIGHTS, options={"application": "lm"}).missing


def stored(path):
    """Every array of an HDF5 file, in the order of its layers."""
    with h5py.File(path) as file:
        return [
            file[layer][weight][()]
            for layer in file.attrs["layer_names"]
            for weight in file[layer].attrs["weight_names"]
        ]


def test_there_and_back_everything_stands_where_it_stood(folder, tmp_path):
    convert.export_checkpoint(folder, tmp_path / "back", to="keras-hdf5")
    before, after = stored(WEIGHTS), stored(tmp_path / "back/model.weights")
    assert len(before) == len(after)
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


SIZES = {"vocab_size": 30, "hidden_size": 16, "num_hidden_layers": 1, "num_attention_heads": 2}
SIZES |= {"intermediate_size": 20, "condition_size": 5}


def test_numbers_need_a_table_and_train_it():
    ids, numbers = torch.tensor([[2, 7, 9]] * 2), torch.tensor([1, 0])
    bare = GenaeBertForMaskedLM(GenaeBertConfig(**SIZES))
    with pytest.raises(ValueError, match="no table of conditions"):
        bare(ids, condition=numbers)
    made = GenaeBertForCausalLM(GenaeBertConfig(**SIZES, num_conditions=3))
    for name, weight in made.named_parameters():
        if "condition_" in name:
            torch.nn.init.normal_(weight)
    made(ids, condition=numbers, labels=ids).loss.backward()
    moved = made.get_submodule("bert.condition_embeddings").weight.grad.abs().sum(1) > 0
    assert moved.tolist() == [True, True, False]


@pytest.mark.parametrize(
    ("more", "message"),
    [({"num_conditions": 0}, "num_conditions"), ({}, "needs a condition_size")],
)
def test_a_table_has_rows_and_a_width(more, message):
    sizes = SIZES | {"num_conditions": 2} | (more or {"condition_size": None})
    with pytest.raises(Exception, match=message):
        GenaeBertConfig(**sizes)


def test_vectors_alone_are_asked_for_in_python(tmp_path, folder):
    place = tmp_path / "bare"
    GenaeBertForCausalLM(GenaeBertConfig(**SIZES, attention_mask_kind="causal")).save_pretrained(
        place
    )
    AutoTokenizer.from_pretrained(folder).save_pretrained(place)
    with pytest.raises(UsageError, match="a vector of 5 numbers"):
        zoo.generate(place)
