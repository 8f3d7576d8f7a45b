"""BERT (2018), RoBERTa (2019), and what has their shape: SimBERT, UniLM, LaBSE, WoBERT."""

from convert.families.base import Family, Settings
from convert.families.blocks import (
    beyond_transformers,
    common,
    embeddings,
    genae_config,
    head,
    mapping,
    post_norm,
    pretraining_heads,
    transformers_config,
)

ROWS = (
    *embeddings("bert", "bert/embeddings"),
    *mapping("bert", "bert/encoder/embedding_hidden_mapping_in"),
    *post_norm("bert.encoder.layer.{i}", "bert/encoder/layer_{i}"),
    *pretraining_heads("bert"),
)


def config(settings: Settings) -> dict[str, object]:
    """Plain BERT where no option is beyond it."""
    if beyond_transformers(settings):
        return genae_config(settings, "bert", "Bert")
    return transformers_config("bert", "Bert", head(settings), common(settings))


FAMILY = Family(
    name="bert",
    aliases={"roberta": {}},
    title="BERT",
    telltales=(
        (
            "bert/embeddings/position_embeddings",
            "bert/encoder/layer_0/attention/self/query/kernel",
            "!bert/embeddings/word_embeddings_2",
        ),
        (
            "Embedding-Position#0",
            "Embedding-Norm#0",
            "Transformer-0-MultiHeadSelfAttention#0",
            "!Transformer-0-FeedForward-Norm-0#0",
            "!Discriminator-Dense#0",
        ),
    ),
    rows=ROWS,
    config=config,
    paper="arXiv:1810.04805",
)
