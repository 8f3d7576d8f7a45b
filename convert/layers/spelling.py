"""What TensorFlow and Keras call operations and their arguments, and what genae calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

#: Where a function of TensorFlow may live; its last word says which it is.
TENSORFLOW = re.compile(
    r"tf\.((math|nn|linalg|__operators__|image|keras\.backend|keras\.activations)\.)?(\w+)"
)
KERAS_3 = "ops."
NODE = "op."  # of a graph of TensorFlow 1

#: Other words for an operation -> genae's.
WORDS = {
    "mul": "multiply", "sub": "subtract", "truediv": "divide", "true_divide": "divide",
    "div": "divide", "real_div": "divide", "div_no_nan": "divide", "floordiv": "floor_divide",
    "floor_div": "floor_divide", "floormod": "mod", "floor_mod": "mod", "pow": "power",
    "neg": "negative", "absolute": "abs", "inv": "reciprocal", "bias_add": "add",
    "and": "logical_and", "or": "logical_or", "greater_than": "greater", "select": "where",
    **{f"reduce_{name}": name
       for name in ("mean", "sum", "max", "min", "any", "all", "variance", "std", "logsumexp")},
    "reduce_std": "std", "amax": "max", "amin": "min", "var": "variance",
    "arg_max": "argmax", "arg_min": "argmin", "matrix_multiply": "matmul",
    "mat_mul": "matmul", "batch_mat_mul": "matmul", "concat": "concatenate", "pack": "stack",
    "unpack": "unstack", "permute_dimensions": "transpose", "getitem": "slice",
    "get_item": "slice", "strided_slice": "slice", "clip_by_value": "clip", "mirror_pad": "pad",
    "reverse_v": "reverse", "flip": "reverse", "batch_flatten": "flatten",
    "repeat_elements": "repeat", "stop_gradient": "identity", "ensure_shape": "identity",
    "convert_to_tensor": "identity", "copy": "identity",
    "swish": "silu", "hard_swish": "hard_silu", "log_softmax_v": "log_softmax",
    "l2normalize": "l2_normalize", "split_v": "split",
}  # fmt: skip

#: Other words for an argument -> genae's, of which the first counts that the operation has.
ARGUMENTS = {
    "keep_dims": ("keepdims",), "dim": ("axis",), "reduction_indices": ("axis",),
    "squeeze_dims": ("axis",), "dims": ("axes", "axis"), "perm": ("axes",), "pattern": ("axes",),
    "newshape": ("shape",), "target_shape": ("shape",), "num_or_size_splits": ("sections",),
    "indices_or_sections": ("number",), "num_split": ("number",), "num": ("number",),
    "clip_value_min": ("low",), "x_min": ("low",), "min_value": ("low",),
    "clip_value_max": ("high",), "x_max": ("high",), "max_value": ("high",),
    "paddings": ("pads",), "pad_width": ("pads",), "constant_values": ("value",),
    "multiples": ("times",), "repeats": ("times",), "rep": ("times",), "n": ("times",),
    "num_classes": ("depth",), "block_size": ("block",), "alpha": ("slope", "negative_slope"),
    "negative_slope": ("slope",), "method": ("interpolation",), "dtype": ("to",),
    "slice_spec": ("slices",), "at": ("slices",), "adj_x": ("adjoint_a",), "adj_y": ("adjoint_b",),
    "DstT": ("to",),
}  # fmt: skip

#: Tensors that may be given by name, in their order, whatever the operation.
TENSORS = (
    "condition", "x", "x1", "a", "input", "inputs", "values", "value", "y", "x2", "b", "other",
    "exponent",
)  # fmt: skip

#: What a node of TensorFlow's graph takes as a constant tensor behind its tensors: the argument.
CONSTANT_ARGUMENTS = {
    "reshape": ("shape",), "transpose": ("axes",), "expand_dims": ("axis",), "pad": ("pads",),
    "tile": ("times",), "argmax": ("axis",), "argmin": ("axis",), "reverse": ("axis",),
    "concatenate": ("axis",), "cumsum": ("axis",), "clip": ("low", "high"), "one_hot": ("depth",),
    **{name: ("axis",) for name in ("mean", "sum", "max", "min", "any", "all")},
    "slice": ("begin", "end", "strides"),
}  # fmt: skip


def snake_case(name: str) -> str:
    """`ExpandDims` -> `expand_dims`, without the version that TensorFlow puts behind a name."""
    plain = re.sub(r"V\d$", "", name)
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", plain).lower()


def operation(kind: str) -> str | None:
    """Genae's word for an operation of a file; nothing where it is none that could be known.

    Example:
        >>> operation("tf.math.reduce_mean"), operation("ops.ExpandDims"), operation("op.AddV2")
        ('mean', 'expand_dims', 'add')
    """
    if match := TENSORFLOW.fullmatch(kind):
        word = match[3]
    elif kind.startswith((KERAS_3, NODE)):
        word = snake_case(kind.partition(".")[2])
    else:
        return None
    return WORDS.get(word, word)


def arguments(given: Mapping[str, Any], known: Mapping[str, Any]) -> dict[str, Any]:
    """Arguments under the names of an operation's options.

    Args:
        given: by the names of a library.
        known: the options.

    Raises:
        ValueError: one changes what is computed and is not known.
    """
    found: dict[str, Any] = {}
    for name, value in given.items():
        plain = name if name in known else next(
            (one for one in ARGUMENTS.get(name, ()) if one in known), None
        )  # fmt: skip
        if plain is not None:
            found[plain] = value
        elif value not in (None, False) and name not in SILENT:
            raise ValueError(f"argument {name} is {value!r:.60}, which is not supported")
    return found


#: Arguments that change nothing of what comes out, or only its type of number.
SILENT = ("name", "trainable", "dtype", "function", "output_type", "out_type")
