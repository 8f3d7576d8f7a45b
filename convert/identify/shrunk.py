"""Files that have less than their configuration says: fewer tokens, fewer blocks."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convert.names.naming import Naming, naming_of

if TYPE_CHECKING:
    from convert.readers import Checkpoint

BLOCK = "Transformer-{i}-MultiHeadSelfAttention#0"
TABLE = "Embedding-Token#0"


def shrunk(
    config: Mapping[str, Any], checkpoint: Checkpoint, behind: bool
) -> tuple[dict[str, Any], list[str]]:
    """The configuration of what a file of Keras has, and what was changed, in words.

    A table of tokens with fewer rows was made with `keep_tokens`. Fewer blocks, of numbered
    layers, are those that a head of fine-tuning reads.

    Args:
        config: the legacy configuration.
        checkpoint: the files; shapes are looked at.
        behind: whether a head is known to stand behind the last block.
    """
    naming, found, notes = naming_of(checkpoint), dict(config), []
    rows, said = _rows(naming, checkpoint, config), config.get("vocab_size")
    if type(said) is int and 0 < rows < said:
        found["vocab_size"] = rows
        notes.append(
            f"the file's table has {rows} tokens, the configuration says {said}: it was made with "
            "keep_tokens, and the vocabulary has to be the one of the tokens that were kept"
        )
    layers = config.get("num_hidden_layers")
    count = 0
    while BLOCK.format(i=count) in naming.names:
        count += 1
    if behind and type(layers) is int and 0 < count < layers:
        found["num_hidden_layers"] = count
        notes.append(
            f"the file has {count} blocks, the configuration says {layers}: the head reads block "
            f"{count}, counted from 1, and blocks behind it were not saved"
        )
    return found, notes


def _rows(naming: Naming, checkpoint: Checkpoint, config: Mapping[str, Any]) -> int:
    """Rows of the table of tokens of a file of Keras; 0 where it is not found."""
    stored = naming.names.get(TABLE) if naming.kind == "keras" else None
    if naming.kind == "order" and len(naming.layers[0]) == 1:
        stored = naming.layers[0][0]
    shape = tuple(checkpoint[stored].shape) if stored is not None else ()
    width = config.get("embedding_size", config.get("hidden_size"))
    return shape[0] if len(shape) == 2 and shape[1] == width else 0
