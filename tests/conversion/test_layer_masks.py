"""Masks of steps go as far as Keras lets them, and count for what Keras lets them count."""

import pytest

from tests.conversion.keras_files import KERAS, cases
from tests.conversion.layer_graphs import given, layer, model, network, node, tensor
from tests.conversion.layer_models import check

MASKS = KERAS.parent / "keras_masks"


@pytest.mark.parametrize("path", cases(MASKS), ids=lambda path: f"{path.parent.name}-{path.name}")
def test_outputs_behind_masks_are_the_recorded_ones(path):
    check(path)


def embedded(name: str, source: str) -> dict:
    return layer("Embedding", name, node(source), input_dim=9, output_dim=3, mask_zero=True)


def test_masks_whose_rule_keras_changed_or_does_not_have_are_refused():
    inputs = [given("x", 5), given("y", 5), embedded("a", "x"), embedded("b", "y")]
    for kind, keras, words in (
        ("Multiply", 2, ""),
        ("Add", 3, ""),
        ("Multiply", 3, "some of Keras 3 alone"),
        ("Maximum", 3, "some of Keras 3 alone"),
    ):
        table = model(*inputs, layer(kind, "op", node("a", "b")))
        problems = [str(one) for one in network(table, keras).problems]
        assert len(problems) == bool(words)
        assert all(words in one for one in problems)
    mask = layer("Attention", "op", [[["a", 0, 0, {"mask": ["x", 0, 0]}], ["b", 0, 0, {}]]])
    (problem,) = network(model(*inputs, mask)).problems
    assert "one mask is named for query and value" in str(problem)


def test_what_a_call_asks_for_and_nobody_knows_is_refused():
    called = layer("LSTM", "op", node("x", secret=3), units=2)
    (problem,) = network(model(given("x", 5, 3), called)).problems
    assert "is called with secret=3, which is not supported" in str(problem)


def test_sums_keep_steps_that_all_have_and_in_keras_3_that_one_has():
    inputs = [given("x", 5), given("y", 5), embedded("a", "x"), embedded("b", "y")]
    for keras, word in ((2, "logical_and"), (3, "logical_or")):
        net = network(model(*inputs, layer("Add", "sum", node("a", "b")),
                            layer("GRU", "op", node("sum"), units=2)), keras)  # fmt: skip
        assert net.layers["sum:mask"].options == {"function": word}
        assert [one.mask is not None for one in net.nodes if one.layer == "op"] == [True]


def test_keras_3_gives_no_mask_to_a_layer_that_is_given_states():
    states = {"initial_state": [tensor("h", 2)]}
    for keras, masked in ((2, True), (3, False)):
        called = layer("GRU", "op", [{"args": [tensor("a", 5, 3)], "kwargs": states}], units=2)
        net = network(model(given("x", 5), given("h", 2), embedded("a", "x"), called), keras)
        assert not net.problems
        assert (net.nodes[-1].mask is not None) is masked
