"""Scores of a validation in training: those that `genae evaluate` measures on the same texts."""

import json

import pytest

from tests.training.text_cards import BERT, text_card, write_rows
from zoo.evaluation import evaluate
from zoo.training import train

#: Enough that something is found, and a validation after the last step.
SETTINGS = ["max_steps=10", "learning_rate=3e-2", "data.validation_split=train",
            "eval_strategy=epoch"]  # fmt: skip
POINTER = '{kind = "efficient_global_pointer", size = 4, loss = "%s"}'
#: Cards: a task, the head's table, and the scores that there are.
CASES = {
    "multilabel": ("multilabel", "", ["accuracy", "macro_f1", "micro_f1"]),
    "tags": ("tags", "", ["entity_f1", "micro_f1"]),
    "sparse": ("entities", POINTER % "sparse", ["entity_f1"]),
    "dense": ("entities", POINTER % "dense", ["entity_f1"]),
    "pairs": ("pairs", "", ["spearman"]),
}


def animals(text):
    """Where the animals of a text stand."""
    return [
        {"start": text.index(name), "end": text.index(name) + 3, "type": name}
        for name in ("dog", "fox")
        if name in text
    ]


def spelled(place, entity):
    """The label of a character, in the scheme BIO."""
    return "O" if entity is None else f"{'IB'[place == entity['start']]}-{entity['type']}"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """Texts that are read whole, and of which each character is a token."""
    file = write_rows(tmp_path_factory.mktemp("texts") / "rows.jsonl")
    rows = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
    for row in rows:
        row["text"] = row["text"].replace(" ", "")[4:16]
        row["entities"], row["tokens"] = animals(row["text"]), [*row["text"]]
        inside = {at: one for one in row["entities"] for at in range(one["start"], one["end"])}
        row["tags"] = [spelled(at, inside.get(at)) for at in range(len(row["tokens"]))]
    file.write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    return file


@pytest.mark.parametrize("case", CASES)
def test_scores_are_those_that_evaluate_measures(data, tmp_path, case):
    task, table, names = CASES[case]
    config = f"{BERT}\n" + (f"heads.of = {table}" if table else "")
    card = text_card(data, task, config=config)
    folder = train(card, tmp_path / case, overrides=SETTINGS, quiet=True)
    logged = json.loads((folder / "training.json").read_text("utf-8"))["log"]
    last = next(row for row in reversed(logged) if names[0] in row)
    measured = evaluate(folder, metrics=names, split="train", quiet=True)
    found = {name: last[name] for name in names}
    assert found == pytest.approx({each.name: each.measured for each in measured}, abs=1e-6)
