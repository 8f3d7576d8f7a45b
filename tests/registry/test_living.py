"""Models by version and place: what holds of every verb that names a model."""

import pytest

from zoo import hints, registry
from zoo.cli import door
from zoo.cli.group import load_verb
from zoo.cli.verbs import VERBS
from zoo.errors import NotFoundError
from zoo.registry.folder import Folder

#: What parameters that name models are called, or say of themselves.
NAMES = ("model", "models", "beside")
WORDS = ("Id such as", "or id of")


def models(command):
    return [p for p in command.params if p.metavar and p.metavar.strip("[].") == "MODEL"]


@pytest.fixture
def place(tmp_path, release, monkeypatch):
    """A folder of models with two versions of one; `alice/toy` is a folder here as well."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "alice" / "toy").mkdir(parents=True)
    for version in ("1.0.0", "1.1.0"):
        Folder("./models").push(release(version))
    return "./models"


@pytest.mark.parametrize("verb", VERBS)
def test_every_verb_takes_versions_and_places(verb, place):
    command = load_verb(verb)
    found = models(command)
    for parameter in command.params:  # so that the law sees every model
        says = any(word in (getattr(parameter, "help", "") or "") for word in WORDS)
        assert parameter in found or not (parameter.name in NAMES or says), parameter.name
    if not found:
        return
    assert "--from" in [flag for p in command.params for flag in p.opts]
    if not door.looks_up(command.callback):  # info, pull, push and verify look themselves
        return
    seen = {}

    def spy(**given):
        for parameter in found:
            value = given[parameter.name]
            seen[parameter.name] = registry.resolve(value[0] if isinstance(value, list) else value)
        seen["command"] = hints.command("genae", verb, "alice/toy@v1.0.0", "-n", "1")

    spy.at_the_door = True
    command.callback = spy
    arguments = []
    for parameter in command.params:
        if parameter in found or parameter.required:
            option = parameter.param_type_name == "option"
            arguments += parameter.opts[:1] if option else []
            arguments.append("alice/toy@v1.0.0" if parameter in found else "x")
    command.main([*arguments, "--from", place], standalone_mode=False)
    assert seen.pop("command") == f"genae {verb} alice/toy@v1.0.0 --from ./models -n 1"
    assert seen
    assert all("toy/1.0.0-" in folder for folder in seen.values())


def test_python_takes_versions_and_places(tmp_path):
    import zoo

    name = f"genae/ae-mnist@v{registry.load_card('genae/ae-mnist').version}"
    assert zoo.verify(name, source="embedded").ok
    assert zoo.load_image_processor(name, source="embedded").num_channels == 1
    assert zoo.AEModel.from_pretrained(name, source="embedded").config.model_type == "genae_ae"
    nowhere = str(tmp_path / "models")
    for load in (zoo.from_pretrained, zoo.AEModel.from_pretrained, registry.resolve, zoo.verify):
        with pytest.raises(NotFoundError, match="models has no model"):
            load(name, source=nowhere)
