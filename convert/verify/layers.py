"""Models of layers and image models compared with what Keras recorded of the originals."""

from __future__ import annotations

import os
from typing import Any

from convert.parity import Parity, compare_arrays
from convert.verify.arrays import read_arrays
from zoo.errors import UsageError

#: How recorded outputs of a Keras model end, the type that they are of, and what is allowed: in
#: float64 TensorFlow keeps some constants in single precision.
PRECISIONS = (("", "float32", 1e-5), ("_f64", "float64", 1e-6))


def compare_layers(
    folder: str | os.PathLike[str], reference: str | os.PathLike[str]
) -> list[Parity]:
    """Run recorded inputs through a model of layers.

    Args:
        folder: the model.
        reference: a `.npz`: inputs `in0`, `in1` ..., outputs `out0` ... (float32), and perhaps
            `out0_f64` ... (float64).

    Returns:
        One comparison per recorded output.

    Raises:
        IntegrityError: the file is no such archive.
        UsageError: its inputs or outputs are not the model's.
    """
    import torch

    from zoo.models.images.modeling_layers import LayersModel

    arrays = read_arrays(reference)
    found: list[Parity] = []
    for end, name, allowed in PRECISIONS:
        dtype = getattr(torch, name)
        if f"out0{end}" not in arrays:
            continue
        # As the original has its images, whatever the folder says.
        model: Any = LayersModel.from_pretrained(folder, dtype=dtype, channels_last=True)
        model.eval()
        given = [
            torch.from_numpy(arrays[f"in{i}"])
            for i in range(len(model.config.inputs))
            if f"in{i}" in arrays
        ]
        given = [x.to(dtype) if x.is_floating_point() else x for x in given]
        try:
            with torch.no_grad():
                made = model(*given).outputs
        except ValueError as error:
            raise UsageError(f"{reference}: {error}") from None
        for i, output in enumerate(made):
            if (recorded := arrays.get(f"out{i}{end}")) is not None:
                computed = output.double().numpy()
                found.append(compare_arrays(f"out{i}{end}", computed, recorded, allowed))
    if not found:
        raise UsageError(f"{reference}: has no out0; it has {', '.join(arrays)}")
    return found


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
