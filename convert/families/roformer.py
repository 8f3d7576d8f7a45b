"""RoFormer (2021), RoFormer-Sim, and RoFormerV2 (2022): rotary positions, no table."""

from convert.families.base import Family, Settings
from convert.families.blocks import (
    beyond_transformers,
    block,
    check_tied,
    common,
    embeddings,
    genae_config,
    head,
    mapping,
    post_norm,
    pretraining_heads,
    transformers_config,
    without_bias,
)

LAYER, BLOCK = "bert/encoder/layer_{i}", "roformer.encoder.layer.{i}"
MAPPING = mapping("roformer", "bert/encoder/embedding_hidden_mapping_in")

ROWS = (
    *embeddings("roformer", "bert/embeddings", positions=False),
    *MAPPING,
    *post_norm(BLOCK, LAYER),
    *pretraining_heads("roformer"),
)
ROWS_V2 = (
    *embeddings("roformer", "bert/embeddings", positions=False, normed=False),
    *without_bias((*MAPPING, *(row for half in block(BLOCK, LAYER).values() for row in half))),
)

#: transformers' classes by heads, (mlm, nsp).
HEADS = {(True, False): "ForMaskedLM", (False, False): "Model"}


def config(settings: Settings) -> dict[str, object]:
    """Plain RoFormer where it has the heads and no option is beyond it."""
    beyond = beyond_transformers(settings)
    beyond.pop("embedding_size", None)
    parts = settings.parts
    heads = HEADS.get((parts["mlm"], parts["nsp"]))
    if beyond or heads is None or parts["pooler"] or settings.options["custom_position_ids"]:
        return genae_config(
            settings, "roformer", "RoFormer", layer_norm_eps=1e-7, head_norm_eps=1e-12
        )
    settings.notes.append(
        "the original's epsilon is 1e-7 and 1e-12 in the head; RoFormer's configuration in "
        "transformers knows one for all: 1e-7"
    )
    return transformers_config("roformer", "RoFormer", heads, common(settings)) | {
        "embedding_size": settings.sizes["embedding"],
        "layer_norm_eps": 1e-7,
        "rotary_value": False,
    }


def config_v2(settings: Settings) -> dict[str, object]:
    """Always genae's: transformers never had it."""
    settings.parts |= {"pooler": False, "nsp": False}
    check_tied(settings)
    return genae_config(settings, "roformer_v2", "RoFormerV2", head(settings), layer_norm_eps=1e-7)


FAMILY = Family(
    name="roformer",
    title="RoFormer",
    telltales=(
        (
            "bert/embeddings/LayerNorm/gamma",
            "!bert/embeddings/position_embeddings",
            "bert/encoder/layer_0/attention/self/query/bias",
        ),
        (
            "Embedding-Norm#0",
            "!Embedding-Position#0",
            "!Embedding-Relative-Position#0",
            "Transformer-0-MultiHeadSelfAttention#7",
        ),
    ),
    rows=ROWS,
    config=config,
    paper="arXiv:2104.09864",
)

V2 = Family(
    name="roformer_v2",
    title="RoFormerV2",
    telltales=(
        (
            "bert/encoder/layer_0/attention/self/query/kernel",
            "!bert/encoder/layer_0/attention/self/query/bias",
        ),
        (
            "Transformer-0-MultiHeadSelfAttention#3",
            "!Transformer-0-MultiHeadSelfAttention#4",
            "Embedding-Token#0",
        ),
    ),
    rows=ROWS_V2,
    config=config_v2,
    paper="RoFormerV2, ZhuiyiTechnology 2022",
)
