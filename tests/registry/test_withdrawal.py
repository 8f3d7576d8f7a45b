"""Versions withdrawn: from folders on disks and in buckets, and from hubs."""

import pytest

from tests.registry.conftest import content
from zoo import registry
from zoo.errors import (
    ConflictError,
    IntegrityError,
    NotFoundError,
    UsageError,
    WithdrawnError,
)
from zoo.registry import order, withdrawal
from zoo.registry.cache import Cache
from zoo.registry.folder import Folder
from zoo.registry.types import Withdrawal

NAME = "alice/toy"


@pytest.fixture(params=["disk", "memory", "hub"])
def place(request, tmp_path):
    """A place that takes models."""
    if request.param == "hub":
        return request.getfixturevalue("open_hub")()
    url = f"memory://{tmp_path.name}/models" if request.param == "memory" else tmp_path / "models"
    return Folder(str(url), cache=Cache(tmp_path / "cache"))


def test_a_withdrawn_version_is_refused_with_its_reason_and_comes_back(place, release):
    old, new = release(), release("1.1.0")
    place.push(old)
    place.push(new)
    assert content(place.folder(NAME)) == content(new.folder)  # so that the cache knows it
    made = place.withdraw(NAME, "1.1.0", "its numbers\nwere of other weights.")
    assert made.why == "its numbers were of other weights."
    reason = r"v1\.1\.0 was withdrawn on 20..-..-..: its numbers were of .*: v1\.0\.0\."
    with pytest.raises(WithdrawnError, match=reason):
        place.folder(NAME, "v1.1.0")
    assert content(place.folder(NAME)) == content(old.folder)
    assert content(place.folder(NAME, "v1.0.0")) == content(old.folder)
    assert list(place.versions(NAME)) == ["v1.1.0", "v1.0.0"]
    assert place.withdrawn(NAME) == {"v1.1.0": made}
    assert place.find(NAME, "v1.1.0").file("config.json")  # looked at, not fetched
    with pytest.raises(ConflictError, match="withdrawn"):
        place.push(release("1.1.0"))
    with pytest.raises(ConflictError, match="--undo"):
        place.withdraw(NAME, "v1.1.0", "again")

    place.withdraw(NAME, "v1.1.0", None)
    assert place.withdrawn(NAME) == {}
    assert content(place.folder(NAME)) == content(place.folder(NAME, "v1.1.0"))
    assert content(place.folder(NAME)) == content(new.folder)
    with pytest.raises(NotFoundError, match="not withdrawn"):
        place.withdraw(NAME, "v1.1.0", None)


def test_where_all_is_withdrawn_nothing_is_left_until_the_next_push(place, release):
    place.push(release())
    place.withdraw(NAME, "v1.0.0", "a mistake")
    for revision in (None, "main", "v1.0.0"):
        with pytest.raises(WithdrawnError, match=r"a mistake; there is no other version"):
            place.folder(NAME, revision)
    newer = release("1.0.1")
    place.push(newer)
    assert content(place.folder(NAME)) == content(newer.folder)
    with pytest.raises(WithdrawnError, match=r"a mistake; ask for .* v1\.0\.1"):
        place.folder(NAME, "v1.0.0")


def test_an_older_version_leaves_main_as_it_was(place, release):
    place.push(release())
    place.push(release("1.1.0"))
    before = place.find(NAME).commit
    place.withdraw(NAME, "v1.0.0", "a mistake")
    assert place.find(NAME).commit == before


def test_what_cannot_be_withdrawn_is_said(place, release):
    place.push(release())
    with pytest.raises(NotFoundError, match=r"v2\.0\.0.*v1\.0\.0"):
        place.withdraw(NAME, "v2.0.0", "a mistake")
    for tag in ("main", ""):
        with pytest.raises(UsageError, match="which version"):
            place.withdraw(NAME, tag, "a mistake")
    for why in ("", "  ", "x" * 501, "\x00"):
        with pytest.raises(UsageError, match="reason"):
            place.withdraw(NAME, "v1.0.0", why)
    assert place.withdrawn(NAME) == {}


def test_a_purge_deletes_the_files_and_keeps_the_number(place, release):
    place.push(release())
    place.push(release("1.1.0"))
    if not hasattr(place, "fs"):
        with pytest.raises(UsageError, match="a hub keeps every commit"):
            place.withdraw(NAME, "v1.0.0", "a mistake", purge=True)
        return
    place.withdraw(NAME, "v1.0.0", "a mistake")
    files = place.fs.find(f"{place.root}/{NAME}")
    assert any("/1.0.0-" in path for path in files)
    assert place.withdraw(NAME, "v1.0.0", None, purge=True).purged
    files = place.fs.find(f"{place.root}/{NAME}")
    assert not any("/1.0.0-" in path for path in files)
    for method in (place.folder, place.find):
        with pytest.raises(WithdrawnError, match="a mistake"):
            method(NAME, "v1.0.0")
    with pytest.raises(ConflictError, match="deleted"):
        place.withdraw(NAME, "v1.0.0", None)
    with pytest.raises(ConflictError):
        place.push(release())


def test_no_other_place_is_asked_for_what_was_withdrawn(tmp_path, release, monkeypatch):
    first, second = (Folder(str(tmp_path / name)) for name in ("first", "second"))
    for folder in (first, second):
        folder.push(release())
    monkeypatch.setenv(order.SETTING, f"{tmp_path}/first,{tmp_path}/second")
    registry.withdraw(f"{NAME}@v1.0.0", "a mistake", source=f"{tmp_path}/first")
    with pytest.raises(WithdrawnError):
        registry.resolve(NAME, "v1.0.0")
    assert registry.resolve(NAME, source=f"{tmp_path}/second")


def test_a_malformed_reason_is_damage():
    made = Withdrawal("why", "2026-11-29", commit="a" * 40)
    assert withdrawal.loads(withdrawal.dumps("v1.0.0", made), "x") == made
    for text in (b"", b"[]", b"{}", b'{"schema": 1, "why": "x", "date": "yesterday"}'):
        with pytest.raises(IntegrityError, match="malformed"):
            withdrawal.loads(text, "x")
