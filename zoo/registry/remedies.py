"""What mends a model's own folder: the command, for every difference that a check may find."""

from collections.abc import Iterable
from pathlib import Path

from zoo.card import CARD_FILE, Card
from zoo.errors import GenaeError
from zoo.hints import command
from zoo.registry.snapshots import in_cache
from zoo.staging import free_folder


class Problem(str):
    """One line about a difference in a model's folder.

    Attributes:
        words: what follows `genae card FOLDER` in the command that mends it; None where the
            weights have to be made again.
    """

    words: tuple[str, ...] | None

    def __new__(cls, text: str, words: tuple[str, ...] | None = ()) -> "Problem":
        """The line, and what mends it."""
        made = super().__new__(cls, text)
        made.words = words
        return made


ACCEPT = ("--accept",)


def may_change(folder: Path) -> bool:
    """Whether a folder is somebody's own: neither a cache's nor a published version."""
    return not in_cache(folder) and not any(folder.parent.glob("v*.json"))


def remedy(folder: Path, problems: Iterable[str]) -> str:
    """The sentence that names the command; other lines than `Problem`s are mended by `genae card`.

    Args:
        folder: the model's, as the user called it.
        problems: what differs in it, at least one line.
    """
    if not may_change(folder):
        return "Pull it again."
    words = [getattr(problem, "words", ()) for problem in problems]
    if None in words:
        return _made_anew(folder)
    more = dict.fromkeys(word for each in words for word in each or ())
    run = f"`{command('genae', 'card', folder, *more)}`"
    if "--accept" in more:
        return f"If it was changed on purpose, run {run}; else train, convert or pull it again."
    return f"Run {run}."


def _made_anew(folder: Path) -> str:
    """How the weights of a folder are made again."""
    try:
        card = Card.load(folder)
    except GenaeError:
        card = None
    if card is None or card.data is None or card.source is not None:
        return "Convert it again, or save it again with `save_pretrained`."
    return f"Train it: `{training(folder)}`, and go on with the folder that it makes."


def training(folder: Path) -> str:
    """The command that trains the card of a folder."""
    output = free_folder(Path("out", folder.resolve().name))
    return command("genae", "train", folder / CARD_FILE, "--output", output)
