"""The header of a safetensors file, read and checked without loading a tensor.

Standard library only. The layout: eight bytes with the header's length (little endian), the header
as JSON, then the tensors' bytes without gap or overlap.
"""

import json
import math
import os
import shutil
import tempfile
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError, UnsafeError

MAX_HEADER_BYTES = 4 * 1024 * 1024  # a thousand layers take a tenth of it
MAX_TENSORS = 20_000

ITEM_BYTES = {
    **dict.fromkeys(("BOOL", "U8", "I8", "F8_E5M2", "F8_E4M3", "F8_E8M0"), 1),
    **dict.fromkeys(("U16", "I16", "F16", "BF16"), 2),
    **dict.fromkeys(("U32", "I32", "F32"), 4),
    **dict.fromkeys(("U64", "I64", "F64", "C64"), 8),
}

#: Names under which frameworks unpickle what they find.
PICKLES = (
    *(".bin", ".ckpt", ".cloudpickle", ".dill", ".joblib", ".mar", ".nemo", ".npy", ".npz"),
    *(".p", ".pickle", ".pickled", ".pk", ".pkl", ".pt", ".pt2", ".ptl", ".pth", ".sav"),
)
#: How the names of what genae writes into a header's metadata begin.
OURS = "genae."
PICKLE_STARTS = tuple(b"\x80" + bytes([protocol]) for protocol in range(2, 6))


def is_pickle(name: str) -> bool:
    """Whether frameworks would unpickle a file of this name."""
    return name.lower().endswith(PICKLES)


def refuse_pickle(name: str) -> None:
    """Refuse a file by its name if frameworks would unpickle it, which runs code.

    Raises:
        UnsafeError: the name ends as pickled weights do.
    """
    if is_pickle(name):
        raise UnsafeError(
            f"{name}: a pickle by its name, which can run code; genae reads safetensors only."
        )


def refuse_pickled_content(path: Path) -> None:
    """Refuse a file that is a pickle, or an archive with one, whatever its name.

    Not for safetensors, which begin with a number that may look like anything.

    Raises:
        UnsafeError: it is.
    """
    with path.open("rb") as file:
        start = file.read(8)
    pickled = start.startswith(PICKLE_STARTS)
    if start.startswith(b"PK\x03\x04"):
        try:
            with zipfile.ZipFile(path) as archive:
                pickled = any(is_pickle(name) for name in archive.namelist()[:MAX_TENSORS])
        except (zipfile.BadZipFile, ValueError, OSError):
            pickled = True
    if pickled:
        raise UnsafeError(f"{path}: a pickle by its content, which can run code; not taken.")


def inspect(folder: Path, paths: Iterable[str] | None = None) -> None:
    """Look at every file of a folder before anything opens it in earnest.

    Args:
        folder: where they lie.
        paths: those to look at; all if None.

    Raises:
        UnsafeError: a pickle, by name or content.
        IntegrityError: weights that are not sound.
    """
    files = folder.rglob("*") if paths is None else (folder / name for name in paths)
    for path in sorted(files):
        if path.is_file():
            refuse_pickle(path.name)
            if path.suffix == ".safetensors":
                safetensors_header(path)
            else:
                refuse_pickled_content(path)


def safetensors_header(path: Path) -> dict[str, Any]:
    """Read and check the header of a safetensors file.

    Args:
        path: the file.

    Returns:
        Tensor name -> `{"dtype", "shape", "data_offsets"}`, without the file's metadata.

    Raises:
        IntegrityError: not a well-formed safetensors file; the message says why.
        UnsafeError: the name or the content is a pickle's.
    """
    return _read(path)[0]


def provenance(path: Path) -> dict[str, str]:
    """What genae wrote into the header of a file about where its tensors come from.

    Returns:
        Of trained weights `id`, `version` and `card` (the SHA-256 of its text), as they were when
        the weights were written; of converted ones `source`, the SHA-256 of each file as JSON.
        Empty where the file has none.

    Raises:
        IntegrityError: as `safetensors_header`.
        UnsafeError: likewise.
    """
    metadata = _read(path)[1].items()
    return {key.removeprefix(OURS): value for key, value in metadata if key.startswith(OURS)}


def marks(**facts: str) -> dict[str, str]:
    """Metadata of a header that says where weights come from, as `provenance` reads it.

    Example:
        >>> marks(id="me/vae", version="1.0.0")
        {'genae.id': 'me/vae', 'genae.version': '1.0.0'}
    """
    return {f"{OURS}{name}": value for name, value in facts.items()}


def mark(path: Path, facts: Mapping[str, str]) -> None:
    """Add to a safetensors file's metadata; its tensors stay, byte for byte.

    Args:
        path: the file, replaced as a whole.
        facts: as `marks` makes them.

    Raises:
        IntegrityError: as `safetensors_header`.
        UnsafeError: likewise.
    """
    header, metadata, start = _read(path)
    text = json.dumps({"__metadata__": {**metadata, **facts}, **header}, separators=(",", ":"))
    content = text.encode()
    content += b" " * (-len(content) % 8)  # tensors begin aligned
    handle, name = tempfile.mkstemp(prefix=".genae-", dir=path.parent)
    try:
        with os.fdopen(handle, "wb") as made, path.open("rb") as old:
            made.write(len(content).to_bytes(8, "little") + content)
            old.seek(start)
            shutil.copyfileobj(old, made, 2**20)
        shutil.copymode(path, name)
        os.replace(name, path)
    finally:
        Path(name).unlink(missing_ok=True)


def _read(path: Path) -> tuple[dict[str, Any], dict[str, str], int]:
    """The header, the metadata, and where the tensors begin."""
    refuse_pickle(path.name)
    size = path.stat().st_size
    with path.open("rb") as file:
        start = file.read(8)
        length = int.from_bytes(start, "little")
        if (
            start.startswith((b"PK\x03\x04", b"\x80\x02", b"\x80\x04", b"\x80\x05"))
            and length > size
        ):
            raise UnsafeError(
                f"{path}: a pickle under a safetensors name; genae does not open it."
            )
        if length > size and (words := _standing_in(start)):
            raise IntegrityError(f"{path}: {words}.")
        if len(start) < 8 or length < 2 or length > size - 8:
            raise _bad(path, f"{size} bytes are too few for its header; the file is truncated")
        if length > MAX_HEADER_BYTES:
            raise _bad(path, f"its header has {length} bytes, over the limit {MAX_HEADER_BYTES}")
        text = file.read(length)
    if text[:1] != b"{":
        raise _bad(path, "its header is not JSON")
    if text.count(b'"data_offsets"') > MAX_TENSORS:
        raise _bad(path, f"it has more than {MAX_TENSORS} tensors")
    try:
        header: dict[str, Any] = json.loads(
            text.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_refuse
        )
    except (ValueError, RecursionError) as error:
        raise _bad(path, f"its header is not JSON ({error})") from None
    metadata = header.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(v, str) for v in metadata.values()):
        raise _bad(path, "its metadata is not a table of text")
    _check_layout(path, header, size - 8 - length)
    return header, metadata, 8 + length


def elements(header: dict[str, Any]) -> int:
    """Number of values in all tensors of a header: parameters and buffers."""
    return sum(math.prod(info["shape"]) for info in header.values())


def _check_layout(path: Path, header: dict[str, Any], data_bytes: int) -> None:
    """Each tensor is described, fits its bytes, and together they fill the file exactly."""
    spans = []
    for name, info in header.items():
        if not name or len(name) > 512 or not name.isprintable():
            raise _bad(path, f"tensor name {name[:80]!r} is empty, too long or cannot be printed")
        if not isinstance(info, dict) or set(info) != {"dtype", "shape", "data_offsets"}:
            raise _bad(path, f"tensor {name!r} is not described by dtype, shape, data_offsets")
        dtype, shape, offsets = info["dtype"], info["shape"], info["data_offsets"]
        if not isinstance(dtype, str) or dtype not in ITEM_BYTES:
            raise _bad(path, f"tensor {name!r} has the unknown dtype {str(dtype)[:40]!r}")
        if not _counts(shape) or len(shape) > 16:
            raise _bad(path, f"tensor {name!r} has no proper shape")
        if not _counts(offsets) or len(offsets) != 2 or not offsets[0] <= offsets[1] <= data_bytes:
            raise _bad(path, f"tensor {name!r} lies outside the file")
        if offsets[1] - offsets[0] != math.prod(shape) * ITEM_BYTES[dtype]:
            raise _bad(path, f"tensor {name!r} does not fill its bytes")
        spans.append((offsets[0], offsets[1]))
    end = 0
    for begin, stop in sorted(spans):
        if begin != end:
            raise _bad(path, "its tensors overlap or leave a gap")
        end = stop
    if end != data_bytes:
        raise _bad(path, f"{data_bytes - end} bytes behind the last tensor belong to none")


def _counts(value: Any) -> bool:
    return isinstance(value, list) and all(type(v) is int and v >= 0 for v in value)


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    table = dict(pairs)
    if len(table) != len(pairs):
        raise ValueError("a name occurs twice")
    return table


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number of JSON")


def _standing_in(start: bytes) -> str:
    """What came in place of a file, by its first bytes; empty where it is nothing known."""
    if start == b"version ":
        return "a Git LFS pointer, not the file itself; `git lfs pull` fetches it"
    return "a web page, not the file itself; download it again" if start[:1] == b"<" else ""


def _bad(path: Path, reason: str) -> IntegrityError:
    return IntegrityError(f"{path}: not a sound safetensors file: {reason}.")
