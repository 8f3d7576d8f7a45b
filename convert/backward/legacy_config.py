"""From the `config.json` of a model back to what bert4keras is given: configuration and options.

Whatever is worked out here is checked against the way in: the family makes a `config.json` of it
again, and where that computes something else than the one that was read, nothing claims that it
does not.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from convert.families import Family
from convert.families.activations import ACTIVATIONS, ALIASES, OWN_ACTIVATIONS
from zoo.errors import UsageError
from zoo.hints import did_you_mean

#: Model types -> families, where they are not called the same.
FAMILIES = {
    "albert": ("albert", "albert_unshared"),
    "genae_albert": ("albert", "albert_unshared"),
    "t5": ("t5.1.0", "t5.1.1"),
    "mt5": ("mt5.1.1",),
    "genae_t5": ("t5.1.0", "t5.1.1", "mt5.1.1"),
}

#: Keys of bert4keras's configuration -> what they are called today; the first that is there.
KEYS = {
    "vocab_size": ("vocab_size",),
    "hidden_size": ("hidden_size", "d_model", "n_embd"),
    "num_hidden_layers": ("num_hidden_layers", "num_layers", "n_layer"),
    "num_attention_heads": ("num_attention_heads", "num_heads", "n_head"),
    "intermediate_size": ("intermediate_size", "d_ff", "n_inner"),
    "hidden_dropout_prob": ("hidden_dropout_prob", "dropout_rate", "resid_pdrop"),
    "attention_probs_dropout_prob": ("attention_probs_dropout_prob", "attn_pdrop"),
    "max_position_embeddings": ("max_position_embeddings", "n_positions"),
    "type_vocab_size": ("type_vocab_size",),
    "initializer_range": ("initializer_range",),
    "embedding_size": ("embedding_size",),
    "attention_head_size": ("attention_head_size", "d_kv"),
    "attention_key_size": ("attention_key_size", "d_kv"),
}
ACTIVATION = ("feed_forward_proj", "hidden_act", "activation_function")

#: Options of bert4keras's builder -> the fields of genae that say the same.
OPTIONS = {
    "hierarchical_position": "hierarchical_position",
    "residual_attention_scores": "residual_attention_scores",
    "shared_segment_embeddings": "shared_segment_embeddings",
    "layer_norm_cond_hidden_size": "condition_hidden_size",
    "layer_norm_cond_hidden_act": "condition_hidden_act",
}
APPLICATIONS = {"causal": "lm", "prefix": "unilm"}

#: Classes of one half of a T5 -> the option `stack`.
STACKS = {"EncoderModel": "encoder", "DecoderForCausalLM": "decoder"}

#: Options that no field of a `config.json` says, in which the builder's models differ: an
#: activation by name, or what else it can be.
UNSAID: dict[str, tuple[type, ...]] = {
    "custom_position_ids": (bool,),
    "final_activation": (),
    "with_discriminator": (),
    "with_lm": (),
    "with_mlm": (),
}

#: Names of activations today -> bert4keras's; its `gelu` is the erf form by default.
ACTS = {other: name for name, other in reversed(ACTIVATIONS.items())}
ACTS |= {name: ACTS[other] for name, other in ALIASES.items()} | {"gelu": "gelu"}

#: Fields in which a model may differ and compute the same, or which the weights tell: transformers
#: writes that a T5's two matrices are tied where they are not.
FREE = {
    "tie_word_embeddings",
    *("architectures", "dtype", "initializer_range", "is_encoder_decoder", *ACTIVATION),
    *("pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id"),
    *("hidden_dropout_prob", "attention_probs_dropout_prob", "classifier_dropout_prob"),
    *("dropout_rate", "resid_pdrop", "embd_pdrop", "attn_pdrop"),
}
EPSILONS = ("layer_norm_eps", "layer_norm_epsilon", "head_norm_eps", "embedding_norm_eps")

#: Two models of one name that compute differently.
APART = {("genae_t5", "t5")}
GOOGLE = (
    "computed as Google's until now: build it with cross_position_bias=False; bert4keras scales "
    "the output by hidden^-0.5 before every head, Google's t5.1.1 and mT5 do not, so that their "
    "probabilities become flatter, in the same order"
)

#: What an operation says that cannot be undone -> what it did.
UNDONE = (
    (r"rows kept", "keep_tokens chose the rows of the vocabulary"),
    (r"means appended", "compound_tokens appended rows to it"),
    (r"resized to", "autoresize_weights changed the sizes of tensors"),
)

#: Fields of transformers that bert4keras has no counterpart for, where they stand at rest.
AT_REST = {
    "is_decoder": False,
    "add_cross_attention": False,
    "position_embedding_type": "absolute",
    "rotary_value": False,
    "scale_attn_weights": True,
    "scale_attn_by_inverse_layer_idx": False,
    "reorder_and_upcast_attn": False,
}


def families_of(config: Mapping[str, Any]) -> tuple[str, ...]:
    """The families that a model type may be.

    Raises:
        UsageError: bert4keras has no such model.
    """
    from convert.families import FAMILIES as every

    word = str(config.get("model_type"))
    known = {name for name, kinds in FAMILIES.items() for _ in kinds}
    names = [family.name for family in every if family.returns]
    known |= {*names, *(f"genae_{name}" for name in names)}
    if word not in known:
        raise UsageError(
            f"model_type {word!r} in config.json: bert4keras has no such model. "
            f"{did_you_mean(word, known)}"
        )
    return FAMILIES.get(word, (word.removeprefix("genae_"),))


def legacy_config(config: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration that bert4keras reads.

    Raises:
        UsageError: a field has no counterpart there.
    """
    for name, rest in AT_REST.items():
        if config.get(name, rest) not in (rest, None):
            raise UsageError(
                f"{name} is {config[name]!r} in config.json: bert4keras's models are as with "
                f"{rest!r}, so this one cannot go back"
            )
    found = {
        key: value
        for key, names in KEYS.items()
        if (value := next((config[n] for n in names if config.get(n) is not None), None))
        is not None
    }
    if "hidden_size" in found:
        found.setdefault("intermediate_size", 4 * found["hidden_size"])
    if isinstance(word := next((config[n] for n in ACTIVATION if config.get(n)), None), str):
        gated = word.startswith("gated-") or config.get("is_gated_act") is True
        word = "gelu_new" if word == "gated-gelu" else word.removeprefix("gated-")
        own = str(config.get("model_type")).startswith("genae_")
        known = ACTS | ({name: name for name in OWN_ACTIVATIONS} if own else {})
        if word not in known:
            raise UsageError(
                f"bert4keras has no activation {word!r}, so this model cannot go back; it has "
                f"{', '.join(ACTIVATIONS)}"
            )
        found["hidden_act"] = [known[word], "linear"] if gated else known[word]
    return found


def without_defaults(legacy: Mapping[str, Any]) -> dict[str, Any]:
    """The same without sizes that bert4keras takes anyway."""
    left = dict(legacy)
    hidden, heads = left["hidden_size"], left["num_attention_heads"]
    usual = {"attention_head_size": hidden // heads, "embedding_size": hidden}
    usual["attention_key_size"] = left.get("attention_head_size", hidden // heads)
    for key, value in usual.items():
        if left.get(key) == value:
            del left[key]
    return left


def legacy_options(config: Mapping[str, Any], family: Family) -> dict[str, Any]:
    """What bert4keras's builder was given, as far as a `config.json` says it."""
    given = {
        name: config[field] for name, field in OPTIONS.items() if config.get(field) is not None
    }
    word = architecture_of(config)
    application = APPLICATIONS.get(str(config.get("attention_mask_kind")), "encoder")
    if application in family.applications:
        given["application"] = application
    act = str(config.get("pooler_act", "tanh"))
    if act != "tanh" and config.get("pooler"):
        given["with_pool"] = ACTS.get(act, act)
    if not any(row.part == "mlm" for row in family.rows):  # a head without weights of its own
        given["with_mlm"] = word.endswith(("ForMaskedLM", "ForCausalLM"))
    if "semantics" in family.options:
        legacy = config.get("model_type") == "genae_t5" and bool(config.get("scale_output", True))
        given["semantics"] = "bert4keras" if legacy else "google"
        if legacy:
            given["cross_position_bias"] = bool(config.get("cross_position_bias", True))
        if word.endswith("T5Model"):
            given["with_lm"] = False
        for ending, stack in STACKS.items():
            if word.endswith(ending):
                given["stack"] = stack
    return {name: value for name, value in given.items() if name in family.options}


def architecture_of(config: Mapping[str, Any]) -> str:
    """The class that a `config.json` names, or an empty word."""
    named = config.get("architectures")
    return str(named[0]) if isinstance(named, list) and named else ""


def done_with(recorded: Mapping[str, Any]) -> list[str]:
    """What the conversion that is recorded did to tables and cannot be undone, in words."""
    tensors = recorded.get("tensors")
    rows = tensors if isinstance(tensors, list) else []
    words = [str(row.get("operation")) for row in rows if isinstance(row, dict)]
    return [what for pattern, what in UNDONE if any(re.search(pattern, word) for word in words)]


def differences(config: Mapping[str, Any], made: Mapping[str, Any]) -> list[str]:
    """Notes on epsilons that bert4keras does not have.

    Args:
        config: of the model.
        made: what the family makes of what was worked out.

    Raises:
        UsageError: another field differs, so that bert4keras would compute something else.
    """
    kind, other = (str(table.get("model_type")) for table in (config, made))
    if other not in (kind, kind.removeprefix("genae_")) or (kind, other) in APART:
        raise UsageError(
            f"model_type is {kind!r} in config.json; with this family and these options it would "
            f"be {other!r}: is the family right (--family), and are the options?"
        )
    both = {
        name: (config[name], value)
        for name, value in made.items()
        if name not in FREE | {"model_type"}
        and config.get(name) is not None
        and config[name] != value
    }
    for name, (own, other) in both.items():
        if name not in EPSILONS:
            raise UsageError(
                f"{name} is {own!r} in config.json, and bert4keras computes as with {other!r}: "
                "is the family right (--family), and are the options (--option KEY=VALUE)?"
            )
    return [
        f"{name} is {own} in config.json; bert4keras computes with {other}"
        for name, (own, other) in both.items()
    ]
