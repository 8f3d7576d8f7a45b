"""GPT (2018; CDial, 2020), GPT-2 (2019; CPM, 2020) and GPT2-ML (2019): causal, head tied."""

from convert.families.base import WITHOUT_SCORES, Family, Settings
from convert.families.blocks import (
    ATTENTION,
    FEED_FORWARD,
    Names,
    beyond_transformers,
    block,
    check_tied,
    embeddings,
    genae_config,
    mapping,
    post_norm,
    transformers_config,
)
from convert.weights.ops import KEEP, TRANSPOSE
from convert.weights.renames import Rename
from convert.weights.rows import Row, norm

LAYER, BLOCK = "gpt/transformer/layer_{i}", "gpt.encoder.layer.{i}"

ROWS = (
    *embeddings("gpt", "gpt/embeddings", normed=False),
    *mapping("gpt", "gpt/embeddings/embedding_hidden_mapping_in"),
    *post_norm(BLOCK, LAYER),
)

MAPS_2 = block(BLOCK, LAYER)
ROWS_2 = (
    *embeddings("gpt", "gpt/embeddings", segments=False, normed=False),
    *norm(
        f"{BLOCK}.attention.LayerNorm", f"{LAYER}/attention/input/LayerNorm",
        f"{ATTENTION}-Norm", "hidden",
    ),
    *MAPS_2["attention"],
    *norm(
        f"{BLOCK}.intermediate.LayerNorm", f"{LAYER}/input/LayerNorm", f"{FEED_FORWARD}-Norm",
        "hidden",
    ),
    *MAPS_2["feed_forward"],
    *norm("gpt.final_norm", "gpt/output/LayerNorm", "Output-Norm", "hidden"),
)  # fmt: skip

GROVER = "newslm/layer{i:02d}"
MAPS_ML = block(
    BLOCK,
    GROVER,
    Names(
        query="query_layer",
        key="key_layer",
        value="value_layer",
        joined="context_projection_layer",
        wide="intermediate",
        narrow="output",
    ),
)
ROWS_ML = (
    Row(
        "gpt.embeddings.word_embeddings.weight", ("vocab", "embedding"),
        "newslm/embeddings/word_embed", layer="Embedding-Token",
    ),
    Row(
        "gpt.embeddings.position_embeddings.weight", ("positions", "embedding"),
        "newslm/embeddings/pos_embed", layer="Embedding-Position",
    ),
    *norm(
        "gpt.embeddings.LayerNorm", "newslm/embeddings/LayerNorm_embed_norm", "Embedding-Norm",
        "embedding",
    ),
    *MAPS_ML["attention"],
    *norm(
        f"{BLOCK}.intermediate.LayerNorm", f"{GROVER}/LayerNorm_mlp_ln0",
        f"{FEED_FORWARD}-Norm-0", "hidden",
    ),
    *MAPS_ML["feed_forward"],
    *norm(
        f"{BLOCK}.output.LayerNorm", f"{GROVER}/LayerNorm_mlp_ln1", f"{FEED_FORWARD}-Norm-1",
        "hidden",
    ),
)  # fmt: skip

THEIRS, H = r"gpt\.encoder\.layer\.(\d+)\.", r"transformer.h.\1."
RENAMES = (
    Rename(r"gpt\.embeddings\.word_embeddings\.weight", "transformer.wte.weight"),
    Rename(r"gpt\.embeddings\.position_embeddings\.weight", "transformer.wpe.weight"),
    Rename(THEIRS + r"attention\.LayerNorm\.(.*)", H + r"ln_1.\2"),
    *(
        Rename(f"{THEIRS}attention\\.self\\.{name}\\.{kind}", f"{H}attn.c_attn.{kind}", op, place)
        for place, name in enumerate(("query", "key", "value"))
        for kind, op in (("weight", TRANSPOSE), ("bias", KEEP))
    ),
    Rename(THEIRS + r"attention\.output\.dense\.weight", H + r"attn.c_proj.weight", TRANSPOSE),
    Rename(THEIRS + r"attention\.output\.dense\.bias", H + r"attn.c_proj.bias"),
    Rename(THEIRS + r"intermediate\.LayerNorm\.(.*)", H + r"ln_2.\2"),
    Rename(THEIRS + r"intermediate\.dense\.weight", H + r"mlp.c_fc.weight", TRANSPOSE),
    Rename(THEIRS + r"intermediate\.dense\.bias", H + r"mlp.c_fc.bias"),
    Rename(THEIRS + r"output\.dense\.weight", H + r"mlp.c_proj.weight", TRANSPOSE),
    Rename(THEIRS + r"output\.dense\.bias", H + r"mlp.c_proj.bias"),
    Rename(r"gpt\.final_norm\.(.*)", r"transformer.ln_f.\1"),
)

OPTIONS = WITHOUT_SCORES | {"final_activation": "softmax"}
CAUSAL = {"encoder": "causal", "unilm": "prefix"}


def config(settings: Settings) -> dict[str, object]:
    """Always genae's: transformers' GPT has no segments and one activation."""
    check_tied(settings)
    kind = CAUSAL[settings.options["application"]]
    return genae_config(settings, "gpt", "GPT", "ForCausalLM", attention_mask_kind=kind)


def config_2(settings: Settings) -> dict[str, object]:
    """Plain GPT-2 where no option is beyond it."""
    check_tied(settings)
    beyond = beyond_transformers(settings)
    beyond.pop("type_vocab_size", None)
    fields = {"attention_mask_kind": "causal", "layer_norm_eps": 1e-5}
    if beyond:
        return genae_config(settings, "gpt2", "GPT2", "ForCausalLM", **fields)
    given, sizes = settings.config, settings.sizes
    return transformers_config("gpt2", "GPT2", "LMHeadModel", {}) | {
        "vocab_size": sizes["vocab"],
        "n_positions": sizes["positions"],
        "n_embd": sizes["hidden"],
        "n_layer": given["num_hidden_layers"],
        "n_head": given["num_attention_heads"],
        "n_inner": sizes["intermediate"],
        "activation_function": settings.hidden_act,
        "resid_pdrop": given.get("hidden_dropout_prob", 0.1),
        "embd_pdrop": given.get("hidden_dropout_prob", 0.1),
        "attn_pdrop": given.get("attention_probs_dropout_prob", 0.1),
        "layer_norm_epsilon": 1e-5,
        "initializer_range": given.get("initializer_range", 0.02),
        "pad_token_id": 0,
        "bos_token_id": None,
        "eos_token_id": None,
        "tie_word_embeddings": True,
    }


def config_ml(settings: Settings) -> dict[str, object]:
    """Always genae's: transformers never had it."""
    check_tied(settings)
    fields = {"attention_mask_kind": "causal", "layer_norm_eps": 1e-5}
    return genae_config(settings, "gpt2_ml", "GPT2ML", "ForCausalLM", **fields)


FAMILY = Family(
    name="gpt",
    title="GPT",
    telltales=(
        ("gpt/embeddings/word_embeddings", "!gpt/output/LayerNorm/gamma"),
        (
            "Embedding-Position#0",
            "!Embedding-Norm#0",
            "!Output-Norm#0",
            "Transformer-0-MultiHeadSelfAttention-Norm#0",
        ),
    ),
    rows=ROWS,
    config=config,
    options=OPTIONS,
    applications=("encoder", "unilm"),
    paper="arXiv:2008.03946",
)

GPT2 = Family(
    name="gpt2",
    title="GPT-2",
    telltales=(
        ("gpt/embeddings/word_embeddings", "gpt/output/LayerNorm/gamma"),
        ("Embedding-Position#0", "Output-Norm#0"),
    ),
    rows=ROWS_2,
    config=config_2,
    options=OPTIONS,
    applications=("encoder",),
    renames=RENAMES,
    paper="arXiv:2012.00413",
)

ML = Family(
    name="gpt2_ml",
    title="GPT2-ML",
    telltales=(
        ("newslm/embeddings/word_embed",),
        ("Transformer-0-FeedForward-Norm-0#0",),
    ),
    rows=ROWS_ML,
    config=config_ml,
    options=OPTIONS,
    applications=("encoder",),
    paper="arXiv:1905.12616",
)
