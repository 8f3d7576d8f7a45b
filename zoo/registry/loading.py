"""Whether a class is the one for a model: asked before anything of the model is loaded."""

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card import Card
from zoo.errors import GenaeError, IntegrityError, UsageError
from zoo.hints import command
from zoo.registry import embedded
from zoo.registry.shown import notice

#: Types whose models have the same parts under the same names.
SAME = {"mt5": "t5"}


def check_class(
    wanted: Any,
    name: str | os.PathLike[str],
    place: str | os.PathLike[str] | None,
    subfolder: str = "",
) -> None:
    """Refuse a model of another architecture, before anything of it is loaded.

    Args:
        wanted: the class of a model or configuration that is asked for it.
        name: as it was asked for.
        place: its folder, or its `config.json` under any name; None before it was looked for,
            when the cards of genae's own models are asked.
        subfolder: of the folder.

    Raises:
        UsageError: it is of another architecture; names the right class.
    """
    config = _card(name) if place is None else _config(Path(place), subfolder)
    if config.get("model_type") is None:
        return  # nothing is known of it, or transformers says what is wrong
    model_type = str(config["model_type"])
    kind = getattr(wanted, "config_class", wanted)
    own = str(getattr(kind, "model_type", ""))
    if not own or _plain(model_type) == _plain(own):  # a processor has none
        return
    try:
        entry = catalog.find_config(model_type)
    except UsageError:
        raise UsageError(
            f"{name} is of type {model_type!r}, no model for {wanted.__name__}: load it with the "
            "library that made it, such as transformers.AutoModel"
        ) from None
    if not any(own == one.model_type for one in catalog.ARCHITECTURES.values()):
        if issubclass(kind, catalog.load(entry.config)):
            return  # a user's own, made of the right one
    right = catalog.class_name(entry.config)
    if wanted is not kind:
        named = config.get("architectures")
        named = named if isinstance(named, list) else []
        right = next((one for one in map(str, named) if entry.has_class(one)), entry.model_class)
    what = f"{_article(entry.title)} {entry.title}"
    raise UsageError(
        f"{name} is {what}, no model for {wanted.__name__}: load it with "
        f"{_call(entry, right, os.fspath(name), subfolder)}"
    )


def refuse_unchecked(name: str) -> None:
    """Refuse `push_to_hub`: what a push is checked against lies in a folder, not in memory.

    Args:
        name: the id that it was to be published under.

    Raises:
        UsageError: always; names the commands that publish.
    """
    card, push = command("genae", "card", "FOLDER"), command("genae", "push", "FOLDER", name)
    raise UsageError(
        "push_to_hub: genae publishes what was checked against a card, its measured results and "
        "the hash of every file, and an object in memory has none of them: "
        f"save_pretrained('FOLDER'), `{card}`, `{push}`"
    )


def unknown_class(taken: type, config: dict[str, Any]) -> str:
    """A sentence where a model is of a class that genae does not know; empty where it does.

    Args:
        taken: the class that the catalog gives for it.
        config: its `config.json`.
    """
    named = list(map(str, config.get("architectures") or ()))
    if not named or taken.__name__ in named:
        return ""
    code = ", or allow the code in its folder with trust_remote_code=True"
    return (
        f"config.json names the class {named[0]}, which genae does not know: call from_pretrained "
        f"of that class{code if config.get('auto_map') else ''}"
    )


@contextmanager
def loading_as(taken: type, config: dict[str, Any]) -> Iterator[None]:
    """Say, once the block has loaded a model, that its class is not the one that was saved.

    Raises:
        UsageError: in place of the block's `IntegrityError`: tensors are those of the other class.
    """
    stranger = unknown_class(taken, config)
    try:
        yield
    except IntegrityError as error:
        if not stranger:
            raise
        reason = str(error).rpartition("; ")[0]  # without the advice to get the files again
        raise UsageError(f"{stranger}; {taken.__name__} cannot take it: {reason}") from error
    if stranger:
        notice(f"{stranger}. It is loaded as {taken.__name__}, without what it changes.")


def class_in_folder(place: str, config: dict[str, Any]) -> type | None:
    """The class whose code a model's folder has; its module is run, which a user has allowed."""
    from transformers.dynamic_module_utils import get_class_from_dynamic_module

    listed = config.get("auto_map")
    autos = listed if isinstance(listed, dict) else {}
    references = (str(ref) for auto, ref in autos.items() if str(auto).startswith("AutoModel"))
    reference = next(references, None)
    return None if reference is None else get_class_from_dynamic_module(reference, place)


def _call(entry: catalog.Entry, right: str, name: str, subfolder: str) -> str:
    """The call that loads it; classes of transformers know neither ids of genae's nor `~`."""
    more = f", subfolder={subfolder!r}" if subfolder else ""
    if entry.own or catalog.is_fine_tuned(right):
        return f"{right}.from_pretrained({name!r}{more})"
    place = os.path.expanduser(name)
    if os.path.exists(place):
        return f"transformers.{right}.from_pretrained({place!r}{more})"
    config = ".config" if right == catalog.class_name(entry.config) else ""
    return f"zoo.from_pretrained({name!r}{more}){config}"


def _config(path: Path, subfolder: str) -> dict[str, Any]:
    """A model's configuration; empty where it cannot be read."""
    file = path if path.is_file() else path / subfolder / "config.json"
    try:
        config = json.loads(file.read_bytes())
    except (OSError, ValueError, RecursionError):
        return {}
    return config if isinstance(config, dict) else {}


def _card(name: str | os.PathLike[str]) -> dict[str, Any]:
    """The same of a published model of genae's own by its card, which is here already."""
    text = os.path.expanduser(os.fspath(name)) if name else ""
    if not embedded.owns(text) or Path(text).exists():
        return {}
    try:
        place = embedded.folder(text)
        card = Card.load(place)
        if not card.published and not embedded.ships(place):
            return {}
        return {"model_type": catalog.find(card.architecture).model_type}
    except GenaeError:
        return {}  # said where it is looked for


def _plain(model_type: str) -> str:
    """A type without the prefix of genae's own class of the same architecture."""
    plain = model_type.removeprefix("genae_")
    return SAME.get(plain, plain)


def _article(word: str) -> str:
    return "an" if word[:1].lower() in "aeiou" else "a"
