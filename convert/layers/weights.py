"""Which tensor of a file is which weight of which layer, and what becomes of it."""

from __future__ import annotations

import fnmatch
import glob
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from convert.layers.form import Architecture, Layer
from convert.layers.graph import Network
from convert.layers.placing import Placed
from convert.layers.rows import Weight
from convert.layers.variables import Found, by_objects, by_scopes
from convert.names.leftovers import why_left_over
from convert.readers.base import Checkpoint
from convert.readers.base import Layer as Group
from convert.weights.ops import Op, flip, shape_after, then
from convert.weights.steps import Plan, Step
from zoo.errors import IntegrityError
from zoo.hints import quote

SHOWN = 5
AGAIN = " (again)"  # behind the name of a weight that stands in a file twice
FOLDERS = ("layers", "_layer_checkpoint_dependencies")  # of Keras 2.13 on, and of 2.12
GATES_OF_KERAS_1 = {4: (0, 2, 1, 3), 3: (0, 1, 2)}  # i c f o, and z r h, as places in the result
TENSORS_OF_KERAS_1 = 3  # each gate has a kernel, a recurrent kernel and a bias
NOT_WEIGHTS = re.compile(
    r"^(optimizer|metrics|loss|compile|optimizer_weights|_)[^/]*/"
    r"|(^|/)(seed_generator|_random_generator)/"
)

#: Layers whose kernels Theano turns -> number of their axes of space.
TURNED = {"Conv1D": 1, "Conv2D": 2, "Conv3D": 3, "Conv2DTranspose": 2, "ConvLSTM2D": 2}

#: Names that modules of PyTorch have themselves.
RESERVED = frozenset(
    """
    T_destination add_module apply bfloat16 buffers call_super_init children clear compile
    cpu cuda double dump_patches eval extra_repr float forward get_buffer get_extra_state
    get_parameter get_submodule half ipu items keys load_state_dict modules mtia
    named_buffers named_children named_modules named_parameters parameters pop
    register_backward_hook register_buffer register_forward_hook register_forward_pre_hook
    register_full_backward_hook register_full_backward_pre_hook
    register_load_state_dict_post_hook register_load_state_dict_pre_hook register_module
    register_parameter register_state_dict_post_hook register_state_dict_pre_hook
    requires_grad_ set_extra_state set_submodule share_memory smart_apply state_dict to to_empty
    train training type update values xpu zero_grad
    """.split()
)


@dataclass(frozen=True)
class Slot:
    """A place for one tensor of a file.

    Attributes:
        path: of the layer.
        weight: of the result.
        shape: that the tensor has to have.
        part: which part of the weight it is, where Keras 1 keeps the gates apart.
    """

    path: str
    weight: Weight
    shape: tuple[int, ...]
    part: int = 0


def module_names(paths: Sequence[str]) -> dict[str, str]:
    """A name for each layer that PyTorch takes for a module's: without points, each its own."""
    names: dict[str, str] = {}
    taken: set[str] = set()
    for path in paths:
        plain = re.sub(r"[^\w-]", "_", path)
        if plain in RESERVED or plain.startswith("_"):
            plain = f"layer_{plain}"
        name = next(
            each
            for number in range(len(taken) + 1)
            if (each := f"{plain}__{number}" if number else plain) not in taken
        )
        taken.add(name)
        names[path] = name
    return names


def make_plan(network: Network, checkpoint: Checkpoint, allow_unused: Sequence[str] = ()) -> Plan:
    """What becomes of every tensor of a file.

    Args:
        network: the model, all of it supported.
        checkpoint: its weights, in any of Keras's forms.
        allow_unused: patterns of tensors that may be left over.

    Raises:
        IntegrityError: weights are missing, left over, or of other shapes.
    """
    others: dict[str, str] = {}
    if checkpoint.format == "keras3":
        found = dict(_by_folders(network, checkpoint))
    elif checkpoint.format == "tf_object":
        found, others = by_objects(network, checkpoint, allow_unused)
    elif checkpoint.format == "keras_hdf5":
        found = _by_groups(network, checkpoint)
    else:
        found = by_scopes(network, checkpoint)
    return _steps(network, checkpoint, found, others, allow_unused)


def _slots(network: Network, path: str, layer: Layer) -> list[Slot]:
    """Places for the tensors of a layer, or of a model, in the order of HDF5 files."""
    if (model := layer.model or layer.inside) is not None:
        inside = [
            slot for one in model.layers for slot in _slots(network, f"{path}/{one.name}", one)
        ]
        frozen = layer.frozen
        return sorted(inside, key=lambda slot: not slot.weight.trainable and not frozen)
    placed = network.layers.get(path)
    if placed is None:
        return []
    if network.architecture.keras == 1 and _gates_apart(layer):
        return list(_keras_1(path, placed))
    return [Slot(path, weight, weight.shape) for weight in placed.weights]


def _gates_apart(layer: Layer) -> bool:
    inner = layer.inner.get("layer", layer)
    return inner.kind in ("LSTM", "GRU") and inner.options.get("consume_less") != "gpu"


def _keras_1(path: str, placed: Placed) -> Iterator[Slot]:
    """Keras 1's order: gate by gate, kernel, recurrent kernel and bias of each."""
    for start in range(0, len(placed.weights), TENSORS_OF_KERAS_1):
        cell = placed.weights[start : start + TENSORS_OF_KERAS_1]
        gates = cell[0].shape[-1] // cell[1].shape[0]
        for gate in GATES_OF_KERAS_1[gates]:
            for weight in cell:
                *rest, width = weight.shape
                yield Slot(path, weight, (*rest, width // gates), gate)


def _by_groups(network: Network, checkpoint: Checkpoint) -> Found:
    """Of HDF5: layers by order, as Keras itself goes; by name where there are more in the file."""
    wanted = [
        (layer.name, slots)
        for layer in network.architecture.layers
        if (slots := _slots(network, layer.name, layer))
    ]
    groups = [group for group in checkpoint.groups if group.tensors]
    names = {group.name: group for group in groups}
    by_order = [(slots, group) for (_, slots), group in zip(wanted, groups, strict=False)]
    missing = [name for name, _ in wanted if name not in names]
    by_name = [] if missing else [(slots, names[name]) for name, slots in wanted]
    if len(groups) == len(wanted) and (missing or _fitting(by_order, checkpoint)):
        pairs = by_order
        if by_name not in ([], by_order):
            checkpoint.notes.append(
                "layers go by their order, as in Keras, although the names in the file are those "
                "of the architecture in another order"
            )
    elif not missing:
        pairs = by_name
    else:
        raise IntegrityError(
            f"{checkpoint.files[0]}: no weights of {', '.join(map(repr, missing[:SHOWN]))}, which "
            f"the architecture has; there are layers {', '.join(map(repr, [*names][:SHOWN]))}. "
            "Are these the weights of this architecture?"
        )
    found: Found = {}
    for slots, group in pairs:
        if len(slots) != len(group.tensors):
            expected = ", ".join(f"{slot.weight.name} {slot.shape}" for slot in slots[:SHOWN])
            raise IntegrityError(
                f"{checkpoint.files[0]}: layer {group.name!r} has {len(group.tensors)} weights, "
                f"and {len(slots)} belong to it ({expected})"
            )
        for slot, name in zip(slots, group.tensors, strict=True):
            found.setdefault((slot.path, slot.weight.name), {})[slot.part] = name
    return found


def _fitting(pairs: Sequence[tuple[list[Slot], Group]], checkpoint: Checkpoint) -> bool:
    """Whether every tensor has the shape of its place."""
    return all(
        [slot.shape for slot in slots]
        == [tuple(checkpoint[name].shape) for name in group.tensors if name in checkpoint]
        for slots, group in pairs
    )


def _by_folders(
    network: Network, checkpoint: Mapping[str, object]
) -> Iterator[tuple[tuple[str, str], dict[int, str]]]:
    """Of Keras 3's files: the folders of a model's layers are numbered by class."""
    stack: list[tuple[Architecture, str, str]] = [(network.architecture, "", "")]
    tree = _tree(checkpoint)
    while stack:
        model, inside, prefix = stack.pop()
        counts: dict[str, int] = {}
        folder = next((each for each in FOLDERS if f"{prefix}{each}" in tree), FOLDERS[0])
        there = tree.get(f"{prefix}{folder}", [])
        for layer in model.layers:
            kind = snake_case(layer.kind)
            path = f"{inside}{layer.name}"
            place = counts.get(kind, 0)
            if folder == FOLDERS[0]:
                counts[kind] = place + 1
                name = f"{kind}_{place}" if place else kind
            else:  # whose numbers count twice: go by their order, of layers with weights
                ranked = sorted((each for each in there if _class_of(each) == kind), key=_number)
                name = ranked[place] if place < len(ranked) else ""
                weighty = layer.model or layer.inside or _weighty(network, path)
                counts[kind] = place + bool(weighty)
            where = f"{prefix}{folder}/{name}/"
            if (inner := layer.model or layer.inside) is not None:
                within = where if layer.model is not None else f"{where}layer/"
                stack.append((inner, f"{path}/", within))
            elif (placed := network.layers.get(path)) is not None:
                yield from _in_folder(placed, where)


def _weighty(network: Network, path: str) -> bool:
    placed = network.layers.get(path)
    return placed is not None and bool(placed.weights)


def _in_folder(placed: Placed, where: str) -> Iterator[tuple[tuple[str, str], dict[int, str]]]:
    counts: dict[str, int] = {}
    for weight in placed.weights:
        place = counts.get(weight.inside, 0)
        counts[weight.inside] = place + 1
        inner = f"{weight.inside}/" if weight.inside else ""
        yield (placed.path, weight.name), {0: f"{where}{inner}vars/{place}"}
        if weight.copied:
            place = counts.get("", 0)
            counts[""] = place + 1
            yield (placed.path, f"{weight.name}{AGAIN}"), {0: f"{where}vars/{place}"}


def _tree(checkpoint: Mapping[str, object]) -> dict[str, list[str]]:
    """Folders, each with those in it."""
    tree: dict[str, dict[str, None]] = {}
    for name in checkpoint:
        parts = name.split("/")
        for depth in range(1, len(parts)):
            tree.setdefault("/".join(parts[:depth]), {})[parts[depth]] = None
    return {folder: list(inside) for folder, inside in tree.items()}


def snake_case(name: str) -> str:
    """What Keras makes of a class's name: `Conv2DTranspose` -> `conv2d_transpose`."""
    name = re.sub(r"\W+", "", name)
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", name)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _class_of(folder: str) -> str:
    return re.sub(r"_\d+$", "", folder)


def _number(folder: str) -> int:
    match = re.search(r"_(\d+)$", folder)
    return int(match[1]) if match else 0


def _steps(
    network: Network,
    checkpoint: Checkpoint,
    found: Found,
    others: Mapping[str, str],
    allow_unused: Sequence[str],
) -> Plan:
    """The steps, if every weight has its tensor and every tensor its weight."""
    names = module_names(list(network.layers))
    steps: list[Step] = []
    problems: list[str] = []
    unwanted: list[str] = []
    used: set[str] = set()
    dropped: dict[str, str] = {}
    for path, placed in network.layers.items():
        for weight in placed.weights:
            sources = [name for _, name in sorted(found.get((path, weight.name), {}).items())]
            used |= set(sources)
            if not weight.kept:
                dropped |= dict.fromkeys(sources, "not used in inference")
                continue
            absent = [name for name in sources if name not in checkpoint]
            if absent or not sources:
                what = "no tensor is there for it"
                if absent:
                    why = checkpoint.unreadable.get(absent[0], "is not in the file")
                    what = f"{absent[0]!r} {why}"
                problems.append(f"layer {path!r}, {weight.name} {weight.shape}: {what}")
                continue
            shapes = [tuple(checkpoint[name].shape) for name in sources]
            joined = (*shapes[0][:-1], sum(one[-1] for one in shapes)) if shapes[0] else ()
            if joined != weight.shape:
                what = f"{sources[0]!r} is {joined}, not {weight.shape}"
                problems.append(f"layer {path!r}, {weight.name}: {what}")
                continue
            op = _turned(checkpoint.backend, placed, weight)
            target = f"layers.{names[path]}.{weight.name}"
            steps.append(Step(tuple(sources), target, shape_after(op, weight.shape), op))
    for name in checkpoint:
        if name in used:
            continue
        pattern = next((each for each in allow_unused if fnmatch.fnmatchcase(name, each)), None)
        if NOT_WEIGHTS.search(name) or "/spectral_normalization" in f"/{name}":
            dropped[name] = "not used in inference"
        elif reason := others.get(name) or why_left_over(name):
            dropped[name] = reason
        elif pattern:
            dropped[name] = f"allowed by {pattern}"
        else:
            problems.append(f"{name!r} {tuple(checkpoint[name].shape)} belongs to no layer")
            unwanted.append(name)
    if problems:
        more = len(problems) - SHOWN
        lines = "".join(f"\n  {problem}" for problem in problems[:SHOWN])
        raise IntegrityError(
            f"{checkpoint.files[0]}: weights and architecture disagree:{lines}"
            + (f"\n  and {more} more" if more > 0 else "")
            + _step(unwanted if len(unwanted) == len(problems) else [])
        )
    return Plan(tuple(steps), dropped)


def _turned(backend: str, placed: Placed, weight: Weight) -> Op:
    """From Keras's array to the result's, where kernels may stand as Theano takes them.

    Theano's convolutions turn their kernels by 180 degrees, TensorFlow's do not; Keras 2 turns
    kernels of a file that says the other backend as it reads them (`convert_kernel`).
    """
    rank = TURNED.get(placed.layer.inner.get("layer", placed.layer).kind, 0)
    if backend != "theano" or not rank or len(weight.shape) != rank + 2:
        return weight.op
    return then(flip(rank), weight.op)


def _step(unwanted: Sequence[str]) -> str:
    """What to do about tensors and weights that disagree; where only tensors are left, which."""
    if not unwanted:
        return "\nAre these the weights of this architecture?"
    several = len(unwanted) > 1
    patterns = " ".join(f"--allow-unused {quote(glob.escape(name))}" for name in unwanted[:SHOWN])
    return f"\nTo leave {'them' if several else 'it'} out: {patterns}"


def in_groups(network: Network) -> Iterator[tuple[str, list[Slot]]]:
    """Layers of a new HDF5 file, each with its tensors in order."""
    for layer in network.architecture.layers:
        yield layer.name, _slots(network, layer.name, layer)


def in_folders(network: Network) -> Iterator[tuple[str, str, str]]:
    """Tensors of a new file of Keras 3: layer, weight, and where it lies."""
    for (path, weight), names in _by_folders(network, {}):
        yield path, weight.removesuffix(AGAIN), names[0]
