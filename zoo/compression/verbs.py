"""Compress, decompress, predict: the functions behind the verbs."""

import os
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from zoo.errors import ConflictError, IntegrityError, NotFoundError
from zoo.hints import correction
from zoo.progress import items_bar
from zoo.staging import check_new_folder, new_folder, umask

from . import chains as coder
from .codec import Codec, find_codec, fitting_shapes, load_codec
from .container import Container
from .images import Gathered, gather, write_images
from .names import pack


def compress(
    paths: Sequence[str | Path],
    output: str | Path,
    model: str | os.PathLike[str],
    *,
    quiet: bool = True,
) -> dict[str, Any]:
    """Compress images into one file, which appears when it is complete.

    Args:
        paths: image files and folders of them.
        output: the file to write; it must not exist.
        model: an id or a folder.
        quiet: draw no progress bar.

    Returns:
        `output`, `model`, `version`, `images`, `chains`, `bytes`; bits per pixel of the whole
        file (`bits_per_pixel`) and of the images alone (`net_bits_per_pixel`); the bytes of the
        rest of the file, `seed_bytes` and `name_bytes`; and `file_bytes` of the image files.

    Raises:
        NotFoundError: an image or the model does not exist.
        UsageError: an image or the model does not fit; nothing is coded.
        ConflictError: the output exists, or two images share a name.
    """
    output = Path(os.path.expanduser(output))
    if output.exists() or output.is_symlink():
        raise ConflictError(f"{output} exists already; choose another name")
    if not output.absolute().parent.is_dir():
        raise NotFoundError(f"{output.parent}: no such folder; make it first")
    codec = load_codec(model)
    found = read(paths, codec, quiet)
    count = coder.number_of_chains(len(found.names))
    with items_bar("compressing", len(found.names), quiet=quiet) as advance:
        made = coder.encode(codec, symbols(found.pixels, codec), count, advance)
    container = Container(codec.identity, codec.shape, found.mode, found.names, made)
    content = container.to_bytes()
    _write(output, content)
    net = sum(chain.net_bits for chain in made)
    stacks = sum(4 * len(chain.words) for chain in made)
    return {
        "output": output,
        **_facts(codec, found, len(content)),
        "chains": len(made),
        "net_bits_per_pixel": round(net / found.pixels.size, 5),
        "seed_bytes": stacks - net // 8,
        "name_bytes": len(pack(found.names)),
    }


def predict(
    paths: Sequence[str | Path], model: str | os.PathLike[str], *, quiet: bool = True
) -> dict[str, Any]:
    """Predict the size that `compress` will reach, from the ELBO; write nothing.

    Arguments and errors as for `compress`; `bytes` is an estimate.
    """
    codec = load_codec(model)
    found = read(paths, codec, quiet)
    count = coder.number_of_chains(len(found.names))
    with items_bar("predicting", len(found.names), quiet=quiet) as advance:
        bits = coder.expected_bits(codec, symbols(found.pixels, codec), advance)
    empty = Container(codec.identity, codec.shape, found.mode, found.names, ())
    seeds = count * (codec.latent_size * coder.BUCKET_BITS / 8 + 14)
    total = round(len(empty.to_bytes()) + float(bits.sum()) / 8 + seeds)
    return {
        **_facts(codec, found, total),
        "chains": count,
        "net_bits_per_pixel": round(float(bits.sum()) / found.pixels.size, 5),
        "seed_bytes": round(seeds),
        "name_bytes": len(pack(found.names)),
    }


def decompress(
    source: str | Path,
    folder: str | Path,
    model: str | os.PathLike[str] | None = None,
    *,
    quiet: bool = True,
) -> dict[str, Any]:
    """Write the images of a file into a new folder, which appears when it is complete.

    Args:
        source: a file that `compress` made.
        folder: to make; it may exist if it is empty.
        model: a folder or id, if the model is not found by the id in the file.
        quiet: draw no progress bar.

    Returns:
        `folder`, `model`, `version`, `images`, `mode`.

    Raises:
        NotFoundError: the file or the model does not exist.
        IntegrityError: the file is damaged or incomplete.
        ConflictError: the file was made with another model or version, or the folder is not empty.
        UnsafeError: the file names images outside of the folder.
    """
    folder = Path(os.path.expanduser(folder))
    check_new_folder(folder)
    try:
        content = Path(os.path.expanduser(source)).read_bytes()
    except (FileNotFoundError, IsADirectoryError):
        raise NotFoundError(f"{source}: no such file; {correction(source)}") from None
    container = Container.from_bytes(content, str(source))
    codec = find_codec(container.identity, model)
    if codec.shape != container.shape:
        raise IntegrityError(f"{source}: its images are not of the model's shape; get it again")
    count = len(container.names)
    with items_bar("decompressing", count, quiet=quiet) as advance:
        pixels = coder.decode(codec, container.chains, count, advance)
    if pixels is None:
        raise IntegrityError(
            f"{source}: does not decode to its seed, so its images would be wrong; get it again"
        )
    pixels *= np.uint8(255 // codec.pixels.levels)
    with new_folder(folder) as place, items_bar("writing", count, quiet=quiet) as advance:
        images = pixels.reshape(count, *codec.shape)
        write_images(place, container.names, images, container.mode, advance)
    return {
        "folder": folder,
        "model": codec.identity.id,
        "version": codec.identity.version,
        "images": count,
        "mode": container.mode,
    }


def read(paths: Sequence[str | Path], codec: Codec, quiet: bool = True) -> Gathered:
    """The images, each checked for the coder; errors as `compress`."""
    with items_bar("reading", quiet=quiet) as advance:
        return gather(paths, codec.shape, codec.pixels.levels, fitting_shapes, advance)


def symbols(pixels: np.ndarray, codec: Codec) -> np.ndarray:
    """Bytes `(n, C, H, W)` as whole numbers 0..levels, `(n, C H W)`."""
    flat = pixels.reshape(len(pixels), -1)
    return flat // np.uint8(255 // codec.pixels.levels)


def _facts(codec: Codec, found: Gathered, size: int) -> dict[str, Any]:
    return {
        "model": codec.identity.id,
        "version": codec.identity.version,
        "images": len(found.names),
        "bytes": size,
        "bits_per_pixel": round(8 * size / found.pixels.size, 5),
        "file_bytes": found.file_bytes,
    }


def _write(output: Path, content: bytes) -> None:
    """Write a file completely or not at all."""
    handle, partial = tempfile.mkstemp(prefix=f".{output.name}.", dir=output.absolute().parent)
    try:
        with os.fdopen(handle, "wb") as file:
            file.write(content)
        Path(partial).chmod(0o666 & ~umask())
        os.replace(partial, output)
    finally:
        Path(partial).unlink(missing_ok=True)
