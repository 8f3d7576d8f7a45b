"""Pulling from a hub: wrong, cut and slow answers, and what is left behind."""

import threading

import pytest

from tests.hubs.faults import (
    Cut,
    Drop,
    Flip,
    IgnoreRange,
    Resize,
    Swap,
    Trickle,
)
from tests.hubs.faults import Fault as Wrong
from tests.registry.conftest import WEIGHTS, content, left, release_files
from zoo.errors import (
    IntegrityError,
    UnreachableError,
)


@pytest.fixture
def made(open_hub, release, server):
    made = release()
    open_hub("pusher").push(made)
    server.clear()
    return made


@pytest.mark.parametrize("action", [Flip(900), Swap(), Resize(-3), Resize(3)], ids=repr)
@pytest.mark.parametrize("route", [WEIGHTS, "GET .*/resolve/.*json"])
def test_one_wrong_answer_is_fetched_again(server, open_hub, made, route, action):
    server.faults.append(Wrong(route, action))
    assert content(open_hub().folder("alice/toy")) == content(made.folder)
    assert server.count("GET", "resolve") == len(made.files) + 1


@pytest.mark.parametrize("action", [Flip(900), Swap(), Resize(-3), Resize(3)], ids=repr)
@pytest.mark.parametrize("route", [WEIGHTS, "GET .*/resolve/.*/config.json"])
def test_a_wrong_file_leaves_nothing(server, open_hub, made, route, action):
    server.faults.append(Wrong(route, action, times=None))
    hub = open_hub()
    with pytest.raises(IntegrityError, match="alice/toy"):
        hub.folder("alice/toy")
    assert left(hub.cache) == []


@pytest.mark.parametrize("ignore", [False, True])
def test_a_cut_transfer_goes_on(server, open_hub, made, ignore):
    server.faults += [Wrong(WEIGHTS, Cut(400)), Wrong(WEIGHTS, Cut(300))]
    if ignore:
        server.faults.append(Wrong(WEIGHTS, IgnoreRange()))
    assert content(open_hub().folder("alice/toy")) == content(made.folder)
    ranges = [r.range for r in server.log if r.path.endswith("safetensors")]
    assert ranges == [None, "bytes=400-", "bytes=700-"] or ignore


def test_finished_files_are_not_fetched_again(server, open_hub, made, monkeypatch):
    monkeypatch.setattr("zoo.registry.receiving.WAITS", (0.0,))
    server.faults.append(Wrong(WEIGHTS, Cut(500)))
    server.faults.append(Wrong(WEIGHTS, Drop(), times=3))
    hub = open_hub()
    with pytest.raises(UnreachableError):
        hub.folder("alice/toy")
    assert hub.cache.known("alice/toy", "main") is None
    server.faults.clear()
    server.clear()
    assert content(hub.folder("alice/toy")) == content(made.folder)
    assert [r.range for r in server.log if "resolve" in r.path] == ["bytes=500-"]


def test_a_partly_fetched_newer_version_hides_nothing(
    server, open_hub, made, release, monkeypatch
):
    monkeypatch.setattr("zoo.registry.receiving.WAITS", ())
    monkeypatch.setattr("zoo.registry.hub.guard.WAITS", ())
    hub = open_hub()
    hub.folder("alice/toy")
    open_hub("pusher").push(release("1.1.0"))
    server.faults.append(Wrong(WEIGHTS, Drop(), times=None))
    with pytest.raises(UnreachableError):
        hub.folder("alice/toy")
    for offline in (True, False):
        server.faults.append(Wrong(".", Drop(), times=None))
        assert content(open_hub(offline=offline).folder("alice/toy")) == content(made.folder)
    reference = hub.cache.place("alice/toy") / "refs/main"
    assert reference.read_text() == server.storage.repo("alice/toy").tags["v1.0.0"]


def test_threads_share_one_transfer(server, open_hub, made):
    server.faults.append(Wrong(WEIGHTS, Trickle(4000)))
    threads = [threading.Thread(target=lambda: open_hub().folder("alice/toy")) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert server.count("GET", "resolve") == len(made.files)


def test_a_moved_tag_is_refused(server, open_hub, made, release):
    hub = open_hub()
    hub.folder("alice/toy", "1.0.0")
    commit = server.storage.commit("alice/toy", {"config.json": b'{"other": 1}'})
    server.storage.tag("alice/toy", "v1.0.0", commit)
    with pytest.raises(IntegrityError, match="never changes"):
        hub.folder("alice/toy", "1.0.0")


def test_an_older_model_under_a_newer_name_is_refused(server, open_hub, made):
    server.storage.tag("alice/toy", "v1.5.0")
    with pytest.raises(IntegrityError, match=r"under v1\.5\.0 lies version 1\.0\.0"):
        open_hub().folder("alice/toy", "1.5.0")


def test_main_going_back_is_refused(server, open_hub, made, release):
    hub = open_hub()
    open_hub("pusher").push(release("1.1.0"))
    hub.folder("alice/toy")
    server.storage.commit("alice/toy", release_files("1.0.0"))
    with pytest.raises(IntegrityError, match=r"went back from version 1\.1\.0 to 1\.0\.0"):
        hub.folder("alice/toy")
    assert content(hub.folder("alice/toy", "v1.0.0")) == content(made.folder)


def test_a_changed_file_with_its_own_manifest_kept_is_refused(server, open_hub, made):
    server.storage.commit("alice/toy", {"config.json": b'{"model_type": "genae_vae"}'})
    hub = open_hub()
    with pytest.raises(IntegrityError, match=r"config\.json"):
        hub.folder("alice/toy")
    assert left(hub.cache) == []


def test_a_damaged_blob_in_the_cache_is_fetched_again(server, open_hub, made):
    hub = open_hub()
    folder = hub.folder("alice/toy")
    (folder / "config.json").resolve().write_bytes(b"damaged")
    assert content(hub.folder("alice/toy")) == content(made.folder)


def test_no_slower_than_its_deadline(server, open_hub, made, monkeypatch):
    monkeypatch.setenv("GENAE_HUB_DEADLINE", "1.5")
    server.faults.append(Wrong("resolve", Trickle(20), times=None))
    with pytest.raises(UnreachableError, match="GENAE_HUB_DEADLINE"):
        open_hub().folder("alice/toy")
