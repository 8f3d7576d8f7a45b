"""Good files of every form that a reader takes, to be damaged: reader -> what makes one.

A maker fills a folder and returns the file to damage.
"""

import json
import shutil
import tarfile
import zipfile
from pathlib import Path

import numpy as np

import convert
from tests.conversion.bundles import extents_of as extents_bytes
from tests.conversion.bundles import field, shape_of, slice_key, table, varint, write_bundle
from tests.conversion.records import LEGACY

#: Type -> its number in TensorFlow's DataType, and the field of a TensorProto that holds it.
V1_KINDS = {
    "float32": (1, 5),
    "float64": (2, 6),
    "int32": (3, 7),
    "int64": (9, 10),
    "float16": (19, 13),
}
ARRAYS = {
    "a/float": np.linspace(-2, 2, 12, dtype=np.float32).reshape(3, 4),
    "b/double": np.array([[np.pi, -0.0]]),
    "c/int": np.array([-1, 0, 2**31 - 1], np.int32),
    "d/long": np.array([-(2**63), 2**63 - 1, 300], np.int64),
    "e/half": np.array([0.5, -2, 65504], np.float16),
    "f/scalar": np.array(7, np.int64),
    "g/empty": np.zeros((0, 3), np.float32),
}


def packed(array: np.ndarray) -> bytes:
    """The list of values as a TensorProto holds it."""
    _, number = V1_KINDS[array.dtype.name]
    flat = array.reshape(-1)
    if array.dtype.name in ("float32", "float64"):
        return field(number, flat.tobytes())
    bits = flat.view(np.uint16) if array.dtype == np.float16 else flat.astype(np.int64)
    return field(number, b"".join(varint(int(value) % 2**64) for value in bits))


def v1_meta(tensors) -> bytes:
    """The first record: of each name its shape and the number of its type."""
    return field(
        1,
        b"".join(
            field(1, field(1, name.encode()) + field(2, shape_of(shape)) + field(3, kind))
            for name, (shape, kind) in tensors.items()
        ),
    )


def v1_slice(name: str, extents, proto: bytes) -> dict[bytes, bytes]:
    """The record of a slice."""
    piece = field(1, name.encode()) + field(2, extents_bytes(extents)) + field(3, proto)
    return {slice_key(name, extents): field(2, piece)}


def write_v1(path: Path, tensors, parts=None, **kind) -> Path:
    """A file of the first version; `parts` cuts tensors along their first axis."""
    shapes = {n: (a.shape, V1_KINDS[a.dtype.name][0]) for n, a in tensors.items()}
    records = {b"": v1_meta(shapes)}
    for name, array in tensors.items():
        for start, part in (parts or {}).get(name, [(None, array)]):
            whole = [(0, -1)] * array.ndim
            extents = whole if start is None else [(start, len(part)), *whole[1:]]
            records |= v1_slice(name, extents, packed(part))
    path.write_bytes(table(records, **kind))
    return path


def _bundle(folder: Path, ending: str = "index") -> Path:
    for file in (LEGACY / "bert_segment5").glob("b*"):
        shutil.copy(file, folder)
    return folder / f"bert_model.ckpt.{ending}"


def _sliced(folder: Path) -> Path:
    array = np.arange(60, dtype=np.float32).reshape(20, 3)
    tensors = {"p/emb": array, "q": array}
    prefix = write_bundle(
        folder, tensors, rows={"p/emb": [7, 7, 6]}, big_endian=True, snappy=True, per_block=2
    )
    return prefix.with_name(f"{prefix.name}.index")


def _graph(folder: Path) -> Path:
    for file in (LEGACY / "bert_encoder/tf2_object").iterdir():
        shutil.copy(file, folder)
    return folder / "model.weights.index"


def _chunked(folder: Path) -> Path:
    import h5py

    with h5py.File(folder / "model.h5", "w") as file:
        file.attrs["layer_names"] = [b"dense_1"]
        group = file.create_group("dense_1")
        group.attrs["weight_names"] = [b"dense_1/kernel:0", b"dense_1/bias:0"]
        group.create_dataset(
            "dense_1/kernel:0", data=np.ones((40, 30), ">f4"), chunks=(7, 11), compression="gzip",
            fletcher32=True,
        )  # fmt: skip
        group.create_dataset("dense_1/bias:0", data=np.ones(30, "f2"), chunks=(8,), shuffle=True)
    return folder / "model.h5"


def _keras(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Lambda"}))
        archive.write(LEGACY / "bert_full/model_tf2.weights.h5", "model.weights.h5")
    return folder / "m.keras"


def _zip(folder: Path) -> Path:
    with zipfile.ZipFile(folder / "m.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.write(LEGACY / "bert_full/vocab.txt", "vocab.txt")
        archive.write(LEGACY / "gau_alpha/model.weights", "in/model.weights")
    return folder / "m.zip"


def _tar(folder: Path, mode: str) -> Path:
    path = folder / f"m.tar{mode.replace(':', '.')}"
    with tarfile.open(path, f"w{mode}") as archive:
        for file in (LEGACY / "bert_segment5").glob("b*"):
            archive.add(file, f"{'long' * 40}/{file.name}")
    return path


def _copy(folder: Path, source: str, name: str) -> Path:
    return Path(shutil.copy(LEGACY / source, folder / name))


MAKERS = {
    "bundle index": _bundle,
    "bundle data": lambda folder: _bundle(folder, "data-00000-of-00001"),
    "sliced bundle": _sliced,
    "object graph": _graph,
    "v1": lambda folder: write_v1(folder / "model.ckpt", ARRAYS, per_block=3),
    "keras hdf5": lambda folder: _copy(folder, "bert_cln/model.weights", "model.weights"),
    "keras full model": lambda folder: _copy(folder, "bert_encoder/full_model.h5", "model.h5"),
    "keras chunked": _chunked,
    "keras 3": lambda folder: _copy(folder, "bert_full/model_tf2.weights.h5", "m.weights.h5"),
    "keras zip": _keras,
    "zip": _zip,
    "tar": lambda folder: _tar(folder, ""),
    "tar.gz": lambda folder: _tar(folder, ":gz"),
}


def read_all(path):
    """Every tensor of a checkpoint."""
    with convert.open_checkpoint(path) as checkpoint:
        for tensor in checkpoint.values():
            tensor.numpy()
