"""Whether a class is the one for a model: asked before anything of the model is loaded."""

import json
import os
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card import Card
from zoo.errors import GenaeError, UsageError
from zoo.registry import embedded

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


def _call(entry: catalog.Entry, right: str, name: str, subfolder: str) -> str:
    """The call that loads it; classes of transformers know neither ids of genae's nor `~`."""
    more = f", subfolder={subfolder!r}" if subfolder else ""
    if entry.own:
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
