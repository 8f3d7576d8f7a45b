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
#: Kinds of tables that genae's own classes read, and transformers' do not.
OF_OWN = ("classifier", "token_classifier")
DECODER = "ForCausalLM"


def head_class(entry: catalog.Entry, ending: str) -> Any:
    """The class of an architecture with a head; None if it has none.

    Args:
        entry: the architecture.
        ending: of the class's name, a key of `catalog.HEADS`.
    """
    config = catalog.load(entry.config)
    if ending == DECODER and config.is_encoder_decoder:  # which attends to its encoder
        return None
    if catalog.is_fine_tuned(ending):
        stem = catalog.class_name(entry.config).removesuffix("Config")
        found = catalog.model_for(entry, [f"{stem}{ending}"])
        return found if found.__name__ == f"{stem}{ending}" else None
    known = getattr(transformers, catalog.HEADS[ending][0])._model_mapping
    found = known[config] if config in known else None
    return found[0] if isinstance(found, tuple) else found


def head_table(card: Card, task: Task) -> dict[str, Any]:
    """The table of the head that a card trains; empty where it needs none.

    Raises:
        UsageError: the card has several, or one that does not learn the task.
    """
    tables = card.config.get("heads") or {}
    if not isinstance(tables, dict) or len(tables) > 1:
        raise UsageError(
            f"{card.path}: [config] heads has {', '.join(tables)}, and {task.name} trains one "
            "head; leave one table"
        )
    (table,) = tables.values() or [task.usual]
    try:
        task.head(table)
    except UsageError as error:
        raise UsageError(f"{card.path}: [config.heads] {error}") from error
    if task.several and not table:
        kind = head_class(catalog.find(card.architecture), task.head().ending)
        (table,) = getattr(kind, "default_heads", {}).values() or [{}]
    if task.several and table:
        sums = table.get("loss") == "multilabel_cross_entropy"
        table = {"activation": "linear" if sums else "sigmoid", **table}
    return dict(table)


def find_class(card: Card, task: Task) -> Any:
    """The class of the model that a card trains.

    Raises:
        UsageError: its architecture has no head for the task, or reads no table of it.
    """
    entry, table = catalog.find(card.architecture), head_table(card, task)
    ending = task.head(table).ending
    found = head_class(entry, ending)
    if found is None:
        raise UsageError(
            f"{card.path}: {card.architecture} has no head for {task.name} (a class whose name "
            f"ends with {ending}); choose another architecture or task"
        )
    if table.get("kind") in OF_OWN and len(table) > 1 and not entry.own:
        own = f"genae_{card.architecture}"
        raise UsageError(
            f"{card.path}: {found.__name__} of transformers reads nothing of [config.heads] but "
            "its kind; leave the rest out"
            + (f", or choose architecture = {own!r}" if own in catalog.ARCHITECTURES else "")
        )
    return found


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
    if task.name == "seq2seq" or getattr(config_class, "is_encoder_decoder", False):
        defaults |= first  # no field of every config, but read of every one
    if table := head_table(card, task):
        name = next(iter(card.config.get("heads") or {task.name: table}))
        read = catalog.find(card.architecture).own or table["kind"] not in OF_OWN
        rest = {key: value for key, value in card.config.items() if key != "heads"}
        card = replace(card, config=rest | ({"heads": {name: table}} if read else {}))
    if task.several:
        defaults["problem_type"] = "multi_label_classification"
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
    task = TASKS[str(card.data.task)]
    table = head_table(card, task)
    options = task.options(card.data.dataset, given | {"head": table})
    longest = getattr(config, "max_position_embeddings", None)
    if longest is None or options.max_length <= longest:
        return options
    if "max_length" in given:
        raise UsageError(
            f"max_length {options.max_length} is more than the config's max_position_embeddings, "
            f"{longest}; lower it, or raise that"
        )
    return replace(options, max_length=longest)
