"""What a card may say: one table of keys per TOML table. Standard library only."""

import re
from collections.abc import Mapping

from zoo.card.keys import (
    BOOLEAN,
    COMMIT,
    COUNT,
    DATE,
    FACTOR,
    HASHES,
    LINE,
    MAGNITUDE,
    NUMBER,
    SHARE,
    SIZE,
    TABLE,
    TEXT,
    TEXTS,
    WEIGHTS,
    Key,
    choice,
    is_depths,
    is_integer,
    is_line,
    is_number,
    is_tables,
    is_texts,
    matches,
    optional,
    some_of,
)

ID = re.compile(r"[A-Za-z0-9][\w.-]{0,62}/[A-Za-z0-9][\w.-]{0,62}", re.ASCII)
STATUSES = ("recipe", "fixture", "experimental", "stable", "deprecated")
# What follows stands in tables of `zoo.data`, `zoo.models` and `convert` as well, which need torch
# or numpy to be read: `tests/house/test_cards.py` compares them.
BINARIZATIONS = ("none", "stochastic", "threshold")
AUGMENTATIONS = ("shift", "crop", "flip", "color", "gray")
SAMPLERS = ("gaussian", "mixture")
STORED_AS = ("float32", "float16")
WARM_UPS = ("none", "unbiased", "slow")  # of an average of weights
AVERAGES = ("instead", "beside")  # where an average of weights is saved
FORMATS = ("tf-checkpoint", "keras-hdf5", "keras-zip", "safetensors")
TASKS = (  # of texts
    *("masked-lm", "causal-lm", "seq2seq", "classification", "multilabel"),
    *("tags", "entities", "relations", "pairs"),
)
LAYOUTS = ("columns", "segmented")  # of files of tags
SCHEMES = ("BIO", "BIOES", "BMES", "BILOU")
ENDS = ("inclusive", "exclusive")  # of spans
TOKENIZERS = ("characters", "wordpiece", "bytes", "words")  # kinds that are trained from the data
OBJECTIVES = ("fgm", "pgd", "free", "virtual", "gradient-penalty", "r-drop")

CARD = {
    "schema": Key(lambda value: is_integer(value) and value == 1, "1"),
    "id": Key(lambda v: isinstance(v, str) and bool(ID.fullmatch(v)), "owner/name"),
    "version": Key(matches(r"\d{1,6}\.\d{1,6}\.\d{1,6}"), 'a version, such as "1.0.0"'),
    "architecture": LINE,
    "task": Key(matches(r"[a-z0-9]+(-[a-z0-9]+)*"), "a pipeline tag of the Hub"),
    "status": choice(STATUSES),
    "license": LINE,
    "summary": LINE,
    "papers": optional(TEXTS),
    "tags": optional(TEXTS),
    "language": optional(TEXTS),
    "base_model": optional(LINE),
    "intended_use": TEXT,
    "limits": TEXT,
    "replaced_by": optional(LINE),
    "reason": optional(TEXT),
    "config": optional(TABLE),
    "processor": optional(TABLE),
    "tokenizer": optional(TABLE),
    "data": optional(TABLE),
    "train": optional(TABLE),
    "results": Key(is_tables, "written [[results]], once per number", required=False),
    "source": optional(TABLE),
    "published": optional(TABLE),
}
#: Keys of [data] about images, and about texts.
OF_IMAGES = {
    "binarization": optional(choice(BINARIZATIONS)),
    "augmentations": Key(
        some_of(AUGMENTATIONS), f"a list with any of {', '.join(AUGMENTATIONS)}", required=False
    ),
    "num_views": optional(Key(lambda value: is_integer(value) and value in (1, 2), "1 or 2")),
}
OF_TEXTS = {
    "task": optional(choice(TASKS)),
    "columns": optional(TEXTS),
    "label": optional(LINE),
    "labels": optional(TEXTS),
    "max_length": optional(SIZE),
    "packing": optional(BOOLEAN),
    "mask_rate": optional(SHARE),
    "whole_words": optional(BOOLEAN),
    "group_by_length": optional(BOOLEAN),
    "paragraphs": optional(BOOLEAN),
    "separator": optional(LINE),
    "layout": optional(choice(LAYOUTS)),
    "scheme": optional(choice(SCHEMES)),
    "ends": optional(choice(ENDS)),
}
DATA = {
    "dataset": LINE,
    "config": optional(LINE),
    "name": optional(LINE),
    "train_split": LINE,
    "validation_split": optional(LINE),
    "license": LINE,
    "sha256": optional(HASHES),
    "streaming": optional(BOOLEAN),
    **OF_IMAGES,
    **OF_TEXTS,
}
TOKENIZER = {
    "id": optional(LINE),
    "kind": optional(choice(TOKENIZERS)),
    "size": optional(SIZE),
    "lowercase": optional(BOOLEAN),
}
TRAIN = {  # the other keys are the training arguments', checked by building them
    "budget": optional(TABLE),
    "samplers": Key(
        some_of(SAMPLERS), f"a list with any of {', '.join(SAMPLERS)}", required=False
    ),
    "stored_as": optional(choice(STORED_AS)),
    "cuda_graph": optional(BOOLEAN),
    "rates": optional(TABLE),
    "gradients": Key(
        lambda value: is_tables(value) and all(is_line(item.get("op")) for item in value),
        "written [[train.gradients]], once per operation, each with its op",
        required=False,
    ),
    "ema": optional(TABLE),
    "adversarial": optional(TABLE),
    "lora": optional(TABLE),
    "start_from": optional(LINE),
    "class_weights": optional(WEIGHTS),
    "early_stopping_patience": optional(SIZE),
}
RATES = {
    "layer_decay": Key(
        lambda value: is_number(value) and 0 < value <= 1, "a number above 0, at most 1", False
    ),
    "head": optional(FACTOR),
    "layers": optional(TEXTS),
    "rules": Key(is_tables, "written [[train.rates.rules]], once per rule", required=False),
}
RULE = {
    "pattern": optional(LINE),
    "type": optional(LINE),
    "depth": Key(is_depths, "a depth or a list of depths", required=False),
    "kind": optional(LINE),
    "scale": optional(FACTOR),
    "weight_decay": optional(MAGNITUDE),
    "freeze": optional(BOOLEAN),
}
EMA = {
    "decay": SHARE,
    "warm_up": optional(choice(WARM_UPS)),
    "saved": optional(choice(AVERAGES)),
}
ADVERSARIAL = {"kind": choice(OBJECTIVES)}  # the other keys are the objective's own
LORA = {
    "rank": SIZE,
    "alpha": optional(FACTOR),
    "dropout": optional(SHARE),
    "target_modules": Key(
        lambda value: value == "all-linear" or (is_texts(value) and bool(value)),
        'a list of names of layers, or "all-linear"',
        required=False,
    ),
}
BUDGET = {"device": LINE, "minutes": MAGNITUDE}
RESULT = {
    "dataset": LINE,
    "split": LINE,
    "metric": LINE,
    "unit": LINE,
    "value": NUMBER,
    "tolerance": MAGNITUDE,
    "seed": COUNT,
    "protocol": LINE,
    "options": optional(TABLE),
    "training": optional(TABLE),
    "measured": TABLE,
}
TRAINING = {"seeds": COUNT, "mean": NUMBER, "sd": MAGNITUDE}
MEASURED = {"date": DATE, "device": LINE, "genae": LINE}
SOURCE = {
    "format": choice(FORMATS),
    "family": LINE,
    "url": optional(LINE),
    "license": LINE,
    "files": HASHES,
    "options": optional(TABLE),
    "parity": optional(TABLE),
}
PARITY = {"outputs": TEXTS, "max_abs_error": MAGNITUDE, "atol": MAGNITUDE}
PUBLISHED = {"commit": COMMIT}

#: Tables inside the card, by their path, with the keys they may hold.
NESTED: dict[str, Mapping[str, Key]] = {
    "data": DATA,
    "tokenizer": TOKENIZER,
    "train.budget": BUDGET,
    "train.rates": RATES,
    "train.ema": EMA,
    "train.lora": LORA,
    "source": SOURCE,
    "source.parity": PARITY,
    "published": PUBLISHED,
}
#: Every table of a card by its place, with its keys.
TABLES: dict[str, Mapping[str, Key]] = {
    "": CARD,
    **NESTED,
    "train": TRAIN,
    "train.rates.rules": RULE,
    "train.adversarial": ADVERSARIAL,
    "results": RESULT,
    "results.measured": MEASURED,
    "results.training": TRAINING,
}
#: What a card may say of images alone, and of texts alone, by table.
IMAGES_ALONE = {"": ("processor",), "data": tuple(OF_IMAGES), "train": ("samplers", "cuda_graph")}
TEXTS_ALONE = {
    "": ("tokenizer",),
    "data": tuple(OF_TEXTS),
    "train": ("adversarial", "lora", "start_from", "class_weights"),
}
