"""Where models live, one interface: resolve, list, pull, push, verify.

Importing it costs little: the standard library, no torch, numpy or huggingface_hub.
"""

import os
from collections.abc import Callable
from pathlib import Path

from zoo.card import CARD_FILE, Card
from zoo.errors import FrozenError, IntegrityError, NotFoundError, UnsafeError, UsageError
from zoo.header import is_pickle, safetensors_header
from zoo.hints import command
from zoo.registry import embedded, manifest, names
from zoo.registry.comparison import diff
from zoo.registry.listing import audit, list_place
from zoo.registry.order import open_remote
from zoo.registry.peek import describe, tell_deprecated
from zoo.registry.remedies import remedy
from zoo.registry.transfer import found, locate, pull
from zoo.registry.types import Published, Report, Withdrawal, check_id, next_version
from zoo.registry.verification import verify

__all__ = [
    "Published",
    "Report",
    "audit",
    "describe",
    "diff",
    "fetch",
    "list_models",
    "list_place",
    "load_card",
    "pull",
    "push",
    "resolve",
    "verify",
    "withdraw",
]


def list_models(*, fixtures: bool = False) -> list[Card]:
    """The card of every model genae knows, in the order of names.

    Args:
        fixtures: also those of random weights, which only tests and first steps need.

    Raises:
        UsageError: a card is malformed.
    """
    cards = [Card.load(folder) for folder in embedded.folders()]
    return [card for card in cards if fixtures or card.status != "fixture"]


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
    if (folder := found(text)) is not None:
        return Card.load(folder)
    if Path(text).exists():
        return Card.load(text)
    own = text.rstrip("/\\").replace("\\", "/")
    if own.startswith("cards/"):
        own = f"{embedded.OWNER}/{own.removeprefix('cards/').removesuffix(f'/{CARD_FILE}')}"
    if embedded.owns(own):
        return Card.load(embedded.folder(own))
    raise NotFoundError(f"no model, folder or card {text!r}.{names.suggestion(text)}")


def resolve(
    name: str | os.PathLike[str], revision: str | None = None, *, source: str | None = None
) -> str:
    """Where `from_pretrained` finds a model's files.

    An existing local folder wins over an id. The address of a model's page on a hub is its id
    and revision. An id is asked of the registries in their order
    (`GENAE_REGISTRIES`; what came with genae, then the Hub): a folder in the cache, complete and
    hashed when it was fetched. The files' sizes and the safetensors header are checked each time;
    with `GENAE_VERIFY=always` in the environment every file is hashed as well.

    Args:
        name: folder, id or the address of a model's page.
        revision: a version of the model (`v1.0.0`, `1.0.0`, `main`), a branch or a commit; a
            local folder has no revisions and ignores it.
        source: the only registry to ask, in place of the search order; a local folder is none.

    Returns:
        A folder.

    Raises:
        NotFoundError: no such model, or this revision of it, is published; says what to do.
        NotAllowedError: it is gated.
        IntegrityError: files differ from their manifest, or the weights are not sound.
        UnsafeError: the only weights are pickled.
        UsageError: the name is empty.
    """
    text = embedded.text_of(name)
    # transformers also accepts a JSON file's path
    if source is None and found(text) is None and (place := names.here(text)) is not None:
        if os.path.isdir(place):
            _check_folder(Path(place), own=True)
        return place
    folder = locate(text, revision, source=source)
    _check_folder(folder)
    return str(folder)


def _check_folder(folder: Path, *, own: bool = False) -> None:
    """What every loading checks of a folder, with or without a manifest, the user's own or not."""
    weights = sorted(folder.glob("*.safetensors"))
    if not weights:
        for path in sorted(folder.glob("pytorch_model*")):
            if is_pickle(path.name):
                raise UnsafeError(
                    f"{path}: pickled weights can run code; genae reads safetensors only."
                )
    for path in weights:
        safetensors_header(path)
    tell_deprecated(folder)
    if not (folder / manifest.MANIFEST_FILE).is_file():
        return
    always = os.environ.get("GENAE_VERIFY", "").lower() == "always"
    problems = manifest.check_hashes(folder) if always else manifest.check_sizes(folder)
    if problems:
        mended = remedy(folder, problems) if own else "Pull it again."
        raise IntegrityError(f"{folder}: {'; '.join(problems)}. {mended}")


def fetch(
    name: str | os.PathLike[str],
    *,
    revision: str | None = None,
    source: str | None = None,
    progress: Callable[[int], None] | None = None,
) -> Path:
    """A model's folder, in the cache if it had to be fetched; what `resolve` gives, as a path.

    Args:
        name: an id or a folder.
        revision: a version, branch, tag or commit.
        source: the only registry to ask, in place of the search order.
        progress: called with the number of bytes as they arrive.

    Raises:
        GenaeError: as `resolve`.
    """
    folder = locate(name, revision, source=source, progress=progress)
    _check_folder(folder, own=source is None and names.here(embedded.text_of(name)) is not None)
    return folder


def push(
    source: str | os.PathLike[str],
    name: str,
    *,
    to: str = "hub",
    version: str | None = None,
    private: bool = False,
    with_code: bool = False,
    dry_run: bool = False,
    progress: Callable[[int], None] | None = None,
) -> Published:
    """Publish a version of a model: checked, in one commit, then tagged; frozen from then on.

    Args:
        source: a model's folder or card, with a manifest and with measured results.
        name: `owner/name`.
        to: `hub`, the address of another hub, or a folder behind any fsspec address.
        version: instead of the card's.
        private: make the repository private if it has to be made.
        with_code: add the modelling files, so that transformers loads it without genae
            (`trust_remote_code=True`).
        dry_run: check everything, ask what is there, send nothing.
        progress: called with the number of bytes as they are sent.

    Raises:
        ConflictError: this version is published already.
        NotFoundError: no card, manifest or weights; or the registry cannot be reached.
        NotAllowedError: no token, or one without the right to write.
        IntegrityError: files, manifest, header and card differ, or the weights do not fit the
            configuration.
        ToleranceError: a stated result is not measured, or outside its tolerance.
        UnsafeError: there is a pickle.
        UsageError: an impossible id, version or place.
    """
    from zoo.registry.release import prepare

    options = ["--to", to] if to != "hub" else []
    options += ["--private"] * private
    prepared = prepare(
        source, name, version=version, private=private, with_code=with_code, options=options
    )
    try:
        registry = open_remote(to)  # after what costs less to refuse
    except UsageError as error:
        if not to.isidentifier():
            raise
        folder = "./models" if to == "embedded" else f"./{to}"
        again = command("genae", "push", source, name, "--to", folder)
        raise UsageError(f"{error} A new folder is made by `{again}`.") from None
    with prepared as release:
        try:
            return registry.push(release, dry_run=dry_run, progress=progress)
        except FrozenError as error:
            options += ["--with-code"] * with_code
            options += ["--version", next_version(release.version)]
            again = command("genae", "push", source, release.id, *options)
            raise FrozenError(f"{error} Push the next one: `{again}`.") from None


def withdraw(name: str, why: str | None, *, source: str, purge: bool = False) -> Withdrawal:
    """Withdraw a published version: whoever fetches it is refused with the reason.

    Its number stays taken, `main` becomes the newest version left, and its content is kept.
    What was pulled before is not touched.

    Args:
        name: with the version, `owner/name@v1.0.0`.
        why: the reason, one line; None takes a withdrawal back.
        source: the hub or folder.
        purge: delete the content as well, which a folder can do and nothing takes back; the
            reason may then be None if the version is withdrawn already.

    Returns:
        What is kept of it.

    Raises:
        NotFoundError: no such version; or one to have back that was not withdrawn.
        ConflictError: it is withdrawn already, or its content is deleted.
        NotAllowedError: no right to write there.
        UsageError: no version, place or reason; or a hub is to purge.
    """
    model, revision, place = names.parse(name, None, source)
    return open_remote(place or source).withdraw(check_id(model), revision or "", why, purge=purge)
