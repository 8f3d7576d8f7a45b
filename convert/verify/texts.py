"""Outputs of a converted model compared with those that the original software recorded.

The only bridge from `convert` to torch, transformers and, for classes of genae, `zoo`.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from convert.parity import Parity, compare_arrays
from convert.verify import heads
from convert.verify.arrays import read_arrays
from zoo.errors import UsageError
from zoo.heads import is_fine_tuned

#: Recorded inputs -> arguments of the model.
INPUTS = {
    "in_token_ids": "input_ids",
    "in_segment_ids": "token_type_ids",
    "in_position_ids": "position_ids",
    "in_condition": "condition",
    "out_mask": "attention_mask",
    "in_encoder_token_ids": "input_ids",
    "in_decoder_token_ids": "decoder_input_ids",
    "out_enc_mask": "attention_mask",
    "out_dec_mask": "decoder_attention_mask",
    "mask": "attention_mask",
    "decoder_mask": "decoder_attention_mask",
    "in_subject_ids": "subject_ids",
}
#: Recorded besides outputs: the effective transitions of a chain.
BESIDE = ("trans",)


#: Recorded values inside a model: whether a module's output or input, and where it may lie.
INSIDE = (
    ("mlm_transform", True, ("cls.predictions.transform", "predictions.LayerNorm")),
    ("discriminator_dense", False, ("discriminator_predictions.dense_prediction",)),
    ("before_norm", False, ("gpt.final_norm", "transformer.ln_f")),
    (
        "pooled",
        True,
        (
            "bert.pooler",
            "albert.pooler_activation",
            "albert.pooler",
            "nezha.pooler",
            "roformer.pooler",
        ),
    ),
)

#: What normalises the last hidden states of an encoder or a decoder.
FINAL_NORMS = ("final_layer_norm", "final_norm")

#: Scores of tokens under the names of outputs.
SCORES = (
    ("mlm_logits", "prediction_logits"),
    ("mlm_logits", "logits"),
    ("nsp_probs", "seq_relationship_logits"),
    ("nsp_probs", "sop_logits"),
)


#: What gives outputs that a model may lack: how their names begin, and the option.
GIVEN_BY = (
    (("pooled",), "with_pool=true"),
    (("nsp_probs",), "with_nsp=true"),
    (("mlm_",), "with_mlm=true"),
    (("discriminator_",), "with_discriminator=true"),
    (("enc_", "encoder_", "dec_", "decoder_", "lm_", "split_lm_"), "stack=both"),
)


#: What a record has of training, as its names begin.
TRAINING = ("loss", "accuracy")


def compare(
    folder: str | os.PathLike[str],
    reference: str | os.PathLike[str],
    *,
    options: Mapping[str, Any] | None = None,
    notes: list[str] | None = None,
) -> list[Parity]:
    """Run recorded inputs through a converted model.

    Args:
        folder: the model.
        reference: a `.npz`: inputs `in_*`, the mask `out_mask` or `mask`, outputs `out_*`
            (float32), and perhaps `out64_*` (float64), which the model then meets in float64; of a
            chain also `trans`, the matrix that its `lr_multiplier` makes. Outputs of heads have
            the names of `convert.verify.heads.outputs`.
        options: those given to the original's builder; `with_discriminator` may name the
            activation behind `out_discriminator_output`, which no model keeps.
        notes: given the outputs that the model does not have and that are not compared, each with
            the option that gives it.

    Returns:
        One comparison per recorded output, in the order of the file.

    Raises:
        IntegrityError: the file is no such archive.
        UsageError: it has no input, or no output that the model has.
    """
    import torch

    arrays = read_arrays(reference)
    given = {
        argument: torch.from_numpy(arrays[name].astype(_kind(arrays[name])))
        for name, argument in INPUTS.items()
        if name in arrays
    }
    if "input_ids" not in given:
        raise UsageError(
            f"{reference}: has neither in_token_ids nor in_encoder_token_ids; it has "
            f"{', '.join(arrays)}"
        )
    linear = (options or {}).get("with_discriminator") == "linear"
    found: list[Parity] = []
    lacking: list[str] = []
    for prefix, dtype in (("out_", torch.float32), ("out64_", torch.float64)):
        wanted = {
            name: array
            for name, array in arrays.items()
            if (name.startswith(prefix) and name not in INPUTS)
            or (prefix == "out_" and name in BESIDE)
        }
        if not wanted:
            continue
        computed = outputs(folder, given, dtype)
        mask = computed.pop("visible", None)
        if linear and "discriminator_logits" in computed:
            computed["discriminator_output"] = computed["discriminator_logits"]
        for name, array in wanted.items():
            key = name.removeprefix(prefix)
            if key not in computed:
                lacking.append(f"{name} ({_why_not(key)})")
                continue
            made = computed[key].detach().double().numpy()
            if mask is not None and made.shape == array.shape:
                made, array = (heads.meaningful(one, mask.numpy()) for one in (made, array))
            found.append(compare_arrays(name, made, array))
    if lacking and not found:
        raise UsageError(
            f"{reference}: of its outputs this model has none: {', '.join(lacking)}; it has "
            f"{', '.join(computed)}"
        )
    if lacking and notes is not None:
        notes.append(f"not compared, as the result does not have it: {', '.join(lacking)}")
    return found


def _why_not(output: str) -> str:
    """What to do about a recorded output that a model does not have."""
    for beginnings, option in GIVEN_BY:
        if output.startswith(beginnings):
            return f"--option {option} gives it, where the files have its weights"
    if output.startswith(TRAINING):
        return "it is a number of training"
    return "no output is called so"


def _kind(array: Any) -> str:
    return "int64" if array.dtype.kind in "iub" else "float32"


def outputs(
    folder: str | os.PathLike[str], given: Mapping[str, Any], dtype: Any
) -> dict[str, Any]:
    """Everything a record can contain, by the record's names.

    Args:
        folder: the model.
        given: arguments of its forward, as tensors.
        dtype: what it computes in.
    """
    import inspect

    import torch

    model = _load(folder, dtype)
    base = model.base_model
    behind = heads.has_head(model.config.architectures[0])
    if behind and "input_ids" in given and "attention_mask" not in given:
        given = {**given, "attention_mask": heads.visible(given["input_ids"])}
    accepted = inspect.signature(model.forward).parameters
    inputs = {
        name: value.to(dtype) if value.is_floating_point() else value
        for name, value in given.items()
        if name in accepted
    }
    if model.config.is_encoder_decoder:
        return _of_two_stacks(model, inputs)
    found: dict[str, Any] = {}
    hooks = [
        module.register_forward_hook(_keep(found, name, output))
        for name, output, paths in INSIDE
        for path in paths
        if (module := _submodule(model, path)) is not None
    ]
    with torch.no_grad():
        made = model(**inputs, output_hidden_states=True, return_dict=True)
    for hook in hooks:
        hook.remove()
    hidden = made.hidden_states
    found = (
        {"emb": hidden[0]} | {f"layer_{i}": state for i, state in enumerate(hidden[1:])} | found
    )
    if "before_norm" in found:
        found |= {"final_norm": hidden[-1], f"layer_{len(hidden) - 2}": found["before_norm"]}
    if getattr(base, "pooler", None) is None:
        pooled = _pooled(folder, inputs, dtype)
        found |= {} if pooled is None else {"pooled": pooled}
    elif getattr(made, "pooler_output", None) is not None:
        found["pooled"] = made.pooler_output
    if behind:
        with torch.no_grad():
            found |= heads.outputs(model, made, given["attention_mask"])
        return found | {"visible": given["attention_mask"]}
    for name, attribute in SCORES:
        value = getattr(made, attribute, None)
        if value is not None and value.ndim == 3:
            found |= {"mlm_logits": value, "tied_logits": value, "mlm_output": value}
            probs = value.softmax(-1)
            found |= {"mlm_probs": probs, "probs": probs, "hidden": hidden[-1], name: value}
        elif value is not None and value.shape[-1] == 2 and "input_ids" in given:
            found["nsp_probs"] = value.softmax(-1)
    if "discriminator_dense" in found:
        logits = made.logits.unsqueeze(-1)
        found["discriminator_logits"] = logits
        found["discriminator_output"] = logits.sigmoid()
    return found


def _of_two_stacks(model: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    """The same for an encoder and a decoder.

    `split_lm_output` is what bert4keras's decoder gives as a model of its own, which does not know
    the encoder's mask.
    """
    import torch

    last: dict[str, Any] = {}
    names = (("enc", "encoder"), ("dec", "decoder"))
    hooks = [
        norm.register_forward_hook(_keep(last, stack, False))
        for _, stack in names
        for path in FINAL_NORMS
        if (norm := _submodule(model, f"{stack}.{path}")) is not None
    ]
    with torch.no_grad():
        made = model(**inputs, output_hidden_states=True, return_dict=True)
        for hook in hooks:
            hook.remove()
        alone = {name: value for name, value in inputs.items() if name.startswith("decoder_")}
        split = model(encoder_outputs=(made.encoder_last_hidden_state,), **alone)
    found: dict[str, Any] = {}
    for short, stack in names:
        states = getattr(made, f"{stack}_hidden_states")
        blocks = [*states[1:-1], last[stack]]
        found |= {f"{short}_emb": states[0]}
        found |= {f"{short}_layer_{i}": state for i, state in enumerate(blocks)}
    norm = made.decoder_hidden_states[-1]
    return found | {
        "encoder_output": made.encoder_last_hidden_state,
        "decoder_norm": norm,
        "decoder_scaled": norm * model.config.hidden_size**-0.5,
        "lm_logits": made.logits,
        "probs": made.logits.softmax(-1),
        "split_lm_output": split.logits.softmax(-1),
    }


def _load(folder: str | os.PathLike[str], dtype: Any, auto: bool = False) -> Any:
    """The class that `architectures` names, or, with `auto`, the model without heads."""
    import json
    from logging import ERROR

    import transformers
    from transformers.utils import logging

    config = json.loads((Path(folder) / "config.json").read_text("utf-8"))
    name = config["architectures"][0]
    if str(config.get("model_type")).startswith("genae_") or is_fine_tuned(name):
        import zoo.models

        loader = getattr(zoo.models, name)
    else:
        loader = getattr(transformers, name)
    loader = transformers.AutoModel if auto else loader
    before, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity(ERROR)
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        model = loader.from_pretrained(folder, dtype=dtype)
    finally:
        logging.set_verbosity(before)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
    return model.eval()


def _pooled(folder: str | os.PathLike[str], inputs: Mapping[str, Any], dtype: Any) -> Any:
    """The pooler's output where the class with the heads has no pooler, but the files do."""
    import torch
    from safetensors import safe_open

    names: set[str] = set()
    for path in Path(folder).glob("*.safetensors"):
        with safe_open(path, "np") as file:
            names |= set(file.keys())
    if not any(".pooler." in name for name in names):
        return None
    with torch.no_grad():
        return _load(folder, dtype, auto=True)(**inputs).pooler_output


def _keep(found: dict[str, Any], name: str, output: bool) -> Callable[[Any, Any, Any], None]:
    def hook(module: Any, args: Any, made: Any) -> None:
        found[name] = made if output else args[0]

    return hook


def _submodule(model: Any, path: str) -> Any:
    try:
        return model.get_submodule(path)
    except AttributeError:
        return None
