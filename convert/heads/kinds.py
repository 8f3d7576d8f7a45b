"""The table of heads of fine-tuning that are converted: the weights of each, what is asked for.

Rows are those of families: a target inside the head, its shape, the Keras layer and the place in
it. A layer is written with its class in front ("dense emissions"), and layers stand in the order
of the file, which is that of the model. Settings are those of
`zoo.models.text.configuration_heads`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from convert.weights.ops import TRANSPOSE
from convert.weights.rows import Row, dense

#: Sizes of rows that are a multiple of another one.
MULTIPLES = {
    "pair": ("size", 2),
    "four": ("size", 4),
    "ends": ("labels", 2),
    "pointers": ("types times size", 2),
}
NUMBER = "a number"
BOOLEAN = ("true", "false")


@dataclass(frozen=True)
class Kind:
    """One kind of head.

    Attributes:
        title: in words.
        variants: the rows; several where some weights may be absent, or others.
        ending: of the class that has this head alone.
        name: of the head where neither file nor person has one.
        asked: settings that change numbers and that no weights tell -> what they can be, in words.
        usual: the usual values of these, for the command that a message prints.
        settings: others that can be given.
        assumed: what its name stands for, to be said.
    """

    title: str
    variants: tuple[tuple[Row, ...], ...]
    ending: str
    name: str
    asked: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    usual: Mapping[str, Any] = field(default_factory=dict)
    settings: tuple[str, ...] = ()
    assumed: str = ""


def _map(target: str, layer: str, inputs: str, outputs: str, slot: int = 0) -> tuple[Row, Row]:
    return dense(target, "", layer, slot, inputs, outputs)


def _fixed(rows: tuple[Row, Row], outputs: int) -> tuple[Row, Row]:
    """A map to a number of units that is always the same."""
    kernel, bias = rows
    return replace(kernel, shape=(outputs, kernel.shape[1])), replace(bias, shape=(outputs,))


def _square(target: str, layer: str, slot: int, *shape: str) -> Row:
    return Row(target, shape, None, layer=layer, slot=slot)


def _without_bias(rows: tuple[Row, ...]) -> tuple[Row, ...]:
    return tuple(
        replace(row, slot=row.slot // 2) for row in rows if not row.target.endswith(".bias")
    )


def _pointer(layer: str, prefix: str = "", width: str = "pointers") -> tuple[Row, ...]:
    return _map(f"{prefix}dense", f"global_pointer {layer}", "hidden", width)


def _efficient(layer: str, prefix: str = "", labels: int | None = None) -> tuple[Row, ...]:
    place = f"efficient_global_pointer {layer}"
    biases = _map(f"{prefix}bias_dense", place, "pair", "ends", 2)
    return (
        *_map(f"{prefix}dense", place, "hidden", "pair"),
        *(biases if labels is None else _fixed(biases, 2 * labels)),
    )


def _linker(*pointers: tuple[Row, ...]) -> tuple[tuple[Row, ...], tuple[Row, ...]]:
    rows = tuple(row for pointer in pointers for row in pointer)
    return rows, _without_bias(rows)


CLASSIFIER = _map("classifier", "dense classifier", "hidden", "labels")
#: transformers' classifier of two maps, which lie in one layer.
TWO_MAPS = (
    *_map("dense", "dense classifier", "hidden", "hidden"),
    *_map("out_proj", "dense classifier", "hidden", "labels", 2),
)
#: Its backbones, by `model_type`; it reads the first token.
OF_TWO_MAPS = ("electra", "roformer")
EMISSIONS = _map("classifier", "dense emissions", "hidden", "labels")
CRF, MEMM = "conditional_random_field chain", "maximum_entropy_markov_model chain"
CHAIN = ("starts", "ends", "forbidden")
POINTS = {"rope": BOOLEAN, "triangle": BOOLEAN}
ACTIVATIONS = {"activation": ("softmax", "sigmoid", "linear")}
SPAN = _fixed(_map("classifier", "dense span", "hidden", "labels"), 2)

#: Maps of ALBERT's run_squad_v2.py, in the order of their scopes: whether there is an answer, its
#: end, its start.
ANSWERABLE = "dense answer"
SQUAD_2 = (
    *dense("null.dense_0", "answer_class/dense_0", ANSWERABLE, 0, "twice", "hidden"),
    _fixed(dense("null.dense_1", "answer_class/dense_1", ANSWERABLE, 2, "hidden", ""), 1)[0],
    Row("end.norm.weight", ("hidden",), "end_logits/LayerNorm/gamma", layer=ANSWERABLE, slot=3),
    Row("end.norm.bias", ("hidden",), "end_logits/LayerNorm/beta", layer=ANSWERABLE, slot=4),
    *dense("end.dense_0", "end_logits/dense_0", ANSWERABLE, 5, "twice", "hidden"),
    *_fixed(dense("end.dense_1", "end_logits/dense_1", ANSWERABLE, 7, "hidden", ""), 1),
    *_fixed(dense("start", "start_logits/dense", ANSWERABLE, 9, "hidden", ""), 1),
)

KINDS: dict[str, Kind] = {
    "classifier": Kind(
        "labels of texts",
        (CLASSIFIER, TWO_MAPS),
        "ForSequenceClassification",
        "label",
        {"pooling": ("cls", "mean", "pooler"), **ACTIVATIONS},
        {"pooling": "cls", "activation": "softmax"},
        ("loss",),
    ),
    "token_classifier": Kind(
        "labels of tokens",
        (CLASSIFIER,),
        "ForTokenClassification",
        "tags",
        ACTIVATIONS,
        {"activation": "softmax"},
        ("loss",),
    ),
    "crf": Kind(
        "a conditional random field",
        (
            (*EMISSIONS, _square("stored_transitions", CRF, 0, "labels", "labels")),
        ),
        "ForCRFTokenClassification",
        "tags",
        {"lr_multiplier": (NUMBER,)},
        {"lr_multiplier": 1},
        CHAIN,
    ),
    "memm": Kind(
        "a maximum-entropy Markov model",
        (
            (*EMISSIONS, _square("stored_transitions", MEMM, 0, "labels", "labels")),
            (
                *EMISSIONS,
                *(
                    _square(
                        f"{side}_transitions", MEMM, slot,
                        "labels", "hidden_dim",
                    )
                    for slot, side in enumerate(("left", "right"))
                ),
            ),
        ),
        "ForMEMMTokenClassification",
        "tags",
        {"lr_multiplier": (NUMBER,)},
        {"lr_multiplier": 1},
        CHAIN,
    ),
    "global_pointer": Kind(
        "spans by queries and keys of each type",
        (_pointer("pointer"), _without_bias(_pointer("pointer"))),
        "ForEntityPointers",
        "entities",
        {"size": (NUMBER,), **POINTS},
        {"size": 64, "rope": "true", "triangle": "true"},
        ("loss", "threshold", "num_labels"),
    ),
    "efficient_global_pointer": Kind(
        "spans by one query and key, and biases of each type",
        (_efficient("pointer"), _without_bias(_efficient("pointer"))),
        "ForEntityPointers",
        "entities",
        POINTS,
        {"rope": "true", "triangle": "true"},
        ("loss", "threshold"),
    ),
    "gplinker": Kind(
        "triples by three pointers",
        (
            *_linker(
                _efficient("entity", "entity.", 2),
                _efficient("head", "head."),
                _efficient("tail", "tail."),
            ),
            *_linker(
                _pointer("entity", "entity.", "four"),
                _pointer("head", "head."),
                _pointer("tail", "tail."),
            ),
        ),
        "ForRelationPointers",
        "relations",
        settings=("loss", "threshold", "entity", "head", "tail"),
        assumed="entities with positions (RoPE) and without spans that end before they start, "
        "heads and tails without either, as in bert4keras's example; tables entity, head and tail "
        "in --heads FILE.toml say otherwise",
    ),
    "half_pointer": Kind(
        "triples by subjects, then the objects of each",
        (
            (
                Row("norm.bias", ("hidden",), None, layer="layer_normalization norm"),
                Row("norm.weight", ("hidden",), None, layer="layer_normalization norm", slot=1),
                *(
                    Row(
                        f"norm.condition_{name}.weight", ("hidden", "twice"), None, TRANSPOSE,
                        layer="layer_normalization norm", slot=slot,
                    )
                    for slot, name in enumerate(("bias", "weight"), 2)
                ),
                *_map("object", "dense object", "hidden", "ends"),
                *_fixed(_map("subject", "dense subject", "hidden", "ends"), 2),
            ),
        ),
        "ForHalfPointerRelations",
        "relations",
        settings=(
            "subject_power", "object_power", "start_threshold", "end_threshold", "norm_eps",
            "epsilon",
        ),
        assumed="probabilities to the powers subject_power=2 and object_power=4, as in "
        "bert4keras's example; --head-option says otherwise",
    ),
    "span": Kind(
        "the start and the end of an answer", (SPAN,), "ForQuestionAnswering", "answer"
    ),
    "squad2": Kind(
        "the start and the end of an answer, and whether there is one",
        (SQUAD_2,),
        "ForMultiTask",
        "answer",
        settings=("start_top", "end_top", "norm_eps"),
        assumed="start_top=5 starts with end_top=5 ends of each are looked at, as by default in "
        "ALBERT's run_squad_v2.py; --head-option says otherwise",
    ),
}  # fmt: skip

#: What settings that are not asked for can be: numbers, numbers of labels, pairs of these, tables.
VALUES: dict[str, str] = {
    "dropout": "a number from 0",
    "loss_weight": "a number from 0",
    "threshold": "a number",
    "start_threshold": "a number",
    "end_threshold": "a number",
    "norm_eps": "a number from 0",
    "epsilon": "a number from 0",
    "subject_power": "a whole number from 1",
    "object_power": "a whole number from 1",
    "num_labels": "a whole number from 1",
    "start_top": "a whole number from 1",
    "end_top": "a whole number from 1",
    "starts": "a list of whole numbers",
    "ends": "a list of whole numbers",
    "forbidden": "a list of pairs of whole numbers",
    "entity": "a table",
    "head": "a table",
    "tail": "a table",
}
LOSSES = {
    "classifier": (
        "cross_entropy", "binary_cross_entropy", "multilabel_cross_entropy", "squared_error",
        "focal",
    ),
    "pointer": ("dense", "sparse"),
}  # fmt: skip

#: What every kind can be given.
ALWAYS = ("kind", "name", "labels", "dropout", "loss_weight")

#: Backbones of transformers, by `model_type`, whose own class computes just this: where the head
#: lies in it.
EXACT: dict[str, dict[str, str]] = {
    "classifier": dict.fromkeys(("bert", "albert"), "classifier"),
    "token_classifier": dict.fromkeys(("bert", "albert", "roformer", "electra"), "classifier"),
    "span": dict.fromkeys(("bert", "albert", "roformer", "electra"), "qa_outputs"),
}
