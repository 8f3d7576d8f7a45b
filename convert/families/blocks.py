"""What the tables of text families are made of: embeddings, blocks and heads, and their config.

Names of genae are those of `zoo.models.text.modeling_text`.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from convert.families.activations import OWN_ACTIVATIONS
from convert.families.base import Settings
from convert.weights.ops import KEEP, TRANSPOSE
from convert.weights.rows import CONDITION_LAYER, Row, condition, dense, norm
from zoo.errors import UsageError

ATTENTION = "Transformer-{i}-MultiHeadSelfAttention"
FEED_FORWARD = "Transformer-{i}-FeedForward"
CONDITIONS = ("condition", "hidden_condition")
CONDITION_TABLE = "conditions"  # the part of a table from which conditions are taken by number


def embeddings(
    prefix: str, source: str, *, positions: bool = True, segments: bool = True, normed: bool = True
) -> tuple[Row, ...]:
    """Tables of tokens, segments, conditions and positions, and their normalisation."""
    tables = (
        ("word_embeddings", "vocab", "Token", "body", True),
        ("token_type_embeddings", "segments", "Segment", "segments", segments),
        ("position_embeddings", "positions", "Position", "body", positions),
    )
    rows = [
        Row(
            f"{prefix}.embeddings.{name}.weight",
            (size, "embedding"),
            f"{source}/{name}",
            layer=f"Embedding-{layer}",
            part=part,
        )
        for name, size, layer, part, there in tables
        if there
    ]
    if normed:
        table = f"{prefix}.condition_embeddings.weight"
        size = (CONDITION_TABLE, "condition")
        row = Row(table, size, None, layer=CONDITION_LAYER, part=CONDITION_TABLE)
        rows.insert(1 + segments, row)  # where Keras lists it
    if not normed:
        return tuple(rows)
    target = f"{prefix}.embeddings.LayerNorm"
    norms = conditional(target, f"{source}/LayerNorm", "Embedding-Norm", "embedding")
    return (*rows, *norms)


def conditional(
    target: str, source: str, layer: str, size: str, part: str = "body"
) -> tuple[Row, ...]:
    """A normalisation that may be conditional."""
    more = (row for kind in CONDITIONS for row in condition(target, layer, size, kind, part))
    return (*norm(target, source, layer, size, part), *more)


def mapping(prefix: str, source: str) -> tuple[Row, ...]:
    """From the width of the embeddings to that of the hidden states."""
    return dense(
        f"{prefix}.embeddings_project", source, "Embedding-Mapping", 0, "embedding", "hidden",
        "mapping",
    )  # fmt: skip


@dataclass(frozen=True)
class Names:
    """What TensorFlow calls the parts of a block."""

    query: str = "attention/self/query"
    key: str = "attention/self/key"
    value: str = "attention/self/value"
    joined: str = "attention/output/dense"
    wide: str = "intermediate/dense"
    narrow: str = "output/dense"


def block(
    target: str,
    source: str,
    names: Names = Names(),
    attention: str = ATTENTION,
    feed_forward: str = FEED_FORWARD,
) -> dict[str, tuple[Row, ...]]:
    """The dense maps of a block, by half: "attention" and "feed_forward".

    Args:
        target: our block.
        source: TensorFlow's scope of the block.
        names: TensorFlow's names inside it.
        attention: Keras's layer.
        feed_forward: Keras's layer.
    """
    inner = f"{target}.attention.self"
    maps = (
        (f"{inner}.query", names.query, "hidden", "keys", "scores"),
        (f"{inner}.key", names.key, "hidden", "keys", "scores"),
        (f"{inner}.value", names.value, "hidden", "values", ""),
        (f"{target}.attention.output.dense", names.joined, "values", "hidden", ""),
    )
    wide = (
        (f"{target}.intermediate.dense", names.wide, "hidden", "intermediate", "widen"),
        (f"{target}.output.dense", names.narrow, "intermediate", "hidden", "narrow"),
    )
    return {
        half: tuple(
            row
            for slot, (name, scope, inputs, outputs, growth) in enumerate(table)
            for row in dense(
                name, f"{source}/{scope}", layer, 2 * slot, inputs, outputs, growth=growth
            )
        )
        for half, layer, table in (
            ("attention", attention, maps),
            ("feed_forward", feed_forward, wide),
        )
    }


def post_norm(
    target: str,
    source: str,
    norms: tuple[str, str] = ("attention/output/LayerNorm", "output/LayerNorm"),
    names: Names = Names(),
    attention: str = ATTENTION,
    feed_forward: str = FEED_FORWARD,
) -> tuple[Row, ...]:
    """A block as BERT has it: each half normalised behind."""
    maps = block(target, source, names, attention, feed_forward)
    first, second = (f"{source}/{name}" for name in norms)
    return (
        *maps["attention"],
        *conditional(f"{target}.attention.output.LayerNorm", first, f"{attention}-Norm", "hidden"),
        *maps["feed_forward"],
        *conditional(f"{target}.output.LayerNorm", second, f"{feed_forward}-Norm", "hidden"),
    )


def without_bias(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    """Kernels alone; they move up in their layers."""
    from dataclasses import replace

    return tuple(
        replace(row, slot=row.slot // 2) for row in rows if not row.target.endswith(".bias")
    )


def pretraining_heads(prefix: str) -> tuple[Row, ...]:
    """Masked tokens, pooler, next sentence."""
    transform = "cls.predictions.transform"
    return (
        *dense(
            f"{transform}.dense", "cls/predictions/transform/dense", "MLM-Dense", 0, "hidden",
            "embedding", "mlm",
        ),
        *conditional(
            f"{transform}.LayerNorm", "cls/predictions/transform/LayerNorm", "MLM-Norm",
            "embedding", "mlm",
        ),
        *dense(
            f"{prefix}.pooler.dense", "bert/pooler/dense", "Pooler-Dense", 0, "hidden", "hidden",
            "pooler",
        ),
        Row(
            "cls.predictions.bias", ("vocab",), "cls/predictions/output_bias", layer="MLM-Bias",
            part="mlm",
        ),
        Row(
            "cls.seq_relationship.weight",
            (2, "hidden"),
            "cls/seq_relationship/output_weights",
            KEEP,  # stored (out, in), as nothing else is
            "NSP-Proba",
            0,
            TRANSPOSE,
            "nsp",
        ),
        Row(
            "cls.seq_relationship.bias", (2,), "cls/seq_relationship/output_bias",
            layer="NSP-Proba", slot=1, part="nsp",
        ),
    )  # fmt: skip


#: The class that has exactly these heads, (mlm, nsp).
CLASSES = {
    (True, True): "ForPreTraining",
    (True, False): "ForMaskedLM",
    (False, True): "ForNextSentencePrediction",
    (False, False): "Model",
}

MASKS = {"encoder": "full", "lm": "causal", "unilm": "prefix"}


def head(settings: Settings) -> str:
    """What the class is called behind the family's name."""
    found = CLASSES[settings.parts.get("mlm", False), settings.parts.get("nsp", False)]
    if settings.options.get("application", "encoder") != "encoder" and found == "ForMaskedLM":
        return "ForCausalLM"
    return found


def check_tied(settings: Settings) -> None:
    """Raise where a head tied to the table of tokens is of another width than the hidden states.

    bert4keras makes a map between the two for RoFormerV2, which its checkpoints have no name for.
    """
    embedding, hidden = settings.sizes["embedding"], settings.sizes["hidden"]
    if embedding != hidden and settings.parts.get("mlm", True):
        raise UsageError(
            f"embedding_size {embedding} and hidden_size {hidden}: the head is tied to the table "
            "of tokens and needs a map back, which no checkpoint has; with_mlm=False, where the "
            "family has it, leaves the head out"
        )


def beyond_transformers(settings: Settings) -> dict[str, Any]:
    """The fields of genae that plain models have no word for, where not at rest."""
    sizes, options = settings.sizes, settings.options
    heads = settings.config["num_attention_heads"]
    even = sizes["hidden"] // heads
    fields = {
        "attention_mask_kind": (MASKS[options.get("application", "encoder")], "full"),
        "attention_key_size": (sizes["keys"] // heads, even),
        "attention_head_size": (sizes["values"] // heads, even),
        "embedding_size": (sizes["embedding"], sizes["hidden"]),
        "hierarchical_position": (options.get("hierarchical_position"), None),
        "residual_attention_scores": (options.get("residual_attention_scores", False), False),
        "shared_segment_embeddings": (options.get("shared_segment_embeddings", False), False),
        "condition_size": (sizes.get("condition"), None),
        "condition_hidden_size": (sizes.get("condition_hidden"), None),
        "condition_hidden_act": (settings.condition_act, None),
        "num_conditions": (sizes.get(CONDITION_TABLE), None),
        "pooler_act": (settings.pooler_act, "tanh"),
        "heads": (settings.heads, None),
    }
    found: dict[str, Any] = {
        name: value for name, (value, rest) in fields.items() if value != rest
    }
    if not settings.parts.get("segments") and not options.get("shared_segment_embeddings"):
        found["type_vocab_size"] = 0
    if settings.hidden_act in OWN_ACTIVATIONS:
        found["hidden_act"] = settings.hidden_act
    return found


def common(settings: Settings) -> dict[str, Any]:
    """The fields that genae's and transformers' BERT-like models share."""
    given, sizes = settings.config, settings.sizes
    return {
        "vocab_size": sizes["vocab"],
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": given["num_hidden_layers"],
        "num_attention_heads": given["num_attention_heads"],
        "intermediate_size": sizes["intermediate"],
        "hidden_act": settings.hidden_act,
        "hidden_dropout_prob": given.get("hidden_dropout_prob", 0.1),
        "attention_probs_dropout_prob": given.get("attention_probs_dropout_prob", 0.1),
        "max_position_embeddings": sizes["positions"],
        "type_vocab_size": sizes["segments"] if settings.parts.get("segments") else 2,
        "initializer_range": given.get("initializer_range", 0.02),
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
    }


def genae_config(
    settings: Settings, name: str, stem: str, class_head: str | None = None, **fields: Any
) -> dict[str, Any]:
    """The `config.json` of a model of genae.

    Args:
        settings: the resolved ones.
        name: of the architecture ("nezha").
        stem: of its classes ("Nezha").
        class_head: what the class is called behind the stem; None asks the parts.
        **fields: that the family adds or changes.
    """
    return {
        "architectures": [f"Genae{stem}{class_head or head(settings)}"],
        "model_type": f"genae_{name}",
        **common(settings),
        "pooler": settings.parts.get("pooler", False),
        **beyond_transformers(settings),
        **fields,
    }


def transformers_config(
    name: str, stem: str, class_head: str, fields: Mapping[str, Any]
) -> dict[str, Any]:
    """The `config.json` of a model of transformers; arguments as `genae_config`."""
    return {"architectures": [f"{stem}{class_head}"], "model_type": name, **fields}
