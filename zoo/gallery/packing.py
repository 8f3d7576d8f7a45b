"""Networks as JSON and bytes: matrices in half precision, what is short in single precision."""

import base64
from typing import Any

import torch

from zoo.gallery.tracing import Network

SHORT = 1024  # entries of a tensor up to which it keeps single precision, as it weighs nothing
BASE64 = 4 / 3  # characters a byte


def pack(networks: dict[str, Network]) -> tuple[dict[str, Any], bytes]:
    """The networks of a model, and one buffer with all of their numbers.

    Singles come first, so that every tensor begins where its numbers may.

    Returns:
        The networks by name, as `engine.js` reads them, and the buffer.
    """
    tensors = [
        (name, place, tensor)
        for name, network in networks.items()
        for place, tensor in enumerate(network.tensors)
    ]
    tensors.sort(key=lambda row: is_half(row[2]))
    records: dict[str, list[Any]] = {
        name: [None] * len(network.tensors) for name, network in networks.items()
    }
    buffer = bytearray()
    for name, place, tensor in tensors:
        half = is_half(tensor)
        records[name][place] = {"shape": list(tensor.shape), "at": len(buffer), "half": half}
        buffer += tensor.to(torch.float16 if half else torch.float32).numpy().tobytes()
    packed = {
        name: {
            "inputs": network.inputs,
            "nodes": network.nodes,
            "tensors": records[name],
            "output": network.output,
            "shape": network.shape,
        }
        for name, network in networks.items()
    }
    return packed, bytes(buffer)


def is_half(tensor: torch.Tensor) -> bool:
    """Whether a tensor is stored in half precision."""
    return tensor.ndim > 1 and tensor.numel() > SHORT


def as_text(buffer: bytes) -> str:
    """Bytes as base64."""
    return base64.b64encode(buffer).decode()


def characters(network: Network) -> int:
    """About how many characters of a page a network takes."""
    weights = sum(tensor.numel() * (2 if is_half(tensor) else 4) for tensor in network.tensors)
    return round(BASE64 * weights) + 300 * len(network.nodes)
