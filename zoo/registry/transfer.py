"""Models found wherever they are, and copies that are hashed on arrival."""

import contextlib
import os
import shutil
from collections.abc import Iterator
from contextvars import ContextVar
from pathlib import Path

from zoo.errors import (
    GenaeError,
    IntegrityError,
    MissingDependencyError,
    NotFoundError,
    SettingError,
    WithdrawnError,
)
from zoo.header import inspect
from zoo.registry import embedded, manifest, names, order, updating
from zoo.registry.remedies import remedy
from zoo.registry.signing import SIGNATURE
from zoo.registry.signing import check as check_signature
from zoo.registry.snapshots import in_cache
from zoo.registry.types import File, Progress
from zoo.staging import check_new_folder, new_folder, replaced_folder

#: What was found within `once`; None outside of it.
_FOUND: ContextVar[dict[tuple[str, str | None, str | None], Path] | None] = ContextVar(
    "genae_found", default=None
)


@contextlib.contextmanager
def once() -> Iterator[None]:
    """Look every model up once within it, so that a command asks once and sees one version."""
    token = _FOUND.set({})
    try:
        yield
    finally:
        _FOUND.reset(token)


def found(name: str) -> Path | None:
    """The folder that a name was found to mean within `once`, None if it was not looked up."""
    return (_FOUND.get() or {}).get((name, None, None))


def means(name: str, folder: Path) -> None:
    """Let a name mean a folder within `once`, whatever exists here under it."""
    table = _FOUND.get()
    assert table is not None
    table[embedded.text_of(name), None, None] = folder


def locate(
    name: str | os.PathLike[str],
    revision: str | None = None,
    *,
    source: str | None = None,
    progress: Progress | None = None,
) -> Path:
    """The folder of a model, fetched if need be, whatever state an existing folder is in.

    Args:
        name: an existing local folder, which wins, an id, or the address of a model's page.
        revision: a version, branch, tag or commit.
        source: the only registry to ask, in place of the search order.
        progress: called with the number of bytes as they are fetched.

    Raises:
        NotFoundError: no such folder, model or revision anywhere; says what is near.
        NotAllowedError: it is gated.
        IntegrityError: what was fetched is wrong.
        UnsafeError: its only weights are pickled, or a name leaves the folder.
        UsageError: an empty name, or an address that is no model's.
    """
    text = embedded.text_of(name)
    order.check_settings()
    known, asked = _FOUND.get(), (text, revision, source)
    if known is not None and asked in known:
        return known[asked]
    if source is None and os.path.isdir(folder := names.here(text) or ""):
        return Path(folder)
    model, revision, source = names.parse(text, revision, source)
    if source is None and revision is None and model == text and "/" not in text:
        raise names.no_model(text)
    if source is not None:
        place = order.open_registry(source).folder(model, revision, progress)
    else:
        try:
            place = _search(model, revision, progress)
        except NotFoundError as error:
            answered = isinstance(error, WithdrawnError)
            if answered or model != text or revision is not None or embedded.owns(model):
                raise
            raise type(error)(f"{names.no_folder(text)}{error}") from None
    if known is not None:
        known[asked] = place
    return place


def _search(name: str, revision: str | None, progress: Progress | None) -> Path:
    """Ask the registries in their order; the first that has the model gives it.

    A `genae/` id that did not come with genae is not asked of the public place: anyone could own
    a name there. A folder or hub that the user listed is the user's choice.
    """
    own = embedded.owns(name)
    failures: list[GenaeError] = []
    for place in order.order():
        if (place == "hub" and own) or (place == "embedded" and not own):
            continue
        try:
            return order.open_registry(place).folder(name, revision, progress)
        except WithdrawnError:
            raise
        except (NotFoundError, SettingError, MissingDependencyError) as error:
            failures.append(error)
    if not failures:
        raise NotFoundError(
            f"no registry to ask for {name}: {order.SETTING} lists {', '.join(order.order())}."
        )
    raise failures[0] if own else failures[-1]


def pull(
    name: str | os.PathLike[str],
    to: str | os.PathLike[str] | None = None,
    *,
    revision: str | None = None,
    source: str | None = None,
    update: bool = False,
    progress: Progress | None = None,
) -> Path:
    """Copy a model into a folder or the Hub's own cache, every file hashed as it arrives.

    In that cache, which `HF_HUB_CACHE` and `HF_HOME` place, every library finds it by its id, with
    `HF_HUB_OFFLINE=1` in its environment; what a hub gave there under the same id stays.

    The copy is made next to the target and takes its place at the end: an interrupted pull leaves
    there what was there, and what it fetched from afar stays in the cache for the next. A folder
    that contains another version of the model, untouched, is replaced if that is asked for, by
    `update` or by naming a version.

    Args:
        name: an id, or a folder that has a manifest.
        to: the folder; new, empty, or one to replace. None is the Hub's cache, where a folder of
            one's own, which has no id, is not put: it stays where it is.
        revision: a version, branch, tag or commit; None means the newest.
        source: the only registry to ask, in place of the search order.
        update: replace an untouched folder by the newest version.
        progress: called with the number of bytes as they are fetched.

    Returns:
        The folder.

    Raises:
        ConflictError: the target is not empty, and is not an untouched version of this model; or
            replacing it was not asked for. Or the cache has another model of the hub's.
        IntegrityError: a file differs from the manifest.
        UnsafeError: there is a pickle, or a path outside the folder.
        NotFoundError: no such model or revision.
        NotAllowedError: it is gated.
        MissingDependencyError: the disk is full.
    """
    if to is None:
        return _keep(name, revision, source, progress)
    target = Path(os.path.expanduser(to))
    target = target if target.name else target.absolute()
    filled = target.is_dir() and any(target.iterdir())
    if filled:
        model, at, place = os.fspath(name), revision, source
        if names.here(model) is None or source is not None:
            model, at, place = names.parse(model, revision, source)
        else:
            model = str(manifest.read(locate(model))["id"])
        updating.check(target, model, place, asked=update or at is not None)
    else:
        check_new_folder(target)
    found = locate(name, revision, source=source, progress=progress)
    if filled and _same(found, target):
        return target
    with replaced_folder(target) if filled else new_folder(target) as partial:
        _copy(found, partial)
    return target


def _keep(
    name: str | os.PathLike[str],
    revision: str | None,
    source: str | None,
    progress: Progress | None,
) -> Path:
    """Put a model into the Hub's cache; arguments and errors as of `pull`."""
    found = locate(name, revision, source=source, progress=progress)
    text = embedded.text_of(name)
    if source is None and names.here(text) is not None:
        return found
    from zoo.registry.keeping import keep  # needs huggingface_hub, slow to import

    model, asked, _ = names.parse(text, revision, source)
    return keep(found, model, asked)


def _same(found: Path, target: Path) -> bool:
    """Whether an untouched folder is the very version that was found."""
    pair = [folder / manifest.MANIFEST_FILE for folder in (found, target)]
    return all(path.is_file() for path in pair) and pair[0].read_bytes() == pair[1].read_bytes()


def _copy(source: Path, target: Path) -> None:
    """Copy what the manifest lists, or without one what the cache vouches for."""
    listed = (source / manifest.MANIFEST_FILE).is_file()
    if not listed and not in_cache(source):
        raise NotFoundError(f"{manifest.absent(source)} {remedy(source, ['no manifest'])}")
    paths = [e["path"] for e in manifest.read(source)["files"]] if listed else stated_of(source)
    extra = [name for name in (manifest.MANIFEST_FILE, SIGNATURE) if (source / name).is_file()]
    for path in dict.fromkeys([*paths, *extra]):
        origin, copy = source / path, target / path
        if not origin.is_file():
            lack = manifest.differs(path, "missing, though the manifest lists it")
            raise IntegrityError(f"{source}: {lack}. {remedy(source, [lack])}")
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(origin, copy)
    problems = manifest.check_hashes(target) if listed else check_sums(source, target)
    if problems:
        raise IntegrityError(f"{source}: {'; '.join(problems)}. {remedy(source, problems)}")
    inspect(target)
    check_signature(target)


def stated_of(cached: Path) -> list[str]:
    """The paths of a cached snapshot's files, as the registry said when it was fetched."""
    return [file.path for file in _stated(cached)]


def check_sums(cached: Path, folder: Path) -> list[str]:
    """Compare a folder with what the registry said of the cached snapshot it was copied from."""
    from zoo.registry.snapshots import digest

    stated = _stated(cached)
    if not stated:
        return [f"{cached}: nothing says what its files should be"]
    return [
        f"{file.path}: its content differs from the registry's checksum"
        for file in stated
        if not (folder / file.path).is_file() or digest(folder / file.path, file) != file.sum
    ]


def _stated(cached: Path) -> list[File]:
    from zoo.registry.cache import Cache  # needs huggingface_hub, slow to import

    place = cached.parents[1]
    name = place.name.removeprefix("models--").replace("--", "/", 1)
    return Cache(place.parent).files(name, cached.name)
