"""Google's BERT and ALBERT of TensorFlow 2, as the Model Garden and TensorFlow Hub write them.

Names of three generations of https://github.com/tensorflow/models (official/nlp):

- up to v2.3 encoders are networks of Keras, whose layers an object graph counts: tables of tokens,
  positions and segments, their norm, (a projection,) the blocks, the pooler. transformers'
  `convert_bert_original_tf2_checkpoint_to_pytorch.py` reads these (until v4).
- later ones keep the layers in attributes (`_transformer_layers/0`), as transformers'
  `convert_bert_token_dropping_original_tf2_checkpoint_to_pytorch.py` reads them.
- the names of the variables themselves, where a graph remembers them.

Attention is kept head by head: kernels are (hidden, heads, size), that of the output (heads, size,
hidden).
"""

from convert.dialects.base import Dialect, Rule
from convert.ops import KEEP, merge

BLOCK = "bert/encoder/layer_{i}"
GROUP = "bert/encoder/transformer/group_0/inner_group_0"
MAPPING = "bert/encoder/embedding_hidden_mapping_in"

#: Inside a block: theirs, the name in BERT, the name in ALBERT's group.
ATTENTION = "attention/output/dense", "attention_1/output/dense"
PLACES = (
    (r"_attention_layer/_query_dense", "attention/self/query", "attention_1/self/query"),
    (r"_attention_layer/_key_dense", "attention/self/key", "attention_1/self/key"),
    (r"_attention_layer/_value_dense", "attention/self/value", "attention_1/self/value"),
    (r"(?:_attention_layer/_output_dense|_attention_output_dense)", *ATTENTION),
    (r"_attention_layer_norm", "attention/output/LayerNorm", "LayerNorm"),
    (r"_intermediate_dense", "intermediate/dense", "ffn_1/intermediate/dense"),
    (r"_output_dense", "output/dense", "ffn_1/intermediate/output/dense"),
    (r"_output_layer_norm", "output/LayerNorm", "LayerNorm_1"),
)
#: What happens to (kernel, bias) where heads are an axis of their own.
HEADS = merge(1), merge(0)
OUTPUT = merge(0), KEEP


def block(scope: str, source: str, place: int) -> tuple[Rule, ...]:
    """The rules of a block.

    Args:
        scope: their name of it, a pattern.
        source: the rows' name of it.
        place: of the rows' names in `PLACES`.
    """
    rules = []
    for theirs, *names in PLACES:
        name = f"{source}/{names[place]}"
        if names[place].endswith("LayerNorm") or names[place].endswith("LayerNorm_1"):
            rules.append(Rule(rf"{scope}/{theirs}/(?P<w>beta|gamma)", f"{name}/{{w}}"))
            continue
        split = HEADS if "/self/" in name else OUTPUT if names[0] == ATTENTION[0] else (KEEP, KEEP)
        rules += [
            Rule(rf"{scope}/{theirs}/{weight}", f"{name}/{weight}", op)
            for weight, op in zip(("kernel", "bias"), split, strict=True)
        ]
    return tuple(rules)


def dense(pattern: str, name: str) -> Rule:
    """A dense map, both weights."""
    return Rule(rf"{pattern}/(?P<w>kernel|bias)", f"{name}/{{w}}")


EMBEDDINGS = (
    *(
        Rule(rf"layer_with_weights-{place}/embeddings", f"bert/embeddings/{table}_embeddings")
        for place, table in enumerate(("word", "position", "token_type"))
    ),
    Rule(r"layer_with_weights-3/(?P<w>beta|gamma)", "bert/embeddings/LayerNorm/{w}"),
)
#: Heads of pretraining, beside the encoder.
PRETRAINING = (
    dense(r"next_sentence\.\.pooler_dense", "bert/pooler/dense"),
    dense("masked_lm/dense", "cls/predictions/transform/dense"),
    Rule(r"masked_lm/layer_norm/(?P<w>beta|gamma)", "cls/predictions/transform/LayerNorm/{w}"),
    Rule(r"masked_lm/(?:output_bias/)?_bias|masked_lm/bias", "cls/predictions/output_bias"),
    Rule(r"masked_lm/embedding_table", "bert/embeddings/word_embeddings"),
)
TITLE = "Google's Model Garden (TensorFlow 2)"
NUMBERED = r"layer_with_weights-(?P<i>\d+)"

DIALECTS = (
    Dialect(
        "garden",
        TITLE,
        r"layer_with_weights-4/_attention_layer/_query_dense/kernel",
        (
            *EMBEDDINGS,
            *block(NUMBERED, BLOCK, 0),
            dense(r"layer_with_weights-\d+", "bert/pooler/dense"),
        ),
        PRETRAINING,
        first=4,
    ),
)
