"""The models that came with genae: the folders of `cards/`. Standard library only."""

import difflib
import os
from collections.abc import Callable
from pathlib import Path

from zoo.card import CARD_FILE, Card
from zoo.errors import NotFoundError, UsageError
from zoo.hints import nearest

OWNER = "genae"
#: `cards` is installed next to `zoo`; found by place, as the path could contain another `cards`.
ROOT = Path(__file__).resolve().parents[2] / "cards"

WEIGHTS = ("model.safetensors", "model.safetensors.index.json")


def text_of(name: str | os.PathLike[str]) -> str:
    """A model's name as text, `~` resolved; an empty one would mean the current folder.

    Raises:
        UsageError: it is empty.
    """
    text = os.path.expanduser(os.fspath(name))
    if not text.strip():
        raise UsageError(
            f"{text!r} names no model: give an id such as genae/eae-mnist or a folder."
        )
    return text


class Embedded:
    """What came with genae, as a registry."""

    name = "embedded"

    def list(self, search: str = "") -> list[str]:
        """Ids of every card, those that contain `search`."""
        ids = [f"{OWNER}/{path.name}" for path in folders()]
        return [name for name in ids if search.lower() in name.lower()]

    def versions(self, name: str) -> dict[str, str]:
        """The one version that ships, or that its card says is published, with the commit."""
        card = Card.load(folder(name))
        commit = (card.published or {}).get("commit", "")
        return {f"v{card.version}": commit} if commit or ships(folder(name)) else {}

    def folder(
        self,
        name: str,
        revision: str | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> Path:
        """The folder of a `genae/` id; where its card names a published commit, that of the Hub.

        Raises:
            NotFoundError: no such model, or this revision of it, is published; says what to do.
            IntegrityError: what the Hub has is not what the manifest here says.
        """
        place = folder(name)
        card = Card.load(place)
        commit = (card.published or {}).get("commit")
        own = (None, "main", card.version, f"v{card.version}")
        if ships(place) and revision in (*own, commit):
            return place
        if commit is None and not ships(place):
            raise not_published(card)
        if commit is None or revision not in (*own, commit):
            known = ", ".join(word for word in (f"v{card.version}", "main", commit) if word)
            raise NotFoundError(
                f"revision {revision!r} of {card.id} is not published; there is {known}."
            )
        from zoo.registry.hub.hub import Hub  # needs huggingface_hub, which is slow to import

        vouched = (place / "manifest.json").read_bytes()
        return Hub().folder(card.id, commit, progress, vouched=vouched)


def owns(name: str) -> bool:
    """Whether an id is genae's own: `genae/...`."""
    return name.startswith(f"{OWNER}/")


def ships(folder: Path) -> bool:
    """Whether a folder contains weights, not only a card."""
    return any((folder / name).is_file() for name in WEIGHTS)


def folders() -> list[Path]:
    """Every folder of the embedded registry that has a card, in the order of names."""
    if not ROOT.is_dir():
        return []
    return sorted(path.parent for path in ROOT.glob(f"*/{CARD_FILE}"))


def folder(name: str) -> Path:
    """The folder of a `genae/` id.

    Raises:
        NotFoundError: no card has this id; the message has the nearest.
    """
    known = {f"{OWNER}/{path.name}": path for path in folders()}
    if name not in known:
        near = nearest(name, known)
        hint = f" Did you mean {near!r}?" if near else ""
        raise NotFoundError(
            f"no model named {name!r}.{hint} `genae list --all` shows all {len(known)}."
        )
    return known[name]


def not_published(card: Card) -> NotFoundError:
    """The error for a model that has a card but no weights anywhere."""
    near = nearest_shipped(card)
    return NotFoundError(
        f"{card.id} is not published: train it with `genae train cards/{card.name}`"
        + (f"; nearest shipped model: {near.id}" if near else "")
    )


def nearest_shipped(card: Card) -> Card | None:
    """The most similar model that ships: same task and architecture before a similar name."""

    def likeness(other: Card) -> tuple[bool, bool, float]:
        alike = difflib.SequenceMatcher(None, card.name, other.name).ratio()
        return other.task == card.task, other.architecture == card.architecture, alike

    shipped = [Card.load(path) for path in folders() if ships(path)]
    return max((c for c in shipped if c.id != card.id), key=likeness, default=None)


def own_name(text: str) -> str:
    """A hint when a bare name is, nearly, one of genae's without its owner."""
    if "/" in text:
        return ""
    match = nearest(text, [place.name for place in folders()])
    return f" Did you mean '{OWNER}/{match}'?" if match else ""
