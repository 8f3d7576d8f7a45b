"""The tokenizer that a card of texts names, and what a model's config takes from it."""

import os
from pathlib import Path
from typing import Any

from transformers import AutoTokenizer

from zoo.errors import NotFoundError
from zoo.loading import tokenizer_at
from zoo.models import seam
from zoo.registry import embedded, names, resolve

#: Special tokens by the field of a config: those of a tokenizer, the first that it has.
TOKENS = {
    "pad_token_id": ("pad_token_id",),
    "bos_token_id": ("bos_token_id", "cls_token_id"),
    "eos_token_id": ("eos_token_id", "sep_token_id"),
    "decoder_start_token_id": ("bos_token_id", "cls_token_id", "pad_token_id"),
}
MASK_INPUT = "attention_mask"
#: The ids of a tokenizer that is still to be trained.
TRAINED_IDS = {field: 0 if field == "pad_token_id" else 2 for field in TOKENS} | {
    "eos_token_id": 3
}


def load_tokenizer(name: str) -> Any:
    """A tokenizer by the id of a model, of genae or on the Hub, or from a folder.

    Raises:
        NotFoundError: there is none.
        IntegrityError: its files are malformed.
        MissingDependencyError: it needs a package that is not installed.
    """
    name = os.path.expanduser(name)
    if names.here(name) is not None or embedded.owns(name):
        return tokenizer_at(resolve(name), name)
    try:
        with seam.found():
            return AutoTokenizer.from_pretrained(name)
    except (OSError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise NotFoundError(
            f"no tokenizer {name!r} ({reason:.200}); give the folder or the id of a model that "
            "has one, or the kind and size of one to be trained"
        ) from error


def token_ids(tokenizer: Any) -> dict[str, int]:
    """The special tokens that a config names, as far as a tokenizer has them."""
    found: dict[str, int] = {}
    for field, sources in TOKENS.items():
        ids = [getattr(tokenizer, source, None) for source in sources]
        known = [number for number in ids if number is not None]
        found |= {field: known[0]} if known else {}
    return found


def fit_inputs(tokenizer: Any, reads_mask: bool) -> None:
    """Let a tokenizer make masks for a model that reads them, and for that alone.

    Args:
        tokenizer: of transformers, saved with the model.
        reads_mask: as the catalog's row says.
    """
    names = [name for name in tokenizer.model_input_names if name != MASK_INPUT]
    tokenizer.model_input_names = [*names, MASK_INPUT] if reads_mask else names
    tokenizer.init_kwargs["model_input_names"] = tokenizer.model_input_names


def fitted_length(tokenizer: Any, max_length: int, folder: Path) -> None:
    """Save a tokenizer that cuts texts where the model was trained to."""
    tokenizer.model_max_length = max_length
    tokenizer.save_pretrained(folder)
