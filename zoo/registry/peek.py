"""What a registry says of a model before any weights are fetched."""

import hashlib
import json
from pathlib import Path
from typing import Any

from zoo.card import CARD_FILE, Card
from zoo.card.card import MAX_BYTES as CARD_BYTES
from zoo.errors import GenaeError, IntegrityError, NotFoundError
from zoo.registry import embedded, manifest, names, order
from zoo.registry.shown import notice, says_nothing
from zoo.registry.types import Remote, Snapshot

#: Small files that describe a model, with the maximal number of bytes of each.
DESCRIBING = {CARD_FILE: CARD_BYTES, manifest.MANIFEST_FILE: manifest.MAX_BYTES,
              "config.json": manifest.MAX_BYTES}  # fmt: skip


def describe(card: Card) -> dict[str, Any]:
    """What `genae list` and `genae info` show of a card and its manifest, ready for JSON.

    Returns:
        `id`, `version`, `status`, `architecture`, `task`, `parameters` and `bytes` (of the
        weights; None where there are none), `license`, `summary`, `ships` (weights lie next to the
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


def peek(
    name: str, revision: str | None = None, source: str | None = None
) -> tuple[dict[str, Any], Card | None]:
    """Describe a model that is elsewhere; of its files only the small ones are read.

    Args:
        name: owner and name, or the address of a model's page.
        revision: a version, branch, tag or commit.
        source: the only registry to ask, in place of the search order.

    Returns:
        The fields of `describe`, and for what did not come with genae `registry`, `revision`,
        `commit`, `versions`, `withdrawn` (tags with their reasons) and `files`; and the card, None
        where there is none.

    Raises:
        NotFoundError: no registry has it.
        NotAllowedError: it is gated.
        IntegrityError: what the registry says makes no sense.
    """
    name, revision, source = names.parse(name, revision, source)
    failure: NotFoundError | None = None
    for place in [source] if source else order.order():
        if place == "embedded" and embedded.owns(name):
            found = Card.load(embedded.Embedded().folder(name, revision))
            return describe(found), found
        if place == "embedded" or (place == "hub" and not source and embedded.owns(name)):
            continue
        try:
            return _ask(order.open_remote(place), name, revision)
        except NotFoundError as error:
            failure = error
    if failure is not None and not source:
        raise type(failure)(f"{names.no_folder(name)}{failure}")
    raise failure or NotFoundError(f"no registry to ask for {name}: see `genae registry`.")


def _ask(registry: Remote, name: str, revision: str | None) -> tuple[dict[str, Any], Card | None]:
    """Ask a registry; what the cache has serves where no answer comes."""
    try:
        return facts_of(registry, registry.find(name, revision))
    except GenaeError as error:
        cached = registry.cached(name, revision) if says_nothing(error) else None
        if cached is None:
            raise
        snapshot, folder = cached
        notice(f"{name}: {error} This is what the cache has ({snapshot.commit[:12]}).")
        return _facts(registry, snapshot, [_cached(folder / path) for path in DESCRIBING])


def facts_of(registry: Remote, snapshot: Snapshot) -> tuple[dict[str, Any], Card | None]:
    """What `peek` returns, of one snapshot.

    Raises:
        GenaeError: as `peek`.
    """
    texts = [small(registry, snapshot, path, limit) for path, limit in DESCRIBING.items()]
    facts, card = _facts(registry, snapshot, texts)
    facts["versions"] = list(registry.versions(snapshot.id))
    gone = registry.withdrawn(snapshot.id) if facts["versions"] else {}
    facts["withdrawn"] = {tag: one.why for tag, one in gone.items()}
    return facts, card


def _cached(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def _facts(
    registry: Remote, snapshot: Snapshot, texts: list[bytes | None]
) -> tuple[dict[str, Any], Card | None]:
    """What the small files say of a model."""
    card_text, listed_text, config_text = texts
    card = Card.parse(card_text.decode("utf-8", "replace")) if card_text else None
    path = Path(manifest.MANIFEST_FILE)
    listed = manifest.parse(listed_text, path) if listed_text else {}
    weights = [file.size for file in snapshot.files if file.path.endswith(".safetensors")]
    try:
        config = json.loads(config_text) if config_text else {}
    except (ValueError, RecursionError):
        config = {}
    model_type = config.get("model_type") if isinstance(config, dict) else None
    facts: dict[str, Any] = {
        "id": snapshot.id,
        "version": card.version if card else None,
        "status": card.status if card else None,
        "architecture": card.architecture if card else model_type,
        "task": card.task if card else None,
        "parameters": listed.get("parameters"),
        "bytes": sum(weights) or None,
        "license": card.license if card else None,
        "summary": card.summary if card else None,
        "ships": False,
        "published": snapshot.commit,
        "registry": registry.name,
        "revision": snapshot.revision,
        "commit": snapshot.commit,
        "versions": [],
        "withdrawn": {},
        "files": [{"path": file.path, "size": file.size} for file in snapshot.files],
    }
    return facts, card


def small(registry: Remote, snapshot: Snapshot, path: str, limit: int) -> bytes | None:
    """A small file's content, hashed; None if there is none."""
    file = snapshot.file(path)
    if file is None:
        return None
    if file.size > limit:
        raise IntegrityError(f"{snapshot.id}: {path} has {file.size} bytes, too many for one.")
    with registry.read(snapshot, file) as pieces:
        content = b"".join(pieces)
    git = b"blob %d\0" % len(content)
    total = (
        hashlib.sha256(content).hexdigest()
        if file.sha256
        else hashlib.sha1(git + content, usedforsecurity=False).hexdigest()
    )
    if total != file.sum:
        raise IntegrityError(f"{snapshot.id}: {path} differs from its checksum.")
    return content


def tell_deprecated(folder: Path) -> None:
    """Say once of a model that its card deprecates it, why, and what replaces it."""
    path = folder / CARD_FILE
    try:
        text = path.read_bytes()[:CARD_BYTES]
        if b"deprecated" not in text:  # reading a card takes longer than this
            return
        card = Card.parse(text.decode("utf-8", "replace"), path)
    except (OSError, GenaeError):
        return  # said where the card is asked for
    if card.status == "deprecated":
        why = " ".join((card.reason or "").split()).rstrip(".")
        notice(f"{card.id} v{card.version} is deprecated: {why}. Use {card.replaced_by} instead.")
