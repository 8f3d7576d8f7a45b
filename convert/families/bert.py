"""BERT as Google and bert4keras store it: the weight table, options and the two targets.

What transformers' BERT computes exactly becomes that; the rest becomes `genae_bert`.
"""

from convert.families.base import Family, Settings
from convert.ops import KEEP, TRANSPOSE
from convert.rows import Row, condition, dense, norm

EMBEDDINGS, LAYER, BLOCK = "bert/embeddings", "bert/encoder/layer_{i}", "bert.encoder.layer.{i}"
ATTENTION = "Transformer-{i}-MultiHeadSelfAttention"
FEED_FORWARD = "Transformer-{i}-FeedForward"
MLM = "cls/predictions"

#: Every normalisation: our name, TensorFlow's, Keras's layer, its size, its part.
NORMS = (
    (
        "bert.embeddings.LayerNorm",
        f"{EMBEDDINGS}/LayerNorm",
        "Embedding-Norm",
        "embedding",
        "body",
    ),
    (
        f"{BLOCK}.attention.output.LayerNorm",
        f"{LAYER}/attention/output/LayerNorm",
        f"{ATTENTION}-Norm",
        "hidden",
        "body",
    ),
    (
        f"{BLOCK}.output.LayerNorm",
        f"{LAYER}/output/LayerNorm",
        f"{FEED_FORWARD}-Norm",
        "hidden",
        "body",
    ),
    (
        "cls.predictions.transform.LayerNorm",
        f"{MLM}/transform/LayerNorm",
        "MLM-Norm",
        "embedding",
        "mlm",
    ),
)


def attention(name: str, slot: int, outputs: str, growth: str = "") -> tuple[Row, Row]:
    """One of the three maps from the hidden states."""
    return dense(
        f"{BLOCK}.attention.self.{name}",
        f"{LAYER}/attention/self/{name}",
        ATTENTION,
        slot,
        "hidden",
        outputs,
        growth=growth,
    )


ROWS = (
    Row(
        "bert.embeddings.word_embeddings.weight",
        ("vocab", "embedding"),
        f"{EMBEDDINGS}/word_embeddings",
        layer="Embedding-Token",
    ),
    Row(
        "bert.embeddings.token_type_embeddings.weight",
        ("segments", "embedding"),
        f"{EMBEDDINGS}/token_type_embeddings",
        layer="Embedding-Segment",
        part="segments",
    ),
    Row(
        "bert.embeddings.position_embeddings.weight",
        ("positions", "embedding"),
        f"{EMBEDDINGS}/position_embeddings",
        layer="Embedding-Position",
    ),
    *(
        row
        for target, source, layer, size, part in NORMS
        for row in norm(target, source, layer, size, part)
    ),
    *(
        row
        for target, _, layer, size, part in NORMS
        for kind in ("condition", "hidden_condition")
        for row in condition(target, layer, size, kind, part)
    ),
    *dense(
        "bert.embeddings_project",
        "bert/encoder/embedding_hidden_mapping_in",
        "Embedding-Mapping",
        0,
        "embedding",
        "hidden",
        "mapping",
    ),
    *attention("query", 0, "keys", "scores"),
    *attention("key", 2, "keys", "scores"),
    *attention("value", 4, "values"),
    *dense(
        f"{BLOCK}.attention.output.dense",
        f"{LAYER}/attention/output/dense",
        ATTENTION,
        6,
        "values",
        "hidden",
    ),
    *dense(
        f"{BLOCK}.intermediate.dense",
        f"{LAYER}/intermediate/dense",
        FEED_FORWARD,
        0,
        "hidden",
        "intermediate",
        growth="widen",
    ),
    *dense(
        f"{BLOCK}.output.dense",
        f"{LAYER}/output/dense",
        FEED_FORWARD,
        2,
        "intermediate",
        "hidden",
        growth="narrow",
    ),
    *dense(
        "bert.pooler.dense",
        "bert/pooler/dense",
        "Pooler-Dense",
        0,
        "hidden",
        "hidden",
        "pooler",
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
        "cls.seq_relationship.bias",
        (2,),
        "cls/seq_relationship/output_bias",
        layer="NSP-Proba",
        slot=1,
        part="nsp",
    ),
    *dense(
        "cls.predictions.transform.dense",
        f"{MLM}/transform/dense",
        "MLM-Dense",
        0,
        "hidden",
        "embedding",
        "mlm",
    ),
    Row(
        "cls.predictions.bias",
        ("vocab",),
        f"{MLM}/output_bias",
        layer="MLM-Bias",
        part="mlm",
    ),
)

#: The class that has exactly these heads, (mlm, nsp).
CLASSES = {
    (True, True): "ForPreTraining",
    (True, False): "ForMaskedLM",
    (False, True): "ForNextSentencePrediction",
    (False, False): "Model",
}

MASKS = {"encoder": "full", "lm": "causal", "unilm": "prefix"}


def beyond_transformers(settings: Settings) -> dict[str, object]:
    """The fields of `genae_bert` that transformers' BERT has no word for, where not at rest."""
    sizes, options = settings.sizes, settings.options
    heads = settings.config["num_attention_heads"]
    even = sizes["hidden"] // heads
    fields = {
        "attention_mask_kind": (MASKS[options["application"]], "full"),
        "attention_key_size": (sizes["keys"] // heads, even),
        "attention_head_size": (sizes["values"] // heads, even),
        "embedding_size": (sizes["embedding"], sizes["hidden"]),
        "hierarchical_position": (options["hierarchical_position"], None),
        "residual_attention_scores": (options["residual_attention_scores"], False),
        "shared_segment_embeddings": (options["shared_segment_embeddings"], False),
        "condition_size": (sizes.get("condition"), None),
        "condition_hidden_size": (sizes.get("condition_hidden"), None),
        "condition_hidden_act": (settings.options["layer_norm_cond_hidden_act"], None),
        "pooler_act": (settings.pooler_act, "tanh"),
    }
    found = {name: value for name, (value, rest) in fields.items() if value != rest}
    if not settings.parts["segments"] and not options["shared_segment_embeddings"]:
        found["type_vocab_size"] = 0
    if settings.hidden_act == "leaky_relu":  # a slope of 0.2, where transformers has 0.01
        found["hidden_act"] = "leaky_relu"
    return found


def config(settings: Settings) -> dict[str, object]:
    """The `config.json` of the result."""
    extra = beyond_transformers(settings)
    given, sizes, parts = settings.config, settings.sizes, settings.parts
    head = CLASSES[parts["mlm"], parts["nsp"]]
    if extra and settings.options["application"] != "encoder" and head == "ForMaskedLM":
        head = "ForCausalLM"
    return {
        "architectures": [("GenaeBert" if extra else "Bert") + head],
        "model_type": "genae_bert" if extra else "bert",
        "vocab_size": sizes["vocab"],
        "hidden_size": sizes["hidden"],
        "num_hidden_layers": given["num_hidden_layers"],
        "num_attention_heads": given["num_attention_heads"],
        "intermediate_size": sizes["intermediate"],
        "hidden_act": settings.hidden_act,
        "hidden_dropout_prob": given.get("hidden_dropout_prob", 0.1),
        "attention_probs_dropout_prob": given.get("attention_probs_dropout_prob", 0.1),
        "max_position_embeddings": sizes["positions"],
        "type_vocab_size": sizes["segments"] if parts["segments"] else 2,
        "initializer_range": given.get("initializer_range", 0.02),
        "layer_norm_eps": 1e-12,
        "pad_token_id": 0,
        "tie_word_embeddings": True,
        **({"pooler": parts["pooler"]} if extra else {}),
        **extra,
    }


FAMILY = Family(
    name="bert",
    aliases=("roberta",),
    title="BERT",
    telltales=(
        (
            "bert/embeddings/position_embeddings",
            "bert/encoder/layer_0/attention/self/query/kernel",
        ),
        ("Embedding-Position#0", "Transformer-0-MultiHeadSelfAttention#0"),
    ),
    rows=ROWS,
    config=config,
    paper="arXiv:1810.04805",
)
