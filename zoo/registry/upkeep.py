"""A model's own folder brought up to date: its card changed, its page and manifest made anew."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card import CARD_FILE, Card, is_within
from zoo.card.card import MAX_BYTES
from zoo.card.editing import with_results, with_value
from zoo.card.starting import first_card, line
from zoo.errors import GenaeError, IntegrityError, NotFoundError, UsageError
from zoo.hints import command
from zoo.registry import embedded, manifest, names
from zoo.registry.remedies import may_change, remedy, training
from zoo.registry.signing import SIGNATURE


def own_folder(name: str | os.PathLike[str]) -> Path:
    """The folder of a model that may be changed.

    Args:
        name: a folder, the card in it, or the id of a model that came with genae.

    Raises:
        NotFoundError: there is none.
        UsageError: it is a published version, or of the cache, where nothing is changed.
    """
    text = embedded.text_of(name)
    place = names.here(text)
    if place is None and embedded.owns(text):
        return embedded.folder(text)
    if place is None and "/" not in text:
        raise names.no_model(text)
    if place is None:
        raise NotFoundError(f"{names.no_folder(text)}What is changed is a folder of one's own.")
    folder = Path(place).parent if os.path.isfile(place) else Path(place)
    if not may_change(folder):
        again = command("genae", "pull", "ID", "--to", "FOLDER")
        raise UsageError(
            f"{folder} is a published version or in the cache, where nothing is changed; "
            f"`{again}` copies it"
        )
    return folder


def renew(
    name: str | os.PathLike[str],
    settings: Mapping[str, Any] | None = None,
    *,
    accept: bool = False,
) -> Path:
    """Write README and manifest of a folder again after its card, its text or an image changed.

    Where weights have no card, a first one is written, with what their files say.

    Args:
        name: as `own_folder`.
        settings: values to change in the card first, by dotted keys such as `license` or
            `source.license`; the rest of its text stays as it is.
        accept: take weights and configuration as they are, where they differ from the manifest;
            what was measured on others is forgotten, in the manifest and of a conversion also in
            the card.

    Returns:
        The folder.

    Raises:
        NotFoundError: no folder, no card in it, or no weights.
        IntegrityError: a file that loading needs (weights, configuration) differs as well, or
            they are not sound.
        UsageError: the card is malformed, or would be with these settings.
    """
    folder = own_folder(name)
    text = _card_text(folder, checked=not settings)
    for key, value in (settings or {}).items():
        text = with_value(text, key, value)
    card = Card.parse(text, folder / CARD_FILE)
    if not embedded.ships(folder):
        raise NotFoundError(
            f"{folder} contains no weights, so no README or manifest: `{training(folder)}`"
        )
    old = _listed(folder, accept)
    changed = manifest.check_hashes(folder, skip=manifest.prose(old)) if old else []
    if changed and not accept:
        raise IntegrityError(
            f"{folder}: more than text was changed: {changed[0]}. {remedy(folder, changed)}"
        )
    if changed and card.source is not None and "parity" in card.source:
        text = with_value(text, "source.parity", None)
        card = Card.parse(text, folder / CARD_FILE)
    kept = dict(old) if old and not changed else {}
    if accept:
        kept.pop("parameters", None)  # they are counted
    _write(folder, card, kept, kept.get("results", []))
    return folder


def _card_text(folder: Path, *, checked: bool) -> str:
    """A folder's card; of weights without one, a first card.

    What a card lacks may be set, so it is checked only once it is.
    """
    file = folder / CARD_FILE
    if file.is_file() or not embedded.ships(folder):
        try:
            return Card.load(folder).text
        except UsageError:
            if checked or file.stat().st_size > MAX_BYTES:
                raise
            return file.read_bytes().decode("utf-8", "replace")
    config = manifest.read_config(folder)
    architecture = str((config.get("architectures") or [""])[0])
    entry = catalog.find_config(config.get("model_type"), [architecture])
    weights = sorted(folder.glob("*.safetensors"))
    return first_card(
        folder.resolve().name,
        entry,
        architecture,
        f"{entry.title[0].upper()}{entry.title[1:]}, described after its weights were saved.",
        {
            "format": "safetensors",
            "family": entry.name,
            "files": {line(path.name): manifest.sha256(path) for path in weights},
        },
        papers=[entry.paper] if entry.paper else [],
        tags=[entry.name],
    )


def _listed(folder: Path, accept: bool) -> dict[str, Any] | None:
    """A folder's manifest; None where there is none, or a malformed one that is replaced."""
    try:
        return manifest.read(folder)
    except NotFoundError:
        return None
    except GenaeError:
        if accept:
            return None
        raise


def check_unchanged(folder: Path) -> dict[str, Any]:
    """The manifest of a folder whose weights and configuration are what it says.

    Raises:
        NotFoundError: there is none.
        IntegrityError: they are not.
    """
    if not (folder / manifest.MANIFEST_FILE).is_file():
        raise NotFoundError(f"{manifest.absent(folder)} {remedy(folder, [''])}")
    listed = manifest.read(folder)
    if problems := manifest.check_hashes(folder, skip=manifest.prose(listed)):
        raise IntegrityError(f"{folder}: {problems[0]}. {remedy(folder, problems)}")
    return listed


def record(
    folder: Path,
    found: Sequence[Mapping[str, Any]],
    blocks: str = "",
    *,
    restate: bool = False,
) -> None:
    """Keep what was measured on a folder's weights, in its card, README and manifest.

    Args:
        folder: whose weights and configuration are those of its manifest.
        found: the results, in the card's form; they replace older measurements of the same in the
            manifest.
        blocks: `[[results]]` that the card is to state besides those that it has; TOML.
        restate: have the card state what was found where that is outside its tolerance.

    Raises:
        NotFoundError: the folder has no card or manifest.
        IntegrityError: its files differ from the manifest, so the numbers are of another model.
        UsageError: the card cannot be changed.
    """
    listed = check_unchanged(folder)
    card = Card.load(folder)
    text = card.text
    for number, stated in enumerate(card.results):
        same = [one for one in found if manifest.same(one, manifest.identity_of(stated))]
        value = same[-1]["value"] if same else stated.value
        if restate and not is_within(value, stated.value, stated.tolerance):
            for key in ("value", "measured"):
                text = with_value(text, f"results.{key}", same[-1][key], number=number)
    if blocks:
        text = with_results(text, blocks)
    card = Card.parse(text, folder / CARD_FILE)
    _write(folder, card, listed, manifest.merged(listed, found))


def _write(
    folder: Path, card: Card, listed: Mapping[str, Any], results: Sequence[Mapping[str, Any]]
) -> None:
    """Card, README and manifest at once; the page of a folder that is nobody's id loads itself."""
    shipped = folder.resolve().parent == embedded.ROOT.resolve()
    manifest.write(
        folder,
        card,
        listed.get("made", {"by": "genae card", "from": card.id}),
        parameters=listed.get("parameters"),
        results=results,
        place=None if shipped else ".",
        texts={CARD_FILE: card.text.encode("utf-8")},
    )
    (folder / SIGNATURE).unlink(missing_ok=True)  # of the folder as it was
