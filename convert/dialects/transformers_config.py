"""Configurations of transformers in the legacy words, and what of them the result keeps."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from convert.names.naming import Shapes
from zoo.errors import UsageError

if TYPE_CHECKING:
    from convert.families.base import Settings

#: Legacy key -> transformers' keys for it, the first that is there; of GPT and GPT-2.
GPT = {
    "hidden_size": ("n_embd",),
    "num_hidden_layers": ("n_layer",),
    "num_attention_heads": ("n_head",),
    "max_position_embeddings": ("n_positions", "n_ctx"),
    "hidden_act": ("activation_function", "afn"),
    "hidden_dropout_prob": ("resid_pdrop",),
    "attention_probs_dropout_prob": ("attn_pdrop",),
}
T5 = {
    "hidden_size": ("d_model",),
    "attention_head_size": ("d_kv",),
    "intermediate_size": ("d_ff",),
    "num_hidden_layers": ("num_layers",),
    "num_attention_heads": ("num_heads",),
    "hidden_dropout_prob": ("dropout_rate",),
}

#: Fields that say nothing of the weights and that the result keeps as they are given.
KEPT = (
    *("layer_norm_eps", "layer_norm_epsilon", "initializer_range", "initializer_factor"),
    *("pad_token_id", "bos_token_id", "eos_token_id", "sep_token_id", "cls_token_id"),
    *("decoder_start_token_id", "forced_bos_token_id", "forced_eos_token_id"),
    *("classifier_dropout", "classifier_dropout_prob", "embd_pdrop", "resid_pdrop", "attn_pdrop"),
    *("summary_type", "summary_use_proj", "summary_activation", "summary_first_dropout"),
    *("summary_last_dropout", "summary_proj_to_labels", "scale_attn_weights"),
    *("scale_attn_by_inverse_layer_idx", "reorder_and_upcast_attn", "n_inner", "rotary_value"),
    "scale_decoder_outputs",
    *("relative_attention_max_distance", "feed_forward_proj", "id2label", "label2id"),
    *("problem_type", "finetuning_task", "task_specific_params", "is_decoder", "use_cache"),
)


def _translated(config: Mapping[str, Any], words: Mapping[str, tuple[str, ...]]) -> dict[str, Any]:
    """A configuration with the legacy keys as well, where it has not got them."""
    found = dict(config)
    for legacy, keys in words.items():
        value = next((config[key] for key in keys if config.get(key) is not None), None)
        if legacy not in config and value is not None:
            found[legacy] = value
    return found


def of_gpt2(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    """GPT-2's: an inner width of four times the outer one unless it says another."""
    found = _translated(config, GPT)
    width = found.get("hidden_size")
    if "intermediate_size" not in found and isinstance(width, int):
        found["intermediate_size"] = config.get("n_inner") or 4 * width
    return found


def of_gpt(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    """GPT's: no segments, and `gelu` is the tanh form (transformers, `ACT_FNS` of OpenAI GPT)."""
    found = of_gpt2(config, shapes) | {"type_vocab_size": 0}
    if config.get("afn", "gelu") == "gelu":
        found["hidden_act"] = "gelu_tanh"
    return found


def of_t5(config: Mapping[str, Any], shapes: Shapes) -> dict[str, Any]:
    """T5's: `gated-gelu` and the like is an activation and a linear map.

    Raises:
        UsageError: the decoder has another number of blocks than the encoder.
    """
    found = _translated(config, T5)
    layers, others = config.get("num_layers"), config.get("num_decoder_layers")
    if layers is not None and others is not None and layers != others:
        raise UsageError(
            f"num_layers {layers} and num_decoder_layers {others}: a T5 whose stacks differ in "
            "depth is not converted; there is no table for it"
        )
    form = config.get("feed_forward_proj")
    whole = any("ForConditional" in str(name) for name in config.get("architectures") or ())
    if whole and str(form).startswith("gated") and "Decoder-Output-LM#0" not in shapes:
        raise UsageError(
            "a T5 with a gated feed-forward part whose head is tied to the table of tokens is not "
            "converted: T5 1.1 and mT5 have a head of their own (lm_head), which the file lacks"
        )
    if "hidden_act" not in config and isinstance(form, str):
        gated, _, act = form.rpartition("-")
        found["hidden_act"] = [act, "linear"] if gated == "gated" else form
    return found


#: By the name of the dialect.
LEGACY: dict[str, Callable[[Mapping[str, Any], Shapes], dict[str, Any]]] = {
    "gpt": of_gpt,
    "gpt2": of_gpt2,
    "t5": of_t5,
    "t5_gated": of_t5,
}


def family_of(config: Mapping[str, Any]) -> str | None:
    """mT5, whose layers are those of T5 1.1."""
    return "mt5.1.1" if config.get("model_type") == "mt5" else None


def as_given(result: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The result's configuration, with what the given one says of things that stay as they are.

    Args:
        result: as the family makes it.
        settings: their configuration is the given one, in its own words and the legacy ones.
    """
    given = settings.config
    kept = {name: given[name] for name in KEPT if name in given}
    if result["model_type"].startswith("genae_"):
        epsilon = given.get("layer_norm_eps", given.get("layer_norm_epsilon"))
        epsilons = {name for name in result if name.endswith("_eps")} | {"layer_norm_eps"}
        return result | ({} if epsilon is None else dict.fromkeys(epsilons, epsilon))
    settings.notes[:] = [note for note in settings.notes if "epsilon" not in note]
    if given.get("is_decoder") and result["architectures"] == ["BertForMaskedLM"]:
        result = result | {"architectures": ["BertLMHeadModel"]}
    return result | kept
