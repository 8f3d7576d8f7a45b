"""Operations that stand as layers compute what NumPy does, in all three ways of writing them."""

import numpy as np
import pytest

from convert.layers.kinds.operations import OPERATIONS
from convert.layers.spelling import operation as word_of
from tests.conversion.layer_graphs import (
    given,
    layer,
    model,
    network,
    node,
    operation,
    run,
    tensor,
)
from zoo.errors import UsageError
from zoo.models.images.layer_operations import FUNCTIONS, PAIRS, REDUCTIONS

CHANCE = np.random.default_rng(5)
X, Y = CHANCE.normal(size=(2, 3, 4)), CHANCE.normal(size=(2, 3, 4))
CONST, A, B = ["_CONSTANT_VALUE", -1], ["x", 0, 0], ["y", 0, 0]


def norm(x, axis):
    return x / np.sqrt(np.maximum((x**2).sum(axis, keepdims=True), 1e-12))


#: A function of TensorFlow with its arguments, and the same in NumPy.
TENSORFLOW = [
    (("math.multiply", A, {"y": 2.5}), lambda x: x * 2.5),
    (("math.subtract", [*CONST, 1.0], {"y": A}), lambda x: 1 - x),
    (("math.truediv", [*CONST, 2.0], {"y": A}), lambda x: 2 / x),
    (("__operators__.add", A, {"y": [1.0, 2.0, 3.0, 4.0]}), lambda x: x + np.arange(1, 5)),
    (("math.maximum", A, {"y": 0.5}), lambda x: np.maximum(x, 0.5)),
    (("math.pow", A, {"y": 2.0}), lambda x: x**2),
    (("math.floormod", A, {"y": 0.7}), lambda x: np.mod(x, 0.7)),
    (("math.greater", A, {"y": 0.0}), lambda x: x > 0),
    (("math.exp", A, {}), np.exp),
    (("math.rsqrt", A, {}), None),
    (("math.square", A, {}), np.square),
    (("math.reduce_sum", A, {"axis": [1, 2], "keepdims": False}), lambda x: x.sum((1, 2))),
    (("math.reduce_mean", A, {"axis": None}), np.mean),
    (("math.reduce_max", A, {"axis": -1, "keepdims": True}), lambda x: x.max(-1, keepdims=True)),
    (("math.reduce_std", A, {"axis": 1}), lambda x: x.std(1)),
    (("math.argmax", A, {"axis": -1}), lambda x: x.argmax(-1)),
    (("math.cumsum", A, {"axis": 1}), lambda x: x.cumsum(1)),
    (("keras.backend.mean", A, {"axis": 1, "keepdims": True}), lambda x: x.mean(1, keepdims=True)),
    (("reshape", A, {"shape": [-1, 12]}), lambda x: x.reshape(-1, 12)),
    (("transpose", A, {"perm": [0, 2, 1]}), lambda x: x.transpose(0, 2, 1)),
    (("expand_dims", A, {"axis": -1}), lambda x: x[..., None]),
    (("tile", A, {"multiples": [1, 2, 1]}), lambda x: np.tile(x, (1, 2, 1))),
    (("repeat", A, {"repeats": 2, "axis": 1}), lambda x: x.repeat(2, 1)),
    (("reverse", A, {"axis": [1]}), lambda x: x[:, ::-1]),
    (("pad", A, {"paddings": [[0, 0], [1, 2], [0, 1]], "mode": "REFLECT"}),
     lambda x: np.pad(x, [(0, 0), (1, 2), (0, 1)], "reflect")),
    (("pad", A, {"paddings": [[0, 0], [1, 0], [0, 1]], "mode": "SYMMETRIC"}),
     lambda x: np.pad(x, [(0, 0), (1, 0), (0, 1)], "symmetric")),
    (("pad", A, {"paddings": [[0, 0], [1, 0], [0, 1]], "constant_values": 3.0}),
     lambda x: np.pad(x, [(0, 0), (1, 0), (0, 1)], constant_values=3)),
    (("clip_by_value", A, {"clip_value_min": -0.5, "clip_value_max": 0.5}),
     lambda x: x.clip(-0.5, 0.5)),
    (("cast", A, {"dtype": "int32"}), np.trunc),
    (("nn.relu", A, {}), lambda x: x.clip(0)),
    (("nn.softmax", A, {"axis": 1}),
     lambda x: np.exp(x) / np.exp(x).sum(1, keepdims=True)),
    (("math.sigmoid", A, {}), lambda x: 1 / (1 + np.exp(-x))),
    (("nn.leaky_relu", A, {"alpha": 0.25}), lambda x: np.where(x > 0, x, 0.25 * x)),
    (("math.l2_normalize", A, {"axis": -1}), lambda x: norm(x, -1)),
    (("one_hot", A, {"depth": 3}), None),
    (("split", A, {"num_or_size_splits": [1, 3], "axis": 2}), lambda x: x[..., :1]),
    (("split", A, {"num_or_size_splits": 2, "axis": -1}), lambda x: x[..., :2]),
    (("unstack", A, {"axis": 1}), lambda x: x[:, 0]),
    (("math.add", A, {"y": B}), lambda x: x + Y),
    (("math.squared_difference", A, {"y": B}), lambda x: (x - Y) ** 2),
    (("linalg.matmul", A, {"b": B, "transpose_b": True}), lambda x: x @ Y.transpose(0, 2, 1)),
    (("where", A, {"x": B, "y": 0.0}), lambda x: np.where(x != 0, Y, 0)),
    (("concat", [A, B], {"axis": 1}), lambda x: np.concatenate((x, Y), 1)),
    (("stack", [A, B], {"axis": 1}), lambda x: np.stack((x, Y), 1)),
]  # fmt: skip


@pytest.mark.parametrize(("written", "law"), TENSORFLOW,
                         ids=lambda one: one[0] if isinstance(one, tuple) else "")  # fmt: skip
def test_an_operation_of_tensorflow_is_that_of_numpy(written, law):
    function, first, arguments = written
    table = model(given("x", 3, 4), given("y", 3, 4), operation(function, first, **arguments))
    x = np.abs(X) if law is None else X
    (found,) = run(network(table), x, Y)
    laws = {"math.rsqrt": lambda x: x**-0.5, "one_hot": lambda x: np.eye(3)[x.astype(int)]}
    np.testing.assert_allclose(found, (law or laws[function])(x), rtol=1e-12, atol=1e-14)


def test_slices_are_those_of_numpy():
    def slices(*spec: object) -> np.ndarray:
        call = [[*A, {"slice_spec": [*spec]}]]
        one = layer("SlicingOpLambda", "op", call, function="__operators__.getitem")
        table = model(given("x", 3, 4), one)
        return run(network(table), X)[0]

    def cut(start=None, stop=None, step=None):
        return {"start": start, "stop": stop, "step": step}

    for spec, expected in (
        ((cut(), 1), X[:, 1]),
        ((cut(), cut(1, 3)), X[:, 1:3]),
        ((cut(), cut(step=-1)), X[:, ::-1]),
        ((cut(), cut(-1, None, -2)), X[:, -1::-2]),
        (({"class_name": "__ellipsis__"}, cut(0, -1)), X[..., 0:-1]),
        ((cut(), None, cut(1)), X[:, None, 1:]),
        (({"class_name": "__ellipsis__"}, -1), X[..., -1]),
        ((0,), X[0]),
    ):
        np.testing.assert_array_equal(slices(*spec), expected)


#: The same as Keras 3 writes it: class, module, arguments, options.
KERAS_3 = [
    ("Subtract", [1.0, "x"], {}, lambda x: 1 - x),
    ("Power", ["x", 2.0], {}, lambda x: x**2),
    ("Matmul", ["x", "z"], {}, lambda x: x @ X.transpose(0, 2, 1)),
    ("ExpandDims", ["x"], {"axis": 1}, lambda x: x[:, None]),
    ("Squeeze", ["w"], {"axis": 1}, lambda x: x[:, 0]),
    ("LogSoftmax", ["x"], {"axis": -1}, lambda x: x - np.log(np.exp(x).sum(-1, keepdims=True))),
    ("Clip", ["x"], {"x_min": -1, "x_max": 1}, lambda x: x.clip(-1, 1)),
    ("Stack", [["x", "x"]], {"axis": -1}, lambda x: np.stack((x, x), -1)),
    ("Max", ["x"], {"axis": [1], "keepdims": True, "initial": None},
     lambda x: x.max(1, keepdims=True)),
    ("Transpose", ["x"], {"axes": None}, lambda x: x.transpose()),
    ("GetItem", ["x", [{"class_name": "__slice__", "config": {"start": None, "stop": None}}, 2]],
     {}, lambda x: x[:, 2]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "args", "config", "law"), KERAS_3,
                         ids=lambda one: "" if callable(one) else str(one)[:12])  # fmt: skip
def test_an_operation_of_keras_3_is_that_of_numpy(name, args, config, law):
    shapes = {"x": (3, 4), "z": (4, 3), "w": (1, 4)}
    arrays = {"x": X, "z": X.transpose(0, 2, 1), "w": X[:, :1]}

    def written(value):
        if isinstance(value, list):
            return [written(one) for one in value]
        return tensor(value, *shapes[value]) if value in ("x", "z", "w") else value

    one = layer(name, "op", [{"args": written(args), "kwargs": {}}], **config)
    table = model(*[given(key, *shape) for key, shape in shapes.items()],
                  one | {"module": "keras.src.ops.numpy"})  # fmt: skip
    (found,) = run(network(table, keras=3), *arrays.values())
    first = "w" if args == ["w"] else "x"
    np.testing.assert_allclose(found, law(arrays[first]), rtol=1e-12)


def test_nodes_of_tensorflow_s_graph_are_read_by_their_attributes():
    """Of TensorFlow 2.0 to 2.3: constants by place, attributes as protocol buffers write them."""

    def made(op, constants, **attributes):
        table = model(given("x", 3, 4), layer("TensorFlowOpLayer", "op", node("x"),
                      node_def={"op": op, "name": op, "input": ["x", "y"], "attr": attributes},
                      constants=constants))  # fmt: skip
        return run(network(table), X)[0]

    for found, law in (
        (made("AddV2", {"1": 2.0}, T={"type": "DT_FLOAT"}), X + 2),
        (made("Sub", {"0": 2.0}), 2 - X),
        (made("RealDiv", {"1": [1.0, 2.0, 4.0, 8.0]}), X / [1, 2, 4, 8]),
        (made("Mean", {"1": [1]}, keep_dims={"b": True}), X.mean(1, keepdims=True)),
        (made("Sum", {"1": -1}, keep_dims={"b": False}), X.sum(-1)),
        (made("Reshape", {"1": [-1, 12]}), X.reshape(-1, 12)),
        (made("ExpandDims", {"1": 1}), X[:, None]),
        (made("Relu", {}), X.clip(0)),
        (made("Pad", {"1": [[0, 0], [1, 1], [0, 0]]}), np.pad(X, [(0, 0), (1, 1), (0, 0)])),
        (made("StridedSlice", {"1": [0, 1], "2": [0, 3], "3": [1, 1]}, begin_mask={"i": "1"},
              end_mask={"i": "1"}), X[:, 1:3]),
        (made("StridedSlice", {"1": [0, 0], "2": [0, 1], "3": [1, 1]}, begin_mask={"i": "1"},
              end_mask={"i": "1"}, shrink_axis_mask={"i": "2"}), X[:, 0]),
    ):  # fmt: skip
        np.testing.assert_allclose(found, law, rtol=1e-12)


def test_an_operation_that_is_not_known_is_named_with_its_place():
    for function, arguments, words in (
        ("math.bessel_i0", {}, "'op' is an operation, tf.math.bessel_i0, which is not known"),
        ("math.cumsum", {"axis": 1, "reverse": True}, "option reverse is True"),
        ("math.reduce_sum", {"axis": 7}, "no axis 7 in 3 axes"),
        ("reshape", {"shape": [-1, 0]}, "cannot become"),
        ("math.multiply", {"y": "two"}, "constants"),
        ("nn.softmax", {"axis": 1, "secret": 3}, "argument secret is 3"),
        ("compat.v1.exp", {}, "tf.compat.v1.exp, which is not known"),
    ):
        net = network(model(given("x", 3, 4), operation(function, A, **arguments)))
        (problem,) = net.problems
        assert type(problem) is UsageError
        assert words in str(problem), problem


def test_every_function_of_the_table_is_computed_and_the_other_way():
    assert {*OPERATIONS} >= {*FUNCTIONS, *PAIRS, *REDUCTIONS}
    assert word_of("tf.math.reduce_mean") == "mean"
    assert word_of("ops.AddV2") == word_of("op.AddV2") == "add"
    assert word_of("Dense") is word_of("os.system") is word_of("tf.a.b.c") is None
    with np.errstate(all="ignore"):
        for name in (*FUNCTIONS, *REDUCTIONS):
            table = model(given("x", 3, 4), operation(f"math.{name}", A))
            assert run(network(table), np.abs(X))[0].size


def test_weightless_layers_that_no_output_needs_are_left_out_and_told():
    loss = [operation("math.square", A) | {"name": "square"},
            layer("AddLoss", "loss", node("square"))]  # fmt: skip
    net = network(model(given("x", 3, 4), *loss, layer("Dense", "op", node("x"), units=2)))
    assert net.unused == ["square", "loss"]
    assert [one.layer for one in net.nodes] == ["op"]
