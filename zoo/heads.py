"""The heads of text models, as strings: what finds them, and what a model with one can do."""

LABELS, SEQ2SEQ = ("classifies",), ("predicts", "generates", "translates")
#: Ends of the names of classes with heads of fine-tuning, which genae has for all architectures.
FINE_TUNED = (
    "ForCRFTokenClassification", "ForMEMMTokenClassification", "ForEntityPointers",
    "ForRelationPointers", "ForHalfPointerRelations", "ForMultiTask",
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
        "AutoModelForSequenceClassification", "text-classification", LABELS
    ),
    "ForTokenClassification": ("AutoModelForTokenClassification", "token-classification", LABELS),
    "ForCRFTokenClassification": ("AutoModelForTokenClassification", "token-classification", ()),
    "ForMEMMTokenClassification": ("AutoModelForTokenClassification", "token-classification", ()),
    "ForEntityPointers": ("AutoModel", "token-classification", ()),
    "ForRelationPointers": ("AutoModel", "token-classification", ()),
    "ForHalfPointerRelations": ("AutoModel", "token-classification", ()),
    "ForMultiTask": ("AutoModel", "text-classification", ()),
    "ForQuestionAnswering": ("AutoModelForQuestionAnswering", "question-answering", ()),
    "ForMultipleChoice": ("AutoModelForMultipleChoice", "text-classification", ()),
    "EncoderModel": ("AutoModelForTextEncoding", "feature-extraction", ()),
    "Model": ("AutoModel", "feature-extraction", ()),
}  # fmt: skip


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
