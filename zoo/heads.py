"""The heads of text models, as strings: what finds them, and what a model with one can do."""

LABELS, SEQ2SEQ = ("classifies",), ("predicts", "generates", "translates")
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
    "ForQuestionAnswering": ("AutoModelForQuestionAnswering", "question-answering", ()),
    "ForMultipleChoice": ("AutoModelForMultipleChoice", "text-classification", ()),
    "EncoderModel": ("AutoModelForTextEncoding", "feature-extraction", ()),
    "Model": ("AutoModel", "feature-extraction", ()),
}  # fmt: skip
