"""The first card of a model of texts."""

from typing import Any

from zoo import catalog
from zoo.data.text import TASKS, Task
from zoo.data.text.describing import TextFacts, describe_texts
from zoo.errors import UsageError
from zoo.hints import did_you_mean
from zoo.loading import Located

from . import starts
from .drafting import MAX_WARM_UP, Draft, begun, data_table, power_of_two, reading, split_note
from .known import config_fields
from .text_settings import head_class

MAX_LENGTH = 128  # tokens of a text


def of_texts(
    entry: catalog.Entry, data: str, wanted: str | None, start: Located | None = None
) -> Draft:
    """What follows from texts: the task that fits, its columns, and how much there is to read.

    Args:
        entry: the architecture.
        data: the data set.
        wanted: the task; None for the first that fits.
        start: the model whose weights the training begins with; None for fresh ones.

    Raises:
        GenaeError: there are no texts, or the architecture cannot learn of these columns.
    """
    if wanted is not None and wanted not in TASKS:
        raise UsageError(f"no task is called {wanted!r}. {did_you_mean(wanted, TASKS)}")
    heads = _tasks(entry)
    if wanted is not None and wanted not in heads:
        raise UsageError(f"{entry.name} has no head for {wanted}; it learns {', '.join(heads)}")
    with reading(entry, "texts"):
        facts = describe_texts(data, None if wanted is None else TASKS[wanted])
    fitting = [name for name in heads if facts.columns_for(TASKS[name]) is not None]
    marks = facts.marks  # those that the data has are what it was made for
    fitting.sort(key=lambda n: marks.index(TASKS[n].marks) if TASKS[n].marks else len(marks))
    if start is not None:  # whose own task it has learned already
        fitting.sort(key=lambda name: TASKS[name].label is None)
    tasks = [name for name in fitting if wanted in (None, name)]
    if not tasks:
        needed = "; ".join(
            f"{name}: {_needs(TASKS[name])}" for name in heads if wanted in (None, name)
        )
        raise UsageError(
            f"data set {data} has {_has(facts)}, and {entry.name} learns other data ({needed}); "
            "name some, or another architecture"
        )
    others = [each for each in fitting if each != tasks[0]]
    return _text_draft(entry, data, facts, tasks[0], others, start)


def _needs(task: Task) -> str:
    """The columns that a task reads, in words."""
    if task.marks:
        return f"texts with {task.marks}"
    number = min(task.num_columns)
    texts = f"{number} column{'s' * (number > 1)} of texts"
    kind = "numbers" if task.scored else "lists of labels" if task.several else "labels"
    return f"{texts} and one of {kind}" if task.label else texts


def _has(facts: TextFacts) -> str:
    """The columns of a data set, in words."""
    kinds = {"texts": facts.texts, "lists": facts.words, "labels": facts.labels}
    kinds |= {kind: ("the texts",) for kind in facts.marks}
    return ", ".join(f"{kind} in {', '.join(names)}" for kind, names in kinds.items() if names)


def _tasks(entry: catalog.Entry) -> list[str]:
    """The tasks that an architecture has a head for, the row's own first."""
    heads = {
        name: task.head().ending
        for name, task in TASKS.items()
        if head_class(entry, task.head().ending) is not None
    }
    own = starts.FIRST_TASKS.get(entry.name)
    return sorted(
        heads, key=lambda name: (name != own, catalog.HEADS[heads[name]][0] != entry.auto)
    )


def _text_draft(
    entry: catalog.Entry,
    data: str,
    facts: TextFacts,
    name: str,
    others: list[str],
    given: Located | None,
) -> Draft:
    task = TASKS[name]
    fit = facts.columns_for(task)
    assert fit is not None
    columns, label = fit
    start = starts.TEXTS.get(entry.name, starts.TEXT)
    config, train, card = begun(start, entry.name)
    fields = config_fields(entry.name)[0]
    config |= next((sizes for sizes in starts.SIZES if sizes.keys() <= fields.keys()), {})
    tokenizer = starts.TOKENIZERS.get(name, starts.TOKENIZER)
    tokens = facts.count * facts.characters / starts.CHARACTERS[tokenizer["kind"]]
    length = min(MAX_LENGTH, max(8, power_of_two(tokens / 2))) if task.packs else MAX_LENGTH
    rows = max(1, tokens // length) if task.packs else facts.count
    batch = min(card.train.arguments["per_device_train_batch_size"], power_of_two(rows))
    steps = card.train.arguments["max_steps"]
    more: dict[str, Any] = {"task": name, "max_length": length}
    if task.packs:
        more["packing"] = True
    if tuple(columns) != task.columns and not task.marks:
        more["columns"] = list(columns)
    if label != task.label:
        more["label"] = label
    train = {
        "max_steps": steps,
        "per_device_train_batch_size": batch,
        "warmup_steps": MAX_WARM_UP,
        **train,
        "seed": 0,
    }
    tables = {"config": config, "tokenizer": dict(tokenizer)}
    if given is not None:
        tables, train = {"config": {}}, _fine_tuning(given, power_of_two(rows))
        longest = given.config.get("max_position_embeddings", length)
        more["max_length"] = min(length, longest)
    tables |= data_table(data, facts, more)
    also = f" {entry.name} and this data also fit {', '.join(others)} (--task)." if others else ""
    kinds = [kind for kind in task.heads if kind]
    head = f" Head: {kinds[0]}; [config.heads.{name}] chooses another." if kinds[1:] else ""
    notes = {
        "data.task": f"What the model learns.{head}{also}",
        "data.train_split": split_note(f"{facts.count:,} texts", facts.splits),
    }
    return Draft({**tables, "train": train}, notes, catalog.HEADS[task.head().ending][1])


def _fine_tuning(given: Located, max_batch: int) -> dict[str, Any]:
    """[train] of a training that begins with a model's weights."""
    (size, small), large = starts.FINE_TUNING_RATES
    rate = small if given.config.get("hidden_size", 0) <= size else large
    usual = dict(starts.FINE_TUNING)
    usual["per_device_train_batch_size"] = min(usual["per_device_train_batch_size"], max_batch)
    return {"start_from": str(given), **usual, "learning_rate": rate, "seed": 0}
