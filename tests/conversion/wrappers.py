"""The weights of one Keras file in the layouts of other savers, for forms nobody recorded."""

from __future__ import annotations

import itertools
import re
import shutil
import zipfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import h5py
import numpy as np

import convert
from convert.readers.tensorflow.object_graph import GRAPH, VALUE
from tests.conversion.bundles import write_bundle

Layers = list[tuple[str, list[np.ndarray]]]

#: Ends of bert4keras's names of layers -> their class as Keras numbers it.
CLASSES = (
    (r"Norm(-\d)?", "layer_normalization"),
    (r"Attention", "multi_head_attention"),
    (r"FeedForward", "feed_forward"),
    (r"GatedAttentionUnit", "gated_attention_unit"),
    (r"Relative-Position", "relative_position_embedding"),
    (r"Position", "position_embedding"),
    (r"MLM-Bias", "scale_offset"),
    (r"Embedding-\w+(?<!Mapping)", "embedding"),
    (r".*", "dense"),
)
MAPS = ("q_dense", "k_dense", "v_dense", "o_dense")


def layers_of(path: Path) -> Layers:
    """Every layer of a Keras file in the model's order, with its arrays."""
    with convert.open_checkpoint(path) as found:
        return [(one.name, [found[name].numpy() for name in one.tensors]) for one in found.layers]


def class_of(layer: str) -> str:
    """The class of one of bert4keras's layers, in snake case."""
    return next(kind for end, kind in CLASSES if re.search(f"{end}$", layer))


def numbered(layers: Layers) -> Iterator[tuple[str, list[np.ndarray]]]:
    """The same under names that Keras counts: `dense`, `dense_1` ..."""
    count: Counter[str] = Counter()
    for name, arrays in layers:
        kind = class_of(name)
        yield (f"{kind}_{count[kind]}" if count[kind] else kind), arrays
        count[kind] += 1


def attributes(layer: str, arrays: list[np.ndarray]) -> list[str]:
    """Paths of a layer's weights among its attributes: `q_dense/kernel`."""
    kind = class_of(layer)
    if kind == "multi_head_attention":
        step = len(arrays) // len(MAPS)
        return [f"{one}/{end}" for one in MAPS for end in ("kernel", "bias")[:step]]
    if kind == "feed_forward":
        step = 2 if arrays[1].ndim == 1 else 1
        maps = [*(f"i{i}_dense" for i in range(len(arrays) // step - 1)), "o_dense"]
        return [f"{one}/{end}" for one in maps for end in ("kernel", "bias")[:step]]
    if kind == "gated_attention_unit":
        return ["i_dense/kernel", "q_scaleoffset/gamma", "k_scaleoffset/gamma", "o_dense/kernel"]
    if kind == "layer_normalization":
        if len(arrays) == 1:
            return ["gamma"]
        hidden = ["hidden_dense/kernel"] * (len(arrays) == 5)
        return ["beta", "gamma", *hidden, "beta_dense/kernel", "gamma_dense/kernel"][: len(arrays)]
    kinds = {"dense": ["kernel", "bias"], "scale_offset": ["beta"]}
    return kinds.get(kind, ["embeddings"])[: len(arrays)]


def object_graph(layers: Layers, folder: Path) -> Path:
    """`model.save_weights` of tf.keras without an ending."""
    tensors = {
        f"layer_with_weights-{number}/{path}{VALUE}": array
        for number, (name, arrays) in enumerate(layers)
        for path, array in zip(attributes(name, arrays), arrays, strict=True)
    }
    tensors["save_counter" + VALUE] = np.array(1, np.int64)
    return write_bundle(folder, tensors, strings=[GRAPH])


def saved_model(layers: Layers, folder: Path) -> Path:
    """A folder with `variables/variables.index`."""
    prefix = object_graph(layers, folder)
    (folder / "variables").mkdir()
    for file in folder.glob(f"{prefix.name}.*"):
        file.rename(folder / "variables" / file.name.replace(prefix.name, "variables"))
    (folder / "saved_model.pb").write_bytes(b"not looked at")
    return folder


def keras3(layers: Layers, folder: Path, root: str = "layers") -> Path:
    """A `.weights.h5` of Keras 3: `layers/<class>_<n>/<attribute>/vars/<i>`."""
    path = folder / "model.weights.h5"
    with h5py.File(path, "w") as file:
        for (name, arrays), (number, _) in zip(layers, numbered(layers), strict=True):
            paths = (one.rpartition("/")[0] for one in attributes(name, arrays))
            pairs = zip(paths, arrays, strict=True)
            for place, group in itertools.groupby(pairs, key=lambda pair: pair[0]):
                inner = "/".join(part for part in (root, number, place, "vars") if part)
                for i, (_, array) in enumerate(group):
                    file[f"{inner}/{i}"] = array
        file.create_group("optimizer/vars")["0"] = np.array(3, np.int64)
    return path


def dependencies(layers: Layers, folder: Path) -> Path:
    """The same as tf.keras 2.13 writes it."""
    return keras3(layers, folder, "_layer_checkpoint_dependencies")


def keras_zip(layers: Layers, folder: Path) -> Path:
    """A `.keras` archive."""
    weights, path = keras3(layers, folder), folder / "model.keras"
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("config.json", '{"class_name": "Lambda"}')
        archive.writestr("metadata.json", '{"keras_version": "3.3.3"}')
        archive.write(weights, "model.weights.h5")
    weights.unlink()
    return path


def hdf5(layers: Layers, folder: Path, whole: bool = False, scope: str = "") -> Path:
    """Keras 2's layout, weights alone or a whole model; with `scope`, inside a nested model."""
    path = folder / "model.h5"
    with h5py.File(path, "w") as file:
        root = file.create_group("model_weights") if whole else file
        if whole:
            file.attrs["model_config"] = '{"class_name": "Model"}'
            file.create_group("optimizer_weights")["iterations"] = np.array(3, np.int64)
        names, groups = [], {}
        for name, arrays in layers:
            outer, inner = (scope, f"{name}/") if scope else (name, f"{name}/")
            if outer not in groups:
                groups[outer] = (root.create_group(outer), [])
                names.append(outer)
            group, weights = groups[outer]
            for i, array in enumerate(arrays):
                group[f"{inner}w{i}:0"] = array
                weights.append(f"{inner}w{i}:0")
        root.attrs["layer_names"] = [name.encode() for name in names]
        for group, weights in groups.values():
            group.attrs["weight_names"] = [name.encode() for name in weights]
    return path


def counted(layers: Layers, folder: Path) -> Path:
    """HDF5 whose layers have no names but Keras's own (`dense_1`)."""
    return hdf5(list(numbered(layers)), folder)


def whole(layers: Layers, folder: Path) -> Path:
    """A whole model with its optimizer."""
    return hdf5(layers, folder, whole=True)


def nested(layers: Layers, folder: Path) -> Path:
    """A model that is a layer of another."""
    return hdf5(layers, folder, whole=True, scope="model_1")


def scripted(layers: Layers, folder: Path) -> Path:
    """A TensorFlow checkpoint by another script, under Keras's names."""
    tensors = {
        f"{name}/{path}": array
        for name, arrays in layers
        for path, array in zip(generic(name, arrays), arrays, strict=True)
    }
    return write_bundle(folder, tensors)


def generic(layer: str, arrays: list[np.ndarray]) -> list[str]:
    """Names of weights as Keras gives them: `dense_3/kernel`, counted inside the layer."""
    found, count = [], 0
    for path in attributes(layer, arrays):
        scope, _, end = path.rpartition("/")
        count += bool(scope) and end != "bias"
        kind = "scale_offset" if "scaleoffset" in scope else "dense"
        found.append(f"{kind}_{count}/{end}" if scope else end)
    return found


def archived(layers: Layers, folder: Path) -> Path:
    """A zip of a whole model."""
    inside = folder / "inside"
    inside.mkdir()
    whole(layers, inside)
    return Path(shutil.make_archive(str(folder / "packed"), "zip", inside))


FORMS = {
    form.__name__: form
    for form in (
        object_graph,
        saved_model,
        keras3,
        dependencies,
        keras_zip,
        counted,
        whole,
        nested,
        scripted,
        archived,
    )
}
#: Those whose names do not tell the layers.
BY_ORDER = {"object_graph", "saved_model", "keras3", "dependencies", "keras_zip", "counted"}
