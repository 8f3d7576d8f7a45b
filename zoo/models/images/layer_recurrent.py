"""Recurrent layers, step by step, with masks and states; weights `(in, gates x units)`."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .layer_activations import apply_activation
from .layer_convolutions import conv

Weights = Mapping[str, Tensor]
Options = Mapping[str, Any]
States = tuple[Tensor, ...]
Step = Callable[[Tensor, States], States]


def _lstm(weights: Weights, options: Options) -> Step:
    """Gates i, f, c, o; states h, c."""
    recurrent = weights["recurrent_kernel"]

    def step(inner: Tensor, states: States) -> States:
        h, c = states
        i, f, new, o = (inner + h @ recurrent).chunk(4, -1)
        return _lstm_states(options, i, f, new, o, c)

    return step


def _lstm_states(
    options: Options, i: Tensor, f: Tensor, new: Tensor, o: Tensor, c: Tensor
) -> States:
    i, f, o = (apply_activation(gate, options["recurrent_activation"]) for gate in (i, f, o))
    c = f * c + i * apply_activation(new, options["activation"])
    return o * apply_activation(c, options["activation"]), c


def _gru(weights: Weights, options: Options) -> Step:
    """Gates z, r, h; the reset before or behind the recurrent map."""
    recurrent, bias = weights["recurrent_kernel"], weights.get("bias")
    gate = options["recurrent_activation"]
    units = recurrent.shape[0]
    behind = bias[1] if bias is not None and bias.ndim == 2 else None

    def step(inner: Tensor, states: States) -> States:
        (h,) = states
        z, r, new = inner.chunk(3, -1)
        if options["reset_after"]:
            own = h @ recurrent if behind is None else h @ recurrent + behind
            z_own, r_own, new_own = own.chunk(3, -1)
            z, r = apply_activation(z + z_own, gate), apply_activation(r + r_own, gate)
            new = new + r * new_own
        else:
            z_own, r_own = (h @ recurrent[:, : 2 * units]).chunk(2, -1)
            z, r = apply_activation(z + z_own, gate), apply_activation(r + r_own, gate)
            new = new + (r * h) @ recurrent[:, 2 * units :]
        return (z * h + (1 - z) * apply_activation(new, options["activation"]),)

    return step


def _simple(weights: Weights, options: Options) -> Step:
    recurrent = weights["recurrent_kernel"]
    return lambda inner, states: (
        apply_activation(inner + states[0] @ recurrent, options["activation"]),
    )


def scan(
    options: Options, step: Step, inner: Tensor, states: States, mask: Tensor | None
) -> tuple[Tensor, ...]:
    """All steps; where a mask has none, states stay and the last output is repeated.

    Args:
        options: of the layer.
        step: from the inner values of one step and states to states, of which the first goes out.
        inner: `(B, T, ...)`, what does not depend on states.
        states: of the beginning.
        mask: `(B, T)`.

    Returns:
        The last output or all of them, in the order of computation, and states if asked for.
    """
    outputs: list[Tensor] = []
    last = torch.zeros_like(states[0])
    times = range(inner.shape[1])
    for time in reversed(times) if options["go_backwards"] else times:
        after = step(inner[:, time], states)
        out = after[0]
        if mask is not None:
            here = mask[:, time].reshape(-1, *[1] * (out.ndim - 1))
            after = tuple(
                torch.where(here, new, old) for new, old in zip(after, states, strict=True)
            )
            zero = options.get("zero_output_for_mask")
            out = torch.where(here, out, torch.zeros_like(out) if zero else last)
        states, last = after, out
        outputs.append(out)
    result = torch.stack(outputs, 1) if options["return_sequences"] else last
    return (result, *states) if options["return_state"] else (result,)


def _recurrent(make: Callable[[Weights, Options], Step], count: int) -> Callable[..., Any]:
    """The computation of a recurrent layer with so many states."""

    def compute(
        weights: Weights, options: Options, x: Tensor, *given: Tensor, mask: Tensor | None = None
    ) -> tuple[Tensor, ...]:
        inner = x @ weights["kernel"]
        if (bias := weights.get("bias")) is not None:
            inner = inner + (bias[0] if bias.ndim == 2 else bias)
        zeros = x.new_zeros(x.shape[0], weights["recurrent_kernel"].shape[0])
        return scan(options, make(weights, options), inner, given or (zeros,) * count, mask)

    return compute


def conv_lstm(weights: Weights, options: Options, x: Tensor) -> tuple[Tensor, ...]:
    """An LSTM of images whose maps are convolutions; kernels `(4 x out, in, height, width)`."""
    plain = {**options, "activation": None}
    inner = conv({**weights, "weight": weights["kernel"]}, plain, x.flatten(0, 1))
    inner = inner.unflatten(0, x.shape[:2])
    axis = 1 if options["channels_first"] else -1
    own = {**plain, "strides": [1, 1], "dilation_rate": [1, 1], "padding": "same"}
    recurrent = {"weight": weights["recurrent_kernel"]}

    def step(values: Tensor, states: States) -> States:
        h, c = states
        i, f, new, o = (values + conv(recurrent, own, h)).chunk(4, axis)
        return _lstm_states(options, i, f, new, o, c)

    zeros = torch.zeros_like(inner[:, 0].chunk(4, axis)[0])
    return scan(options, step, inner, (zeros, zeros), None)


MERGES: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "concat": lambda one, other: torch.cat((one, other), -1),
    "sum": torch.add,
    "mul": torch.mul,
    "ave": lambda one, other: (one + other) / 2,
}


def bidirectional(
    weights: Weights, options: Options, x: Tensor, *given: Tensor, mask: Tensor | None = None
) -> tuple[Tensor, ...]:
    """A recurrent layer in both directions, their outputs in one order of time."""
    half = len(given) // 2
    found: list[Sequence[Tensor]] = []
    for name, states in (("forward", given[:half]), ("backward", given[half:])):
        record = options[name]
        own = {
            key.removeprefix(f"{name}_"): value
            for key, value in weights.items()
            if key.startswith(f"{name}_")
        }
        made = COMPUTATIONS[record["kind"]](own, record, x, *states, mask=mask)
        if record["return_sequences"] and record["go_backwards"]:
            made = (made[0].flip(1), *made[1:])
        found.append(made)
    one, other = found
    mode = options["merge_mode"]
    outputs = [one[0], other[0]] if mode is None else [MERGES[mode](one[0], other[0])]
    return (*outputs, *one[1:], *other[1:])


COMPUTATIONS: dict[str, Callable[..., Any]] = {
    "lstm": _recurrent(_lstm, 2),
    "gru": _recurrent(_gru, 1),
    "simple_rnn": _recurrent(_simple, 1),
    "conv_lstm": conv_lstm,
    "bidirectional": bidirectional,
}
