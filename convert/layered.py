"""From a Keras model of any layers to a folder of `LayersModel`."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from convert.layers.graph import Network
from convert.layers.opening import JSON, LAMBDA, OUTPUTS, KerasModel
from convert.layers.settings import ARCHITECTURE, settings
from convert.layers.summary import FAMILY, summarize
from convert.report import Report
from convert.writers.safetensors import kinds_of
from convert.writing import write_folder
from zoo.errors import UsageError
from zoo.hints import did_you_mean

if TYPE_CHECKING:
    from convert.parity import Parity

LAYOUT = "channels_last"
OPTIONS = (LAYOUT, OUTPUTS, LAMBDA)
IMAGE_AXES = 4  # batch, height, width, channels
COARSE = ("bfloat16", "float16")  # types to compute in, the coarsest first
ANY = 32  # a size for an axis that may have any


def check_options(options: Mapping[str, Any] | None, network: Network | None) -> bool:
    """Whether images are to come and go with their channels last.

    Args:
        options: those given.
        network: of the model, where it could be read.

    Raises:
        UsageError: an option that models of layers do not have, or that this one cannot have.
    """
    for name, value in (options or {}).items():
        if name not in OPTIONS:
            raise UsageError(
                f"{name!r} is no option of a model of layers. {did_you_mean(name, OPTIONS)}"
            )
        if name == LAYOUT and type(value) is not bool:
            raise UsageError(f"{LAYOUT} is true or false, not {value!r}")
    last = (options or {}).get(LAYOUT, True)
    layers = network.layers.values() if network is not None else ()
    if not last and (first := [one for one in layers if one.options.get("channels_first")]):
        raise UsageError(
            f"layer {first[0].path!r} has its channels first in the original: leave "
            f"{LAYOUT}=false out"
        )
    return bool(last)


def convert_model(
    model: KerasModel,
    out: Path,
    *,
    verify: str | os.PathLike[str] | None = None,
    options: Mapping[str, Any] | None = None,
    dtype: str | None = None,
    max_shard_bytes: int,
    progress: Callable[[int], Any] | None = None,
    with_code: bool = False,
) -> Report:
    """Write the folder of a model; arguments and errors as `convert_checkpoint`.

    Args:
        model: as `opening.open_model` gives it.
        out: the new folder.
        verify: a `.npz` with recorded inputs (`in0` ...) and outputs (`out0` ..., `out0_f64` ...).
        options: `channels_last`; those that the model was opened with.
        dtype: of every floating-point tensor; None keeps them.
        max_shard_bytes: of a file.
        progress: as `convert_checkpoint`.
        with_code: add the modelling files.
    """
    network, checkpoint, plan = model.require()
    last = check_options(options, network)
    kinds = {str(kind) for kind in kinds_of(plan.steps, checkpoint, dtype).values()}
    result = settings(network) | {LAYOUT: last}
    result["dtype"] = kinds.pop() if len(kinds) == 1 else "float32"
    report = Report(
        model.path,
        out,
        checkpoint.format,
        FAMILY,
        ARCHITECTURE,
        plan,
        dict(checkpoint.unreadable),
        {},
        [*model.notes, *checkpoint.notes],
        options=dict(options or {}),
        result=result,
        example=_example(result),
        model=summarize(model).to_dict(),
    )
    architecture = Path(model.place)
    read = {*checkpoint.files, *([architecture] if architecture.suffix == JSON else [])}
    name = network.architecture.name
    return write_folder(
        report,
        checkpoint,
        f"The model {name!r}" if name else "A model",
        sorted(path for path in read if path.is_file()),
        companions={},
        compare=comparison(verify, computed_in(network)),
        dtype=dtype,
        max_shard_bytes=max_shard_bytes,
        progress=progress,
        with_code=with_code,
    )


def comparison(
    verify: str | os.PathLike[str] | None, precision: str = "float32"
) -> Callable[[Path], list[Parity]] | None:
    """What compares a folder with recorded outputs; nothing where there are none.

    Args:
        verify: the `.npz`.
        precision: what the original computed in.
    """
    if verify is None:
        return None
    from convert.verify.layers import compare_layers

    return lambda folder: compare_layers(folder, verify, precision)


def computed_in(network: Network) -> str:
    """The coarsest type that some layer of the original computed in, by its policy."""
    words = {
        str(one.options.get("dtype")).removeprefix("mixed_")
        for _, layer in network.architecture.walk()
        for one in (layer, *layer.inner.values())
    }
    return next((name for name in COARSE if name in words), "float32")


def _example(result: Mapping[str, Any]) -> list[str]:
    """The line that calls a model with inputs of its shapes; nothing where they are not known."""
    given = []
    for one in result["inputs"]:
        if one["shape"] is None:
            return []
        sizes = [1, *(ANY if size is None else size for size in one["shape"][1:])]
        if not result[LAYOUT] and len(sizes) >= IMAGE_AXES:
            sizes.insert(1, sizes.pop())
        given.append(f"torch.zeros({', '.join(map(str, sizes))})")
    return [f"outputs = model({', '.join(given)}).outputs"]
