"""Graphs of models of texts: of an encoder one, of a causal model one with its cache."""

from functools import partial
from inspect import signature
from typing import Any

import torch
from torch import Tensor

from zoo import catalog
from zoo.exporting.graph import BATCH, LENGTH, Axes, Computing, Graph
from zoo.exporting.seq2seq import PAST, SEEN, count, of_encoder_decoder

TOKENS: Axes = {0: BATCH, 1: LENGTH}


def of_texts(model: Any, entry: catalog.Entry, cached: bool) -> list[Graph]:
    """One graph; of an encoder-decoder one of each stack."""
    longest = getattr(model.config, "max_position_embeddings", None)
    draw = partial(draw_texts, model, entry.reads_mask)
    names = draw(2, 4, torch.Generator())
    axes = {name: TOKENS for name in names} | {
        name: {0: BATCH} for name in ("subject_ids", "condition") if name in names
    }
    if model.config.is_encoder_decoder:
        return of_encoder_decoder(model, draw, axes, longest, cached)
    can = catalog.abilities(entry, [type(model).__name__])
    if "generates" not in can or not cached:
        return [Graph("model", Computing(model, _output), draw, axes, longest)]
    axes |= {"attention_mask": {0: BATCH, 1: SEEN}, "position_ids": TOKENS}
    cache = _past(model, 1, torch.ones((1, 1), dtype=torch.long))
    every = axes | {"past_key_values": [{0: BATCH, 2: PAST}] * count(cache)}
    halves = partial(_draw_cached, model, draw)
    return [Graph("model", Computing(model, _output_and_cache), halves, every, longest)]


def draw_texts(
    model: Any, reads_mask: bool, batch: int, length: int, chance: torch.Generator
) -> dict[str, Tensor]:
    """Random texts as a model takes them; of several the last one ends in padding.

    Args:
        model: of texts.
        reads_mask: whether its backbone takes a mask.
        batch: number of texts.
        length: of each, in tokens.
        chance: of the random numbers.
    """
    config, takes = model.config, signature(model.forward).parameters
    shape = (batch, length)
    ids = torch.randint(1, config.vocab_size, shape, generator=chance)
    mask = torch.ones(shape, dtype=torch.long)
    if batch > 1:
        mask[-1, length - length // 3 :] = 0
    given = {"input_ids": torch.where(mask == 1, ids, config.pad_token_id or 0)}
    if "attention_mask" in takes and (reads_mask or hasattr(model, "heads")):
        given["attention_mask"] = mask
    kinds = getattr(config, "type_vocab_size", 0) or 0
    if "token_type_ids" in takes and kinds:
        second = torch.arange(length) >= length // 2
        given["token_type_ids"] = (second.long() * min(kinds - 1, 1)).repeat(batch, 1)
    if getattr(config, "condition_size", None):
        given["condition"] = torch.randn((batch, config.condition_size), generator=chance)
    tables = (getattr(config, "heads", None) or {}) if hasattr(model, "heads") else {}
    if any(table["kind"] == "half_pointer" for table in tables.values()):
        given["subject_ids"] = torch.tensor([[0, min(1, length - 1)]]).repeat(batch, 1)
    return given


def _output(model: Any, **inputs: Tensor) -> Any:
    can = {"use_cache": False} if "use_cache" in signature(model.forward).parameters else {}
    return model(**inputs, **can)


def _output_and_cache(model: Any, **inputs: Any) -> Any:
    found = model(**inputs, use_cache=True)
    return {"logits": found.logits, "past_key_values": found.past_key_values}


def _draw_cached(
    model: Any, draw: Any, batch: int, length: int, chance: torch.Generator
) -> dict[str, Any]:
    """The second half of texts, and the cache of the first; of one token the cache is empty."""
    given: dict[str, Any] = draw(batch, length, chance)
    past = length // 2
    given["attention_mask"] = torch.ones((batch, length), dtype=torch.long)
    given["past_key_values"] = _past(model, past, given["input_ids"])
    given["position_ids"] = torch.arange(past, length).repeat(batch, 1)
    for name in ("input_ids", "token_type_ids"):
        if name in given:
            given[name] = given[name][:, past:].contiguous()
    return given


def _past(model: Any, past: int, ids: Tensor) -> Any:
    """The cache of the first tokens of texts."""
    with torch.no_grad():
        cache = model(input_ids=ids[:, : max(past, 1)], use_cache=True).past_key_values
    for layer in cache.layers:
        layer.keys, layer.values = layer.keys[:, :, :past], layer.values[:, :, :past]
    return cache
