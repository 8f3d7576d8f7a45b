"""What the names of activations mean: the function and its numbers, by the version of Keras."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from typing import Any

from convert.layers.dialects import ANY, as_object, plain_options, plain_value
from convert.layers.options import Key, Keys, axis, decimal, maybe, read_options, single

#: A name of Keras, or a function of TensorFlow -> the function of the result, with its numbers.
NAMES: dict[str, dict[str, Any]] = {
    name: {"name": name}
    for name in (
        "linear", "relu", "relu6", "selu", "softplus", "softsign", "tanh", "sigmoid",
        "exponential", "silu", "mish", "hard_tanh", "log_sigmoid", "squareplus", "sparse_plus",
        "sparse_sigmoid", "tanh_shrink", "sparsemax",
    )
} | {
    "elu": {"name": "elu", "alpha": 1.0},
    "celu": {"name": "celu", "alpha": 1.0},
    "leaky_relu": {"name": "leaky_relu", "slope": single(0.2)},
    "softmax": {"name": "softmax", "axis": -1},
    "log_softmax": {"name": "log_softmax", "axis": -1},
    "glu": {"name": "glu", "axis": -1},
    "gelu": {"name": "gelu", "approximate": False},
    "swish": {"name": "silu"},
    "hard_silu": {"name": "hard_silu"},
    "hard_swish": {"name": "hard_silu"},
    "soft_shrink": {"name": "soft_shrink", "threshold": 0.5},
    "hard_shrink": {"name": "hard_shrink", "threshold": 0.5},
    "exp": {"name": "exponential"},
}  # fmt: skip

#: clip(slope x + 1/2, 0, 1): the slope changed with Keras 3, the name did not.
HARD_SIGMOID_SLOPES = {1: 0.2, 2: 0.2, 3: 1 / 6}

FUNCTION = "function"


def _relu(options: Mapping[str, Any]) -> dict[str, Any]:
    plain = options["negative_slope"] == options["threshold"] == 0
    names = {None: "relu", 6.0: "relu6"}
    if plain and options["max_value"] in names:
        return {"name": names[options["max_value"]]}
    return {"name": "bounded_relu", **options}


#: Layers that are an activation: their options, and the function that they mean.
LAYERS: dict[Any, tuple[Keys, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "ReLU": (
        {"max_value": Key(maybe(single), None), "negative_slope": Key(single, 0.0),
         "threshold": Key(single, 0.0)},
        _relu,
    ),
    "LeakyReLU": (
        {"alpha": Key(single, 0.3)},
        lambda options: {"name": "leaky_relu", "slope": options["alpha"]},
    ),
    "ELU": (
        {"alpha": Key(decimal, 1.0)},
        lambda options: {"name": "elu", "alpha": options["alpha"]},
    ),
    "ThresholdedReLU": (
        {"theta": Key(single, 1.0)},
        lambda options: {"name": "thresholded_relu", "theta": options["theta"]},
    ),
    "Softmax": (
        {"axis": Key(axis, -1)},
        lambda options: {"name": "softmax", "axis": options["axis"]},
    ),
}  # fmt: skip


def activation(value: Any, keras: int) -> dict[str, Any]:
    """The function that an option means.

    Args:
        value: nothing, a name, an object that has a name, or a whole layer.
        keras: the version.

    Raises:
        ValueError: with what it should be; the nearest names where it is one that nobody knows.
    """
    if isinstance(value, Mapping):
        kind, config = value.get("class_name"), value.get("config")
        if kind == FUNCTION:
            return activation(config, keras)
        if isinstance(kind, str) and kind in LAYERS and isinstance(config, Mapping):
            plain = {key: plain_value(one) for key, one in config.items()}
            keys, make = LAYERS[kind]
            return make(read_options(keys, plain_options(kind, plain), keras))
        raise ValueError("an activation that is known")
    if value is None:
        value = "linear"
    if not isinstance(value, str):
        raise ValueError("the name of an activation")
    if value == "hard_sigmoid":
        return {"name": value, "slope": HARD_SIGMOID_SLOPES[keras]}
    if value not in NAMES:
        near = difflib.get_close_matches(value, NAMES, 3)
        raise ValueError(
            f"an activation that is known ({', '.join(near or sorted(NAMES)[:3])} ...)"
        )
    return NAMES[value]


#: A function with numbers -> the layer that it is on the way back, and its options.
BACK: dict[str, tuple[str, Callable[[Mapping[str, Any]], dict[str, Any]]]] = {
    "relu6": ("ReLU", lambda function: {"max_value": 6.0}),
    "bounded_relu": (
        "ReLU", lambda function: {key: function[key] for key in LAYERS["ReLU"][0]},
    ),
    "leaky_relu": ("LeakyReLU", lambda function: {"alpha": function["slope"]}),
    "elu": ("ELU", lambda function: {"alpha": function["alpha"]}),
    "thresholded_relu": ("ThresholdedReLU", lambda function: {"theta": function["theta"]}),
    "softmax": ("Softmax", lambda function: {"axis": function["axis"]}),
}  # fmt: skip

#: The names that Keras 2.15 and Keras 3 know, each function by the first that means it.
WORDS = {
    ANY: " ".join(NAMES),
    2: "linear relu selu softplus softsign tanh sigmoid exponential swish mish elu softmax gelu",
    3: " ".join(NAMES),
}


def written(function: Mapping[str, Any], keras: int) -> Any:
    """The option that means a function: a name, or the layer that it is.

    Args:
        function: as `activation` gives it.
        keras: the version that is to read it.

    Raises:
        ValueError: that version has no such function.
    """
    if function["name"] == "hard_sigmoid":
        if keras != ANY and function["slope"] != HARD_SIGMOID_SLOPES[keras]:
            raise ValueError(f"the hard_sigmoid of Keras {keras} is another function")
        return function["name"]
    for name in WORDS[keras].split():
        if NAMES[name] == function:
            return name
    if function["name"] not in BACK:
        raise ValueError(f"Keras {keras} has no activation {function['name']}")
    kind, options = BACK[function["name"]]
    return as_object(kind, options(function), keras, value=True)


#: The option that many kinds have.
ACTIVATION = Key(activation, "linear", write=written)
