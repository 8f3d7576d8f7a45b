"""What a family of checkpoints is, and the options that bert4keras knows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from convert.families.activations import function_of
from convert.weights.renames import Rename
from convert.weights.rows import Row

#: What bert4keras's builder is given and no file records: option -> its value there by default.
#: None: as the files are.
COMMON: dict[str, Any] = {
    "autoresize_weights": False,
    "keep_tokens": None,
    "compound_tokens": None,
    "gelu": "erf",
    "do_lower_case": None,
    "pre_tokenize": None,
    "simplified": False,
    "startswith": None,
    "averaged": False,
    "head": None,
    "heads": None,
    "labels": None,
}
#: Of these, what a conversion does once and for all.
DONE = (
    "autoresize_weights",
    "keep_tokens",
    "compound_tokens",
    "averaged",
    "head",
    "heads",
    "labels",
)
#: Of these, what is said only where the files have something that it decides.
UNSAID = ("averaged", "head", "heads", "labels")
TRANSFORMER: dict[str, Any] = {
    "application": "encoder",
    "shared_segment_embeddings": False,
    "residual_attention_scores": False,
    "layer_norm_cond_hidden_size": None,
    "layer_norm_cond_hidden_act": None,
    "custom_position_ids": False,
    "hierarchical_position": None,
    **COMMON,
}
#: The same where attention has no raw scores of a layer before that could be added.
WITHOUT_SCORES = {
    name: value for name, value in TRANSFORMER.items() if name != "residual_attention_scores"
}
HEADS: dict[str, Any] = {"with_pool": None, "with_nsp": None, "with_mlm": None}

#: Options that bert4keras also takes from the configuration, under these keys of `config`.
CONFIG_OPTIONS = {
    "segment_vocab_size": "type_vocab_size",
    "max_position": "max_position_embeddings",
    "attention_head_size": "attention_head_size",
    "attention_key_size": "attention_key_size",
    "embedding_size": "embedding_size",
    "hidden_act": "hidden_act",
    "dropout_rate": "hidden_dropout_prob",
    "attention_dropout_rate": "attention_probs_dropout_prob",
}

CHOICES = {
    "application": ("encoder", "lm", "unilm"),
    "gelu": ("erf", "tanh"),
    "semantics": ("google", "bert4keras"),
    "stack": ("both", "encoder", "decoder"),
    "pre_tokenize": ("jieba",),
    "head": ("none",),
}

#: Which option decides about a part, for hints.
PART_OPTIONS = {
    "pooler": "with_pool",
    "nsp": "with_nsp",
    "mlm": "with_mlm",
    "discriminator": "with_discriminator",
    "lm": "with_lm",
}

#: Of these, the ones that decide about heads of pretraining, which a backbone lacks.
HEAD_OPTIONS = ("with_mlm", "with_nsp", "with_discriminator", "with_lm")

#: Parts that are left out where one stack alone is asked for.
WITHOUT = {"encoder": ("decoder", "lm"), "decoder": ("encoder",)}


@dataclass
class Settings:
    """Everything that decides about one conversion.

    Attributes:
        config: the legacy configuration, options of its own merged in.
        options: those of the family, with the values in force.
        sizes: what the names in `Row.shape` stand for; "vocab" as the result has it.
        parts: which parts of the model there are.
        source_vocab: rows of the legacy vocabulary table.
        defaults: options that were not given and were decided, with their values.
        notes: what the family has to say of the result.
        heads: tables of heads of fine-tuning, where transformers' own class has no word for them.
    """

    config: dict[str, Any]
    options: dict[str, Any]
    sizes: dict[str, int] = field(default_factory=dict)
    parts: dict[str, bool] = field(default_factory=dict)
    source_vocab: int = 0
    defaults: dict[str, Any] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    heads: Mapping[str, Any] | None = None

    @property
    def hidden_act(self) -> str:
        """The activation as transformers names it."""
        return self.activation(self.config.get("hidden_act", "gelu"))

    @property
    def pooler_act(self) -> str:
        """The pooler's: tanh unless `with_pool` names another."""
        given = self.options.get("with_pool")
        return self.activation(given) if isinstance(given, str) else "tanh"

    @property
    def condition_act(self) -> str | None:
        """That of the map before conditional normalisation; None is linear."""
        given = self.options.get("layer_norm_cond_hidden_act")
        return None if given is None else self.activation(given)

    @property
    def compounds(self) -> list[tuple[list[int], list[float]]]:
        """Appended tokens as rows and weights."""
        pairs = []
        for entry in self.options["compound_tokens"] or ():
            nested = entry and isinstance(entry[0], list | tuple)
            rows, weights = entry if nested else (entry, [1] * len(entry))
            pairs.append((list(rows), list(weights)))
        return pairs

    def lasting(self) -> dict[str, Any]:
        """The options that still describe the result: not what was done to its tables."""
        return {name: value for name, value in self.options.items() if name not in DONE}

    def activation(self, name: object) -> str:
        """The function that a name means; arguments and errors as `function_of`."""
        return function_of(name, self.options["gelu"])


@dataclass(frozen=True)
class Family:
    """Checkpoints of one architecture.

    Attributes:
        name: bert4keras's `model=` string.
        title: in words.
        telltales: sets of tensor names; a checkpoint that has all of one set fits. A name after
            `!` must be absent.
        rows: the weight table.
        config: makes `config.json` of the settings.
        aliases: other strings for the same computation -> options that they stand for.
        paper: where the architecture was described.
        options: what bert4keras's builder takes for it -> the default.
        applications: values of the option `application`.
        renames: to transformers' names, where the result is a model of its.
        behind: Keras layer -> the one that Keras lists before it, where the table does not.
        dropped: names left out on purpose, patterns, each with the reason.
        returns: whether bert4keras has such models, so that they can go back to it.
        refused: patterns of names of tensors that its models cannot have, each with the reason.
        says: entries that only this family's configurations have: a key and its value.
    """

    name: str
    title: str
    telltales: tuple[tuple[str, ...], ...]
    rows: tuple[Row, ...]
    config: Callable[[Settings], dict[str, Any]]
    aliases: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    paper: str = ""
    options: Mapping[str, Any] = field(default_factory=lambda: TRANSFORMER | HEADS)
    applications: tuple[str, ...] = ("encoder", "lm", "unilm")
    renames: tuple[Rename, ...] = ()
    behind: Mapping[str, str] = field(default_factory=dict)
    dropped: tuple[tuple[str, str], ...] = ()
    returns: bool = True
    refused: tuple[tuple[str, str], ...] = ()
    says: Mapping[str, Any] = field(default_factory=dict)

    def is_named_by(self, config: Mapping[str, Any]) -> bool:
        """Whether a legacy configuration says that its model is of this family."""
        return _says(config, {"model_type": self.name, **self.says})

    def contradicts(self, config: Mapping[str, Any], fitting: Collection[Family]) -> bool:
        """Whether a configuration says what only this family's say, and its files do not fit."""
        return _says(config, self.says) and self not in fitting

    def fits(self, names: Collection[str]) -> bool:
        """Whether a checkpoint with these names could be one of the family."""
        return any(
            all((word[1:] not in names) if word[0] == "!" else word in names for word in telltale)
            for telltale in self.telltales
        )


def _says(config: Mapping[str, Any], entries: Mapping[str, Any]) -> bool:
    """Whether a configuration has one of some entries; `"true"` is true."""
    return any(
        key in config and str(config[key]).lower() == str(value).lower()
        for key, value in entries.items()
    )
