"""Leftover tensors of training: known by name, never a weight by accident."""

import json

import numpy as np
import pytest

import convert
from convert import families
from convert.names.leftovers import why_left_over
from convert.weights.rows import expand
from tests.conversion.records import LEGACY, MODELS
from tests.conversion.rewritten import arrays_of, rewritten, weights_of
from zoo.errors import UsageError

KERNEL = "bert/encoder/layer_0/attention/self/query/kernel"
LEFT = {
    "optimizer slot": [
        *(f"{KERNEL}/{slot}" for slot in (
            "adam_m", "adam_v", "Adam", "Adam_1", "AdamWeightDecayOptimizer",
            "AdamWeightDecayOptimizer_1", "LAMB", "LAMB_1", "lamb_m", "Momentum", "RMSProp",
            "RMSProp_1", "Adagrad", "Adadelta_1", "adafactor_v", "adafactor_vr", "adafactor_vc",
            "Adafactor", "slow",
        )),
        f"{KERNEL}_slot_vr",
        "decoder/block_000/layer_000/rms_norm/scale_slot_v",
        f"Adam/{KERNEL}/m:0",
        f"training/Adam/{KERNEL}/v",
        f"Adam/m/{KERNEL}",
        "layer_with_weights-3/gamma/.OPTIMIZER_SLOT/optimizer/m/.ATTRIBUTES/VARIABLE_VALUE",
        "optimizer_weights/training/Adam/dense_1/kernel/m:0",
    ],
    "optimizer setting": [
        "beta1_power", "beta2_power_1", "training/beta1_power", "Adam/beta_1:0", "Adam/decay:0",
        "learning_rate", "training/Adam/lr", "training/Adam/Variable_12",
        "optimizer/learning_rate/.ATTRIBUTES/VARIABLE_VALUE",
    ],
    "step counter": [
        "global_step", "global_step_1", "tower/global_step", "iteration", "Adam/iterations:0",
        "Adam/iter", "local_step",
        "save_counter/.ATTRIBUTES/VARIABLE_VALUE", "optimizer/iter/.ATTRIBUTES/VARIABLE_VALUE",
        "step/.ATTRIBUTES/VARIABLE_VALUE",
    ],
    "loss scale of mixed precision": [
        "loss_scale", "good_steps", "num_good_steps", "bad_steps", "current_loss_scale",
        "loss-scale/good_steps",
        "optimizer/loss_scale/current_loss_scale/.ATTRIBUTES/VARIABLE_VALUE", "batch_finite",
    ],
    "accumulated gradients": [
        f"{KERNEL}/accum", f"accum_grads/{KERNEL}", f"accum_grad_12/{KERNEL}",
        f"{KERNEL}/grad_accum", f"{KERNEL}/gradient_accumulator", "horovod_global_size",
        "aggregation_variables_1/3",
    ],
    "float32 copy of a float16 weight": [f"{KERNEL}/shadow"],
    "moving average": [
        f"{KERNEL}/ExponentialMovingAverage",
        "layer_with_weights-3/gamma/.OPTIMIZER_SLOT/optimizer/average/.ATTRIBUTES/VARIABLE_VALUE",
    ],
    "casing of texts, which the vocabulary tells": [
        "do_lower_case/.ATTRIBUTES/VARIABLE_VALUE",  # of TensorFlow Hub's modules
    ],
    "metric": ["keras_api/metrics/0/total/.ATTRIBUTES/VARIABLE_VALUE"],
}  # fmt: skip


@pytest.mark.parametrize(("reason", "name"), [(r, n) for r, names in LEFT.items() for n in names])
def test_what_training_leaves_is_known_by_name(reason, name):
    assert why_left_over(name) == reason


def test_no_weight_of_any_family_is_taken_for_it():
    for family in families.FAMILIES:
        parts = {part: True for row in family.rows for part in row.part.split("+")}
        for row in expand(family.rows, parts, 2):
            assert not (row.source and why_left_over(row.source)), row.source
            assert not why_left_over(f"{row.layer}/{row.layer}/kernel:0"), row.layer


@pytest.mark.parametrize("name", MODELS)
def test_no_weight_of_a_recorded_model_is_taken_for_it(name):
    if not (LEGACY / name / "bert_model.ckpt.index").exists():
        return
    with convert.open_checkpoint(LEGACY / name / "bert_model.ckpt.index") as found:
        left = {key: reason for key in found if (reason := why_left_over(key))}
    ends = ("adam_m", "adam_v", "Adam", "Adam_1", "_slot_v", "_slot_vr", "_slot_vc", "power")
    assert all(key.endswith((*ends, "global_step")) for key in left)


def counted(arrays):
    """With counters of mixed precision and slots of two optimizers beside the weights."""
    scalars = ("loss_scale", "good_steps", "current_loss_scale", "beta1_power", "global_step")
    slots = {f"{name}/{end}": value for name, value in arrays.items()
             for end in ("adafactor_v", "Momentum")}  # fmt: skip
    return arrays | slots | {name: np.float32(3) * np.ones((), np.float32) for name in scalars}


def test_they_are_left_out_with_a_reason(tmp_path):
    source = rewritten("bert_full", tmp_path / "in", counted)
    assert convert.inspect(source).missing == []
    report = convert.convert_checkpoint(source, tmp_path / "out")
    convert.convert_checkpoint(LEGACY / "bert_full/bert_model.ckpt.index", tmp_path / "plain")
    ours, plain = weights_of(tmp_path / "out"), weights_of(tmp_path / "plain")
    assert ours.keys() == plain.keys()
    assert all(np.array_equal(ours[name], plain[name]) for name in plain)
    assert report.plan.dropped["good_steps"] == "loss scale of mixed precision"
    assert report.plan.dropped[f"{KERNEL}/Momentum"] == "optimizer slot"
    said = json.loads((tmp_path / "out/conversion.json").read_text("utf-8"))["dropped"]
    assert len(said) == convert.inspect(source).dropped


def averaged(arrays, without=()):
    """With an average of each weight beside it: its negative."""
    return arrays | {
        f"{name}/ExponentialMovingAverage": -value
        for name, value in arrays.items()
        if name not in without
    }


def test_averages_are_left_out_and_reported(tmp_path):
    source = rewritten("bert_full", tmp_path / "in", averaged)
    report = convert.convert_checkpoint(source, tmp_path / "out")
    assert any("averaged=true takes them" in note for note in report.notes)
    assert report.plan.dropped[f"{KERNEL}/ExponentialMovingAverage"] == "moving average"
    key = "bert.encoder.layer.0.attention.self.query.weight"
    kernel = arrays_of("bert_full")[KERNEL].T
    assert np.array_equal(weights_of(tmp_path / "out")[key], kernel)


@pytest.mark.parametrize("raw", [True, False])
def test_averages_are_taken_where_asked_for_or_where_there_is_nothing_else(raw, tmp_path):
    def alone(arrays):
        found = averaged(arrays)
        return found if raw else {name: found[name] for name in found if name not in arrays}

    source = rewritten("bert_full", tmp_path / "in", alone)
    given = {"averaged": True} if raw else {}
    assert convert.inspect(source, options=given).missing == []
    report = convert.convert_checkpoint(source, tmp_path / "out", options=given)
    key = "bert.encoder.layer.0.attention.self.query.weight"
    kernel = -arrays_of("bert_full")[KERNEL].T
    assert np.array_equal(weights_of(tmp_path / "out")[key], kernel)
    assert any("averaged weights are taken" in note for note in report.notes)
    assert (KERNEL in report.plan.dropped) == raw
    assert all("Average" in step.source for step in report.plan.steps)
    assert "averaged" not in report.options


def test_an_average_that_is_missing_is_named(tmp_path):
    source = rewritten("bert_full", tmp_path / "in", lambda a: averaged(a, without=[KERNEL]))
    with pytest.raises(UsageError, match=rf"of 1 weights there is no average: {KERNEL};"):
        convert.convert_checkpoint(source, tmp_path / "out", options={"averaged": True})
    assert not (tmp_path / "out").exists()


def test_what_has_one_form_alone_is_taken_in_it(tmp_path):
    # Saver(average.variables_to_restore()) names frozen weights as they are.
    def saved(arrays):
        return {
            name if "embeddings" in name else f"{name}/ExponentialMovingAverage": value
            for name, value in arrays.items()
        }

    source = rewritten("bert_full", tmp_path / "in", saved)
    assert convert.inspect(source).missing == []
    convert.convert_checkpoint(source, tmp_path / "out")
    convert.convert_checkpoint(LEGACY / "bert_full/bert_model.ckpt.index", tmp_path / "plain")
    found, plain = (weights_of(tmp_path / name) for name in ("out", "plain"))
    assert found.keys() == plain.keys()
    assert all(np.array_equal(found[name], plain[name]) for name in plain)


def test_averages_that_are_not_there_are_not_taken(tmp_path):
    source = LEGACY / "bert_full/bert_model.ckpt.index"
    with pytest.raises(UsageError, match="has no averaged weights"):
        convert.convert_checkpoint(source, tmp_path / "out", options={"averaged": True})
    with pytest.raises(UsageError, match="averaged is 'yes'; it can be true or false"):
        convert.convert_checkpoint(source, tmp_path / "out", options={"averaged": "yes"})
