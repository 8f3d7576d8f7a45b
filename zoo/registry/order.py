"""Which registries are asked, and in which order."""

import os
from typing import cast

from zoo.errors import SettingError, UsageError
from zoo.registry import embedded
from zoo.registry.types import Registry, Remote

SETTING = "GENAE_REGISTRIES"
DEFAULT = ("embedded", "hub")
#: Numbers that huggingface_hub reads when it is imported, and fails over.
NUMBERS = ("HF_HUB_DOWNLOAD_TIMEOUT", "HF_HUB_ETAG_TIMEOUT")


def check_settings() -> None:
    """Refuse variables over which huggingface_hub, and so transformers, cannot be imported.

    Raises:
        SettingError: one is no whole number of seconds.
    """
    for name in NUMBERS:
        value = os.environ.get(name)
        if value is not None and not (value.strip().isascii() and value.strip().isdigit()):
            raise SettingError(f"{name} is {value!r}: give whole seconds, such as 10.")


def order() -> list[str]:
    """The search order: `GENAE_REGISTRIES`, places with commas between, or the default.

    A place is `embedded` (what came with genae), `hub` (the Hub, or the server of `HF_ENDPOINT`),
    the address of another hub (`https://...`), or a folder: a path or any fsspec address.

    Raises:
        UsageError: a place is named twice.
    """
    places = [place.strip() for place in os.environ.get(SETTING, "").split(",") if place.strip()]
    if twice := {place for place in places if places.count(place) > 1}:
        raise UsageError(f"{SETTING} names {min(twice)!r} twice.")
    return places or list(DEFAULT)


def open_registry(place: str) -> Registry:
    """The registry at a place, which `order` explains.

    Raises:
        UsageError: there can be none.
        MissingDependencyError: its protocol needs a package that is not installed.
    """
    if place == "embedded":
        return embedded.Embedded()
    return open_remote(place)


def open_remote(place: str) -> Remote:
    """The registry at a place that takes new models.

    Raises:
        UsageError: there can be none.
        MissingDependencyError: its protocol needs a package that is not installed.
    """
    if place == "embedded":
        raise UsageError(
            "the embedded registry is part of genae and takes no pushes: give a hub or a folder."
        )
    check_settings()
    if place == "hub" or place.startswith(("http://", "https://")):
        from zoo.registry.hub.hub import Hub  # needs huggingface_hub, which is slow to import

        return cast(Remote, Hub(None if place == "hub" else place))
    if place.isidentifier() and not os.path.isdir(place):
        raise UsageError(
            f"{place!r} is no registry: give 'embedded', 'hub', an address or a folder that "
            f"exists (./{place} where a new one is meant)."
        )
    from zoo.registry.folder import Folder

    return Folder(place)
