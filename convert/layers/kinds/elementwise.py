"""Dense layers, embeddings, activations, and layers that do nothing in inference."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any

from convert.layers.activations import ACTIVATION, LAYERS
from convert.layers.options import (
    CHANNELS,
    MAX_AXES,
    REQUIRED,
    USE_BIAS,
    Key,
    Keys,
    axes,
    flag,
    maybe,
    number,
    numbers,
    share,
    size,
)
from convert.layers.rows import Kind, Options, Shape, ShapeError, Weight, known, positive
from convert.weights.ops import TRANSPOSE


def bias(options: Options, width: int, inside: str = "") -> list[Weight]:
    """The bias, where the options have one."""
    return [Weight("bias", (width,), inside=inside)] if options.get("use_bias", True) else []


def _dense_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    (width,) = known(shapes[0][-1:], "the last axis")
    units = options["units"]
    return [Weight("weight", (width, units), TRANSPOSE), *bias(options, units)]


def _embedding_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    return [Weight("weight", (options["input_dim"], options["output_dim"]))]


def _prelu_weights(options: Options, shapes: Sequence[Shape]) -> list[Weight]:
    shared = {positive(axis, len(shapes[0])) for axis in options["shared_axes"] or ()}
    sizes = [1 if axis in shared else size for axis, size in enumerate(shapes[0])]
    return [Weight("slope", known(sizes[1:]))]


def _rescaled(options: Options, shapes: Sequence[Shape]) -> list[Shape]:
    """Scale and offset may have one number for each channel."""
    for name in ("scale", "offset"):
        value = options[name]
        if value is None or (isinstance(value, list) and len(value) != shapes[0][-1]):
            raise ShapeError(f"{name} has not one number for each of {shapes[0][-1]} channels")
    return [shapes[0]]


def _activation(name: str, keys: Keys, make: Callable[[Options], dict[str, Any]]) -> Kind:
    """A layer that is one activation."""
    return Kind(
        "activation",
        {name: replace(key, hidden=True) for name, key in keys.items()},
        settings=lambda options, shapes: {"activation": make(options)},
        versions=(2,) if name == "ThresholdedReLU" else (2, 3),
    )


def _noise_shape(value: Any, keras: int = 2) -> list[Any] | None:
    """Of the decisions of dropout: a size for each axis, or nothing for that of the input."""
    if value is not None and not (isinstance(value, list) and len(value) <= MAX_AXES):
        raise ValueError("a shape")
    return value


def _shared_axes(options: Options, shapes: Sequence[Shape]) -> dict[str, Any]:
    """Axes along which dropout decides once."""
    shape = options.get("noise_shape")
    return {"shared_axes": [axis for axis, size in enumerate(shape) if size == 1]} if shape else {}


def _shared_places(options: Options, shapes: Sequence[Shape]) -> dict[str, Any]:
    """All axes of space: a channel goes as a whole."""
    first = 2 if options.get("channels_first") else 1
    return {"shared_axes": list(range(first, first + len(shapes[0]) - 2))}


RATE = Key(share, 0.0)
NOISE_SHAPE = Key(_noise_shape, None, hidden=True)
CHANNELS_APART = replace(CHANNELS, hidden=True)

#: Nothing in inference, whatever they are told: class -> what else the way back has again.
IDENTITIES = {
    "Dropout": "seed",
    **{f"SpatialDropout{rank}D": "seed" for rank in (1, 2, 3)},
    "AlphaDropout": "noise_shape seed",
    "GaussianDropout": "seed",
    "GaussianNoise": "seed",
    "ActivityRegularization": "l1 l2",
    "RandomFlip": "mode seed",
    "RandomRotation": "factor fill_mode interpolation seed fill_value",
    "RandomZoom": "height_factor width_factor fill_mode interpolation seed fill_value",
    "RandomTranslation": "height_factor width_factor fill_mode interpolation seed fill_value",
    "RandomContrast": "factor seed",
    "RandomBrightness": "factor value_range seed",
    "Identity": "",
}

TABLE = {
    **{
        name: Kind("identity", carried=tuple(words.split())) for name, words in IDENTITIES.items()
    },
    **{name: _activation(name, keys, make) for name, (keys, make) in LAYERS.items()},
    "Activation": Kind("activation", {"activation": replace(ACTIVATION, default=REQUIRED)}),
    "PReLU": Kind(
        "prelu",
        {"shared_axes": Key(maybe(axes), None, hidden=True)},
        weights=_prelu_weights,
    ),
    "Dense": Kind(
        "dense",
        {"units": Key(size, hidden=True), "use_bias": USE_BIAS, "activation": ACTIVATION},
        lambda options, shapes: [(*shapes[0][:-1], options["units"])],
        _dense_weights,
        rank=(2, 3, 4, 5, 6),
    ),
    "Embedding": Kind(
        "embedding",
        {"input_dim": Key(size, hidden=True), "output_dim": Key(size, hidden=True),
         "mask_zero": Key(flag, False, hidden=True)},
        lambda options, shapes: [(*shapes[0], options["output_dim"])],
        _embedding_weights,
        mask="make",
    ),
    "Masking": Kind("masking", {"mask_value": Key(number, 0.0)}, mask="make"),
    "Rescaling": Kind(
        "rescale", {"scale": Key(numbers), "offset": Key(numbers, 0.0)}, _rescaled, mask="stop"
    ),
}  # fmt: skip

#: Of those that do nothing in inference, what training does: the computation, and what it is told.
NOISES: dict[str, tuple[str, Keys]] = {
    "Dropout": ("dropout", {"rate": RATE, "noise_shape": NOISE_SHAPE}),
    "SpatialDropout1D": ("dropout", {"rate": RATE}),
    "SpatialDropout2D": ("dropout", {"rate": RATE, "data_format": CHANNELS_APART}),
    "SpatialDropout3D": ("dropout", {"rate": RATE, "data_format": CHANNELS_APART}),
    "AlphaDropout": ("alpha_dropout", {"rate": RATE}),
    "GaussianDropout": ("gaussian_dropout", {"rate": RATE}),
    "GaussianNoise": ("gaussian_noise", {"stddev": Key(number, 0.0)}),
}
TABLE |= {
    name: replace(
        TABLE[name],
        compute=compute,
        keys=keys,
        settings=_shared_places if name.startswith("Spatial") else _shared_axes,
    )
    for name, (compute, keys) in NOISES.items()
}
