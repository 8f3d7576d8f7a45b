"""GAU-alpha (2022): gated attention units."""

from convert.families.base import HEADS, WITHOUT_SCORES, Family, Settings
from convert.families.blocks import check_tied, embeddings, genae_config, head
from convert.weights.ops import TRANSPOSE
from convert.weights.rows import Row

SOURCE, UNIT = "GAU_alpha/encoder/layer_{i}/gau", "gau_alpha.encoder.layer.{i}.gau"
LAYER = "Transformer-{i}-GatedAttentionUnit"

ROWS = (
    *embeddings("gau_alpha", "bert/embeddings", positions=False, normed=False),
    Row(
        f"{UNIT}.i_dense.weight", ("gated", "hidden"), f"{SOURCE}/i_dense/kernel", TRANSPOSE,
        LAYER, 0,
    ),
    Row(f"{UNIT}.query_scale", ("keys",), f"{SOURCE}/q_scaleoffset/gamma", layer=LAYER, slot=1),
    Row(f"{UNIT}.key_scale", ("keys",), f"{SOURCE}/k_scaleoffset/gamma", layer=LAYER, slot=2),
    Row(
        f"{UNIT}.o_dense.weight", ("hidden", "intermediate"), f"{SOURCE}/o_dense/kernel",
        TRANSPOSE, LAYER, 3,
    ),
)  # fmt: skip


def config(settings: Settings) -> dict[str, object]:
    """Always genae's."""
    settings.parts |= {"pooler": False, "nsp": False}
    check_tied(settings)
    fields = {"layer_norm_eps": 1e-7, "attention_key_size": settings.sizes["keys"]}
    return genae_config(settings, "gau_alpha", "GAUAlpha", head(settings), **fields)


FAMILY = Family(
    name="gau_alpha",
    title="GAU-alpha",
    telltales=(
        ("GAU_alpha/encoder/layer_0/gau/i_dense/kernel",),
        ("Transformer-0-GatedAttentionUnit#0",),
    ),
    rows=ROWS,
    config=config,
    options=WITHOUT_SCORES | HEADS,
    paper="arXiv:2202.10447",
)
