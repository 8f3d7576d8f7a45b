"""Operations on tensors that stand between layers: arithmetic, sums, slices, other shapes."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from .layer_shapes import unit

Weights = Mapping[str, Tensor]
Options = Mapping[str, Any]

#: Of each value by itself.
FUNCTIONS: dict[str, Callable[[Tensor], Tensor]] = {
    "exp": torch.exp,
    "expm1": torch.expm1,
    "log": torch.log,
    "log1p": torch.log1p,
    "sqrt": torch.sqrt,
    "rsqrt": torch.rsqrt,
    "square": torch.square,
    "abs": torch.abs,
    "negative": torch.neg,
    "reciprocal": torch.reciprocal,
    "sign": torch.sign,
    "floor": torch.floor,
    "ceil": torch.ceil,
    "round": torch.round,
    "sin": torch.sin,
    "cos": torch.cos,
    "erf": torch.erf,
    "logical_not": torch.logical_not,
    "zeros_like": torch.zeros_like,
    "ones_like": torch.ones_like,
}

#: Of two tensors, which are broadcast as in NumPy.
PAIRS: dict[str, Callable[[Tensor, Tensor], Tensor]] = {
    "add": torch.add,
    "subtract": torch.sub,
    "multiply": torch.mul,
    "divide": torch.div,
    "floor_divide": torch.floor_divide,
    "mod": torch.remainder,
    "power": torch.pow,
    "maximum": torch.maximum,
    "minimum": torch.minimum,
    "squared_difference": lambda x, y: (x - y).square(),
    "absolute_difference": lambda x, y: (x - y).abs(),
    "equal": torch.eq,
    "not_equal": torch.ne,
    "greater": torch.gt,
    "greater_equal": torch.ge,
    "less": torch.lt,
    "less_equal": torch.le,
    "logical_and": torch.logical_and,
    "logical_or": torch.logical_or,
}

Reduce = Callable[[Tensor, tuple[int, ...], bool], Tensor]

#: Along axes.
REDUCTIONS: dict[str, Reduce] = {
    "mean": torch.mean,
    "sum": torch.sum,
    "max": torch.amax,
    "min": torch.amin,
    "any": lambda x, axes, keep: x.bool().any(axes, keep),
    "all": lambda x, axes, keep: x.bool().all(axes, keep),
    "variance": lambda x, axes, keep: x.var(axes, correction=0, keepdim=keep),
    "std": lambda x, axes, keep: x.std(axes, correction=0, keepdim=keep),
    "logsumexp": torch.logsumexp,
}


def function(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """A function of each value."""
    return FUNCTIONS[options["function"]](x)


def _operands(options: Options, xs: Sequence[Tensor]) -> list[Tensor]:
    """Tensors, with the constants of a configuration at their places among them."""
    given = iter(xs)
    constants = options.get("constants") or [None] * len(xs)
    return [next(given) if one is None else xs[0].new_tensor(one) for one in constants]


def arithmetic(weights: Weights, options: Options, *xs: Tensor) -> Tensor:
    """A function of two tensors, or of a tensor and a constant."""
    one, other = _operands(options, xs)
    return PAIRS[options["function"]](one, other)


def where(weights: Weights, options: Options, *xs: Tensor) -> Tensor:
    """Values of one tensor where a condition holds, of another elsewhere."""
    condition, one, other = _operands(options, xs)
    return torch.where(condition.bool(), one, other)


def matmul(weights: Weights, options: Options, x: Tensor, y: Tensor) -> Tensor:
    """Products of matrices, of their transposes where options say so."""
    x = x.mT if options["transpose_a"] else x
    return x @ (y.mT if options["transpose_b"] else y)


def reduce(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """One value along some axes; along all of them where none is named."""
    axes = range(x.ndim) if options["axes"] is None else options["axes"]
    return REDUCTIONS[options["function"]](x, tuple(axes), options["keepdims"])


def index_of_largest(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Which place along an axis has the largest value; of the smallest with `smallest`."""
    return (-x if options["smallest"] else x).argmax(options["axis"])


def sum_so_far(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """The sum of all values up to each place along an axis."""
    return x.cumsum(options["axis"])


def reshape_all(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Other axes, the batch's among them."""
    return x.reshape(options["shape"])


def transpose(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """All axes in another order; turned round where none is given."""
    return x.permute(options["axes"] or tuple(reversed(range(x.ndim))))


def expand_dims(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """One more axis, of size 1."""
    return x.unsqueeze(options["axis"])


def squeeze(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Without axes of size 1: those named, else every one."""
    axes = options["axes"]
    return x.squeeze() if axes is None else x.squeeze(tuple(axes))


def stack(weights: Weights, options: Options, *xs: Tensor) -> Tensor:
    """Tensors of one shape along an axis of their own."""
    return torch.stack(xs, options["axis"])


def split(weights: Weights, options: Options, x: Tensor) -> tuple[Tensor, ...]:
    """Several tensors of the sizes given, along an axis."""
    return torch.split(x, options["sizes"], options["axis"])


def unstack(weights: Weights, options: Options, x: Tensor) -> tuple[Tensor, ...]:
    """A tensor for each place along an axis."""
    return x.unbind(options["axis"])


def take(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Slices: of each axis a place, `[start, stop, step]`, "..." for axes between, "new" for one.

    A step may be negative, as in NumPy.
    """
    axis, left = 0, options["slices"]
    count = sum(one not in ("new", "...") for one in left)
    for one in left:
        if one == "...":
            axis += x.ndim - axis - count
        elif one == "new":
            x = x.unsqueeze(axis)
            axis += 1
        elif isinstance(one, int):
            x = x.select(axis, one)
            count -= 1
        else:
            places = range(*slice(*one).indices(x.shape[axis]))
            x = x.index_select(axis, torch.tensor([*places], dtype=torch.long, device=x.device))
            axis += 1
            count -= 1
    return x


def clip(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Values between a minimum and a maximum."""
    return x.clamp(options["low"], options["high"])


def cast(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Numbers of another kind: "float", "int" (towards zero) or "bool"."""
    kind = options["to"]
    return x.bool() if kind == "bool" else x.trunc() if kind == "int" else x


def pad_all(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Cells before and after every axis: a constant, or reflected, the border twice or once."""
    for axis, (before, after) in enumerate(options["pads"]):
        if not before and not after:
            continue
        size, mode = x.shape[axis], options["mode"]
        if mode == "constant":
            shape = list(x.shape)
            ends = [x.new_full([*shape[:axis], n, *shape[axis + 1 :]], options["value"])
                    for n in (before, after)]  # fmt: skip
            x = torch.cat((ends[0], x, ends[1]), axis)
        else:
            once = int(mode == "reflect")
            places = [*reversed(range(once, before + once)), *range(size),
                      *(size - 1 - once - i for i in range(after))]  # fmt: skip
            x = x.index_select(axis, torch.tensor(places, device=x.device))
    return x


def tile(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """The whole several times along each axis."""
    return x.repeat(options["times"])


def repeat_each(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Each place along an axis several times."""
    return x.repeat_interleave(options["times"], options["axis"])


def flip(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Some axes backwards."""
    return x.flip(options["axes"])


def one_hot(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Whole numbers as vectors of zeros and a one; zeros alone for numbers out of range."""
    places = torch.arange(options["depth"], device=x.device)
    return (x.trunc().unsqueeze(-1) == places).to(x.dtype)


def l2_normalize(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Of length 1 along some axes; squares of lengths are at least epsilon."""
    axes = range(x.ndim) if options["axes"] is None else options["axes"]
    return unit(x, tuple(axes), options["epsilon"])


def distance(weights: Weights, options: Options, x: Tensor, y: Tensor) -> Tensor:
    """Euclidean distances of vectors, of squares of at least epsilon."""
    squares: Tensor = (x - y).square().sum(options["axis"], keepdim=options["keepdims"])
    return squares.clamp(min=options["epsilon"]).sqrt()


def add_scaled(weights: Weights, options: Options, x: Tensor, y: Tensor) -> Tensor:
    """One tensor plus so many times another."""
    return torch.add(x, y, alpha=options["scale"])


def depth_to_space(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Channels as cells, as TensorFlow has it: (B, H, W, b b C) -> (B, H b, W b, C)."""
    block = options["block"]
    split: Tensor = x.unflatten(-1, (block, block, -1))
    return split.permute(0, 1, 3, 2, 4, 5).flatten(1, 2).flatten(2, 3)


def space_to_depth(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """The way back: `(B, H * b, W * b, C)` -> `(B, H, W, b * b * C)`."""
    block = options["block"]
    split: Tensor = x.unflatten(2, (-1, block)).unflatten(1, (-1, block))
    return split.permute(0, 1, 3, 2, 4, 5).flatten(3)


def sampling(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """The mean `x` of what the original draws around it: its noise is zero here."""
    return x


def fold_steps(weights: Weights, options: Options, x: Tensor) -> Tensor:
    """Steps as examples: `(B, T, ...)` -> `(B * T, ...)`."""
    return x.flatten(0, 1)


def unfold_steps(weights: Weights, options: Options, x: Tensor, like: Tensor) -> Tensor:
    """Examples as steps again: `(B * T, ...)` -> `(B, T, ...)`, the numbers those of `like`."""
    found: Tensor = x.unflatten(0, like.shape[:2])
    return found


COMPUTATIONS: dict[str, Callable[..., Any]] = {
    "function": function,
    "arithmetic": arithmetic,
    "where": where,
    "matmul": matmul,
    "reduce": reduce,
    "index_of_largest": index_of_largest,
    "sum_so_far": sum_so_far,
    "reshape_all": reshape_all,
    "transpose": transpose,
    "expand_dims": expand_dims,
    "squeeze": squeeze,
    "stack": stack,
    "split": split,
    "unstack": unstack,
    "take": take,
    "clip": clip,
    "cast": cast,
    "pad_all": pad_all,
    "tile": tile,
    "repeat_each": repeat_each,
    "flip": flip,
    "one_hot": one_hot,
    "l2_normalize": l2_normalize,
    "distance": distance,
    "add_scaled": add_scaled,
    "depth_to_space": depth_to_space,
    "space_to_depth": space_to_depth,
    "sampling": sampling,
    "fold_steps": fold_steps,
    "unfold_steps": unfold_steps,
}
