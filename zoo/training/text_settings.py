"""What a card of texts says of its model, and what its tokenizer and its data add to that."""

from dataclasses import replace
from typing import Any

import transformers
from transformers import PreTrainedConfig

import zoo.models  # noqa: F401  (the Auto classes find genae's text models as well)
from zoo import catalog
from zoo.card import Card
from zoo.data.text import TASKS, Task, TextOptions
from zoo.errors import UsageError

from .given_weights import GivenWeights
from .recipe import build_config
from .settings import field_names

START = "decoder_start_token_id"


def auto_class(task: Task) -> Any:
    """The Auto class of transformers that has the heads of a task."""
    return getattr(transformers, catalog.HEADS[task.head][0])


def text_config(
    card: Card,
    task: Task,
    vocab_size: int,
    ids: dict[str, int],
    labels: tuple[str, ...] = (),
    start: GivenWeights | None = None,
) -> PreTrainedConfig:
    """The config of a card of texts, with what the tokenizer, the data and given weights say.

    Args:
        card: whose [config] wins.
        task: of the model.
        vocab_size: number of tokens.
        ids: special tokens by the name of the field.
        labels: the names of classes, in order.
        start: the model whose weights it begins with; its settings are the defaults.

    Raises:
        UsageError: the card says otherwise than tokenizer, data and given weights.
    """
    config_class = catalog.load(catalog.find(card.architecture).config)
    fields = field_names(config_class)
    given = {} if start is None else start.settings(card)
    given = {name: value for name, value in given.items() if value is not None or name not in ids}
    defaults: dict[str, Any] = {"vocab_size": vocab_size, **ids, **given}
    first = {START: defaults.pop(START)} if START in defaults else {}
    if task.name == "causal-lm":
        # What stands before a text that was packed ended another; before others stands nothing.
        packed = card.data is not None and card.data.packing
        defaults["bos_token_id"] = ids.get("eos_token_id") if packed else None
        # Of models that can do both:
        defaults |= {"is_decoder": True, "attention_mask_kind": "causal"}
    if task.name == "seq2seq":
        defaults["is_encoder_decoder"] = True
    defaults = {name: value for name, value in defaults.items() if name in fields}
    if task.name == "seq2seq":  # no field of every config, but read of every one
        defaults |= first
    if labels:
        if (stated := card.config.get("num_labels", len(labels))) != len(labels):
            raise UsageError(
                f"{card.path}: [config] num_labels is {stated}, and the data has {len(labels)} "
                "labels; leave it out"
            )
        card = replace(card, config={n: v for n, v in card.config.items() if n != "num_labels"})
        defaults["id2label"] = dict(enumerate(labels))
        defaults["label2id"] = {name: number for number, name in enumerate(labels)}
    config = build_config(card, **defaults)
    if (stated := config.vocab_size) < vocab_size and start is not None:
        raise UsageError(
            f"{card.path}: the tokenizer has {vocab_size} tokens, and the weights of "
            f"{start.wanted} are for {stated}; leave [tokenizer] out"
        )
    if stated < vocab_size:
        raise UsageError(
            f"{card.path}: [config] vocab_size is {stated}, and the tokenizer has {vocab_size} "
            "tokens; leave it out"
        )
    return config


def text_options(card: Card, config: PreTrainedConfig) -> TextOptions:
    """The options of a card, which no text of the model's is too long for.

    Raises:
        UsageError: an option is out of its range.
    """
    assert card.data is not None
    given = card.data.text_options
    options = TASKS[str(card.data.task)].options(card.data.dataset, given)
    longest = getattr(config, "max_position_embeddings", None)
    if longest is None or options.max_length <= longest:
        return options
    if "max_length" in given:
        raise UsageError(
            f"max_length {options.max_length} is more than the config's max_position_embeddings, "
            f"{longest}; lower it, or raise that"
        )
    return replace(options, max_length=longest)
