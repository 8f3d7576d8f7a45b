"""What texts are trained for, a row a task."""

from .collators import CausalCollator, Collator, MaskingCollator
from .encoders import (
    encode_causal,
    encode_classified,
    encode_labeled,
    encode_masked,
    encode_pairs,
    encode_scored,
)
from .marked_collators import (
    EntitiesCollator,
    LinkedCollator,
    PairsCollator,
    SeveralCollator,
    SubjectCollator,
)
from .marking import encode_entities, encode_relations, encode_tags
from .task import Head, Task

#: Classes of models by the kind of a head's table.
CLASSIFIER = {
    "": Head("ForSequenceClassification", Collator),
    "classifier": Head("ForSequenceClassification", Collator),
}
TASKS = {
    task.name: task
    for task in (
        Task(
            "masked-lm", {"": Head("ForMaskedLM", MaskingCollator, "labels")}, ("text",),
            encode_masked, packs=True, masks=True,
        ),
        Task(
            "causal-lm", {"": Head("ForCausalLM", CausalCollator, "next labels")}, ("text",),
            encode_causal, template="", packs=True,
        ),
        Task(
            "seq2seq", {"": Head("ForConditionalGeneration", Collator, "labels")},
            ("source", "target"), encode_pairs, num_columns=(2,), template="[SEP]",
        ),
        Task(
            "classification", CLASSIFIER, ("text",), encode_classified, label="label",
            num_columns=(1, 2), min_labels=2,
        ),
        Task(
            "multilabel",
            {kind: Head(head.ending, SeveralCollator) for kind, head in CLASSIFIER.items()},
            ("text",), encode_labeled, label="labels", num_columns=(1, 2), several=True,
        ),
        Task(
            "tags",
            {
                "crf": Head("ForCRFTokenClassification", Collator),
                "memm": Head("ForMEMMTokenClassification", Collator, "labels"),
                "token_classifier": Head("ForTokenClassification", Collator, "labels"),
            },
            ("text",), encode_tags, marks="tags", min_labels=2,
        ),
        Task(
            "entities",
            {
                "efficient_global_pointer": Head("ForEntityPointers", EntitiesCollator),
                "global_pointer": Head("ForEntityPointers", EntitiesCollator),
            },
            ("text",), encode_entities, marks="entities", table={"size": 64, "loss": "sparse"},
        ),
        Task(
            "relations",
            {
                "gplinker": Head("ForRelationPointers", LinkedCollator),
                "half_pointer": Head("ForHalfPointerRelations", SubjectCollator, "tokens"),
            },
            ("text",), encode_relations, marks="relations",
        ),
        Task(
            "pairs", {"vectors": Head("ForSentenceVectors", PairsCollator, "")},
            ("sentence1", "sentence2"), encode_scored, label="label", num_columns=(2,),
            scored=True,
        ),
    )
}  # fmt: skip
