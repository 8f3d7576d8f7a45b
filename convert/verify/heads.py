"""What recorded outputs of heads of fine-tuning are in a converted model, by their names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from zoo.heads import is_fine_tuned

#: Ends of classes of transformers and genae with one head -> its kind.
PLAIN = {
    "ForSequenceClassification": "classifier",
    "ForTokenClassification": "token_classifier",
    "ForQuestionAnswering": "span",
}
#: Below it a score is minus infinity: bert4keras subtracts 1e12, once or twice.
HIDDEN = -1e11


def has_head(architecture: str) -> bool:
    """Whether a class of this name has a head of fine-tuning."""
    return is_fine_tuned(architecture) or architecture.endswith(tuple(PLAIN))


def visible(ids: Any) -> Any:
    """The mask that bert4keras makes of ids `(batch, length)`: padding, but for the first."""
    mask = ids != 0
    mask[:, 0] = True
    return mask.long()


def outputs(model: Any, made: Any, mask: Any) -> dict[str, Any]:
    """Outputs of a model's heads by the names of a record.

    A head that predicts labels gives `logits` and `probs`, a chain `emissions` and `trans`, the
    effective matrix, a pointer `logits` and `scores`; of several heads and of parts of one, with
    the name in front (`intent_probs`, `entity_logits`). What the original's `predict` gives is
    `head_0`, `head_1` ... as well, and has the name of the head alone.

    Args:
        model: with heads.
        made: its output, with hidden states.
        mask: which tokens are visible, `(batch, length)`.
    """
    tables = _tables(model)
    several = model.config.architectures[0].endswith("ForMultiTask")
    found = {"hidden": made.hidden_states[-1]}
    if getattr(made, "residual", None) is not None:
        found["hidden_before_last_norm"] = made.residual
    for number, (name, table) in enumerate(tables.items()):
        logits = _span(made) if hasattr(made, "start_logits") else made.logits
        logits = logits[name] if several else logits
        head = model.heads[name] if is_fine_tuned(model.config.architectures[0]) else model
        parts = _of_head(table, head, logits, mask)
        predicted = parts.pop("predicted", None)
        if predicted is not None:
            parts |= {} if several else {"head_0": predicted}
            found |= {f"head_{number}": predicted, name: predicted} if several else {}
        if table["kind"] == "classifier" and table.get("pooling") in ("cls", "mean"):
            parts["pooled"] = _pooled(table["pooling"], found["hidden"], mask)
        found |= {f"{name}_{part}" if several else part: value for part, value in parts.items()}
    return found


def _tables(model: Any) -> dict[str, dict[str, Any]]:
    """The tables of a model's heads by name; of transformers' classes what they stand for."""
    tables = getattr(model.config, "heads", None)
    if tables:
        return {name: dict(table) for name, table in tables.items()}
    name = model.config.architectures[0]
    kind = next(kind for ending, kind in PLAIN.items() if name.endswith(ending))
    several = model.config.problem_type == "multi_label_classification"
    return {kind: {"kind": kind, "activation": "sigmoid" if several else "softmax"}}


def _of_head(table: Mapping[str, Any], head: Any, logits: Any, mask: Any) -> dict[str, Any]:
    return KINDS[table["kind"]](table, head, logits, mask)


def _labels(table: Mapping[str, Any], head: Any, logits: Any, mask: Any) -> dict[str, Any]:
    word = table.get("activation", "softmax")
    if word == "linear":
        return {"logits": logits, "predicted": logits}
    probs = logits.sigmoid() if word == "sigmoid" else logits.softmax(-1)
    return {"logits": logits, "probs": probs, "predicted": probs}


def _chain(table: Mapping[str, Any], head: Any, logits: Any, mask: Any) -> dict[str, Any]:
    return {"emissions": logits, "logits": logits, "trans": head.transitions, "predicted": logits}


def _pointer(table: Mapping[str, Any], head: Any, logits: Any, mask: Any) -> dict[str, Any]:
    return {"logits": logits, "scores": logits, "predicted": logits}


def _linker(table: Mapping[str, Any], head: Any, logits: Any, mask: Any) -> dict[str, Any]:
    return {
        f"{part}_{word}": value for part, value in logits.items() for word in ("logits", "scores")
    }


def _half(table: Mapping[str, Any], head: Any, logits: Any, mask: Any) -> dict[str, Any]:
    probs = {f"{part}_probs": value for part, value in head.probabilities(logits).items()}
    return {f"{part}_logits": value for part, value in logits.items()} | probs


def _answer(table: Mapping[str, Any], head: Any, logits: Any, mask: Any) -> dict[str, Any]:
    seen = logits.masked_fill(~mask.bool()[..., None], -float("inf"))
    probs = seen.softmax(1)
    found = {"logits": logits, "probs": probs, "predicted": logits}
    for place, part in enumerate(("start", "end")):
        found |= {f"{part}_logits": logits[..., place], f"{part}_probs": probs[..., place]}
    return found


def _beams(table: Mapping[str, Any], head: Any, logits: Any, mask: Any) -> dict[str, Any]:
    return {f"{part}_logits": value for part, value in logits.items() if part != "starts"}


KINDS: dict[str, Callable[[Mapping[str, Any], Any, Any, Any], dict[str, Any]]] = {
    "classifier": _labels,
    "token_classifier": _labels,
    "crf": _chain,
    "memm": _chain,
    "global_pointer": _pointer,
    "efficient_global_pointer": _pointer,
    "gplinker": _linker,
    "half_pointer": _half,
    "span": _answer,
    "squad2": _beams,
}


def _span(made: Any) -> Any:
    import torch

    return torch.stack([made.start_logits, made.end_logits], -1)


def _pooled(pooling: str, hidden: Any, mask: Any) -> Any:
    """The vector that a classifier reads where it is not a pooler's."""
    if pooling == "cls":
        return hidden[:, 0]
    seen = mask[..., None].to(hidden)
    return (hidden * seen).sum(1) / seen.sum(1)


def meaningful(array: Any, mask: Any) -> Any:
    """A recorded or computed array without what means nothing.

    Args:
        array: NumPy's; `(batch, length, ...)` loses hidden positions, else what is below `HIDDEN`
            is minus infinity.
        mask: NumPy's, `(batch, length)`.
    """
    import numpy as np

    if array.ndim > 1 and array.shape[:2] == mask.shape:
        array = array[mask.astype(bool)]
    return np.where(array < HIDDEN, -np.inf, array)
