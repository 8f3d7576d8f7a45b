"""Names of weights in transformers' TensorFlow models, in the words of its PyTorch models."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from convert.dialects.base import SUFFIX, Rule

if TYPE_CHECKING:
    from convert.readers import Checkpoint

MODEL = re.compile(r"tf_[a-z0-9_]+")
AGAIN = " (again)"


def torch_names(checkpoint: Checkpoint) -> dict[str, str]:
    """PyTorch's paths, with `/` -> the names as stored.

    A table that several layers use is listed under each; the ones behind the first are marked, and
    so is an output's offset where its decoder has another one, which is what TensorFlow adds.
    """
    found: dict[str, str] = {}
    for stored in checkpoint:
        words = SUFFIX.sub("", stored).split("/")
        scopes = [i for i, word in enumerate(words) if MODEL.fullmatch(word)]
        if scopes:
            words = words[scopes[-1] + 1 :]
        elif len(words) > 1 and words[0] == words[1]:
            words = words[1:]
        name = re.sub(r"[^/]*___", "", "/".join(words)).replace("_._", "/")
        while name in found:
            name += AGAIN
        found[name] = stored
    for name in [name for name in found if name.endswith("/decoder/bias")]:
        plain = name.replace("/decoder/bias", "/bias")
        if plain in found:
            found[plain + AGAIN] = found.pop(plain)
    return found


#: A table's weight; it has either name.
TABLE = r"(?:weight|embeddings)"
COPIES = Rule(rf".*{re.escape(AGAIN)}", dropped="stored once more")
