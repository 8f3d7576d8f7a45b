"""Images of rows as the bytes that a model reads; no torch, so that processes begin at once."""

import multiprocessing
import os
import threading
import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
from PIL import Image

from zoo.data.files import open_bytes, open_cell
from zoo.data.png import pixels_or
from zoo.errors import GenaeError, NotFoundError, UnreachableError, UnsafeError, UsageError
from zoo.places import in_words

from .rows import Content, Fault, Remote, Row

#: The image processor of a process that decodes.
_PROCESSOR: list[Any] = []


def begin(processor: Any) -> None:
    """Make a process ready for `decode_here`."""
    warnings.simplefilter("ignore")  # as Pillow's are where one image is read
    _PROCESSOR[:] = [processor]
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    """End this process once the one that began it was killed; a pool's would wait forever."""
    if (parent := multiprocessing.parent_process()) is not None:
        parent.join()
        os._exit(1)


def decode_here(rows: Sequence[Row]) -> "list[np.ndarray[Any, Any] | Fault]":
    """`decode` with the image processor of this process."""
    return decode(_PROCESSOR[0], rows)


def decode(processor: Any, rows: Sequence[Row]) -> "list[np.ndarray[Any, Any] | Fault]":
    """The pixels of rows, not padded yet, or what is wrong with them.

    Args:
        processor: of the model.
        rows: of images.

    Raises:
        UnreachableError: a disk or a network failed, which says nothing of the row.
    """
    return [_pixels(processor, row) for row in rows]


def _pixels(processor: Any, row: Row) -> "np.ndarray[Any, Any] | Fault":
    content = row.content
    if isinstance(content, Fault):
        return content
    try:
        pixels: np.ndarray[Any, Any] = processor.to_pixels(_image(content, row.key))
    except GenaeError as error:
        of_row = isinstance(error, UsageError | NotFoundError | UnsafeError)
        if not of_row or isinstance(error, UnreachableError):
            raise
        return Fault(str(error).removeprefix(f"{row.key}: "))
    except ValueError as error:
        return Fault(str(error))
    return pixels


def _image(content: Content, name: str) -> "Image.Image | np.ndarray[Any, Any]":
    """An image, and of a plain PNG its pixels."""
    assert not isinstance(content, str | Fault)
    if isinstance(content, Remote):
        return pixels_or(_read(content), name, open_bytes)
    return pixels_or(content, name, open_cell)


def _read(file: Remote) -> bytes:
    """A file's content.

    Raises:
        UsageError: it cannot be had, now or later.
        UnreachableError: what may be different the next time.
    """
    try:
        with in_words(file.path):
            return bytes(file.files.cat_file(file.path))
    except GenaeError as error:
        cause = error.__cause__
        if isinstance(cause, FileNotFoundError | PermissionError | IsADirectoryError):
            raise UsageError(f"cannot be read ({type(cause).__name__})") from error
        raise
