"""How files, configuration and options together become the sizes and parts of one model."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from convert.families.activations import GELUS, function_of
from convert.families.base import (
    CHOICES,
    CONFIG_OPTIONS,
    PART_OPTIONS,
    UNSAID,
    WITHOUT,
    Family,
    Settings,
)
from convert.weights.rows import numbered
from zoo.errors import UsageError
from zoo.hints import did_you_mean

MAX_LAYERS = 1000  # every one is named before the files are looked at


def resolve_settings(
    family: Family,
    naming: str,
    shapes: Mapping[str, tuple[int, ...]],
    config: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Settings:
    """Merge configuration and options as bert4keras does, and ask the files about the rest.

    Args:
        family: the family.
        naming: how the checkpoint's tensors are called.
        shapes: of its tensors, by the names the rows use.
        config: the legacy configuration.
        options: those given to `build_transformer_model`.

    Raises:
        UsageError: an option or value is unknown, or a size is missing or impossible.
    """
    known = {*family.options, *CONFIG_OPTIONS}
    for name in options:
        if name not in known:
            raise UsageError(f"{family.name} has no option {name!r}. {did_you_mean(name, known)}")
    for name, choices in (CHOICES | {"application": family.applications}).items():
        default = family.options.get(name)
        if name in family.options and options.get(name, default) not in (default, *choices):
            value = options[name]
            raise UsageError(f"{name} is {value!r}; it can be {' or '.join(choices)}")
    merged = dict(config)
    for name, key in CONFIG_OPTIONS.items():
        for place in (config, options):
            if name in place:
                merged[key] = place[name]
    chosen = dict(family.options) | {
        name: value for name, value in options.items() if name in family.options
    }
    act = merged.get("hidden_act", "gelu")
    if chosen["autoresize_weights"] and (
        not isinstance(act, str) or function_of(act, chosen["gelu"]) not in GELUS
    ):
        raise UsageError(
            f"autoresize_weights with hidden_act {act!r}: bert4keras multiplies resized weights "
            "by a number that depends on the activation, and for this one nobody recorded it; "
            "only gelu is known. Convert at the checkpoint's sizes (without autoresize_weights, "
            "with its own configuration), or resize in bert4keras and convert what it saves"
        )
    if chosen.get("hierarchical_position") is True:
        chosen["hierarchical_position"] = 0.4
    _check_together(family, chosen)
    settings = Settings(merged, chosen)
    settings.parts = _parts(family, naming, shapes, settings)
    settings.sizes = _sizes(family, naming, shapes, settings)
    settings.source_vocab = settings.sizes["vocab"]
    keep, extra = chosen["keep_tokens"], settings.compounds
    _check_rows("keep_tokens", keep or (), settings.source_vocab)
    kept = settings.source_vocab if keep is None else len(keep)
    for rows, _ in extra:
        _check_rows("compound_tokens", rows, kept)
    settings.sizes["vocab"] = kept + len(extra)
    settings.defaults = {
        name: settings.parts.get(_part_of(name), chosen[name])
        for name in family.options
        if name not in options and name not in UNSAID
    }
    return settings


#: What a model of `application=encoder` is, by the first of the other applications.
ENCODERS = {
    "lm": "a {title} without language-model mask",
    "unilm": "a {title} in which each token attends to those before it alone",
}


def deciding(family: Family, defaults: Mapping[str, Any]) -> list[str]:
    """Defaults that change what the result computes and of which no file says a word, in words.

    Args:
        family: of the checkpoint.
        defaults: options that were not given, with their values.

    Example:
        >>> from convert import families
        >>> deciding(families.find("bert"), {"application": "encoder"})
        ['application=encoder: a BERT without language-model mask (others: lm, unilm)']
    """
    value = defaults.get("application")
    others = [one for one in family.applications if one != value]
    if value is None or not others:
        return []
    words = ENCODERS[others[0]].format(title=family.title)
    return [f"application={value}: {words} (others: {', '.join(others)})"]


def _check_together(family: Family, options: Mapping[str, Any]) -> None:
    """Raise where options contradict the family, or one another."""
    tables = any("positions" in row.shape for row in family.rows)
    if options.get("hierarchical_position") is not None and not tables:
        raise UsageError(
            f"hierarchical_position: {family.title} has no table of positions to extend; leave "
            "the option out"
        )
    if options.get("residual_attention_scores") and options["application"] != "encoder":
        raise UsageError(
            f"residual_attention_scores with application={options['application']}: bert4keras "
            "cannot build such a model; leave one of them out"
        )


def _part_of(option: str) -> str:
    return next((part for part, name in PART_OPTIONS.items() if name == option), "")


def _check_rows(option: str, rows: Any, count: int) -> None:
    if not all(type(row) is int and 0 <= row < count for row in rows):
        raise UsageError(f"{option} names rows outside 0..{count - 1}: the table has {count}")


def parts_present(
    family: Family, naming: str, shapes: Mapping[str, tuple[int, ...]]
) -> dict[str, bool]:
    """Which parts of a family's model have weights in the files."""
    rows: dict[str, list[bool]] = {}
    for row in family.rows:
        name = numbered(row.name_in(naming) or "", 0)
        rows.setdefault(row.part, []).append(name in shapes)
    present = {part: any(there) for part, there in rows.items()}
    for part in present:
        if part.endswith("hidden_condition"):  # begins as the other kind, and has a weight more
            present[part] = all(rows[part])
            other = part.replace("hidden_", "")
            present[other] = present[other] and not present[part]
    return present


def stack_of(present: Mapping[str, bool]) -> str:
    """The option `stack` of files with these parts."""
    alone = [stack for stack in ("encoder", "decoder") if present.get(stack)]
    return alone[0] if len(alone) == 1 else "both"


def _parts(
    family: Family, naming: str, shapes: Mapping[str, Any], settings: Settings
) -> dict[str, bool]:
    """Which parts of the model there are: what options say, else what the files contain."""
    options = settings.options
    present = parts_present(family, naming, shapes)
    parts = dict(present) | {"body": True}
    application = options.get("application", "encoder")
    if application != "encoder" and options.get("with_nsp", False) is None:
        options["with_nsp"] = False  # what writes says of no two texts which comes first
    for part, option in PART_OPTIONS.items():
        given = options.get(option)
        if part in present and option in options:
            parts[part] = present[part] if given is None else bool(given)
        elif option in options:  # without weights of its own
            parts[part] = bool(given)
    if "nsp" in present:
        if options["with_pool"] is None:
            parts["pooler"] = parts["pooler"] or parts["nsp"]
        parts["nsp"] = parts["nsp"] and parts["pooler"]
    if "mlm" in parts and options.get("with_mlm") is None and application != "encoder":
        parts["mlm"] = True
    if "segments" in present:
        segments = settings.config.get("type_vocab_size", 2)
        parts["segments"] = bool(segments) and not options.get("shared_segment_embeddings")
        if parts["segments"] and present["body"] and not present["segments"]:
            raise UsageError(
                "the files have no table of segments and do not say why: give --option "
                "segment_vocab_size=0 (it takes none) or --option shared_segment_embeddings=true "
                "(it looks them up among the tokens)"
            )
    if "stack" in options and options["stack"] is None:
        options["stack"] = stack_of(present)
    elif options.get("stack") == "both":
        parts |= {"encoder": True, "decoder": True}
    for absent in WITHOUT.get(options.get("stack", "both"), ()):
        parts[absent] = False
    if options.get("layer_norm_cond_hidden_size") is not None:
        hidden = present.get("condition", False) or present.get("hidden_condition", False)
        parts |= {"condition": False, "hidden_condition": hidden}
    return parts


def _sizes(
    family: Family, naming: str, shapes: Mapping[str, tuple[int, ...]], settings: Settings
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
    if size("num_hidden_layers") > MAX_LAYERS:
        raise UsageError(f"num_hidden_layers is {config['num_hidden_layers']}: is it a mistake?")
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
    sizes |= {"one": 1, "heads": heads, "key": sizes["keys"] // heads}
    sizes["gated"] = 2 * sizes["intermediate"] + sizes["keys"]
    if settings.parts.get("condition") or settings.parts.get("hidden_condition"):
        row = next(row for row in family.rows if row.part in ("condition", "hidden_condition"))
        first = numbered(row.name_in(naming) or "", 0)
        if len(shapes[first]) != 2:
            raise UsageError(f"{first} is {shapes[first]}: no map of a condition")
        sizes["condition"], width = shapes[first]
        if settings.parts.get("hidden_condition"):
            given = settings.options["layer_norm_cond_hidden_size"]
            sizes["condition_hidden"] = width if given is None else given
        if settings.parts.get("conditions"):
            row = next(row for row in family.rows if row.part == "conditions")
            sizes["conditions"] = shapes[row.name_in(naming) or ""][0]
    return sizes
