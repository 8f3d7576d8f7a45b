"""Graphs of encoder-decoders: an encoder that is run once, a decoder that goes on from a cache."""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor
from transformers.cache_utils import DynamicCache, EncoderDecoderCache

from zoo.exporting.graph import BATCH, LENGTH, Axes, Computing, Draw, Graph

PAST, SEEN, SOURCE = "past", "past + length", "source"


def of_encoder_decoder(
    model: Any, draw: Draw, axes: Mapping[str, Axes], longest: int | None, cached: bool
) -> list[Graph]:
    """The graph of each stack.

    Args:
        model: with a head that writes.
        draw: of what the encoder reads.
        axes: of it.
        longest: text, in tokens.
        cached: whether the encoder gives keys and values of cross attention, and the decoder reads
            and gives those of self attention; else every text is read anew.
    """
    tokens: Axes = {0: BATCH, 1: LENGTH}
    source: Axes = {0: BATCH, 1: SOURCE}
    reads: dict[str, Axes | Sequence[Axes]]
    whole = partial(_draw, model, draw, longest)
    if not cached:
        reads = {"decoder_input_ids": tokens, "states": source, "attention_mask": source}
        return [
            Graph("encoder", Computing(model, _encode), draw, axes, longest),
            Graph("decoder", Computing(model, _decode), whole, reads, longest),
        ]
    halves = partial(_draw_cached, model, whole)
    drawn = halves(1, 2, torch.Generator())
    reads = {
        "decoder_input_ids": tokens,
        "decoder_attention_mask": {0: BATCH, 1: SEEN},
        "attention_mask": source,
        "past_key_values": [{0: BATCH, 2: PAST}] * count(drawn["past_key_values"]),
        "cross_key_values": [{0: BATCH, 2: SOURCE}] * count(drawn["cross_key_values"]),
    }
    return [
        Graph("encoder", Computing(model, _encode_cached), draw, axes, longest),
        Graph("decoder", Computing(model, _decode_cached), halves, reads, longest),
    ]


def count(cache: Any) -> int:
    """Number of tensors of a cache."""
    return sum(1 for layer in cache.layers for _ in (layer.keys, layer.values))


def _encode(model: Any, **inputs: Tensor) -> Any:
    return {"states": model.get_encoder()(**inputs).last_hidden_state}


def _decode(model: Any, decoder_input_ids: Tensor, states: Tensor, attention_mask: Tensor) -> Any:
    """Scores of the next tokens of whole texts."""
    found = model(
        decoder_input_ids=decoder_input_ids,
        encoder_outputs=(states,),
        attention_mask=attention_mask,
        use_cache=False,
    )
    return _states(found)


def _encode_cached(model: Any, input_ids: Tensor, attention_mask: Tensor) -> Any:
    """Hidden states, and what cross attention makes of them, which a step of the decoder shows."""
    states = _encode(model, input_ids=input_ids, attention_mask=attention_mask)["states"]
    found = model(
        decoder_input_ids=input_ids[:, :1],
        encoder_outputs=(states,),
        attention_mask=attention_mask,
        use_cache=True,
    )
    return {"states": states, "cross_key_values": found.past_key_values.cross_attention_cache}


def _decode_cached(
    model: Any,
    decoder_input_ids: Tensor,
    decoder_attention_mask: Tensor,
    attention_mask: Tensor,
    past_key_values: DynamicCache,
    cross_key_values: DynamicCache,
) -> Any:
    """Scores of the next tokens, and the cache with what was read."""
    cache = EncoderDecoderCache(past_key_values, cross_key_values)
    cache.is_updated = dict.fromkeys(range(len(cross_key_values.layers)), True)
    width = model.get_input_embeddings().embedding_dim
    unread = attention_mask[..., None].expand(-1, -1, width)  # of the length of the states
    found = model(
        decoder_input_ids=decoder_input_ids,
        decoder_attention_mask=decoder_attention_mask,
        encoder_outputs=(unread.to(model.dtype),),
        attention_mask=attention_mask,
        past_key_values=cache,
        use_cache=True,
    )
    return _states(found) | {"past_key_values": found.past_key_values.self_attention_cache}


def _states(found: Any) -> dict[str, Tensor]:
    """What a head gives, or without one the hidden states."""
    name = "logits" if "logits" in found else "last_hidden_state"
    return {name: found[name]}


def _draw(
    model: Any, draw: Draw, longest: int | None, batch: int, length: int, chance: torch.Generator
) -> dict[str, Tensor]:
    """What a decoder reads: tokens, the states of an encoder, which of these are visible."""
    source = draw(batch, min(length + 1, longest or length + 1), chance)
    with torch.no_grad():
        states = _encode(model, **source)["states"]
    tokens = torch.randint(1, model.config.vocab_size, (batch, length), generator=chance)
    mask = source["attention_mask"]
    return {"decoder_input_ids": tokens, "states": states, "attention_mask": mask}


def _draw_cached(
    model: Any, draw: Draw, batch: int, length: int, chance: torch.Generator
) -> dict[str, Any]:
    """The second half of texts, and the cache of the first; of one token the cache is empty."""
    given = draw(batch, length, chance)
    tokens, past = given["decoder_input_ids"], length // 2
    mask = given["attention_mask"]
    with torch.no_grad():
        cache = model(
            decoder_input_ids=tokens[:, : max(past, 1)],
            encoder_outputs=(given["states"],),
            attention_mask=mask,
            use_cache=True,
        ).past_key_values
    for layer in cache.self_attention_cache.layers:
        layer.keys, layer.values = layer.keys[:, :, :past], layer.values[:, :, :past]
    return {
        "decoder_input_ids": tokens[:, past:].contiguous(),
        "decoder_attention_mask": torch.ones((batch, length), dtype=torch.long),
        "attention_mask": mask,
        "past_key_values": cache.self_attention_cache,
        "cross_key_values": cache.cross_attention_cache,
    }
