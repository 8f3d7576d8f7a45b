"""What other versions call classes and options that Keras 2 has under its own names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

#: Classes of Keras 1, and short names, -> Keras 2's.
CLASSES = {
    **{f"Convolution{n}D": f"Conv{n}D" for n in (1, 2, 3)},
    "AtrousConvolution1D": "Conv1D",
    "AtrousConvolution2D": "Conv2D",
    "Deconvolution2D": "Conv2DTranspose",
    "Deconvolution3D": "Conv3DTranspose",
    "Convolution2DTranspose": "Conv2DTranspose",
    "Convolution3DTranspose": "Conv3DTranspose",
    "SeparableConvolution1D": "SeparableConv1D",
    "SeparableConvolution2D": "SeparableConv2D",
    **{f"{kind}Pool{n}D": f"{kind}Pooling{n}D"
       for kind in ("Max", "GlobalMax") for n in (1, 2, 3)},
    **{f"{short}Pool{n}D": f"{long}Pooling{n}D"
       for short, long in (("Avg", "Average"), ("GlobalAvg", "GlobalAverage"))
       for n in (1, 2, 3)},
    "BatchNormalizationV1": "BatchNormalization",
    "BatchNormalizationV2": "BatchNormalization",
    "SyncBatchNormalization": "BatchNormalization",
    "CuDNNLSTM": "LSTM",
    "CuDNNGRU": "GRU",
    "LSTMV2": "LSTM",
    "GRUV2": "GRU",
}  # fmt: skip

#: Options of Keras 1 and 3 -> Keras 2's, whatever the class.
OPTIONS = {
    "nb_filter": "filters",
    "border_mode": "padding",
    "subsample": "strides",
    "subsample_length": "strides",
    "atrous_rate": "dilation_rate",
    "dim_ordering": "data_format",
    "bias": "use_bias",
    "p": "rate",
    "sigma": "stddev",
    "inner_activation": "recurrent_activation",
    "pool_length": "pool_size",
    "filter_length": "kernel_size",
    "concat_axis": "axis",
    "batch_shape": "batch_input_shape",
}

#: The same of one class, which comes first.
OWN = {
    "Dense": {"output_dim": "units"},
    "LSTM": {"output_dim": "units"},
    "GRU": {"output_dim": "units"},
    "SimpleRNN": {"output_dim": "units"},
    "LeakyReLU": {"negative_slope": "alpha"},
    "MaxPooling1D": {"stride": "strides"},
    "AveragePooling1D": {"stride": "strides"},
    "UpSampling1D": {"length": "size"},
}

#: Values of Keras 1 -> Keras 2's.
VALUES: dict[str, dict[Any, Any]] = {
    "data_format": {"tf": "channels_last", "th": "channels_first"},
    "merge_mode": {"avg": "ave"},
}

#: Keras 1's `Merge`, which is a class of its own for each mode.
MERGES = {
    "sum": "Add",
    "mul": "Multiply",
    "ave": "Average",
    "max": "Maximum",
    "min": "Minimum",
    "concat": "Concatenate",
    "dot": "Dot",
}

#: Keras 2's names of options -> Keras 3's, of every class and of one.
OPTIONS_OF_3 = {"batch_input_shape": "batch_shape"}
OWN_OF_3 = {"LeakyReLU": {"alpha": "negative_slope"}}

#: Where Keras 3 keeps classes that are no layers, and under which name.
HOMES_OF_3 = {
    "Sequential": ("keras", None),
    "Functional": ("keras.src.models.functional", "Functional"),
}
ANY = 0  # no version: Keras 2's names, and whatever a value means

#: Sides of a kernel that Keras 1 has as options of their own.
SIDES = ("kernel_dim1", "kernel_dim2", "kernel_dim3"), ("nb_row", "nb_col")


def plain_class(name: str, config: Mapping[str, Any]) -> str:
    """Keras 2's name of a class; a `Merge` is named by its mode."""
    if name == "Merge":
        mode = config.get("mode")
        return MERGES.get(mode, name) if isinstance(mode, str) else name
    return CLASSES.get(name, name)


def plain_options(kind: str, config: Mapping[str, Any]) -> dict[str, Any]:
    """Options under Keras 2's names, and their values as Keras 2 writes them.

    Args:
        kind: the class, by Keras 2's name.
        config: as the file has it, objects of types already taken apart.
    """
    options: dict[str, Any] = {}
    for name, value in config.items():
        plain = OWN.get(kind, {}).get(name) or OPTIONS.get(name, name)
        known = VALUES.get(plain, {})
        options[plain] = known.get(value, value) if isinstance(value, str) else value
    for sides in SIDES:
        if sides[0] in options and "kernel_size" not in options:
            options["kernel_size"] = [options.pop(side, None) for side in sides]
    if kind == "Dot" and "dot_axes" in options:
        options["axes"] = options.pop("dot_axes")
    return options


def as_object(
    kind: str, options: Mapping[str, Any], keras: int, *, value: bool = False
) -> dict[str, Any]:
    """A class and its options as the JSON of a version has them.

    Args:
        kind: by Keras 2's name.
        options: the same.
        keras: 2, 3 or `ANY`.
        value: whether it is the value of an option, which Keras 2.15 writes as Keras 3 does.
    """
    if keras == ANY or (keras < 3 and not value):
        return {"class_name": kind, "config": dict(options)}
    names = OPTIONS_OF_3 | OWN_OF_3.get(kind, {}) if keras == 3 else {}
    module, registered = HOMES_OF_3.get(kind, ("keras.layers", None))
    return {
        "module": module,
        "class_name": kind,
        "config": {names.get(name, name): value for name, value in options.items()},
        "registered_name": registered,
    }


#: How values that JSON has no form for stand in it: class -> what they become.
TYPED: dict[str, Callable[[Mapping[str, Any]], Any]] = {
    "__tuple__": lambda value: value.get("items"),
    "TensorShape": lambda value: value.get("items"),
    "__numpy__": lambda value: _inner(value, "value"),
    "__tensor__": lambda value: _inner(value, "value"),
    "DTypePolicy": lambda value: _inner(value, "name"),
    "Policy": lambda value: _inner(value, "name"),
    "PolicyV1": lambda value: _inner(value, "name"),
    "QuantizedDTypePolicy": lambda value: _inner(value, "mode"),
    "QuantizedFloat8DTypePolicy": lambda value: _inner(value, "mode"),
    "GPTQDTypePolicy": lambda value: _inner(value, "mode"),
}


def _inner(value: Mapping[str, Any], name: str) -> Any:
    config = value.get("config")
    return config.get(name) if isinstance(config, Mapping) else None


def plain_value(value: Any) -> Any:
    """A value without the object that says its type; of lists too, one level deep."""
    if isinstance(value, Mapping) and isinstance(name := value.get("class_name"), str):
        return TYPED[name](value) if name in TYPED else value
    if isinstance(value, list):
        return [plain_value(one) if isinstance(one, Mapping) else one for one in value]
    return value
