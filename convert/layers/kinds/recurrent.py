"""Recurrent layers, and the layers around others: both directions, every step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from convert.layers.activations import ACTIVATION
from convert.layers.kinds.convolution import window
from convert.layers.options import CHANNELS, USE_BIAS, Key, choice, flag, size, sizes, unless_on
from convert.layers.rows import Kind, Options, Shape, Weight, channels, known, space, spatial
from convert.weights.ops import permute

CELL = "cell"  # where Keras 3 keeps a recurrent layer's weights

#: Gates of each kind; each has as many columns as there are units.
GATES = {"lstm": 4, "gru": 3, "simple_rnn": 1, "conv_lstm": 4}


def _shape(states: int) -> Callable[[Options, Sequence[Shape]], list[Shape]]:
    def shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
        batch, steps, _ = shapes[0]
        units = options["units"]
        out = (batch, steps, units) if options["return_sequences"] else (batch, units)
        return [out, *[(batch, units)] * (states if options["return_state"] else 0)]

    return shape


def _weights(gates: int) -> Callable[[Options, Sequence[Shape]], list[Weight]]:
    def weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
        (width,) = known(shapes[0][-1:], "the last axis")
        units = options["units"]
        twice = options.get("reset_after", False)
        bias = (2, gates * units) if twice else (gates * units,)
        return [
            Weight("kernel", (width, gates * units), inside=CELL),
            Weight("recurrent_kernel", (units, gates * units), inside=CELL),
            *([Weight("bias", bias, inside=CELL)] if options["use_bias"] else []),
        ]

    return weights


def _conv_shape(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    batch, steps, *image = shapes[0]
    found = [
        window(one, kernel, stride, dilation, options["padding"])
        for one, kernel, stride, dilation in zip(
            space(options, (batch, *image)), options["kernel_size"], options["strides"],
            options["dilation_rate"], strict=True,
        )
    ]  # fmt: skip
    state = spatial(options, (batch, *image), found, options["filters"])
    out = (batch, steps, *state[1:]) if options["return_sequences"] else state
    return [out, *[state] * (2 if options["return_state"] else 0)]


def _conv_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    kernel, filters = options["kernel_size"], options["filters"]
    width = channels(options, (shapes[0][0], *shapes[0][2:]))
    op = permute(3, 2, 0, 1)
    return [
        Weight("kernel", (*kernel, width, 4 * filters), op, CELL),
        Weight("recurrent_kernel", (*kernel, filters, 4 * filters), op, CELL),
        *([Weight("bias", (4 * filters,), inside=CELL)] if options["use_bias"] else []),
    ]


#: tf.keras's default gates are sigmoid, those of Keras 2 and 1 hard; every file says which.
_COMMON = {
    "activation": replace(ACTIVATION, default="tanh"),
    "use_bias": USE_BIAS,
    "return_sequences": Key(flag, False),
    "return_state": Key(flag, False),
    "go_backwards": Key(flag, False),
    "stateful": unless_on(),
    "time_major": unless_on(),
}
_GATED = {"recurrent_activation": replace(ACTIVATION, default="sigmoid")}
_DROPPED = ("dropout", "recurrent_dropout")
_UNITS = {"units": Key(size), "zero_output_for_mask": Key(flag, False)}


def _row(name: str, states: int, more: dict[str, Key]) -> Kind:
    """A recurrent layer of vectors."""
    return Kind(
        name,
        {**_UNITS, **_COMMON, **more},
        _shape(states),
        _weights(GATES[name]),
        inputs=(1, 1 + states),
        rank=(3,),
        roles=("initial_state",),
        mask="use",
        carried=_DROPPED,
    )


TABLE = {
    "LSTM": _row("lstm", 2, _GATED),
    "GRU": _row("gru", 1, {**_GATED, "reset_after": Key(flag, False)}),
    "SimpleRNN": _row("simple_rnn", 1, {}),
    "ConvLSTM2D": Kind(
        "conv_lstm",
        {"filters": Key(size, hidden=True), "kernel_size": Key(sizes(2), hidden=True),
         "strides": Key(sizes(2), [1, 1]), "dilation_rate": Key(sizes(2), [1, 1]),
         "padding": Key(choice("valid", "same"), "valid"), "data_format": CHANNELS,
         **_COMMON, **_GATED},
        _conv_shape, _conv_weights, rank=(5,), mask="refuse", carried=_DROPPED,
    ),
}  # fmt: skip
