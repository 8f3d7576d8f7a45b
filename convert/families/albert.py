"""ALBERT (2019): one block for all layers; `albert_unshared` gives each a copy of its own."""

from convert.families.base import Family, Settings
from convert.families.blocks import (
    Names,
    beyond_transformers,
    common,
    embeddings,
    genae_config,
    mapping,
    post_norm,
    pretraining_heads,
    transformers_config,
)
from convert.weights.renames import Rename
from convert.weights.rows import Row

SOURCE = "bert/encoder/transformer/group_0/inner_group_0"
NAMES = Names(
    query="attention_1/self/query",
    key="attention_1/self/key",
    value="attention_1/self/value",
    joined="attention_1/output/dense",
    wide="ffn_1/intermediate/dense",
    narrow="ffn_1/intermediate/output/dense",
)
NORMS = ("LayerNorm", "LayerNorm_1")


def rows(place: str, layer: str) -> tuple[Row, ...]:
    """The table, with the block at a place of the encoder and its layers named so."""
    attention = f"Transformer-{layer}MultiHeadSelfAttention"
    return (
        *embeddings("albert", "bert/embeddings"),
        *mapping("albert", "bert/encoder/embedding_hidden_mapping_in"),
        *post_norm(
            f"albert.encoder.layer.{place}", SOURCE, NORMS, NAMES, attention,
            f"Transformer-{layer}FeedForward",
        ),
        *pretraining_heads("albert"),
    )  # fmt: skip


LAYER = r"albert\.encoder\.layer\.(\d+)\."
BLOCK = r"albert.encoder.albert_layer_groups.\1.albert_layers.0."
RENAMES = (
    Rename(r"albert\.embeddings_project\.(.*)", r"albert.encoder.embedding_hidden_mapping_in.\1"),
    Rename(LAYER + r"attention\.self\.(.*)", BLOCK + r"attention.\2"),
    Rename(LAYER + r"attention\.output\.(.*)", BLOCK + r"attention.\2"),
    Rename(LAYER + r"intermediate\.dense\.(.*)", BLOCK + r"ffn.\2"),
    Rename(LAYER + r"output\.dense\.(.*)", BLOCK + r"ffn_output.\2"),
    Rename(LAYER + r"output\.LayerNorm\.(.*)", BLOCK + r"full_layer_layer_norm.\2"),
    Rename(r"albert\.pooler\.dense\.(.*)", r"albert.pooler.\1"),
    Rename(r"cls\.predictions\.transform\.(.*)", r"predictions.\1"),
    Rename(r"cls\.predictions\.bias", r"predictions.bias"),
    Rename(r"cls\.seq_relationship\.(.*)", r"sop_classifier.classifier.\1"),
)

#: transformers' classes by heads, (mlm, nsp).
HEADS = {(True, True): "ForPreTraining", (True, False): "ForMaskedLM", (False, False): "Model"}


def config(settings: Settings, groups: int | None = 1, eps: float = 1e-7) -> dict[str, object]:
    """Plain ALBERT where it has the heads and no option is beyond it."""
    if settings.config.get("layer_norm_eps") == 1e-12:
        eps = 1e-12
    beyond = beyond_transformers(settings)
    beyond.pop("embedding_size", None)
    heads = HEADS.get((settings.parts["mlm"], settings.parts["nsp"]))
    if beyond or heads is None or not settings.parts["mapping"]:
        return genae_config(settings, "albert", "Albert") | {
            "embedding_size": settings.sizes["embedding"],
            "num_hidden_groups": groups,
            "layer_norm_eps": eps,
            "embedding_norm_eps": 1e-12,
            "head_norm_eps": 1e-12,
        }
    layers = settings.config["num_hidden_layers"]
    if eps != 1e-12:
        settings.notes.append(
            f"the original's blocks have an epsilon of {eps:g}, of which ALBERT's configuration "
            "in transformers knows one for all: 1e-12, that of the embeddings"
        )
    return transformers_config("albert", "Albert", heads, common(settings)) | {
        "embedding_size": settings.sizes["embedding"],
        "num_hidden_groups": groups or layers,
        "inner_group_num": 1,
        "classifier_dropout_prob": 0.1,
    }


def unshared(settings: Settings) -> dict[str, object]:
    """One group per layer; every epsilon is that of BERT."""
    return config(settings, None, 1e-12)


FAMILY = Family(
    name="albert",
    title="ALBERT",
    telltales=(
        (f"{SOURCE}/attention_1/self/query/kernel",),
        ("Transformer-MultiHeadSelfAttention#0", "Embedding-Position#0"),
    ),
    rows=rows("0", ""),
    config=config,
    renames=RENAMES,
    paper="arXiv:1909.11942",
)

UNSHARED = Family(
    name="albert_unshared",
    title="ALBERT with a copy of the block in every layer",
    telltales=(
        (f"{SOURCE}/attention_1/self/query/kernel",),
        (
            "Embedding-Position#0",
            "Embedding-Norm#0",
            "Transformer-0-MultiHeadSelfAttention#0",
            "Embedding-Mapping#0",
            "!Discriminator-Dense#0",
        ),
    ),
    rows=rows("{i}", "{i}-"),
    config=unshared,
    renames=RENAMES,
    paper="arXiv:1909.11942",
)
