"""What masked language models put in place of masks."""

import os
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from zoo.advice import advice
from zoo.errors import UsageError

MASK = "[MASK]"
MAX_CANDIDATES = 100


@dataclass(frozen=True)
class Candidate:
    """A token for a mask.

    Attributes:
        token: as the vocabulary has it; `##` before a WordPiece token that continues a word.
        probability: that the model gives it, in [0, 1], to six digits.
    """

    token: str
    probability: float


@dataclass(frozen=True)
class Filled:
    """A text and what its masks may stand for.

    Attributes:
        text: as it was passed.
        masks: the candidates of each mask, in the order of the text, best first.
    """

    text: str
    masks: list[list[Candidate]]


def fill_mask(
    model: str | os.PathLike[str], texts: Sequence[str], *, number: int = 5
) -> list[Filled]:
    """Ask a masked language model for the tokens behind each `[MASK]`.

    Args:
        model: an id or a folder.
        texts: each with a `[MASK]` or several, no longer than the model's tokenizer allows.
        number: of candidates for a mask, 1 to 100; fewer where the vocabulary has fewer tokens.

    Returns:
        One for each text, in order.

    Raises:
        UsageError: a text has no mask or is too long, the number is out of its range, or the
            model has no head for masks or reads from left to right.
        NotFoundError: there is no such model, or no tokenizer among its files.
        IntegrityError: the files of the model or its tokenizer are malformed.
        MissingDependencyError: the tokenizer needs a package that is not installed.
    """
    for text in texts:
        if MASK not in text:
            raise UsageError(f"{text!r:.60} has no {MASK}; put one where a token is to be guessed")
    if not 1 <= number <= MAX_CANDIDATES:
        raise UsageError(f"number must be 1 to {MAX_CANDIDATES}, got {number}")
    from zoo.loading import load_with_tokenizer

    network, tokenizer = load_with_tokenizer(model, "ForMaskedLM")
    if getattr(network.config, "attention_mask_kind", None) == "causal":
        way = advice(str(model), network.config.to_dict(), ("fills",))
        raise UsageError(f"{model} reads nothing that comes after a mask; {way}")
    if tokenizer.mask_token != MASK:
        raise UsageError(
            f"{model}: its mask is {tokenizer.mask_token!r}, not {MASK}; ask it with "
            "transformers' fill-mask pipeline"
        )
    return [Filled(text, _candidates(network, tokenizer, text, number)) for text in texts]


def _candidates(network: Any, tokenizer: Any, text: str, number: int) -> list[list[Candidate]]:
    """The likeliest tokens for each mask of a text."""
    import torch

    # Without a mask a model has learned from texts of one length, padding included.
    padding = False if "attention_mask" in tokenizer.model_input_names else "max_length"
    inputs = tokenizer(text, return_tensors="pt", truncation=True, padding=padding)
    positions = (inputs["input_ids"][0] == tokenizer.mask_token_id).nonzero().flatten()
    if len(positions) != text.count(MASK):
        raise UsageError(
            f"{text!r:.60} is longer than the {tokenizer.model_max_length} tokens that the model "
            "reads, and a mask lies beyond them; shorten it"
        )
    with torch.no_grad():
        logits = network(**inputs).logits[0]
    best = logits[positions].double().softmax(-1).topk(min(number, logits.shape[-1]))
    return [
        [
            Candidate(token, round(probability, 6))
            for token, probability in zip(
                tokenizer.convert_ids_to_tokens(ids), probabilities, strict=True
            )
        ]
        for ids, probabilities in zip(best.indices.tolist(), best.values.tolist(), strict=True)
    ]
