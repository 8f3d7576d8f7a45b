"""Where models live, one interface: resolve, list, pull, verify.

Importing it costs little: the standard library, no torch, numpy or huggingface_hub.
"""

import os
from pathlib import Path
from typing import Any

from zoo.card import CARD_FILE, Card
from zoo.errors import IntegrityError, NotFoundError, UnsafeError, UsageError
from zoo.hints import nearest
from zoo.registry import embedded, manifest
from zoo.registry.header import PICKLES, safetensors_header
from zoo.registry.transfer import Report, pull, verify

__all__ = [
    "Report",
    "describe",
    "install",
    "list_models",
    "load_card",
    "pull",
    "resolve",
    "verify",
]


def list_models() -> list[Card]:
    """The card of every model genae knows, in the order of names.

    Raises:
        UsageError: a card is malformed.
    """
    return [Card.load(folder) for folder in embedded.folders()]


def load_card(name: str | os.PathLike[str]) -> Card:
    """The card of a model.

    Args:
        name: an id (`genae/vae-mnist`), a folder, a card file, or `cards/vae-mnist`, which names
            the embedded card wherever the current folder is.

    Raises:
        NotFoundError: there is no such card.
        UsageError: the card is malformed, or the name empty.
    """
    text = embedded.text_of(name)
    if Path(text).exists():
        return Card.load(text)
    own = text.rstrip("/\\").replace("\\", "/")
    if own.startswith("cards/"):
        own = f"{embedded.OWNER}/{own.removeprefix('cards/').removesuffix(f'/{CARD_FILE}')}"
    if embedded.owns(own):
        return Card.load(embedded.folder(own))
    raise NotFoundError(f"no model, folder or card {text!r}.{_own_name(text)}")


def describe(card: Card) -> dict[str, Any]:
    """What `genae list` and `genae info` show of a card and its manifest, ready for JSON.

    Returns:
        `id`, `version`, `status`, `architecture`, `task`, `parameters` and `bytes` (of the
        weights; None where there are none), `license`, `summary`, `ships` (weights lie beside the
        card), `published` (the Hub's commit or None).
    """
    folder = card.path.parent if card.path else None
    ships = folder is not None and embedded.ships(folder)
    known: dict[str, Any] = {}
    if folder is not None and (folder / manifest.MANIFEST_FILE).is_file():
        known = manifest.read(folder)
    sizes = [e["size"] for e in known.get("files", []) if e["path"].endswith(".safetensors")]
    if ships and not sizes and folder is not None:
        sizes = [path.stat().st_size for path in folder.glob("*.safetensors")]
    return {
        "id": card.id,
        "version": card.version,
        "status": card.status,
        "architecture": card.architecture,
        "task": card.task,
        "parameters": known.get("parameters"),
        "bytes": sum(sizes) or None,
        "license": card.license,
        "summary": card.summary,
        "ships": ships,
        "published": (card.published or {}).get("commit"),
    }


def resolve(name: str | os.PathLike[str], revision: str | None = None) -> str:
    """Where `from_pretrained` finds a model's files.

    An existing local folder wins over an id. A `genae/` id is the embedded copy, or, where the
    card names a published commit, that commit on the Hub with every file hashed. An id of another
    owner is left to transformers. The files' sizes and the safetensors header are checked each
    time; with `GENAE_VERIFY=always` in the environment every file is hashed as well.

    Args:
        name: folder or id.
        revision: a version of the model (`v1.0.0`, `1.0.0`, `main`) or the published commit; a
            local folder has no revisions and ignores it.

    Returns:
        A folder, or the id unchanged where it is not ours.

    Raises:
        NotFoundError: no such model, or this revision of it, is published; says what to do.
        IntegrityError: files differ from their manifest, or the weights are not sound.
        UnsafeError: the only weights are pickled.
        UsageError: the name is empty.
    """
    text = embedded.text_of(name)
    if Path(text).exists():  # transformers also accepts the path of a JSON file
        if Path(text).is_dir():
            _check_folder(Path(text))
        return text
    if not embedded.owns(text):
        if text.startswith((".", "/", "~")) or text.count("/") > 1 or "\\" in text:
            raise NotFoundError(f"no folder {text!r}: give an existing folder or an id.")
        if hint := _own_name(text):
            raise NotFoundError(f"no folder {text!r}.{hint}")
        return text
    folder = embedded.folder(text)
    card = Card.load(folder)
    commit = (card.published or {}).get("commit")
    own = (None, "main", card.version, f"v{card.version}")
    if embedded.ships(folder) and revision in (*own, commit):
        _check_folder(folder)
        return str(folder)
    if commit is None and not embedded.ships(folder):
        raise embedded.not_published(card)
    if commit is None or revision not in (*own, commit):
        known = ", ".join(word for word in (f"v{card.version}", "main", commit) if word)
        raise NotFoundError(
            f"revision {revision!r} of {card.id} is not published; there is {known}."
        )
    from zoo.registry import hub  # needs huggingface_hub, which is slow to import

    fetched = hub.fetch(card, folder, commit)
    _check_folder(fetched)
    return str(fetched)


def _check_folder(folder: Path) -> None:
    """What every loading checks of a folder, with or without a manifest."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        for path in sorted(folder.glob("pytorch_model*")):
            if path.suffix in PICKLES:
                raise UnsafeError(
                    f"{path}: pickled weights can run code; genae reads safetensors only."
                )
    for path in weights:
        safetensors_header(path)
    if not (folder / manifest.MANIFEST_FILE).is_file():
        return
    always = os.environ.get("GENAE_VERIFY", "").lower() == "always"
    problems = manifest.check_hashes(folder) if always else manifest.check_sizes(folder)
    if problems:
        raise IntegrityError(
            f"{folder}: {'; '.join(problems)}. Pull it again; if you changed it on purpose, "
            f"delete its {manifest.MANIFEST_FILE}."
        )


def _own_name(text: str) -> str:
    """A hint when a bare name is, nearly, one of ours without its owner."""
    if "/" in text:
        return ""
    match = nearest(text, [folder.name for folder in embedded.folders()])
    return f" Did you mean '{embedded.OWNER}/{match}'?" if match else ""


def install() -> None:
    """Let the island's base classes find models through `resolve`; imports torch.

    Code that was copied to the Hub keeps their own `resolve`, which changes nothing.
    """
    from zoo.models.configuration_base import GenaeConfig
    from zoo.models.image_processing_genae import GenaeImageProcessor
    from zoo.models.modeling_base import GenaePreTrainedModel

    for base in (GenaeConfig, GenaePreTrainedModel, GenaeImageProcessor):
        if not hasattr(base, "resolve"):
            raise UsageError(f"{base.__name__} has no attribute 'resolve' to install into.")
        base.resolve = staticmethod(resolve)
