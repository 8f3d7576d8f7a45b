"""Synthesizers of Mesh TensorFlow: encoder and decoder of a T5 with other self-attention.

Names and computation: the layer `Synthesizer` of https://github.com/tensorflow/mesh,
mesh_tensorflow/transformer/transformer_layers.py, and `synthetic_attention` in attention.py beside
it. Its modes that are genae's forms have two tables; the others compute something else and are
refused, with the reason. No checkpoint was ever published.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from convert.families.base import COMMON, Family, Settings
from convert.families.t5 import MAPS, norm, sizes_of
from convert.weights.ops import HEADS_FIRST, TRANSPOSE
from convert.weights.rows import Row

OPTIONS: dict[str, Any] = COMMON | {"application": "encoder"}
LAYER = r"/Synthesizer"

#: Maps of self-attention by mode: TensorFlow's name, ours.
MODES = {
    "random": {"kv": "value"},
    "random_plus": {"q": "query", "k": "key", "v": "value"},
}
ACROSS = {"q": "query", "k": "key", "v": "value"}
#: What a model computes that genae's does not: a pattern of its tensors, and how it differs.
REFUSED = (
    (
        rf"{LAYER}/pi/kernel$",
        "logits of the modes dense_minus, dense_plus and dense_plus_alpha come of a head's query, "
        "which is made of the whole token, by one map for all heads; genae's dense form reads a "
        "head's part of the token by maps of its own",
    ),
    (
        rf"{LAYER}/R[12]$",
        "the mode factorized multiplies its two factors key by key, so that all queries have the "
        "same logits; genae's factorized_random is their matrix product",
    ),
    (
        r"/DenseReluDense/wi_0/kernel$",
        "the feed-forward part is gated, and genae's Synthesizer has one map there",
    ),
    (
        r"(^|/)positional_embedding$",
        "a table of positions is added, which genae's Synthesizer does not share between encoder "
        "and decoder",
    ),
    (
        r"/(relative_attention_bias|enc_dec_relative_attention_bias)$",
        "relative positions are added to the logits, which genae's Synthesizer has not",
    ),
)


def attention(target: str, source: str, layer: str, maps: dict[str, str]) -> Iterator[Row]:
    """The maps of an attention layer."""
    for slot, (word, name) in enumerate(maps.items()):
        shape = MAPS["v" if name == "value" else "q"]
        yield Row(
            f"{target}.self.{name}.weight", shape, f"{source}/{word}", TRANSPOSE, layer, slot
        )
    yield Row(
        f"{target}.output.dense.weight", MAPS["o"], f"{source}/o", TRANSPOSE, layer, len(maps)
    )


def stack_rows(stack: str, mode: str) -> Iterator[Row]:
    """The rows of encoder or decoder."""
    block, layer = f"{stack}.encoder.layer.{{i}}", f"{stack.title()}-Transformer-{{i}}"
    parts = ["attention", "crossattention", "feed_forward"]
    for place, part in enumerate(p for p in parts if stack == "decoder" or p != parts[1]):
        source = f"{stack}/block_{{i:03d}}/layer_{place:03d}"
        title = f"{layer}-{part}"
        if part == "feed_forward":
            wide, out = f"{block}.intermediate", f"{block}.output"
            yield norm(f"{wide}.LayerNorm", f"{source}/layer_norm", f"{title}-Norm", "body")
            inner = f"{source}/DenseReluDense"
            yield Row(
                f"{wide}.dense.weight", ("intermediate", "hidden"), f"{inner}/wi/kernel",
                TRANSPOSE, title, 0,
            )  # fmt: skip
            yield Row(
                f"{out}.dense.weight", ("hidden", "intermediate"), f"{inner}/wo/kernel",
                TRANSPOSE, title, 1,
            )  # fmt: skip
            continue
        yield norm(f"{block}.{part}.LayerNorm", f"{source}/layer_norm", f"{title}-Norm", "body")
        if part == "crossattention":
            yield from attention(f"{block}.{part}", f"{source}/EncDecAttention", title, ACROSS)
            continue
        inner = f"{source}/Synthesizer"
        yield from attention(f"{block}.{part}", inner, title, MODES[mode])
        yield Row(
            f"{block}.{part}.self.forms.random.position_bias", ("heads", "positions", "positions"),
            f"{inner}/R", HEADS_FIRST, f"{title}-Random",
        )  # fmt: skip
        if mode == "random_plus":
            yield Row(
                f"{block}.{part}.self.alpha", (1,), f"{inner}/alpha", layer=f"{title}-Alpha",
                part="alpha",
            )  # fmt: skip
    final = f"{stack}/final_layer_norm"
    yield norm(f"{stack}.final_norm", final, f"{stack.title()}-Output-Norm", "body")


def rows_of(mode: str) -> tuple[Row, ...]:
    """The weight table of a mode."""
    return (
        Row(
            "encoder.embeddings.word_embeddings.weight", ("vocab", "hidden"), "shared/embedding",
            layer="Embedding-Token",
        ),
        *stack_rows("encoder", mode),
        *stack_rows("decoder", mode),
        Row(
            "lm_head.weight", ("vocab", "hidden"), "decoder/logits/kernel", TRANSPOSE,
            "Decoder-Output-LM", part="lm",
        ),
    )  # fmt: skip


def config(mode: str, settings: Settings) -> dict[str, Any]:
    """The `config.json` of the result; sizes as a T5's, of which it has the other parts."""
    given, sizes = settings.config, sizes_of(settings)
    tied = not settings.parts.get("lm", False)
    return {
        "architectures": ["SynthesizerForConditionalGeneration"],
        "model_type": "genae_synthesizer",
        "vocab_size": sizes["vocab_size"],
        "hidden_size": sizes["d_model"],
        "attention_head_size": sizes["d_kv"],
        "intermediate_size": sizes["d_ff"],
        "num_hidden_layers": sizes["num_layers"],
        "num_attention_heads": sizes["num_heads"],
        "max_position_embeddings": settings.sizes["positions"],
        "attention": "random" if mode == "random" else "random+dot_product",
        "mixture": "sigmoid" if settings.parts.get("alpha") else "sum",
        "hidden_act": settings.activation(given.get("hidden_act", "relu")),
        "norm": "pre",
        "rms_norm": True,
        "layer_norm_eps": sizes["layer_norm_epsilon"],
        "bias": False,
        "position_embeddings": False,
        "scale_attn_weights": False,
        "scale_output": tied,
        "tie_word_embeddings": tied,
        "hidden_dropout_prob": sizes["dropout_rate"],
        "attention_probs_dropout_prob": sizes["dropout_rate"],
        "type_vocab_size": 0,
        "pooler": False,
        "is_encoder_decoder": True,
        **{name: sizes[name] for name in ("pad_token_id", "eos_token_id")},
        "decoder_start_token_id": sizes["decoder_start_token_id"],
    }


def family_of(mode: str, title: str, aliases: tuple[str, ...], telltale: str) -> Family:
    """A mode as the engine takes it."""
    first = "encoder/block_000/layer_000"
    return Family(
        name=f"synthesizer_{mode}",
        title=title,
        telltales=((f"{first}/layer_norm/scale", *telltale.format(f"{first}{LAYER}").split()),),
        rows=rows_of(mode),
        config=lambda settings: config(mode, settings),
        aliases={f"synthesizer_{name}": {} for name in aliases},
        paper="arXiv:2005.00743",
        options=OPTIONS,
        applications=("encoder",),
        returns=False,
        refused=REFUSED,
    )


# Other modes have the same maps, so that a telltale takes them in, to be refused with the reason.
FAMILIES = (
    family_of("random", "Synthesizer (random)", (), "{0}/kv !{0}/q"),
    family_of(
        "random_plus", "Synthesizer (random and dot product)", ("random_plus_alpha",), "{0}/q"
    ),
)
