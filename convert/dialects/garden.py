"""Google's BERT and ALBERT of TensorFlow 2, as the Model Garden and TensorFlow Hub write them.

Names of https://github.com/tensorflow/models, official/nlp, in three generations:

- up to v2.3, and in the checkpoints of 2020-03 and later on, encoders are networks of Keras, whose
  layers an object graph counts: tables of tokens, positions and segments, their norm, a projection
  where the widths differ, the blocks, the pooler. So read them transformers'
  `convert_bert_original_tf2_checkpoint_to_pytorch.py` (until v4) and keras-hub's
  `tools/checkpoint_conversion/convert_bert.py`, which also knows the heads;
- later encoders keep their layers in attributes (`_transformer_layers/0`), as in transformers'
  `convert_bert_token_dropping_original_tf2_checkpoint_to_pytorch.py`;
- names of variables, where a graph of objects remembers them or Keras's HDF5 has them: the tables
  of `tf1_checkpoint_converter_lib.py` (BERT_NAME_REPLACEMENTS of 2019, BERT_V2_NAME_REPLACEMENTS)
  and of `tf2_albert_encoder_checkpoint_converter.py`.

Attention is kept head by head: kernels are (hidden, heads, size), that of the output (heads, size,
hidden); converted names of 2019 may be flat.
"""

from collections.abc import Iterator

from convert.dialects.base import Dialect, Rule
from convert.weights.ops import KEEP, TRANSPOSE, merge

LAYER = "bert/encoder/layer_{i}"
GROUP = "bert/encoder/transformer/group_0/inner_group_0"
MAPPING = "bert/encoder/embedding_hidden_mapping_in"
EMBEDDINGS = "bert/embeddings"
POOLER = "bert/pooler/dense"
TITLE = "Google's Model Garden (TensorFlow 2)"
#: The kernel that tells the number of heads: its axis 1.
QUERIES = "attention/self/query/kernel", "attention_1/self/query/kernel"

#: The parts of a block: its attributes, its variables, in BERT, in ALBERT's group, head by head.
PARTS = (
    *(
        (
            f"_attention_layer/_{word}_dense",
            f"self_attention/{word}",
            f"attention/self/{word}",
            f"attention_1/self/{word}",
            (merge(1), merge(0)),
        )
        for word in ("query", "key", "value")
    ),
    (
        "(?:_attention_layer/_output_dense|_attention_output_dense)",
        "(?:self_attention/attention_output|self_attention_output)",
        "attention/output/dense",
        "attention_1/output/dense",
        (merge(0), KEEP),
    ),
    (
        "_intermediate_dense",
        "intermediate",
        "intermediate/dense",
        "ffn_1/intermediate/dense",
        (KEEP, KEEP),
    ),
    (
        "_output_dense",
        "output",
        "output/dense",
        "ffn_1/intermediate/output/dense",
        (KEEP, KEEP),
    ),
)
NORMS = (
    (
        "_attention_layer_norm",
        "self_attention_layer_norm",
        "attention/output/LayerNorm",
        "LayerNorm",
    ),
    ("_output_layer_norm", "output_layer_norm", "output/LayerNorm", "LayerNorm_1"),
)
ATTRIBUTES, VARIABLES = 0, 1  # places in these tables


def block(scope: str, place: int, *, shared: bool, flat: bool = False) -> Iterator[Rule]:
    """The rules of the blocks.

    Args:
        scope: the name of one, a pattern.
        place: which names there are inside it.
        shared: whether there is one for all layers, as in ALBERT.
        flat: whether heads are no axis of their own.
    """
    source = GROUP if shared else LAYER
    for part in PARTS:
        for weight, op in zip(("kernel", "bias"), part[4], strict=True):
            name = f"{source}/{part[2 + shared]}/{weight}"
            yield Rule(f"{scope}/{part[place]}/{weight}", name, KEEP if flat else op)
    for norm in NORMS:
        yield Rule(
            f"{scope}/{norm[place]}/(?P<w>beta|gamma)", f"{source}/{norm[2 + shared]}/{{w}}"
        )


def dense(pattern: str, name: str) -> Rule:
    """A dense map, both weights."""
    return Rule(f"{pattern}/(?P<w>kernel|bias)", f"{name}/{{w}}")


def norm(pattern: str, name: str) -> Rule:
    """A normalisation, both weights."""
    return Rule(f"{pattern}/(?P<w>beta|gamma)", f"{name}/{{w}}")


def tables(token: str, position: str, segment: str) -> tuple[Rule, ...]:
    """The tables of embeddings by their names, patterns."""
    return (
        Rule(token, f"{EMBEDDINGS}/word_embeddings"),
        Rule(position, f"{EMBEDDINGS}/position_embeddings"),
        Rule(segment, f"{EMBEDDINGS}/token_type_embeddings"),
    )


#: Heads of pretraining of an encoder, in an object graph (`.` is `..` there, `/` is `.S`).
GRAPH_HEADS = (
    dense(r"next_sentence\.\.pooler_dense", POOLER),
    dense("masked_lm/dense", "cls/predictions/transform/dense"),
    norm("masked_lm/layer_norm", "cls/predictions/transform/LayerNorm"),
    Rule(r"masked_lm/(?:output_bias\.Sbias|bias)", "cls/predictions/output_bias"),
    Rule("masked_lm/embedding_table", f"{EMBEDDINGS}/word_embeddings"),
)
#: The same by the names of variables.
CLS = r"(?:.*/)?(?:cls/)?predictions"
VARIABLE_HEADS = (
    dense(f"{CLS}/transform/dense", "cls/predictions/transform/dense"),
    norm(f"{CLS}/transform/(?:LayerNorm|layer_norm)", "cls/predictions/transform/LayerNorm"),
    Rule(f"{CLS}/output_bias(?:/bias)?", "cls/predictions/output_bias"),
    Rule(f"{CLS}/transform/logits/kernel", "cls/seq_relationship/output_weights", TRANSPOSE),
    Rule(f"{CLS}/transform/logits/bias", "cls/seq_relationship/output_bias"),
)


def counted(name: str, first: int, *, shared: bool) -> Dialect:
    """Layers that an object graph counts.

    Args:
        name: of the dialect.
        first: the number of the first block: 4, or 5 behind a projection.
        shared: whether there is one block for all layers.
    """
    layer = "layer_with_weights-"
    projection = (dense(f"{layer}4", MAPPING),) if first == 5 else ()
    return Dialect(
        name,
        TITLE,
        f"{layer}{first}/_attention_layer/_query_dense/kernel",
        (
            *tables(*(f"{layer}{number}/embeddings" for number in range(3))),
            norm(f"{layer}3", f"{EMBEDDINGS}/LayerNorm"),
            *projection,
            *block(rf"{layer}(?P<i>\d+)", ATTRIBUTES, shared=shared),
            dense(rf"{layer}(?!4/)\d+", POOLER) if projection else dense(rf"{layer}\d+", POOLER),
        ),
        GRAPH_HEADS,
        first=first,
        blocks=1 if shared else None,
        heads=f"{GROUP if shared else LAYER.format(i=0)}/{QUERIES[shared]}",
    )


ATTRIBUTED = Dialect(
    "garden_attributes",
    TITLE,
    "_transformer_layers/0/_attention_layer/_query_dense/kernel",
    (
        *tables(
            "_embedding_layer/embeddings",
            "_position_embedding_layer/embeddings",
            "_type_embedding_layer/embeddings",
        ),
        norm("_embedding_norm_layer", f"{EMBEDDINGS}/LayerNorm"),
        dense("_embedding_projection", MAPPING),
        *block(r"_transformer_layers/(?P<i>\d+)", ATTRIBUTES, shared=False),
        dense("_pooler_layer", POOLER),
    ),
    GRAPH_HEADS,
    heads=f"{LAYER.format(i=0)}/{QUERIES[0]}",
)


def named(name: str, scope: str, first: str, reads: str, *, shared: bool, flat: bool) -> Dialect:
    """Layers by the names of their variables.

    Args:
        name: of the dialect.
        scope: of a block, a pattern.
        first: of the first block, a pattern.
        reads: where these names are: "names" or "full".
        shared: whether there is one block for all layers.
        flat: whether heads are no axis of their own.
    """
    post = "embedding_postprocessor"
    return Dialect(
        name,
        TITLE,
        f"{first}/self_attention/query/kernel",
        (
            *tables(
                "word_embeddings/embeddings",
                rf"(?:position_embedding/(?:position_)?embeddings|{post}/position_embeddings)",
                f"(?:type_embeddings/embeddings|{post}/type_embeddings)",
            ),
            norm(f"(?:embeddings|{post})/layer_norm", f"{EMBEDDINGS}/LayerNorm"),
            dense(f"(?:embedding_projection|{post}/embedding_hidden_mapping_in)", MAPPING),
            *block(scope, VARIABLES, shared=shared, flat=flat),
            dense("pooler_transform", POOLER),
        ),
        VARIABLE_HEADS,
        reads=reads,
        heads=f"{GROUP if shared else LAYER.format(i=0)}/{QUERIES[shared]}",
    )


#: Scopes of the blocks by the names of variables: of all, of the first, whether shared.
SCOPES = (
    (r"transformer/layer_(?P<i>\d+)", "transformer/layer_0", False),
    (r"encoder/layer_(?P<i>\d+)", "encoder/layer_0", False),
    ("transformer", "transformer", True),
    ("encoder/shared_layer", "encoder/shared_layer", True),
)

#: Names of variables first: what they say of heads, numbers of layers do not.
DIALECTS = (
    *(
        named(f"garden_{reads}{'_flat' * flat}", scope, first, reads, shared=shared, flat=flat)
        for reads in ("full", "names")
        for scope, first, shared in SCOPES
        for flat in (False, True)
    ),
    counted("garden_albert", 5, shared=True),
    counted("garden", 4, shared=False),
    counted("garden_projected", 5, shared=False),
    ATTRIBUTED,
)
