"""Which of the models in a model is its encoder, and which its decoder."""

from __future__ import annotations

import re

from convert.layers.graph import Network, reach

ENCODER = re.compile(r"(?<!auto)(?<!auto_)encoder", re.IGNORECASE)
DECODER = re.compile(r"(?<!auto)(?<!auto_)(decoder|generator)", re.IGNORECASE)


def halves(network: Network) -> dict[str, str | None]:
    """The names of `encoder` and `decoder` among the parts; None where there is none.

    Names decide. Else the decoder makes what is shaped like the first input, of what a sampling or
    another part, the encoder, makes of the inputs.
    """
    top = {layer.name for layer in network.architecture.layers}
    parts = {name: one for name, one in network.parts.items() if name in top}
    encoder = _only([name for name in parts if ENCODER.search(name)])
    decoder = _only([name for name in parts if DECODER.search(name)])
    if decoder is None and encoder is None:
        found = [(name, first) for name in parts if (first := _before(network, name)) is not None]
        if len(found) == 1:
            ((decoder, first),) = found
            encoder = first or None
    return {"encoder": encoder, "decoder": decoder}


def _only(names: list[str]) -> str | None:
    return names[0] if len(names) == 1 else None


def _before(network: Network, name: str) -> str | None:
    """The encoder before a part that is a decoder; empty for layers; None where it is none."""
    inside, made = network.parts[name]
    sampled = {
        one
        for node in network.nodes
        if network.layers[node.layer].compute == "sampling"
        for one in node.outputs
    }
    led = reach(network.nodes, inside)
    like = network.inputs and network.shapes[network.inputs[0]]
    if (
        not like
        or network.shapes[made[0]] != like
        or not reach(network.nodes, network.outputs) & {*made}
        or not led & {*network.inputs}
        or {*inside} & {*network.inputs}
    ):
        return None
    for other, (given, outputs) in network.parts.items():
        if other != name and {*given} <= {*network.inputs} and led & {*outputs}:
            return other
    return "" if {*inside} <= sampled else None
