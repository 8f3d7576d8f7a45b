"""Settings of the heads of fine-tuning: the nested tables of a configuration's `heads`.

A configuration has one table for each head, under the head's name, whose `kind` says what it is:

    heads = {"tags": {"kind": "crf", "lr_multiplier": 1000.0, "starts": [0], "ends": [0]}}

`KINDS` are the kinds and the settings of each. Labels are those of the configuration (`id2label`,
`num_labels`), unless a table names its own. Of several heads `head_order` is the list of their
names: `config.json` sorts its keys.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, fields
from typing import Any

from huggingface_hub.dataclasses import strict
from huggingface_hub.errors import StrictDataclassError

from .checks import at_least, one_of

POOLINGS = ("cls", "pooler", "mean")
ACTIVATIONS = ("softmax", "sigmoid", "linear")
#: What is learned with each activation, unless a table says otherwise.
LOSS_OF = {
    "softmax": "cross_entropy",
    "sigmoid": "binary_cross_entropy",
    "linear": "multilabel_cross_entropy",
}
LOSSES = (*LOSS_OF.values(), "squared_error", "focal")
POINTERS = ("global_pointer", "efficient_global_pointer")
POINTER_LOSSES = ("dense", "sparse")

Table = Mapping[str, Any]


@strict
@dataclass
class HeadSettings:
    """What the tables of all kinds have.

    Args:
        num_labels: number of labels, heads of a pointer or predicates; None is that of `labels`,
            or else of the configuration.
        labels: their names, in order; None are those of the configuration.
        dropout: share dropped of what the head reads in training, in [0, 1).
        loss_weight: what its loss is multiplied by in the sum over heads.
    """

    num_labels: int | None = None
    labels: list[str] | None = None
    dropout: float | int = 0.0
    loss_weight: float | int = 1.0

    def validate_common(self) -> None:
        """Raise `ValueError` for numbers that cannot be."""
        if self.num_labels is not None:
            at_least("num_labels", self.num_labels, 1)
        if self.labels is not None and len(self.labels) != (self.num_labels or len(self.labels)):
            raise ValueError(
                f"labels has {len(self.labels)} names and num_labels is {self.num_labels}; "
                "leave num_labels out"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError(f"dropout must be at least 0 and below 1, got {self.dropout}")
        at_least("loss_weight", self.loss_weight, 0)

    def count(self, default: int) -> int:
        """Number of labels; `default` is the configuration's."""
        return self.num_labels or len(self.labels or ()) or default


@strict
@dataclass
class TokenClassifierSettings(HeadSettings):
    """A linear map of every token.

    Args:
        activation: what makes probabilities of logits: "softmax" (one label), "sigmoid" (each
            label by itself) or "linear" (labels of logits above 0).
        loss: "cross_entropy", "binary_cross_entropy", "multilabel_cross_entropy",
            "squared_error" or "focal"; None is the first, second or third, as the activation is.
    """

    activation: str = "softmax"
    loss: str | None = None

    def validate_activation(self) -> None:
        """Raise `ValueError` for names that nothing has."""
        one_of("activation", self.activation, ACTIVATIONS)
        if self.loss is not None:
            one_of("loss", self.loss, LOSSES)


@strict
@dataclass
class ClassifierSettings(TokenClassifierSettings):
    """A linear map of one vector for a text.

    Args:
        pooling: the vector: "cls" (the first token's), "pooler" (that of the backbone's pooler)
            or "mean" (over visible tokens).
    """

    pooling: str = "cls"

    def validate_pooling(self) -> None:
        """Raise `ValueError` for a pooling that there is not."""
        one_of("pooling", self.pooling, POOLINGS)


@strict
@dataclass
class CRFSettings(HeadSettings):
    """A linear-chain conditional random field over emissions of every token.

    Args:
        lr_multiplier: the transitions are this times the stored ones, which therefore learn that
            much faster; above 0. bert4keras's weights files do not hold it.
        starts: labels that a decoded path may begin with; None is all.
        ends: labels that it may end with; None is all.
        forbidden: pairs of labels, from and to, that no decoded path has.
    """

    lr_multiplier: float | int = 1.0
    starts: list[int] | None = None
    ends: list[int] | None = None
    forbidden: list[list[int]] | None = None

    def validate_chain(self) -> None:
        """Raise `ValueError` for what no chain has."""
        if not self.lr_multiplier > 0:
            raise ValueError(f"lr_multiplier must be above 0, got {self.lr_multiplier}")
        if any(len(pair) != 2 for pair in self.forbidden or ()):
            raise ValueError(f"forbidden holds pairs of labels, from and to; got {self.forbidden}")


@strict
@dataclass
class MEMMSettings(CRFSettings):
    """A maximum-entropy Markov model over emissions of every token.

    Args:
        hidden_dim: width of the two factors that transitions are a product of; None is a whole
            matrix.
    """

    hidden_dim: int | None = None

    def validate_factors(self) -> None:
        """Raise `ValueError` for factors without columns."""
        if self.hidden_dim is not None:
            at_least("hidden_dim", self.hidden_dim, 1)


@strict
@dataclass
class PointerSettings(HeadSettings):
    """Scores of spans by queries of their starts and keys of their ends.

    Args:
        size: width of a query and of a key.
        rope: turn queries and keys by their positions, for which `size` must be even.
        triangle: no span ends before it starts.
        bias: whether the maps have biases.
        loss: "dense" (labels for every cell, mean over heads) or "sparse" (labels as pairs of
            start and end, sum over heads).
        threshold: a span is found where its score is above this.
    """

    size: int = 64
    rope: bool = True
    triangle: bool = True
    bias: bool = True
    loss: str = "dense"
    threshold: float | int = 0.0

    def validate_pointer(self) -> None:
        """Raise `ValueError` for sizes and losses that cannot be."""
        at_least("size", self.size, 1)
        one_of("loss", self.loss, POINTER_LOSSES)
        if self.rope and self.size % 2:
            raise ValueError(f"rope turns pairs: size {self.size} must be even")


@strict
@dataclass
class GPLinkerSettings(HeadSettings):
    """Three pointers: of entities, and of the heads and the tails of pairs of them.

    Args:
        pointer: "efficient_global_pointer" or "global_pointer".
        size: width of a query and of a key.
        bias: whether the maps have biases.
        loss: "sparse" or "dense", of all three.
        threshold: of all three.
        entity: settings of that pointer alone, over those above; 2 heads, of subjects and of
            objects.
        head: the same; a head for each predicate, without positions and triangle.
        tail: the same.
    """

    pointer: str = "efficient_global_pointer"
    size: int = 64
    bias: bool = True
    loss: str = "sparse"
    threshold: float | int = 0.0
    entity: dict[str, Any] | None = None
    head: dict[str, Any] | None = None
    tail: dict[str, Any] | None = None

    def validate_pointers(self) -> None:
        """Raise `ValueError` for a pointer that cannot be."""
        one_of("pointer", self.pointer, POINTERS)
        self.pointers(1)

    def pointers(self, predicates: int) -> dict[str, PointerSettings]:
        """The settings of the three, by name."""
        shared = {name: getattr(self, name) for name in ("size", "bias", "loss", "threshold")}
        pairs = {"num_labels": predicates, "rope": False, "triangle": False}
        own = {"entity": {"num_labels": 2}, "head": pairs, "tail": pairs}
        return {
            name: _made(PointerSettings, name, {**shared, **more, **(getattr(self, name) or {})})
            for name, more in own.items()
        }


@strict
@dataclass
class HalfPointerSettings(HeadSettings):
    """Subjects by their starts and ends, then the objects of one subject for each predicate.

    Args:
        subject_power: probabilities of subjects are the sigmoid to this power.
        object_power: the same of objects.
        start_threshold: a span starts where the probability is above this.
        end_threshold: it ends where the probability is above this.
        norm_eps: added to the variance of the conditional normalisation.
        epsilon: of the loss, below 0.5; 0 is exact, 1e-7 as Keras rounds it.
    """

    subject_power: int = 2
    object_power: int = 4
    start_threshold: float | int = 0.6
    end_threshold: float | int = 0.5
    norm_eps: float = 1e-7
    epsilon: float | int = 0

    def validate_powers(self) -> None:
        """Raise `ValueError` for powers below 1 and an epsilon that leaves nothing."""
        if not 0 <= self.epsilon < 0.5:
            raise ValueError(f"epsilon must be at least 0 and below 0.5, got {self.epsilon}")
        at_least("subject_power", self.subject_power, 1)
        at_least("object_power", self.object_power, 1)


@strict
@dataclass
class SpanSettings(HeadSettings):
    """One span of each text, by logits of its start and its end."""


@strict
@dataclass
class VectorsSettings(HeadSettings):
    """One vector for each text, learned from pairs of texts.

    Args:
        pooling: as of a classifier, "mean" by default.
        scale: what cosines are multiplied by in the loss, the inverse of a temperature; above 0.
    """

    pooling: str = "mean"
    scale: float | int = 20.0

    def validate_vectors(self) -> None:
        """Raise `ValueError` for a pooling that there is not, and a scale that ranks nothing."""
        one_of("pooling", self.pooling, POOLINGS)
        if not self.scale > 0:
            raise ValueError(f"scale must be above 0, got {self.scale}")


@strict
@dataclass
class Squad2Settings(HeadSettings):
    """One span of each text, and whether there is one (`heads_squad2.py`).

    Args:
        start_top: number of starts whose ends are scored, as `start_n_top` of ALBERT's script.
        end_top: number of ends of each that are looked at, as `end_n_top` there.
        norm_eps: added to the variance of the normalisation inside.
    """

    start_top: int = 5
    end_top: int = 5
    norm_eps: float = 1e-12

    def validate_numbers(self) -> None:
        """Raise `ValueError` for searches of nothing."""
        at_least("start_top", self.start_top, 1)
        at_least("end_top", self.end_top, 1)


KINDS: dict[str, type[HeadSettings]] = {
    "classifier": ClassifierSettings,
    "token_classifier": TokenClassifierSettings,
    "crf": CRFSettings,
    "memm": MEMMSettings,
    "global_pointer": PointerSettings,
    "efficient_global_pointer": PointerSettings,
    "gplinker": GPLinkerSettings,
    "half_pointer": HalfPointerSettings,
    "span": SpanSettings,
    "vectors": VectorsSettings,
    "squad2": Squad2Settings,
}


def read_heads(heads: Mapping[str, Table]) -> dict[str, tuple[str, HeadSettings]]:
    """The kind and the settings of each head.

    Args:
        heads: tables by the names of the heads, as a configuration holds them.

    Raises:
        ValueError: a head has no name that a module can have, or no known kind, or a setting that
            its kind lacks or cannot have; names the head and what there is.
    """
    return {name: _read(name, table) for name, table in heads.items()}


def in_order(heads: Mapping[str, Table], order: Sequence[str] | None) -> dict[str, Table]:
    """Tables in an order.

    Args:
        heads: tables by the names of the heads.
        order: names, as a configuration's `head_order` holds them; heads that it lacks come last.
    """
    places = {name: place for place, name in enumerate(order or ())}
    return {
        name: heads[name] for name in sorted(heads, key=lambda name: places.get(name, len(places)))
    }


def only_settings(heads: Mapping[str, Table] | None, kind: str) -> HeadSettings | None:
    """The settings of the only head, where it is of a kind; else None. Errors of `read_heads`."""
    made = list(read_heads(heads or {}).values())
    return made[0][1] if [each for each, _ in made] == [kind] else None


def _read(name: str, table: Table) -> tuple[str, HeadSettings]:
    if not name or "." in name:
        raise ValueError(f"heads: a head cannot be called {name!r}; give it a name without '.'")
    if not isinstance(table, Mapping):
        raise ValueError(f"heads: {name!r} must be a table with a 'kind', got {table!r}")
    kind = table.get("kind")
    if kind not in KINDS:
        raise ValueError(
            f"heads: the kind of {name!r} must be one of {', '.join(KINDS)}; got {kind!r}"
        )
    rest = {key: value for key, value in table.items() if key != "kind"}
    return kind, _made(KINDS[kind], name, rest)


def _made(kind: type[HeadSettings], name: str, table: Table) -> Any:
    known = [field.name for field in fields(kind)]
    unknown = [key for key in table if key not in known]
    if unknown:
        raise ValueError(
            f"heads: {name!r} has no setting {unknown[0]!r}; there are {', '.join(known)}"
        )
    try:
        return kind(**table)
    except (TypeError, ValueError, StrictDataclassError) as error:
        raise ValueError(f"heads: {name!r}: {' '.join(str(error).split())}") from error
