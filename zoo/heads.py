"""The heads of text models, as strings: what finds them, and what a model with one can do."""

from collections.abc import Mapping
from typing import Any

SEQ2SEQ = ("predicts", "generates", "translates")
TAGS, EXTRACTS = ("tags", "classifies"), ("extracts",)
RELATES = (*EXTRACTS, "relates")
#: Ends of the names of classes with heads of fine-tuning, which genae has for all architectures.
FINE_TUNED = (
    "ForCRFTokenClassification", "ForMEMMTokenClassification", "ForEntityPointers",
    "ForRelationPointers", "ForHalfPointerRelations", "ForSentenceVectors", "ForMultiTask",
)  # fmt: skip
#: Heads of text models, as names of classes end: the Auto class that finds them, the Hub's
#: pipeline tag, what a model with it can do. The first that fits counts.
HEADS: dict[str, tuple[str, str, tuple[str, ...]]] = {
    "ForMaskedLM": ("AutoModelForMaskedLM", "fill-mask", ("predicts", "fills")),
    "ForCausalLM": ("AutoModelForCausalLM", "text-generation", ("predicts", "generates")),
    "LMHeadModel": ("AutoModelForCausalLM", "text-generation", ("predicts", "generates")),
    "ForConditionalGeneration": ("AutoModelForSeq2SeqLM", "text-generation", SEQ2SEQ),
    "ForPreTraining": ("AutoModelForPreTraining", "feature-extraction", ()),
    "ForNextSentencePrediction": ("AutoModelForNextSentencePrediction", "text-classification", ()),
    "ForSequenceClassification": (
        "AutoModelForSequenceClassification", "text-classification", ("classifies",)
    ),
    "ForTokenClassification": (
        "AutoModelForTokenClassification", "token-classification", TAGS
    ),
    "ForCRFTokenClassification": ("AutoModelForTokenClassification", "token-classification", TAGS),
    "ForMEMMTokenClassification": (
        "AutoModelForTokenClassification", "token-classification", TAGS
    ),
    "ForEntityPointers": ("AutoModel", "token-classification", EXTRACTS),
    "ForRelationPointers": ("AutoModel", "token-classification", RELATES),
    "ForHalfPointerRelations": ("AutoModel", "token-classification", RELATES),
    "ForSentenceVectors": ("AutoModel", "sentence-similarity", ("embeds",)),
    "ForMultiTask": ("AutoModel", "text-classification", ()),
    "ForQuestionAnswering": (
        "AutoModelForQuestionAnswering", "question-answering", ("answers",)
    ),
    "ForMultipleChoice": ("AutoModelForMultipleChoice", "text-classification", ()),
    "EncoderModel": ("AutoModelForTextEncoding", "feature-extraction", ("embeds",)),
    "Model": ("AutoModel", "feature-extraction", ("embeds",)),
}  # fmt: skip
#: What a head of each kind does with texts, of several heads on one backbone.
OF_KINDS = {
    "classifier": "classifies",
    **dict.fromkeys(("token_classifier", "crf", "memm"), "tags"),
    **dict.fromkeys(
        ("global_pointer", "efficient_global_pointer", "gplinker", "half_pointer"), "extracts"
    ),
    **dict.fromkeys(("span", "squad2"), "answers"),
}


def tables_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """The tables of several heads on one backbone, in the order of the model's.

    Args:
        config: its `config.json`.

    Example:
        >>> tables_of({"heads": {"a": {}, "b": {}}, "head_order": ["b", "a"]})
        {'b': {}, 'a': {}}
    """
    tables, order = config.get("heads"), config.get("head_order")
    if not isinstance(tables, Mapping):
        return {}
    known = [name for name in (order if isinstance(order, list) else ()) if name in tables]
    return {name: tables[name] for name in dict.fromkeys([*known, *tables])}


def heads_that(ability: str, config: Mapping[str, Any]) -> list[str]:
    """The heads of a model with several that can do something, by name.

    Args:
        ability: a value of `OF_KINDS`.
        config: its `config.json`.

    Example:
        >>> heads_that("tags", {"heads": {"slots": {"kind": "crf"}, "topic": {"kind": "span"}}})
        ['slots']
    """
    return [
        name
        for name, table in tables_of(config).items()
        if isinstance(table, dict) and OF_KINDS.get(str(table.get("kind"))) == ability
    ]


def is_fine_tuned(architecture: str) -> bool:
    """Whether a class of this name has heads of fine-tuning, which are genae's own.

    Example:
        >>> is_fine_tuned("BertForEntityPointers"), is_fine_tuned("BertForTokenClassification")
        (True, False)
    """
    return architecture.endswith(FINE_TUNED)


def auto_class(architecture: str) -> str:
    """The Auto class of transformers that finds a model class; empty where none does.

    Args:
        architecture: of a text model, as `config.json` names it.

    Example:
        >>> auto_class("AlbertForPreTraining"), auto_class("GenaeT5EncoderModel")
        ('AutoModelForPreTraining', 'AutoModelForTextEncoding')
    """
    found = (auto for ending, (auto, *_) in HEADS.items() if architecture.endswith(ending))
    return next(found, "")
