"""Recorded arrays, read as data."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from zoo.errors import IntegrityError


def read_arrays(reference: str | os.PathLike[str]) -> dict[str, Any]:
    """Every array of a `.npz`.

    Raises:
        IntegrityError: it is no such archive.
    """
    import zipfile

    import numpy as np

    try:
        with Path(os.path.expanduser(reference)).open("rb") as file:
            archive = np.load(file, allow_pickle=False)
            return {name: archive[name] for name in archive.files}
    except (OSError, ValueError, EOFError, AttributeError, zipfile.BadZipFile) as error:
        raise IntegrityError(f"{reference}: not an archive of arrays ({error})") from None
