"""Models of layers and image models compared with what Keras recorded of the originals."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from convert.parity import Parity, compare_arrays
from convert.verify.arrays import read_arrays
from zoo.errors import UsageError

#: How recorded outputs of a Keras model end, the type that they are of, and what is allowed: in
#: float64 TensorFlow keeps some constants in single precision.
PRECISIONS = (("", "float32", 1e-5), ("_f64", "float64", 1e-6))


#: What is allowed of the largest magnitude, by the coarsest type that either side computed in.
TOLERANCES = {"float64": 1e-9, "float32": 1e-5, "float16": 2e-2, "bfloat16": 5e-2}
#: In float64 TensorFlow keeps slopes, and the constants of these layers, in single precision.
SINGLE = 1e-6
SINGLE_KINDS = ("upsample", "resize", "normalize")
SINGLE_ACTIVATIONS = ("leaky_relu", "bounded_relu")
#: A deep model's float32 outputs may differ by this many times what float32 itself changes ...
ROUNDINGS = 10
MAX_ROUNDING = 1e-3  # ... up to this
OUTPUT = re.compile(r"out(\d+)(_f64)?")
INPUT = re.compile(r"in(\d+)")


def compare_layers(
    folder: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    precision: str = "float32",
) -> list[Parity]:
    """Run recorded inputs through a model of layers.

    Outputs without an ending are computed in float32, where the model and the record are of
    float64 in float64; `_f64` in float64. What is allowed goes by the coarsest type of the record,
    of the model and of what the original computed in.

    Args:
        folder: the model.
        reference: a `.npz`: inputs `in0`, `in1` ..., outputs `out0` ..., and perhaps
            `out0_f64` ... (float64).
        precision: what the original computed in, such as "float16" of mixed precision.

    Returns:
        One comparison per recorded output, named by its number and layer.

    Raises:
        IntegrityError: the file is no such archive, or an output has another shape.
        UsageError: its inputs or outputs are not the model's.
    """
    arrays = read_arrays(reference)
    config = _config(folder)
    given = _inputs(reference, arrays, config)
    wanted = _outputs(reference, arrays, config)
    stored = config.get("dtype", "float32")
    runs: dict[str, list[Any]] = {}

    def run(dtype: str) -> list[Any]:
        if dtype not in runs:
            runs[dtype] = _run(folder, reference, given, dtype)
        return runs[dtype]

    found: list[Parity] = []
    for name, place, label in wanted:
        recorded = arrays[name]
        double = name.endswith("_f64") or {stored, recorded.dtype.name} == {"float64"}
        types = {"float64"} if double else {"float32", precision}
        types |= {one for one in (stored, recorded.dtype.name) if TOLERANCES.get(one, 0) > 1e-3}
        coarsest = max(types & {*TOLERANCES}, key=TOLERANCES.__getitem__)
        allowed, why = TOLERANCES[coarsest], coarsest
        if double and coarsest == "float64" and _keeps_single(config):
            allowed, why = SINGLE, "float64, with constants of float32"
        made = run("float64" if double else "float32")[place]
        parity = compare_arrays(label, made, recorded, allowed, why)
        if not parity.ok and coarsest == "float32":
            exact = compare_arrays(label, made, run("float64")[place], allowed)
            noise = min(ROUNDINGS * exact.max_relative, MAX_ROUNDING)
            if noise > allowed:
                why = f"float32, whose rounding changes this output by {exact.max_relative:.1e}"
                parity = compare_arrays(label, made, recorded, noise, why)
        found.append(parity)
    return found


def _config(folder: str | os.PathLike[str]) -> dict[str, Any]:
    return dict(json.loads((Path(folder) / "config.json").read_text("utf-8")))


def _inputs(
    reference: str | os.PathLike[str], arrays: Mapping[str, Any], config: Mapping[str, Any]
) -> list[Any]:
    """Recorded inputs in their order, if they are as many as the model takes."""
    numbers = sorted(int(match[1]) for name in arrays if (match := INPUT.fullmatch(name)))
    wanted = config["inputs"]
    if numbers != list(range(len(wanted))):
        there = ", ".join(f"in{number}" for number in numbers) or "none"
        takes = ", ".join(f"in{i} ({one['name']})" for i, one in enumerate(wanted))
        raise UsageError(f"{reference}: the inputs in it are {there}; the model takes {takes}")
    return [arrays[f"in{number}"] for number in numbers]


def _outputs(
    reference: str | os.PathLike[str], arrays: Mapping[str, Any], config: Mapping[str, Any]
) -> list[tuple[str, int, str]]:
    """Recorded outputs: name, number, and the name with that of the layer."""
    makers = {tensor: node["layer"] for node in config["nodes"] for tensor in node["outputs"]}
    names = {one["tensor"]: one["name"] for one in config["inputs"]}
    for tensor, layer in makers.items():
        names[tensor] = config["layers"][layer]["name"]
    labels = [names[tensor] for tensor in config["outputs"]]
    gives = ", ".join(f"out{i} ({label})" for i, label in enumerate(labels))
    matches = [match for name in arrays if (match := OUTPUT.fullmatch(name))]
    if beyond := [match[0] for match in matches if int(match[1]) >= len(labels)]:
        raise UsageError(
            f"{reference}: {', '.join(beyond)} is recorded, and the model gives {gives}"
        )
    if not matches:
        raise UsageError(
            f"{reference}: no output is in it, which would be called {gives}; it has "
            f"{', '.join(arrays)}"
        )
    places = sorted((int(match[1]), match[0]) for match in matches)
    return [(name, number, f"{name} ({labels[number]})") for number, name in places]


def _run(
    folder: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    given: Sequence[Any],
    dtype: str,
) -> list[Any]:
    """What the model makes of inputs, as arrays of float64."""
    import torch

    from zoo.models.images.modeling_layers import LayersModel

    # As the original has its images, whatever the folder says.
    kind: torch.dtype = getattr(torch, dtype)
    model: Any = LayersModel.from_pretrained(folder, dtype=kind, channels_last=True)
    tensors = [torch.from_numpy(array) for array in given]
    tensors = [x.to(kind) if x.is_floating_point() else x for x in tensors]
    try:
        with torch.no_grad():
            return [output.double().numpy() for output in model.eval()(*tensors).outputs]
    except (ValueError, RuntimeError) as error:
        raise UsageError(f"{reference}: {error}") from None


def _keeps_single(config: Mapping[str, Any]) -> bool:
    """Whether a layer is among those whose constants TensorFlow keeps in single precision."""
    return any(
        record["kind"] in SINGLE_KINDS
        or (record.get("activation") or {}).get("name") in SINGLE_ACTIVATIONS
        for record in config["layers"].values()
    )


def compare_images(
    folder: str | os.PathLike[str], reference: str | os.PathLike[str]
) -> list[Parity]:
    """Run recorded images and codes through an image model.

    Args:
        folder: the model.
        reference: a `.npz`, all in the original's layout and range: images `encoder_in`, codes
            `decoder_in`, and what `predict` of the original's encoder and decoder made of them,
            `encoder_out` (means; of discrete codes their logits) and `decoder_out` (float32), and
            perhaps `encoder_out_f64`, `decoder_out_f64`.

    Returns:
        One comparison per recorded output.

    Raises:
        IntegrityError: the file is no such archive, or its arrays have other shapes.
        UsageError: it has no output, the model lacks the part, or images have another shape.
    """
    import torch
    from transformers import AutoModel

    arrays = read_arrays(reference)
    found: list[Parity] = []
    for end, name, allowed in PRECISIONS:
        dtype = getattr(torch, name)
        for part, compute in (("encoder", _encoded), ("decoder", _decoded)):
            recorded = arrays.get(f"{part}_out{end}")
            if recorded is None or f"{part}_in" not in arrays:
                continue
            model: Any = AutoModel.from_pretrained(folder, dtype=dtype).eval()
            given = torch.from_numpy(arrays[f"{part}_in"]).to(dtype)
            try:
                with torch.no_grad():
                    computed, wanted = compute(model, given, torch.from_numpy(recorded).double())
            except (ValueError, RuntimeError) as error:
                raise UsageError(f"{reference}: {part}_in: {error}") from None
            arrays_of_both = computed.double().numpy(), wanted.numpy()
            found.append(compare_arrays(f"{part}_out{end}", *arrays_of_both, allowed))
    if not found:
        raise UsageError(
            f"{reference}: has neither encoder_in with encoder_out nor decoder_in with "
            f"decoder_out; it has {', '.join(arrays)}"
        )
    return found


def _encoded(model: Any, images: Any, recorded: Any) -> tuple[Any, Any]:
    """Codes of a model for the original's images, and the recorded ones as such codes."""
    low, high = model.config.pixel_range
    size = model.config.image_size
    pixels = images.reshape(len(images), size, size, -1).movedim(-1, 1)
    pixels = ((pixels - low) / (high - low)).clamp(0, 1)
    if hasattr(model, "encode_vectors"):
        return model.encode_vectors(pixels).movedim(1, -1), recorded
    made = model.encode(pixels)
    wanted = recorded.flatten(1)
    return made, model.family.code(wanted) if hasattr(model, "family") else wanted


def _decoded(model: Any, codes: Any, recorded: Any) -> tuple[Any, Any]:
    """Images of a model for the original's codes, in the original's range and layout."""
    low, high = model.config.pixel_range
    if hasattr(model, "decode_vectors"):
        made = model.decode_vectors(codes.movedim(-1, 1))
    else:
        made = model.decode(codes.flatten(1))
    made = low + (high - low) * made
    return made.movedim(1, -1).reshape(recorded.shape), recorded
