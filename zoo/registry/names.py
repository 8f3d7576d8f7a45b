"""What people write to name a model: an id, a folder, or the address of its page on a hub.

Standard library only, but where an address is read: its host is compared with the configured hub.
"""

from __future__ import annotations

import os
import re
import sys
from typing import NamedTuple
from urllib.parse import unquote, urlsplit

from zoo.card.card import LOCAL
from zoo.errors import NotFoundError, UsageError
from zoo.hints import neighbor
from zoo.registry import embedded, order
from zoo.registry.shown import bare, notice
from zoo.registry.types import ID, REVISION, check_id

#: Hosts of the public Hub, whose addresses a mirror's users paste as well.
HUB_HOSTS = ("huggingface.co", "www.huggingface.co", "hf.co", "www.hf.co")
#: What follows the id in the address of a page, and is followed by a revision.
AT_REVISION = ("tree", "blob", "resolve", "raw", "blame", "commit", "commits", "edit", "revision")
#: What follows the id and names no revision.
AT_MODEL = ("discussions", "settings", "upload", "community")
#: Pages of a hub that are not a model's.
OTHER_PAGES = {
    "datasets": "a data set", "spaces": "a space", "buckets": "a bucket", "kernels": "a kernel",
    "collections": "a collection", "papers": "a paper", "docs": "documentation",
    "blog": "an article", "organizations": "an organization", "settings": "settings",
    "join": "a form", "login": "a form", "posts": "a post", "learn": "a course",
}  # fmt: skip
#: Branches whose names have slashes, which a hub leaves in its addresses.
REFS = re.compile(r"refs/(?:pr|convert|heads|tags)/[^/]+")
SSH = re.compile(r"(?:ssh://)?git@([^:/]+)[:/](.+)")


class Name(NamedTuple):
    """A model's name as it was understood.

    Attributes:
        id: owner and name, or a bare name; a path where a folder was meant.
        revision: the one asked for, or the address's; None is the newest.
        source: the only registry to ask; None is the search order.
    """

    id: str
    revision: str | None
    source: str | None


def here(text: str) -> str | None:
    """The path of what exists here under a name, `~` expanded; None if nothing does."""
    for path in (text, os.path.expanduser(text)):
        if os.path.exists(path):
            return path
    return None


def parse(text: str, revision: str | None = None, source: str | None = None) -> Name:
    """Read the name of a model that is no folder here.

    Args:
        text: an id, `owner/name@revision`, `hf://owner/name`, or the address of a page.
        revision: as it was given separately.
        source: likewise.

    Raises:
        NotFoundError: a folder was meant, and is not there; or the id is of what is nowhere else.
        UsageError: the page is not a model's, or on another hub; or there are two revisions.
    """
    text = text.strip()
    found = _address(text)
    if found is not None:
        host, path = found
        name, at = _page(text, _below(host, path, source))
        revision = _one(text, at, revision)
        return Name(name, revision, _place(text, host, source))
    _refuse_folder(text)
    name, sign, at = text.partition("@")
    owner, _, leaf = name.partition("/")
    if leaf and owner == LOCAL:
        raise NotFoundError(
            f"{name} is the name of a model that is published nowhere: give its folder, such as "
            f"out/{leaf} (`genae decompress` takes it as --model)."
        )
    if sign and ID.fullmatch(name) and REVISION.fullmatch(at):
        return Name(name, _one(text, at, revision), source)
    return Name(text, revision, source)


def id_of(text: str) -> str:
    """The id to publish under: an id, or the address of the model's page.

    Raises:
        UsageError: it is neither, or names a revision.
    """
    if _address(text.strip()) is None:
        return check_id(text)
    name, revision, _ = parse(text)
    if revision not in (None, "main"):
        raise UsageError(f"{text!r} names the revision {revision}: give the id, {name}.")
    return check_id(name)


def no_folder(text: str) -> str:
    """What to say first where an id is not found that could have been a folder's path."""
    if "/" not in text:
        return ""
    near = neighbor(text)
    return f"There is no folder {text!r} here" + (f"; did you mean {near!r}? " if near else ". ")


def no_model(text: str) -> NotFoundError:
    """The error for a name without an owner, which is a folder's and no id to ask for."""
    near = suggestion(text) or (
        " An id has an owner, such as genae/eae-mnist (`genae list`); of the Hub's few models "
        f"without one, this is hf.co/{text}."
    )
    return NotFoundError(f"no folder {text!r} here.{near}")


def suggestion(text: str) -> str:
    """What is near a name that nothing has: a neighbour on disk, else a model of genae's own."""
    near = neighbor(text)
    return f" Did you mean {near!r}?" if near else embedded.own_name(text)


def _refuse_folder(text: str) -> None:
    """Say at once of what can only be a path that it is not there."""
    plain = text.rstrip("/")
    if not (
        text.startswith((".", "/", "~"))
        or text.count("/") > 1
        or text.endswith("/")
        or "\\" in text
        or "://" in text
    ):
        return
    hint = "give an existing folder or an id."
    parts = plain.split("/")
    if ID.fullmatch(plain):
        hint = f"give an existing folder, or the model's id: {plain}."
    elif len(parts) > 3 and parts[2] in AT_REVISION and ID.fullmatch("/".join(parts[:2])):
        hint = (
            f"give an existing folder, or the model's id: {parts[0]}/{parts[1]} "
            f"--revision {parts[3]}."
        )
    elif "://" in text:
        hint = "give an id, with the place to ask after --from."
    elif near := neighbor(text):
        hint = f"did you mean {near!r}?"
    raise NotFoundError(f"no folder {bare(text)!r}: {hint}")


def _address(text: str) -> tuple[str, str] | None:
    """Host (empty for `hf://`) and path of an address, None if the text is none."""
    if match := SSH.fullmatch(text):
        return match[1].lower(), match[2]
    scheme, sign, rest = text.partition("://")
    if sign and scheme.lower() == "hf":
        name, at, revision = rest.partition("@")
        revision = revision.partition("/")[0] if not REFS.match(revision) else revision
        return "", f"{name}/tree/{revision}" if at else rest
    if sign and scheme.lower() in ("http", "https"):
        try:
            parts = urlsplit(text)
        except ValueError:
            return None
        return parts.netloc.rpartition("@")[2].lower(), parts.path
    head, slash, tail = text.partition("/")
    if not sign and slash and head.lower() in (*HUB_HOSTS, _configured()[0]):
        return head.lower(), urlsplit(f"//h/{tail}").path
    return None


def _configured() -> tuple[str, str]:
    """Host and address of the configured hub."""
    address = os.environ.get("HF_ENDPOINT", "").strip()
    if (constants := sys.modules.get("huggingface_hub.constants")) is not None:
        address = constants.ENDPOINT  # what was set when it was imported counts
    try:
        return urlsplit(address).netloc.rpartition("@")[2].lower(), address
    except ValueError:
        return "", address


def _place(text: str, host: str, source: str | None) -> str | None:
    """The registry to ask for an address of this host."""
    if not host:
        return source
    addresses = [source] if source else order.order()
    for place in addresses:
        if place.startswith(("http://", "https://")) and host == _host(place):
            return place
    configured = _configured()[0] or HUB_HOSTS[0]
    asked = configured if source in (None, "hub") else _host(source) or source
    if host == asked or (host in HUB_HOSTS and asked in HUB_HOSTS):
        return source
    if host in HUB_HOSTS:  # what a mirror has, too
        notice(f"{bare(text)}: the model of this id is asked of {asked}, not of {host}.")
        return source
    raise UsageError(
        f"{bare(text)!r} is an address at {host}, and the hub that is asked is {asked}: if {host} "
        f"is a hub, add --from https://{host} (or set HF_ENDPOINT); otherwise give the id, "
        "owner/name."
    )


def _below(host: str, path: str, source: str | None) -> str:
    """A page's path without that of the hub's own address, where it has one."""
    for place in (source or "", _configured()[1], *order.order()):
        if host and _host(place) == host and (base := urlsplit(place).path.rstrip("/")):
            if path.startswith(f"{base}/"):
                return path[len(base) :]
    return path


def _host(place: str) -> str:
    return urlsplit(place).netloc.rpartition("@")[2].lower() if "://" in place else ""


def _page(text: str, path: str) -> tuple[str, str | None]:
    """Id and revision that the path of a page names."""
    parts = [unquote(part) for part in path.strip("/").split("/") if part]
    if parts[:1] == ["api"]:
        parts = parts[1:]
    if parts and parts[0] in OTHER_PAGES:
        raise UsageError(
            f"{bare(text)!r} is the page of {OTHER_PAGES[parts[0]]}, and not of a model: give the "
            "id of a model, owner/name."
        )
    if parts[:1] == ["models"]:
        parts = parts[1:]
    cut = 1 if len(parts) > 1 and parts[1] in AT_REVISION else 2
    name, rest = "/".join(parts[:cut]), parts[cut:]
    name = name.removesuffix(".git")
    if not ID.fullmatch(name) or (rest and rest[0] not in (*AT_REVISION, *AT_MODEL)):
        raise UsageError(
            f"{bare(text)!r} is the page of no model: give its id, owner/name"
            + (f" (such as {name})." if ID.fullmatch(name) and "/" in name else ".")
        )
    if len(rest) < 2 or rest[0] not in AT_REVISION:
        return name, None
    joined = "/".join(rest[1:])
    match = REFS.match(joined)
    return name, match[0] if match else rest[1]


def _one(text: str, found: str | None, asked: str | None) -> str | None:
    """The revision that the name or the option gives."""
    if found is not None and asked is not None and found != asked:
        raise UsageError(
            f"{bare(text)!r} names the revision {found}, and --revision is {asked}: give one of "
            "them."
        )
    return asked if found is None else found
