"""Cards of texts that train in a second."""

import json
from itertools import pairwise

from zoo.card import Card

HEAD = """
schema = 1
id = "local/tiny-text"
version = "0.1.0"
architecture = "{architecture}"
task = "{tag}"
status = "recipe"
license = "apache-2.0"
summary = "A card for tests."
intended_use = "Tests."
limits = "Tests."

[config]
{config}

{tokenizer}

[data]
dataset = "{dataset}"
train_split = "train"
license = "cc0-1.0"
task = "{task}"
{data}

[train]
max_steps = 4
per_device_train_batch_size = 8
learning_rate = 1e-2
seed = 3
use_cpu = true
save_strategy = "no"
{train}
"""
BERT = """
hidden_size = 8
num_hidden_layers = 1
num_attention_heads = 2
intermediate_size = 8
max_position_embeddings = 16
"""
GPT2 = "n_embd = 8\nn_layer = 1\nn_head = 2\nn_positions = 16"
T5 = "d_model = 8\nd_kv = 4\nd_ff = 8\nnum_layers = 1\nnum_heads = 2"
#: Task, as a key of `TASKS`: an architecture of transformers, its sizes, the Hub's tag.
TASKS = {
    "masked-lm": ("bert", BERT, "fill-mask"),
    "causal-lm": ("gpt2", GPT2, "text-generation"),
    "seq2seq": ("t5", T5, "text-generation"),
    "classification": ("bert", BERT, "text-classification"),
    "multilabel": ("bert", BERT, "text-classification"),
    "tags": ("bert", BERT, "token-classification"),
    "entities": ("bert", BERT, "token-classification"),
    "relations": ("bert", BERT, "token-classification"),
    "pairs": ("bert", BERT, "sentence-similarity"),
}
DATA = {"pairs": 'label = "score"'}
CHARACTERS = 'kind = "characters"\nsize = 100'
WORDS = "the lazy dog sees a quick red fox jump over it".split()


def rows(number=40):
    """Texts of several lengths, with all that a task asks of a row."""
    for index in range(number):
        words = [WORDS[(index * step + step) % len(WORDS)] for step in range(1, 2 + index % 3)]
        kind = index % 3 == 0
        yield {
            "text": " ".join([("zzzz", "quux")[kind], *words]),
            "source": " ".join(words),
            "target": " ".join(WORDS[(index + step) % len(WORDS)] for step in range(5)),
            "label": ("common", "rare")[kind],
            "tokens": words,
            "tags": ["e" if "e" in word else "other" for word in words],
            "labels": [name for name in ("dog", "fox") if name in words],
            "entities": _entities(index, words),
            "relations": [
                {"subject": word, "predicate": "follows", "object": before}
                for before, word in pairwise(words)
            ],
            "sentence1": " ".join(words),
            "sentence2": " ".join(WORDS[: 1 + index % 3]),
            "score": float(kind),
        }


def _entities(index, words):
    """The animals of a text, as characters."""
    text = " ".join([("zzzz", "quux")[index % 3 == 0], *words])
    return [
        {"start": text.index(name), "end": text.index(name) + 3, "label": "animal"}
        for name in ("dog", "fox")
        if name in words
    ]


def write_rows(file):
    """The rows as JSON lines."""
    file.write_text("".join(f"{json.dumps(row)}\n" for row in rows()), encoding="utf-8")
    return file


def text_card(dataset, task="masked-lm", *, architecture=None, config=None, **sections):
    """A card of a task; sections add lines to `data` and `train`, or replace the `tokenizer`, of
    which nothing is left if it is empty.
    """
    usual, sizes, tag = TASKS[task]
    settings = {"tokenizer": CHARACTERS, "data": DATA.get(task, ""), "train": ""} | sections
    if settings["tokenizer"]:
        settings["tokenizer"] = f"[tokenizer]\n{settings['tokenizer']}"
    return Card.parse(
        HEAD.format(
            architecture=architecture or usual,
            config=sizes if config is None else config,
            tag=tag,
            task=task,
            dataset=dataset,
            **settings,
        )
    )
