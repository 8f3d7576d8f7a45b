"""What a family of checkpoints is, and how files, configuration and options become sizes."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from typing import Any

from convert.rows import Row
from zoo.errors import UsageError
from zoo.hints import did_you_mean

#: What bert4keras's builder is told and no file records: option -> its value there by default.
#: None: as the files are.
OPTIONS: dict[str, Any] = {
    "application": "encoder",
    "with_pool": None,
    "with_nsp": None,
    "with_mlm": None,
    "hierarchical_position": None,
    "custom_position_ids": False,
    "shared_segment_embeddings": False,
    "residual_attention_scores": False,
    "layer_norm_cond_hidden_size": None,
    "layer_norm_cond_hidden_act": None,
    "autoresize_weights": False,
    "keep_tokens": None,
    "compound_tokens": None,
    "gelu": "erf",
    "do_lower_case": None,
}

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

CHOICES = {"application": ("encoder", "lm", "unilm"), "gelu": ("erf", "tanh")}

#: bert4keras's names of activations as transformers has them; `gelu` is what the option says.
ACTIVATIONS = {
    "gelu_erf": "gelu",
    "gelu_tanh": "gelu_pytorch_tanh",
    "relu": "relu",
    "swish": "silu",
    "silu": "silu",
    "tanh": "tanh",
    "sigmoid": "sigmoid",
    "linear": "linear",
    "leaky_relu": "leaky_relu",
}

#: Which option decides about a part, for hints.
PART_OPTIONS = {"pooler": "with_pool", "nsp": "with_nsp", "mlm": "with_mlm"}


@dataclass
class Settings:
    """Everything that decides about one conversion.

    Attributes:
        config: the legacy configuration, options of its own merged in.
        options: `OPTIONS` with the values that hold.
        sizes: what the names in `Row.shape` stand for; "vocab" as the result has it.
        parts: which parts of the model there are.
        source_vocab: rows of the legacy vocabulary table.
        defaults: options that were not given and were decided, with their values.
    """

    config: dict[str, Any]
    options: dict[str, Any]
    sizes: dict[str, int] = field(default_factory=dict)
    parts: dict[str, bool] = field(default_factory=dict)
    source_vocab: int = 0
    defaults: dict[str, Any] = field(default_factory=dict)

    @property
    def hidden_act(self) -> str:
        """The activation as transformers names it."""
        return self.activation(self.config.get("hidden_act", "gelu"))

    @property
    def pooler_act(self) -> str:
        """The pooler's: tanh unless `with_pool` names another."""
        given = self.options["with_pool"]
        return self.activation(given) if isinstance(given, str) else "tanh"

    @property
    def compounds(self) -> list[tuple[list[int], list[float]]]:
        """Appended tokens as rows and weights."""
        pairs = []
        for entry in self.options["compound_tokens"] or ():
            nested = entry and isinstance(entry[0], list | tuple)
            rows, weights = entry if nested else (entry, [1] * len(entry))
            pairs.append((list(rows), list(weights)))
        return pairs

    def activation(self, name: str) -> str:
        """Translate one of bert4keras's names.

        Raises:
            UsageError: it is none of them.
        """
        name = f"gelu_{self.options['gelu']}" if name == "gelu" else name
        if name not in ACTIVATIONS:
            raise UsageError(f"no activation {name!r}. {did_you_mean(name, ACTIVATIONS)}")
        return ACTIVATIONS[name]


@dataclass(frozen=True)
class Family:
    """Checkpoints of one architecture.

    Attributes:
        name: bert4keras's `model=` string.
        aliases: other strings for the same computation.
        title: in words.
        telltales: sets of tensor names; a checkpoint that has all of one set fits.
        rows: the weight table.
        config: makes `config.json` of the settings.
        paper: where the architecture was described.
    """

    name: str
    aliases: tuple[str, ...]
    title: str
    telltales: tuple[tuple[str, ...], ...]
    rows: tuple[Row, ...]
    config: Callable[[Settings], dict[str, Any]]
    paper: str = ""

    def fits(self, names: Collection[str]) -> bool:
        """Whether a checkpoint with these names could be one of the family."""
        return any(all(name in names for name in telltale) for telltale in self.telltales)


def settle(
    family: Family,
    format: str,
    shapes: Mapping[str, tuple[int, ...]],
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Settings:
    """Merge configuration and options as bert4keras does, and ask the files about the rest.

    Args:
        family: the family.
        format: of the checkpoint.
        shapes: of its tensors, by the names the rows use.
        config: the legacy configuration.
        options: what `build_transformer_model` was told.

    Raises:
        UsageError: an option or value is unknown, or a size is missing or impossible.
    """
    known = {*OPTIONS, *CONFIG_OPTIONS}
    for name in options:
        if name not in known:
            raise UsageError(f"no option {name!r}. {did_you_mean(name, known)}")
    for name, choices in CHOICES.items():
        if (value := options.get(name, OPTIONS[name])) not in choices:
            raise UsageError(f"{name} is {value!r}; it can be {' or '.join(choices)}")
    merged = dict(config)
    for name, key in CONFIG_OPTIONS.items():
        for place in (config, options):
            if name in place:
                merged[key] = place[name]
    chosen = OPTIONS | {name: value for name, value in options.items() if name in OPTIONS}
    if chosen["autoresize_weights"] and not str(merged.get("hidden_act", "gelu")).startswith(
        "gelu"
    ):
        raise UsageError(
            f"autoresize_weights with hidden_act {merged['hidden_act']!r}: bert4keras scales such "
            "weights in its own way, of which there is no record; only gelu is known"
        )
    if chosen["hierarchical_position"] is True:
        chosen["hierarchical_position"] = 0.4
    settings = Settings(merged, chosen)
    settings.parts = _parts(family, format, shapes, settings)
    settings.sizes = _sizes(family, format, shapes, settings)
    settings.source_vocab = settings.sizes["vocab"]
    keep, extra = chosen["keep_tokens"], settings.compounds
    _check_rows("keep_tokens", keep or (), settings.source_vocab)
    kept = settings.source_vocab if keep is None else len(keep)
    for rows, _ in extra:
        _check_rows("compound_tokens", rows, kept)
    settings.sizes["vocab"] = kept + len(extra)
    settings.defaults = {
        name: settings.parts.get(_part_of(name), chosen[name])
        for name in OPTIONS
        if name not in options
    }
    return settings


def _part_of(option: str) -> str:
    return next((part for part, name in PART_OPTIONS.items() if name == option), "")


def _check_rows(option: str, rows: Any, count: int) -> None:
    if not all(type(row) is int and 0 <= row < count for row in rows):
        raise UsageError(f"{option} names rows outside 0..{count - 1}: the table has {count}")


def _parts(
    family: Family, format: str, shapes: Mapping[str, Any], settings: Settings
) -> dict[str, bool]:
    """Which parts of the model there are: what options say, else what the files hold."""
    options = settings.options
    held: dict[str, bool] = {}
    for row in family.rows:
        name = (row.name_in(format) or "").replace("{i}", "0")
        held[row.part] = held.get(row.part, False) or name in shapes
    parts = dict.fromkeys(held, True)
    for part, option in PART_OPTIONS.items():
        if part in held:
            parts[part] = held[part] if options[option] is None else bool(options[option])
    if "nsp" in parts:
        if options["with_pool"] is None:
            parts["pooler"] = parts["pooler"] or parts["nsp"]
        parts["nsp"] = parts["nsp"] and parts["pooler"]
    if options["with_mlm"] is None and options["application"] != "encoder" and "mlm" in held:
        parts["mlm"] = True
    segments = settings.config.get("type_vocab_size", 2)
    parts["segments"] = bool(segments) and not options["shared_segment_embeddings"]
    parts["mapping"] = held.get("mapping", False)
    hidden = options["layer_norm_cond_hidden_size"] is not None
    parts["condition"] = held.get("condition", False) and not hidden
    parts["hidden_condition"] = held.get("condition", False) and hidden
    return parts


def _sizes(
    family: Family, format: str, shapes: Mapping[str, tuple[int, ...]], settings: Settings
) -> dict[str, int]:
    """What the names in the rows' shapes stand for."""
    config = settings.config

    def size(key: str, default: int | None = None) -> int:
        value = config.get(key, default)
        if type(value) is not int or value < (0 if key == "type_vocab_size" else 1):
            raise UsageError(
                f"the configuration's {key} is {value!r}: a whole number is needed; give "
                "--config FILE with the bert_config.json that belongs to the checkpoint"
            )
        return value

    hidden, heads = size("hidden_size"), size("num_attention_heads")
    size("num_hidden_layers")
    if hidden % heads and config.get("attention_head_size") is None:
        raise UsageError(f"hidden_size {hidden} is not a multiple of {heads} attention heads")
    head = size("attention_head_size", hidden // heads)
    sizes = {
        "vocab": size("vocab_size"),
        "hidden": hidden,
        "intermediate": size("intermediate_size"),
        "embedding": size("embedding_size", hidden),
        "positions": size("max_position_embeddings", 512),
        "segments": size("type_vocab_size", 2),
        "values": heads * head,
        "keys": heads * size("attention_key_size", head),
    }
    if settings.parts["condition"] or settings.parts["hidden_condition"]:
        row = next(row for row in family.rows if row.part in ("condition", "hidden_condition"))
        sizes["condition"] = shapes[row.name_in(format) or ""][0]
        if settings.parts["hidden_condition"]:
            sizes["condition_hidden"] = settings.options["layer_norm_cond_hidden_size"]
    return sizes


#: Tensors that no model reads, dropped on purpose: a pattern of their names, and what they are.
DROPPED = tuple(
    (re.compile(pattern), reason)
    for pattern, reason in (
        (r"(^|/)global_step$", "step counter"),
        (r"(^|/)(adam_[mv]|Adam(_1)?|AdamWeightDecay\w*(_1)?)$", "optimizer slot"),
        (r"(^|/)(LAMB\w*|lamb_[mv])$", "optimizer slot"),
        (r"_slot_(v|vr|vc|m)$", "optimizer slot"),
        (r"(^|/)beta[12]_power$", "optimizer slot"),
        (r"/\.OPTIMIZER_SLOT/|^optimizer(_weights)?/|^save_counter/", "optimizer slot"),
        (r"/ExponentialMovingAverage$", "moving average"),
    )
)
