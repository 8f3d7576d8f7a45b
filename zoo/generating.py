"""Texts that language models write on, or make of other texts."""

import os
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.advice import advice
from zoo.errors import UsageError

HEADS = ("ForCausalLM", "ForConditionalGeneration")
DEFAULT_TOKENS = 50


@dataclass(frozen=True)
class Written:
    """What a model wrote.

    Attributes:
        prompt: what it was given.
        texts: one or several, the likeliest first where they were searched for. They begin with
            the prompt if the model writes it on, as a decoder does; an encoder-decoder, and a
            decoder that reads its prompt both ways (UniLM), makes another text of it.
    """

    prompt: str
    texts: list[str]


def generate(
    model: str | os.PathLike[str],
    prompt: str = "",
    *,
    max_new_tokens: int | None = None,
    num: int = 1,
    temperature: float | None = None,
    top_k: int | None = None,
    top_p: float | None = None,
    greedy: bool = False,
    beams: int | None = None,
    seed: int | None = None,
    label: str | None = None,
) -> Written:
    """Let a language model write; tokens are drawn at random unless it is told otherwise.

    Args:
        model: an id or a folder.
        prompt: a text to be written on, or for an encoder-decoder one to be made into another.
        max_new_tokens: number of tokens, at most; None is 50, or fewer where the model's
            positions end.
        num: number of texts.
        temperature: above 0; the logits are divided by it. None is 1.
        top_k: draw from this many likeliest tokens alone; None from all.
        top_p: draw from the likeliest tokens that together have this probability, in (0, 1].
        greedy: take the likeliest token each time.
        beams: search for the likeliest text, this many at a time.
        seed: of the draws; None for another text each time.
        label: what to write, of a model with a table of conditions, by its name in `id2label` or
            by its number.

    Raises:
        UsageError: the model writes no texts, the prompt is too long for it, unknown to it or
            missing, a number is out of its range, options exclude each other, or the label is
            missing or none of the model's.
        NotFoundError: there is no such model, or no tokenizer among its files.
        IntegrityError: the files of the model or its tokenizer are malformed.
    """
    drawn = {"temperature": temperature, "top_k": top_k, "top_p": top_p, "seed": seed}
    check_options(num, max_new_tokens, drawn, greedy, beams)
    from zoo.loading import load_with_tokenizer
    from zoo.registry import resolve
    from zoo.registry.manifest import read_config

    config = read_config(Path(resolve(model)))
    auto = catalog.auto_class(str(next(iter(config.get("architectures") or [""]))))
    heads = [head for head in HEADS if catalog.HEADS[head][0] == auto]
    if not heads:
        raise UsageError(f"{model} writes no texts; {advice(str(model), config)}")
    network, tokenizer = load_with_tokenizer(model, heads[0])
    settings: dict[str, Any] = {"do_sample": not (greedy or beams), "num_return_sequences": num}
    if settings["do_sample"]:
        settings |= {"temperature": temperature or 1.0, "top_k": top_k or 0, "top_p": top_p or 1.0}
    settings["num_beams"] = beams or 1
    ids = prompt_ids(network, tokenizer, prompt, str(model))
    settings |= condition_of(network.config, label, str(model))
    settings["max_new_tokens"] = length_of(network, ids, max_new_tokens)
    return Written(prompt, write(network, tokenizer, ids, settings, seed))


def check_options(
    num: int,
    max_new_tokens: int | None,
    drawn: dict[str, Any],
    greedy: bool,
    beams: int | None,
) -> None:
    """Raise `UsageError` for numbers out of range, and for options that exclude each other."""
    least = {"num": num, "max_new_tokens": max_new_tokens, "top_k": drawn["top_k"], "beams": beams}
    for name, value in least.items():
        if value is not None and value < 1:
            raise UsageError(f"{name} must be at least 1, got {value}")
    if (value := drawn["temperature"]) is not None and not 0 < value < float("inf"):
        raise UsageError(f"temperature must be above 0, got {value}; greedy takes the likeliest")
    if (value := drawn["top_p"]) is not None and not 0 < value <= 1:
        raise UsageError(f"top_p must be above 0, at most 1, got {value}")
    if (value := drawn["seed"]) is not None and not 0 <= value < 2**63:
        raise UsageError(f"seed must be 0 to {2**63 - 1}, got {value}")
    if greedy and beams:
        raise UsageError("greedy and beams are two ways to search; choose one")
    given = [name for name, value in drawn.items() if value is not None]
    if (greedy or beams) and given:
        way = "greedy" if greedy else "beams"
        raise UsageError(f"{', '.join(given)}: of drawing, and {way} draws nothing; leave one out")
    if num > (beams or 1) and (greedy or beams):
        least_beams = f"beams={num}" if beams else "drawing, or beams"
        raise UsageError(f"{num} texts need {least_beams}; the same text {num} times says no more")


def condition_of(config: Any, label: str | None, model: str) -> dict[str, Any]:
    """What the model is called with for a label: `condition`, `(1,)`; nothing without one.

    Raises:
        UsageError: the model takes no label, or needs one.
    """
    import torch

    if (count := getattr(config, "num_conditions", None)) is None:
        if label is not None:
            raise UsageError(f"{model} has no table of labels to write by; leave the label out")
        if getattr(config, "condition_size", None) is not None:
            raise UsageError(
                f"{model} writes by a vector of {config.condition_size} numbers: call "
                "generate(ids, condition=vector) of the model in Python"
            )
        return {}
    names = {config.id2label.get(row, str(row)): row for row in range(count)}
    numbers = {str(row): row for row in range(count)}
    if label is None or label not in {**numbers, **names}:
        wrong = "needs a label" if label is None else f"has no label {label!r}"
        first = ", ".join(list(names)[:10])
        raise UsageError(f"{model} {wrong}; choose one of its {count}, such as {first}")
    return {"condition": torch.tensor([{**numbers, **names}[label]])}


def makes_another(config: Any) -> bool:
    """Whether a model turns its prompt into another text, which it reads whole."""
    return config.is_encoder_decoder or getattr(config, "attention_mask_kind", "") == "prefix"


def prompt_ids(network: Any, tokenizer: Any, prompt: str, model: str) -> Any:
    """The prompt as tokens, `(1, N)`, without the token that would end a text to be written on."""
    import torch

    ids = list(tokenizer(prompt, verbose=False)["input_ids"])
    if not makes_another(network.config):
        ends = {network.generation_config.eos_token_id, tokenizer.sep_token_id}
        if ids and ids[-1] in ends:
            ids.pop()
        if ids and set(ids) == {tokenizer.unk_token_id}:
            raise UsageError(
                f"{prompt!r:.40} has nothing that is in the vocabulary of {model}; give another "
                "prompt, or none"
            )
        start = network.generation_config.bos_token_id
        if not ids and start is not None:
            ids = [start]
    if not ids:
        raise UsageError(f"{model} writes a text on; give it a prompt to begin with")
    return torch.tensor([ids])


def length_of(network: Any, ids: Any, max_new_tokens: int | None) -> int:
    """How many tokens may follow.

    Raises:
        UsageError: more are asked for than the model has positions.
    """
    places = getattr(network.config, "max_position_embeddings", None) or sys.maxsize
    used = ids.shape[1]
    if network.config.is_encoder_decoder:
        used, read = 1, used
        if read > places:
            raise UsageError(f"the prompt has {read} tokens, the model reads {places}; shorten it")
    room = places - used
    if room < 1:
        raise UsageError(f"the prompt has {used} tokens, the model reads {places}; shorten it")
    if max_new_tokens is not None and max_new_tokens > room:
        raise UsageError(
            f"the model has room for {room} tokens behind the prompt, and {max_new_tokens} are "
            "asked for; ask for fewer"
        )
    return min(room, DEFAULT_TOKENS) if max_new_tokens is None else max_new_tokens


def ends_of(network: Any, tokenizer: Any) -> list[int]:
    """The tokens that end a text; none where neither the model nor its tokenizer has one."""
    ends: Any = network.generation_config.eos_token_id
    if ends is None and not network.config.is_encoder_decoder:
        found = (tokenizer.eos_token_id, tokenizer.sep_token_id)  # the latter of bert4keras's
        ends = next((end for end in found if end is not None), None)
    if ends is None:
        return []
    return [ends] if isinstance(ends, int) else list(ends)


def write(
    network: Any, tokenizer: Any, ids: Any, settings: dict[str, Any], seed: int | None
) -> list[str]:
    """Call transformers' `generate`; torch's random state does not change."""
    import torch

    from zoo.loading import quietly

    config, written = network.config, slice(None)
    pad = network.generation_config.pad_token_id
    if pad is None:
        pad = tokenizer.pad_token_id
    if ends := ends_of(network, tokenizer):
        settings |= {"eos_token_id": ends}
    if makes_another(config) and not config.is_encoder_decoder:
        settings |= {"token_type_ids": torch.zeros_like(ids)}
        written = slice(ids.shape[1], None)
    with torch.random.fork_rng(devices=[]), quietly():
        if seed is None:
            torch.seed()
        else:
            torch.manual_seed(seed)
        found = network.generate(
            input_ids=ids, attention_mask=torch.ones_like(ids), pad_token_id=pad, **settings
        )
    texts: list[str] = tokenizer.batch_decode(found[:, written], skip_special_tokens=True)
    return texts
