"""The words of the house: help texts that begin with a noun or a verb, and one word per thing."""

import re
from pathlib import Path

import pytest
import typer

from zoo.cli import app
from zoo.cli.group import load_verb
from zoo.cli.verbs import VERBS

ROOT = Path(__file__).resolve().parents[2]
#: Words that are neither a noun nor a verb and that a help text has once begun with, or might.
OPENERS = frozenset(
    "all also another any as at both by each either else every few for from he her here his how "
    "if in instead into it its likewise many more most no none not of on only or other our same "
    "several she so some such that their them then there these they this those to too what when "
    "where whether which who whose why with without you your".split()
)

#: A word that another one has replaced: where, the word, and the one to use.
REPLACED = [
    (("zoo", "convert"), r"pictures?", "image"),
    (("zoo", "convert"), r"settle[ds]?|settling", "resolved, or decided"),
    (("zoo", "convert"), r"(?:\w+_)?(?:LEAST|MOST|LARGEST|SMALLEST)(?:_\w+)?", "MIN_ or MAX_"),
    (("convert", "zoo/registry"), r"holds? (?:no|several|two|it|values)", "contains, or has"),
]


def help_texts() -> list[tuple[str, str]]:
    """Where each help text of the command line stands, and the text."""
    group = typer.main.get_command(app)
    commands = {"genae": group} | {f"genae {name}": load_verb(name) for name in VERBS}
    texts = [(f"genae {name}, in the list of verbs", verb.help) for name, verb in VERBS.items()]
    for name, command in commands.items():
        texts.append((name, command.help))
        texts += [(f"{name} {param.opts[0]}", param.help) for param in command.params]
    return texts


def faults(text: str | None) -> list[str]:
    """What is wrong with the beginning or the end of a help text."""
    if not text:
        return ["is missing"]
    first = re.split(r"[^\w'-]+", text.strip())[0]
    found = []
    if not text[0].isupper():
        found.append("begins with no capital letter")
    if first.lower() in OPENERS:
        found.append(f"begins with {first!r}, which is neither a noun nor a verb")
    if not text.rstrip().endswith("."):
        found.append("ends without a full stop")
    return found


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("Number of annealing temperatures.", 0),
        ("Of the annealing.", 1),
        ("only this", 3),
        ("bert4keras's model=.", 1),
        ("", 1),
        (None, 1),
    ],
)
def test_faults_of_help_texts_are_seen(text, count):
    assert len(faults(text)) == count


def test_help_texts_begin_with_a_noun_or_a_verb():
    texts = help_texts()
    assert len(texts) > 150
    wrong = [f"{place}: {text!r} {fault}" for place, text in texts for fault in faults(text)]
    # typer writes these two, and says them without a full stop in some of its versions.
    assert not [line for line in wrong if "completion" not in line], "\n".join(wrong)


@pytest.mark.parametrize(("tops", "word", "use"), REPLACED, ids=lambda value: str(value))
def test_replaced_words_stay_replaced(tops, word, use):
    pattern = re.compile(rf"(?<!\w){word}(?!\w)")
    files = [
        path
        for top in tops
        for ending in ("*.py", "*.pyi", "*.md")
        for path in (ROOT / top).rglob(ending)
    ]
    assert len(files) > 50
    found = [
        f"{path.relative_to(ROOT)}:{number}: say {use}: {line.strip()}"
        for path in files
        for number, line in enumerate(path.read_text("utf-8").splitlines(), 1)
        if pattern.search(line) or pattern.search(line.lower())
    ]
    assert not found, "\n".join(found)
