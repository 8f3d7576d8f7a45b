"""`tf_model.h5` of transformers before 5, which had its models in TensorFlow as well.

A weight's name there is `GROUP/MODEL/PATH`: the layer of Keras that it is listed under, the scope
of the model (`tf_bert_for_pre_training`) and the path of the same weight in PyTorch, with
`layer_._0` for `layer.0` and `mlm___cls` for `cls`, as transformers 4 read them
(`convert_tf_weight_name_to_pt_weight_name` of `modeling_tf_pytorch_utils.py`). Kernels are
(inputs, outputs). Its companion `config.json` is transformers' own.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from convert.dialects import transformers_config as configs
from convert.dialects.base import Dialect, Rule
from convert.dialects.transformers_names import COPIES, TABLE, torch_names
from convert.dialects.transformers_t5 import t5
from convert.weights.ops import KEEP, TRANSPOSE, Op, merge, part, then

if TYPE_CHECKING:
    from convert.weights.lazy import LazyTensor


def flat(match: re.Match[str], tensors: Mapping[str, LazyTensor]) -> Op:
    """Heads and their size as one axis, where a map keeps them apart (transformers 4.1)."""
    axes = _axes(match, tensors)
    kernel, joined = match.string.endswith("/kernel"), "/output/" in match.string
    if axes == 1 + kernel:
        return KEEP
    return merge(1 if kernel and not joined else 0)


def row(match: re.Match[str], tensors: Mapping[str, LazyTensor]) -> Op:
    """An offset that is kept as a matrix of one row."""
    return merge(0) if _axes(match, tensors) > 1 else KEEP


def _axes(match: re.Match[str], tensors: Mapping[str, LazyTensor]) -> int:
    """How many axes a rule's tensor has; tensors lack the scope of a wrapper."""
    name = match.string
    while name not in tensors:
        name = name.partition("/")[2]
    return len(tensors[name].shape)


def third(place: int, *, offset: bool = False) -> Any:
    """Queries, keys or values of a joint map."""

    def op(match: re.Match[str], tensors: Mapping[str, LazyTensor]) -> Op:
        first = row(match, tensors) if offset else KEEP
        return then(first, part(0 if offset else 1, place, 3))

    return op


def weights(stored: str, legacy: str) -> Rule:
    """Both weights of a layer under another name."""
    return Rule(rf"{stored}/(?P<w>kernel|bias|gamma|beta)", f"{legacy}/{{w}}")


def tables(stored: str, legacy: str) -> tuple[Rule, ...]:
    """Tables of tokens, segments and positions; transformers calls their weight either way."""
    return (
        Rule(
            rf"{stored}/(?P<t>word|position|token_type)_embeddings/{TABLE}",
            f"{legacy}/{{t}}_embeddings",
        ),
    )


def keras(stored: str, layer: str, slot: int = 0) -> tuple[Rule, Rule]:
    """Both weights of a layer, as places of one of bert4keras's layers."""
    return (
        Rule(rf"{stored}/(?:kernel|beta)", f"{layer}#{slot}", flat),
        Rule(rf"{stored}/(?:bias|gamma)", f"{layer}#{slot + 1}", flat),
    )


HALVES = {"attention/self/query": 0, "attention/self/key": 2, "attention/self/value": 4}
HALVES |= {"attention/output/dense": 6}
WIDE = {"intermediate/dense": 0, "output/dense": 2}


def encoder(name: str) -> tuple[Rule, ...]:
    """The blocks of BERT and ELECTRA: under TensorFlow's names, but for the number."""
    layer = rf"{name}/encoder/layer/(?P<i>\d+)"
    maps = "attention/(?:self|output)/(?:query|key|value|dense)/(?:kernel|bias)"
    return (
        Rule(rf"{layer}/(?P<rest>{maps})", f"{name}/encoder/layer_{{i}}/{{rest}}", flat),
        Rule(rf"{layer}/(?P<rest>(?!{maps}).*)", f"{name}/encoder/layer_{{i}}/{{rest}}"),
    )


NSP = (
    Rule(r"cls/seq_relationship/kernel", "cls/seq_relationship/output_weights", TRANSPOSE),
    Rule(r"cls/seq_relationship/bias", "cls/seq_relationship/output_bias"),
)
BERT = (
    *tables("bert/embeddings", "bert/embeddings"),
    *encoder("bert"),
    Rule(r"cls/predictions/(?:decoder/)?bias", "cls/predictions/output_bias"),
    *NSP,
    COPIES,
)

GROUP, SHARED = (
    "albert/encoder/albert_layer_groups/0/albert_layers/0",
    "bert/encoder/transformer/group_0/inner_group_0",
)
ALBERT = (
    *tables("albert/embeddings", "bert/embeddings"),
    weights("albert/embeddings/LayerNorm", "bert/embeddings/LayerNorm"),
    weights(
        "albert/encoder/embedding_hidden_mapping_in", "bert/encoder/embedding_hidden_mapping_in"
    ),
    *(
        Rule(rf"{GROUP}/attention/{name}/(?P<w>kernel|bias)",
             f"{SHARED}/attention_1/self/{name}/{{w}}", flat)
        for name in ("query", "key", "value")
    ),
    weights(f"{GROUP}/attention/dense", f"{SHARED}/attention_1/output/dense"),
    weights(f"{GROUP}/attention/LayerNorm", f"{SHARED}/LayerNorm"),
    weights(f"{GROUP}/ffn", f"{SHARED}/ffn_1/intermediate/dense"),
    weights(f"{GROUP}/ffn_output", f"{SHARED}/ffn_1/intermediate/output/dense"),
    weights(f"{GROUP}/full_layer_layer_norm", f"{SHARED}/LayerNorm_1"),
    weights("albert/pooler", "bert/pooler/dense"),
    weights("predictions/dense", "cls/predictions/transform/dense"),
    weights("predictions/LayerNorm", "cls/predictions/transform/LayerNorm"),
    Rule(r"predictions/(?:decoder/)?bias", "cls/predictions/output_bias"),
    Rule(r"sop_classifier/classifier/kernel", "cls/seq_relationship/output_weights", TRANSPOSE),
    Rule(r"sop_classifier/classifier/bias", "cls/seq_relationship/output_bias"),
    COPIES,
)  # fmt: skip

ELECTRA = (
    *tables("electra/embeddings", "electra/embeddings"),
    *encoder("electra"),
    weights("discriminator_predictions/dense_prediction", "discriminator_predictions/dense_1"),
    # A generator of its own is no part of the discriminator that ELECTRA's rows leave out.
    Rule(r"generator_(?P<rest>.*)", "masked_lm/generator_{rest}"),
    COPIES,
)

LAYER = r"roformer/encoder/layer/(?P<i>\d+)"
ROFORMER = (
    Rule(rf"roformer/embeddings/word_embeddings/{TABLE}", "Embedding-Token#0"),
    Rule(rf"roformer/embeddings/token_type_embeddings/{TABLE}", "Embedding-Segment#0"),
    *keras("roformer/embeddings/LayerNorm", "Embedding-Norm"),
    *keras("roformer/embeddings_project", "Embedding-Mapping"),
    *(
        rule
        for half, maps in (("MultiHeadSelfAttention", HALVES), ("FeedForward", WIDE))
        for name, slot in maps.items()
        for rule in keras(f"{LAYER}/{name}", f"Transformer-{{i}}-{half}", slot)
    ),
    *keras(f"{LAYER}/attention/output/LayerNorm", "Transformer-{i}-MultiHeadSelfAttention-Norm"),
    *keras(f"{LAYER}/output/LayerNorm", "Transformer-{i}-FeedForward-Norm"),
    Rule(r"roformer/encoder/embed_positions/.*", dropped="computed from the configuration"),
    *keras("cls/predictions/transform/dense", "MLM-Dense"),
    *keras("cls/predictions/transform/LayerNorm", "MLM-Norm"),
    Rule(r"cls/predictions/(?:decoder/)?bias", "MLM-Bias#0"),
    Rule(r"classifier/(?P<map>dense|out_proj)/kernel", "classifier-{map}#0"),
    Rule(r"classifier/(?P<map>dense|out_proj)/bias", "classifier-{map}#1"),
    Rule(r"(?P<head>classifier|qa_outputs)/kernel", "{head}#0"),
    Rule(r"(?P<head>classifier|qa_outputs)/bias", "{head}#1"),
    COPIES,
)  # fmt: skip

H, LAYER = r"transformer/h/(?P<i>\d+)", "gpt/transformer/layer_{i}"


def gpt(tokens: str, positions: str, norms: tuple[str, str]) -> tuple[Rule, ...]:
    """GPT and GPT-2, whose queries, keys and values are one map.

    Args:
        tokens: their name of the table of tokens.
        positions: and of that of positions.
        norms: of a block: the rows' names of `ln_1` and `ln_2`.
    """
    maps = {"attn/c_proj": "attention/output/dense", "mlp/c_fc": "intermediate/dense"}
    maps |= {"mlp/c_proj": "output/dense"}
    kernel, bias = "(?:weight|kernel)", "bias"
    return (
        Rule(rf"transformer/{tokens}/{TABLE}", "gpt/embeddings/word_embeddings"),
        Rule(rf"transformer/{positions}/{TABLE}", "gpt/embeddings/position_embeddings"),
        *(
            rule
            for place, name in enumerate(("query", "key", "value"))
            for rule in (
                Rule(rf"{H}/attn/c_attn/{kernel}", f"{LAYER}/attention/self/{name}/kernel",
                     third(place)),
                Rule(rf"{H}/attn/c_attn/{bias}", f"{LAYER}/attention/self/{name}/bias",
                     third(place, offset=True)),
            )
        ),
        *(
            rule
            for stored, legacy in maps.items()
            for rule in (
                Rule(rf"{H}/{stored}/{kernel}", f"{LAYER}/{legacy}/kernel"),
                Rule(rf"{H}/{stored}/{bias}", f"{LAYER}/{legacy}/bias", row),
            )
        ),
        *(weights(rf"{H}/ln_{number}", f"{LAYER}/{name}") for number, name in enumerate(norms, 1)),
        weights("transformer/ln_f", "gpt/output/LayerNorm"),
        weights("score", "classifier"),
        COPIES,
    )  # fmt: skip


TITLE = "transformers' TensorFlow models"


def dialect(
    name: str, telltale: str, rules: tuple[Rule, ...], kind: str = "tensorflow"
) -> Dialect:
    """A dialect of one family."""
    return Dialect(
        f"transformers_{name}",
        TITLE,
        telltale,
        rules,
        kind=kind,
        reads=torch_names,
        config=configs.LEGACY.get(name),
        result=configs.as_given,
        family=configs.family_of if name == "t5_gated" else None,
    )


WIDE_MAP = r"(?:en|de)coder/block/0/layer/[12]/DenseReluDense"
QUERY = "encoder/layer/0/attention/self/query/kernel"
DIALECTS = (
    dialect("bert", f"bert/{QUERY}", BERT),
    dialect("albert", f"{GROUP}/attention/query/kernel", ALBERT),
    dialect("electra", f"electra/{QUERY}", ELECTRA),
    dialect("roformer", f"roformer/{QUERY}", ROFORMER, "keras"),
    dialect(
        "gpt2",
        f"transformer/wte/{TABLE}",
        gpt("wte", "wpe", ("attention/input/LayerNorm", "input/LayerNorm")),
    ),
    dialect(
        "gpt",
        f"transformer/tokens_embed/{TABLE}",
        gpt("tokens_embed", "positions_embed", ("attention/output/LayerNorm", "output/LayerNorm")),
    ),
    dialect("t5", f"{WIDE_MAP}/wi/kernel", t5("wi"), "keras"),
    dialect("t5_gated", f"{WIDE_MAP}/wi_0/kernel", t5("wi_0", "wi_1"), "keras"),
)
