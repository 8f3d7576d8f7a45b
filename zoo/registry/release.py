"""A model's folder made ready for the world: checked against its card, complete, hashed."""

import contextlib
import hashlib
import os
import re
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any

from zoo import catalog
from zoo.card import CARD_FILE, Card
from zoo.card.card import LOCAL
from zoo.card.editing import with_value
from zoo.card.starting import UNKNOWN
from zoo.errors import IntegrityError, NotFoundError, ToleranceError, UnsafeError, UsageError
from zoo.header import refuse_pickled_content
from zoo.hints import command, neighbor
from zoo.registry import embedded, manifest, names, signing, transfer, verification
from zoo.registry.code import add_code, has_code
from zoo.registry.datasets import bare_names, renamed
from zoo.registry.fit import check_fit
from zoo.registry.remedies import ACCEPT, Problem, remedy
from zoo.registry.snapshots import PIECE
from zoo.registry.types import File, Release, version_key


def prepare(
    source: str | os.PathLike[str],
    name: str,
    *,
    version: str | None = None,
    private: bool = False,
    with_code: bool = False,
    options: Sequence[str] = (),
) -> AbstractContextManager[Release]:
    """Check a model and lay it out as it is to be published, in a temporary folder.

    What arguments, card and manifest rule out is refused by the call itself; in the `with`, every
    file is hashed once, as it is laid out, and torch is imported last.

    Args:
        source: a model's folder, its card, or an id that ships.
        name: the id to publish under. The card's id, where another, becomes the base model.
        version: instead of the card's.
        private: make the repository private if it has to be made.
        with_code: add the modelling files, so that transformers loads it without genae.
        options: what else the command was given, for messages that write it out.

    Returns:
        A context manager that gives the release; its folder is removed afterwards.

    Raises:
        NotFoundError: no such folder, or it has no card, manifest or weights.
        IntegrityError: files, manifest, header and card differ, or the weights do not fit the
            configuration.
        ToleranceError: a stated result is not measured, or measured outside its tolerance.
        UnsafeError: there is a pickle.
        UsageError: no id or version, an unknown licence, or an architecture without code of
            genae's.
    """
    name = names.id_of(name)
    owner, _, leaf = name.rpartition("/")
    if owner in ("", LOCAL):
        again = command("genae", "push", _words(source), f"OWNER/{leaf}", *options)
        what = "is the name of a model that is published nowhere" if owner else "has no owner"
        raise UsageError(f"{name!r} {what}: `{again}`, with yours in place of OWNER.")
    if version is not None:
        again = command("genae", "push", _words(source), name, *options, "--version", "1.2.0")
        version = _version(version, again)
    folder = _folder(source)
    card = _card(folder)
    if with_code and not has_code(folder, catalog.find(card.architecture)):
        again = command("genae", "push", _words(source), name, *options)
        raise UsageError(
            f"{card.architecture!r} is transformers' own architecture, which loads it without "
            f"code: leave --with-code out, `{again}`."
        )
    if not embedded.ships(folder):
        raise NotFoundError(f"{folder} contains no weights. {remedy(folder, [Problem('', None)])}")
    _require_license(folder, card)
    listed = _listed(folder)
    return _laid_out(folder, card, listed, name, version, private, with_code)


@contextlib.contextmanager
def _laid_out(
    folder: Path,
    card: Card,
    listed: dict[str, Any],
    name: str,
    version: str | None,
    private: bool,
    with_code: bool,
) -> Iterator[Release]:
    """The release of a model's folder, checked and hashed as its files are laid out."""
    with tempfile.TemporaryDirectory(prefix="genae-release-") as temporary:
        root = Path(temporary)
        try:
            _check(folder, card, listed, root)
        except UnsafeError as error:
            raise UnsafeError(f"{error} Remove it. {remedy(folder, [str(error)])}") from None
        (root / signing.SIGNATURE).unlink(missing_ok=True)  # of the folder as it was
        bare = bare_names(card, folder)
        text = _edited(card, name, version, bare)
        (root / CARD_FILE).write_text(text, encoding="utf-8", newline="\n")
        released = Card.parse(text, root / CARD_FILE)
        entry = catalog.find(card.architecture)
        written = {CARD_FILE} | (add_code(root, entry) if with_code else set())
        stated = manifest.write(
            root,
            released,
            listed.get("made", {}),
            parameters=listed["parameters"],
            results=[renamed(result, bare) for result in listed.get("results", [])],
            sums={e["path"]: e["sha256"] for e in listed["files"] if e["path"] not in written},
            base_model=None if card.id == name or card.is_local else card.id,
        )
        signing.sign(root)
        files = [File(e["path"], e["size"], e["sha256"]) for e in stated["files"]]
        for path in (manifest.MANIFEST_FILE, signing.SIGNATURE):
            if (root / path).is_file():
                size = (root / path).stat().st_size
                files.append(File(path, size, manifest.sha256(root / path)))
        yield Release(name, released.version, root, tuple(files), private)


def _words(source: str | os.PathLike[str]) -> str | Path:
    """A source as an argument of a command: a folder is a path, whatever it begins with."""
    return Path(source) if Path(source).exists() else os.fspath(source)


def _card(folder: Path) -> Card:
    """The card of a folder that is to be published.

    Raises:
        NotFoundError: there is none.
        UsageError: it is malformed, or lacks a key.
    """
    try:
        return Card.load(folder)
    except NotFoundError as error:
        raise NotFoundError(f"{error} {remedy(folder, [str(error)])}") from None
    except UsageError as error:
        words: tuple[str, ...] = ()
        if "key 'license' (" in str(error):
            words = ("--set=license=apache-2.0",)
        again = remedy(folder, [Problem(str(error), words)])
        raise UsageError(f"{error} {'' if words else 'Correct it. '}{again}") from None


def _require_license(folder: Path, card: Card) -> None:
    """Raise unless somebody has said which licence holds.

    Raises:
        UsageError: the card says that it is not known.
    """
    keys = ["license"] * (card.license == UNKNOWN)
    keys += ["source.license"] * ((card.source or {}).get("license") == UNKNOWN)
    if keys:
        run = command("genae", "card", folder, *(f"--set={key}=apache-2.0" for key in keys))
        whose = "Look it up where the original was published, and state it"
        if card.source is None:
            whose = "State under which one it may be used"
        raise UsageError(
            f"{folder}: its card says that the license is unknown. {whose}: `{run}`, or another "
            "of the Hub's identifiers."
        )


def _listed(folder: Path) -> dict[str, Any]:
    """The manifest of a folder that is to be published.

    Raises:
        NotFoundError: there is none.
        IntegrityError: it is malformed.
    """
    try:
        return manifest.read(folder)
    except NotFoundError as error:
        raise NotFoundError(f"{error} {remedy(folder, [str(error)])}") from None
    except IntegrityError as error:
        raise IntegrityError(f"{error} {remedy(folder, [Problem(str(error), ACCEPT)])}") from None


def _version(text: str, again: str) -> str:
    """`1.2.0`, however it was written.

    Raises:
        UsageError: it is no version.
    """
    key = version_key(text)
    if key is None:
        raise UsageError(f"version {text!r} is not three numbers, as in `{again}`.")
    return ".".join(map(str, key))


def _folder(source: str | os.PathLike[str]) -> Path:
    text = embedded.text_of(source)
    if Path(text).is_file() and Path(text).name == CARD_FILE:
        return Path(text).parent
    own = text.rstrip("/\\").replace("\\", "/").removesuffix(f"/{CARD_FILE}")
    if not Path(text).exists() and own.startswith("cards/"):
        own = f"{embedded.OWNER}/{own.removeprefix('cards/')}"
        return transfer.locate(own)
    if "/" not in own and not Path(text).exists():  # no id of a model that has a card
        near = neighbor(own)
        hint = f"; did you mean {near!r}?" if near else ": give a model's folder or its card.toml."
        raise NotFoundError(f"no folder {text!r} here{hint}")
    return transfer.locate(source)


def _check(folder: Path, card: Card, listed: dict[str, Any], root: Path) -> None:
    """Compare a folder with its manifest and card; its files are copied as they are hashed."""

    def digest(path: Path) -> str:
        return _copy(path, root / path.relative_to(folder))

    _refuse(folder, verification.examine(folder, digest=digest).problems)
    parity = (card.source or {}).get("parity")
    if parity and parity["max_abs_error"] > parity["atol"]:
        line = f"parity: measured {parity['max_abs_error']:g}, allowed {parity['atol']:g}"
        raise ToleranceError(f"{folder}: {line}. {remedy(folder, [Problem(line, None)])}")
    missing, outside = manifest.unmeasured(card, listed), manifest.outside(card, listed)
    if missing or outside:
        run = command("genae", "evaluate", folder, "--record", *["--restate"] * bool(outside))
        more = ", which has the card state what was measured" if outside else ""
        raise ToleranceError(f"{folder}: {'; '.join(missing + outside)}. Run `{run}`{more}.")
    for entry in listed["files"]:
        if not entry["path"].endswith(".safetensors"):
            refuse_pickled_content(root / entry["path"])
    _refuse(folder, [Problem(line, None) for line in check_fit(root)])


def _refuse(folder: Path, problems: list[str]) -> None:
    if problems:
        raise IntegrityError(
            f"{folder}: {'; '.join(problems)}. Nothing was pushed. {remedy(folder, problems)}"
        )


def _copy(source: Path, target: Path) -> str:
    """Lay a file out and hash it, in one pass; returns its SHA-256.

    Weights are linked where that is possible: nothing writes to them.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    if source.suffix == ".safetensors":
        with contextlib.suppress(OSError):
            os.link(source.resolve(), target)
            return manifest.sha256(target)
    total = hashlib.sha256()
    with source.open("rb") as content, target.open("wb") as copy:
        while piece := content.read(PIECE):
            total.update(piece)
            copy.write(piece)
    return total.hexdigest()


def _edited(card: Card, name: str, version: str | None, bare: Mapping[str, str]) -> str:
    """The card's text with another id and version, its comments kept.

    A recipe is a card without weights; what is pushed has some. A model is not its own original.
    """
    text = card.text
    if card.data is not None and card.data.dataset in bare:
        text = with_value(text, "data.dataset", bare[card.data.dataset])
    for number, result in enumerate(card.results):
        own = {"dataset": result.dataset, "protocol": result.protocol}
        for key, value in renamed(own, bare).items():
            if value != own[key]:
                text = with_value(text, f"results.{key}", value, number=number)
    if card.base_model == name:
        text = with_value(text, "base_model", None)
    text = re.sub(r'(?m)^status *= *"recipe"', 'status = "experimental"', text, count=1)
    if name != card.id:
        text = re.sub(r"(?m)^id *=.*$", f'id = "{name}"', text, count=1)
        protocol = rf"(?m)^(protocol *= *\"genae evaluate ){re.escape(card.id)}(?=[ \"])"
        text = re.sub(protocol, rf"\g<1>{name}", text)
    if version is not None and version != card.version:
        text = re.sub(r"(?m)^version *=.*$", f'version = "{version}"', text, count=1)
    return text
