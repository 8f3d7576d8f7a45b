"""Options without a record: laws that a conversion with them keeps, family by family."""

import json
import shutil

import h5py
import numpy as np
import pytest
import torch

import convert
from convert.verify.texts import outputs
from tests.conversion.bundles import write_bundle
from tests.conversion.records import LEGACY, options, record, spread
from tests.conversion.wrappers import FORMS, class_of, layers_of
from zoo.errors import GenaeError, IntegrityError, UsageError

#: One recorded model of every family but those whose vocabulary was cut in a record.
FAMILIES = (
    *("albert", "albert_unilm", "nezha", "roformer", "roformer_small", "roformer_v2"),
    *("gau_alpha", "electra", "gpt", "gpt2", "gpt2_ml", "t5", "t5_v1_1"),
)
KEPT = [0, 1, 2, 3, 40, 7, 9, 33, 12, 50, 21, 5]
COMPOUND = [[4, 4], [5, 6]]  # means of a row and itself, and of two, in the new numbering


def bring_over(name, out, source=None, config=None, **told):
    fixture = record(name)
    return convert.convert_checkpoint(
        source or LEGACY / name / "bert_model.ckpt",
        out,
        family=fixture["model"],
        config=config or LEGACY / name / "bert_config.json",
        options=options(fixture) | told,
    )


def asked(name, ids):
    """What a recorded model takes, with these ids wherever it takes ids."""
    ids = torch.as_tensor(ids)
    more = {"attention_mask": torch.ones_like(ids), "token_type_ids": torch.zeros_like(ids)}
    if record(name)["model"] == "gpt2":  # transformers' would look them up among the tokens
        del more["token_type_ids"]
    if "t5" in record(name)["model"]:
        more = {"decoder_input_ids": ids.flip(0), "decoder_attention_mask": torch.ones_like(ids)}
    return {"input_ids": ids, **more}


def run(folder, name, ids):
    return outputs(folder, asked(name, ids), torch.float64)


@pytest.mark.parametrize("name", FAMILIES)
def test_kept_tokens_mean_what_they_meant(name, tmp_path):
    bring_over(name, tmp_path / "old")
    bring_over(name, tmp_path / "new", keep_tokens=KEPT, compound_tokens=COMPOUND)
    new = np.random.default_rng(0).integers(1, len(KEPT), (3, 9))
    old = np.array(KEPT)[new]
    before, after = run(tmp_path / "old", name, old), run(tmp_path / "new", name, new)
    twice = np.where(new == 4, len(KEPT), new)  # the compound of a row and itself
    again = run(tmp_path / "new", name, twice)
    assert before.keys() == after.keys()
    for key, values in before.items():
        found = after[key]
        if values.shape[-1] != found.shape[-1]:  # scores of tokens
            assert found.shape[-1] == len(KEPT) + len(COMPOUND), key
            if "prob" in key or key == "split_lm_output":
                continue  # of another set of tokens
            values, found = values[..., KEPT], found[..., : len(KEPT)]
            mixed = (after[key][..., 5] + after[key][..., 6]) / 2
            assert torch.allclose(after[key][..., len(KEPT) + 1], mixed, atol=1e-6), key
        assert torch.allclose(values, found, atol=1e-9), key
        assert torch.allclose(after[key], again[key], atol=1e-6), key


@pytest.mark.parametrize("name", [name for name in FAMILIES if "t5" not in name])
def test_hierarchical_positions_change_nothing_within_the_table(name, tmp_path):
    """Row k of n is the plain row for k < n; families without a table refuse the option."""
    config = json.loads((LEGACY / name / "bert_config.json").read_text("utf-8"))
    if name in ("nezha", "roformer", "roformer_small", "roformer_v2", "gau_alpha"):
        with pytest.raises(GenaeError, match="hierarchical_position"):
            bring_over(name, tmp_path / "long", hierarchical_position=True)
        return
    bring_over(name, tmp_path / "plain")
    bring_over(name, tmp_path / "long", hierarchical_position=0.3)
    ids = np.random.default_rng(0).integers(1, 40, (2, config["max_position_embeddings"]))
    before, after = run(tmp_path / "plain", name, ids), run(tmp_path / "long", name, ids)
    assert all(torch.allclose(before[key], after[key], atol=1e-5) for key in before)
    assert run(tmp_path / "long", name, np.tile(ids, 2))["emb"].isfinite().all()


@pytest.mark.parametrize(
    ("name", "told", "message"),
    [
        ("bert_full", {"residual_attention_scores": True, "application": "lm"}, "cannot build"),
        ("gpt", {"residual_attention_scores": True}, "no option 'residual_attention_scores'"),
        ("gau_alpha", {"residual_attention_scores": True}, "no option 'residual_attention_score"),
        ("electra", {"with_mlm": True}, "no option 'with_mlm'"),
        ("electra", {"application": "lm"}, "it can be encoder"),
        ("gpt", {"application": "lm"}, "it can be encoder or unilm"),
        ("bert_full", {"gelu": None}, "gelu is None; it can be erf or tanh"),
        ("nezha", {"attention_key_size": 4}, "of another shape"),
        ("t5_v1_1", {"autoresize_weights": True}, "only gelu is known"),
        ("roformer_v2", {"autoresize_weights": True}, "only gelu is known"),
    ],
)
def test_what_no_such_model_has_is_refused_by_name(name, told, message, tmp_path):
    with pytest.raises(GenaeError, match=message):
        bring_over(name, tmp_path / "out", **told)
    assert not list(tmp_path.iterdir())


def test_what_cannot_be_resized_says_why(tmp_path):
    """Values are repeated in pairs; layers without names are identified by their sizes."""
    source = LEGACY / "bert_full" / "model.weights"
    config = json.loads((source.parent / "bert_config.json").read_text())
    options = {"autoresize_weights": True}
    odd = config | {"max_position_embeddings": 50}
    with h5py.File(source, "r") as file:
        rows = file["Embedding-Position/Embedding-Position/embeddings:0"][:31]
    copy = shutil.copy(source, tmp_path)
    with h5py.File(copy, "r+") as file:
        del file["Embedding-Position/Embedding-Position/embeddings:0"]
        file["Embedding-Position/Embedding-Position/embeddings:0"] = rows
    with pytest.raises(IntegrityError, match="in pairs, and 31 is an odd number"):
        convert.convert_checkpoint(copy, tmp_path / "out", config=odd, options=options)
    unnamed = LEGACY / "bert_full" / "model_tf2.weights.h5"
    larger = config | {"hidden_size": 48}
    with pytest.raises(IntegrityError, match="identified by their sizes alone: give a file"):
        convert.convert_checkpoint(unnamed, tmp_path / "out", config=larger, options=options)


def test_a_tied_head_of_another_width_is_refused_and_the_rest_converts(tmp_path):
    with convert.open_checkpoint(LEGACY / "roformer_v2/bert_model.ckpt") as found:
        tensors = {key: tensor.numpy() for key, tensor in found.items()}
    for key in ("word_embeddings", "token_type_embeddings"):
        tensors[f"bert/embeddings/{key}"] = tensors[f"bert/embeddings/{key}"][:, :16].copy()
    mapping = "bert/encoder/embedding_hidden_mapping_in/kernel"
    source = write_bundle(tmp_path, tensors | {mapping: np.ones((16, 24), np.float32)})
    with pytest.raises(UsageError, match="tied to the table of tokens"):
        bring_over("roformer_v2", tmp_path / "out", source, embedding_size=16)
    told = {"embedding_size": 16, "with_mlm": False}
    report = bring_over("roformer_v2", tmp_path / "out", source, **told)
    assert report.architecture == "GenaeRoFormerV2Model"
    assert run(tmp_path / "out", "roformer_v2", [[1, 2, 3]])["layer_0"].shape == (1, 3, 24)


def conditioned(name, hidden):
    """The layers of a model with maps of a condition of 3, and what they make of one condition.

    Returns:
        The layers, the condition, and plain layers that compute the same under it.
    """
    chance = np.random.default_rng(1)
    plain = layers_of(LEGACY / name / "model.weights")
    condition = chance.standard_normal(3).astype(np.float32)
    extended, folded = [], []
    for layer, arrays in plain:
        if class_of(layer) != "layer_normalization":
            extended.append((layer, arrays))
            folded.append((layer, arrays))
            continue
        beta, gamma = arrays
        first = [chance.standard_normal((3, 5)).astype(np.float32)] * hidden
        given = condition @ first[0] if hidden else condition
        shape = (len(given), len(beta))
        maps = [0.1 * chance.standard_normal(shape).astype(np.float32) for _ in range(2)]
        extended.append((layer, [beta, gamma, *first, *maps]))
        folded.append((layer, [beta + given @ maps[0], gamma + given @ maps[1]]))
    return extended, condition, folded


CONDITIONED = ["bert_full", "nezha", "roformer", "albert", "electra"]


@pytest.mark.parametrize(
    ("name", "hidden", "form"),
    spread(CONDITIONED, [False, True], ["whole", "object_graph", "dependencies"]),
)
def test_a_condition_shifts_and_scales_every_norm(name, hidden, form, tmp_path):
    extended, condition, folded = conditioned(name, hidden)
    for folder, layers in (("a", extended), ("b", folded)):
        (tmp_path / folder).mkdir()
        source = FORMS[form if folder == "a" else "whole"](layers, tmp_path / folder)
        bring_over(name, tmp_path / folder / "out", source)
    ids = np.random.default_rng(0).integers(1, 40, (2, 7))
    given = asked(name, ids) | {"condition": torch.from_numpy(np.tile(condition, (2, 1)))}
    found = outputs(tmp_path / "a/out", given, torch.float64)
    wanted = run(tmp_path / "b/out", name, ids)
    assert wanted.keys() <= found.keys()
    assert all(torch.allclose(found[key], value, atol=1e-5) for key, value in wanted.items())
    other = outputs(
        tmp_path / "a/out", given | {"condition": 0 * given["condition"]}, torch.float64
    )
    assert not torch.allclose(found["layer_0"], other["layer_0"], atol=1e-2)


def test_the_unconditional_part_is_a_condition_of_zero(tmp_path):
    """The checkpoint lacks the maps of its HDF5 file, which a condition of zero puts out."""
    assert bring_over("bert_cln", tmp_path / "tf").architecture == "BertModel"
    bring_over("bert_cln", tmp_path / "keras", LEGACY / "bert_cln/model.weights")
    ids = np.random.default_rng(0).integers(1, 60, (2, 7))
    given = asked("bert_cln", ids) | {"condition": torch.zeros(2, 7)}
    found = outputs(tmp_path / "keras", given, torch.float64)
    wanted = run(tmp_path / "tf", "bert_cln", ids)
    for key in ("emb", "layer_0", "layer_1"):
        assert torch.allclose(found[key], wanted[key], atol=1e-9), key


@pytest.mark.parametrize("application", ["lm", "unilm"])
def test_what_writes_has_no_head_of_next_sentences(application, tmp_path):
    """As bert4keras builds it, from a checkpoint that has one; unless it is asked for."""
    source = LEGACY / "bert_full/bert_model.ckpt"
    for number, (more, wanted) in enumerate(
        (({}, "GenaeBertForCausalLM"), ({"with_nsp": True}, "GenaeBertForPreTraining"))
    ):
        options = {"application": application, "gelu": "erf"} | more
        report = convert.convert_checkpoint(source, tmp_path / f"{number}", options=options)
        assert report.architecture == wanted
        left = {reason for name, reason in report.plan.dropped.items() if "seq_rel" in name}
        assert left == (set() if more else {"left out by with_nsp=False"})
