"""Heads of fine-tuning: what people put behind a model, found by its names.

Until they are converted they are named as what they are, and left out where somebody says so
(`--option head=none`). A name here is none that a family's rows use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

from convert.names.leftovers import why_left_over
from convert.names.naming import LAYER, Naming

Shapes = Mapping[str, tuple[int, ...]]


@dataclass(frozen=True)
class Head:
    """A head of fine-tuning.

    Attributes:
        title: what it is, in words.
        tensors: its tensors, as stored.
    """

    title: str
    tensors: tuple[str, ...]

    def __str__(self) -> str:
        """What it is and what it consists of."""
        more = len(self.tensors) - SHOWN
        shown = ", ".join(self.tensors[:SHOWN])
        return f"{self.title}: {shown}" + (f" and {more} more" if more > 0 else "")


@dataclass(frozen=True)
class Kind:
    r"""One line of the table of heads.

    Attributes:
        pattern: of the whole name; `(?P<scope>...)` tells two heads of a kind apart.
        title: what it is; `{labels}` is "n labels" where the shapes tell how many, `{scope}` the
            scope.
    """

    pattern: str
    title: str


SHOWN = 6  # tensors in a message
VALUE = "/.ATTRIBUTES/VARIABLE_VALUE"  # what object graphs put behind a name
SCOPE = r"(?P<scope>(?:.*/)?)"
WEIGHTS = r"(?:kernel|bias|weights?|biases|[wWb]|output_weights|output_bias)"

#: The first that fits names a tensor. Names are those of google-research/bert (run_classifier,
#: run_squad), albert and xlnet (squad_utils), electra (finetune), of BERT-BiLSTM-CRF-NER and
#: BERT-NER, of tensorflow/models (official/nlp) and of transformers' TensorFlow models.
KINDS = (
    Kind(rf"{SCOPE}cls/squad/output_(?:weights|bias)", "question answering (SQuAD)"),
    Kind(rf"{SCOPE}qa_outputs/(?:kernel|bias)", "question answering (SQuAD)"),
    Kind(
        rf"{SCOPE}(?:start_logits|end_logits|answer_class|answerable|is_impossible)/.+",
        "question answering with unanswerable questions (SQuAD 2)",
    ),
    Kind(r"(?P<scope>task_specific/[^/]+)/.+", "the head of {scope}{labels}"),
    Kind(
        rf"{SCOPE}(?:crf\w*/)?(?:transitions?|crf_transitions?|\w*_trans)(?:_params)?",
        "a CRF{labels}",
    ),
    Kind(rf"{SCOPE}crf\w*/.+", "a CRF{labels}"),
    Kind(
        rf"(?i){SCOPE}\w*(?:rnn|lstm|gru)(?:_?(?:cell|layer))?(?:_\d+)?/.+",
        "a recurrent layer",
    ),
    Kind(rf"{SCOPE}project/(?:hidden|logits)/[Wb]", "a tagger{labels}"),
    Kind(
        rf"{SCOPE}output_(?:weights|bias)",
        "a classifier{labels}",
    ),
    # transformers' classifiers of two maps, of which the second has the labels.
    Kind(
        rf"(?P<scope>)classifier/(?:dense|out_proj)/{WEIGHTS}", "a classifier{labels}, of two maps"
    ),
    Kind(
        r"(?P<scope>)(?:(?:loss|cls|head|\w*classifier\w*)/)?(?:classifier|classification|logits?|softmax|fc|"
        rf"output_layer|predictions?|dense|fully_connected|sentence_prediction)\w*/{WEIGHTS}",
        "a classifier{labels}",
    ),
    Kind(
        r"(?P<scope>(?:model/)?layer_with_weights-\d+(?:/layer_with_weights-\d+)*)/(?:kernel|bias)",
        "a classifier{labels}",
    ),
    Kind(
        r"(?P<scope>(?:model/)?(?:classification_heads/\d+|classifier|span_labeling|sentence_prediction))/.+",
        "a head of Google's Model Garden{labels}",
    ),
)
_KINDS = [(re.compile(kind.pattern), kind) for kind in KINDS]


def find(naming: Naming, shapes: Shapes) -> list[Head]:
    """The heads of fine-tuning among a checkpoint's tensors.

    Args:
        naming: what the tensors are called.
        shapes: of the tensors, by stored name.
    """
    groups: dict[tuple[str, str], dict[str, str]] = {}
    for name, stored in naming.names.items():
        if why_left_over(name) or why_left_over(stored):
            continue
        key = _named(name) if naming.kind == "tensorflow" else _layered(name)
        if key is not None:
            groups.setdefault(key, {})[name] = stored
    if naming.kind != "tensorflow":
        return list(_of_layers(groups, shapes))
    return [
        Head(
            title.format(scope=scope, labels=labels_of(members.values(), shapes)),
            tuple(sorted(members.values(), key=_weights_first)),
        )
        for (title, scope), members in groups.items()
    ]


#: Heads of pretraining, which some families have and others leave over.
PRETRAINING = re.compile(r"(?:.*/)?(?:cls/(?:predictions|seq_relationship)|\w+_predictions)/.*")


def _named(name: str) -> tuple[str, str] | None:
    """Title and scope of the kind that a name is of."""
    if PRETRAINING.fullmatch(name):
        return None
    for pattern, kind in _KINDS:
        if match := pattern.fullmatch(name):
            return kind.title, match["scope"].strip("/")
    return None


#: A layer and a place in it.
PLACE = re.compile(r"(?P<layer>[^#]+)#\d+")


def _layered(name: str) -> tuple[str, str] | None:
    """The layer of somebody's own that a Keras weight belongs to."""
    match = PLACE.fullmatch(name)
    if match:
        return None if LAYER.match(match["layer"]) else ("named", match["layer"])
    bare = re.sub(r"(/\.ATTRIBUTES/VARIABLE_VALUE|:0)$", "", name)
    return ("known by order", bare.rpartition("/")[0])


#: Layers of Keras and bert4keras by what Keras calls one of them.
LAYERS = tuple(
    (re.compile(pattern), title)
    for pattern, title in (
        (r"conditional_random_field|crf\w*", "a CRF{labels}"),
        (r"maximum_entropy_markov_model", "a MEMM{labels}"),
        (r"efficient_global_pointer", "an EfficientGlobalPointer"),
        (r"global_pointer", "a GlobalPointer"),
        (r"bi_?lstm|bidirectional|lstm|gru|(simple_)?rnn", "a recurrent layer"),
        (r"conv\w*", "a convolution"),
        (r"\w*normalization", "a normalization"),
        (r"embedding", "a table of embeddings"),
    )
)


def _of_layers(
    groups: Mapping[tuple[str, str], Mapping[str, str]], shapes: Shapes
) -> Iterator[Head]:
    """A head of each layer of somebody's own.

    A layer without a name that means something has to be a map with its offsets, or a square of
    transitions behind one: what else is left over may be a part of the model that another
    configuration would take.
    """
    unnamed = [group for (how, _), group in groups.items() if how != "named"]
    sizes = [[shapes[one] for one in group.values()] for group in unnamed]
    squares = [len(group) == 1 and _square(group[0]) for group in sizes]
    if not all(_is_map(group) or square for group, square in zip(sizes, squares, strict=True)) or (
        unnamed and all(squares)
    ):
        return
    for (_, layer), group in groups.items():
        stored = tuple(group.values())
        base = re.sub(r"_\d+$", "", layer.rpartition("/")[2])
        title = next((title for pattern, title in LAYERS if pattern.fullmatch(base)), None)
        if title is None:
            found = [shapes[one] for one in stored]
            title = "a classifier{labels}" if _is_map(found) else "a layer of fine-tuning"
            title = "a CRF{labels}" if len(found) == 1 and _square(found[0]) else title
        yield Head(title.format(labels=labels_of(stored, shapes)), stored)


def _is_map(shapes: list[tuple[int, ...]]) -> bool:
    """Whether a layer is a dense map with its bias."""
    shapes = sorted(shapes, key=len)
    return [len(shape) for shape in shapes] == [1, 2] and shapes[1][-1] == shapes[0][0]


def labels_of(names: Iterable[str], shapes: Shapes) -> str:
    """The number of labels in words, as the last offsets or transitions say it; or nothing.

    Args:
        names: of the head's tensors.
        shapes: of the tensors.
    """
    names = list(names)
    counts = [shapes[name][0] for name in names if len(shapes[name]) == 1]
    squares = [shapes[name][0] for name in names if _square(shapes[name])]
    maps = [
        shapes[name][0 if re.search(r"output_weights|l_trans|r_trans", name) else -1]
        for name in names
        if len(shapes[name]) == 2
    ]
    found = counts[-1:] or squares[-1:] or maps[-1:]
    if not found:
        return ""
    return (
        " of one value (a regression, or one choice)" if found == [1] else f" of {found[0]} labels"
    )


def _square(shape: tuple[int, ...]) -> bool:
    return len(shape) == 2 and shape[0] == shape[1]


def _weights_first(name: str) -> tuple[str, bool]:
    """A bias behind its weights, the offset of a normalisation behind its scale."""
    scope, _, leaf = name.removesuffix(VALUE).rpartition("/")
    return scope, "bias" in leaf or leaf in ("b", "beta")
