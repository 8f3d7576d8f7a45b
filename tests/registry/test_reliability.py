"""Transfers cut, killed, corrupted and raced, many times; the slow runs have the full numbers."""

import errno
import os
import random
import re
import signal
import subprocess
import sys
import time

import pytest

from tests.hubs.faults import Cut, Drop, Flip, Hang, Resize, Status, Swap, Trickle
from tests.hubs.faults import Fault as Wrong
from tests.registry.conftest import SOAK, content, release_files
from zoo import registry
from zoo.errors import GenaeError, IntegrityError, MissingDependencyError
from zoo.registry.folder import Folder


def few_or(full: int, few: int):
    """A test's number of rounds: a few by default, all in the slow run."""
    return pytest.mark.parametrize("rounds", [few, pytest.param(full, marks=SOAK)])


CLIENT = """
import json, sys
from pathlib import Path
from zoo.errors import ConflictError, GenaeError
from zoo.registry.types import File, Release
from zoo.registry.cache import Cache
from zoo.registry.hub.hub import Hub
url, verb, place, version, *files = sys.argv[1:]
hub = Hub(url, token="tok", cache=Cache(place))
release = Release("alice/toy", version, Path(place), tuple(File(*json.loads(f)) for f in files))
print("ready", flush=True)
sys.stdin.readline()
try:
    print(hub.folder("alice/toy") if verb == "pull" else hub.push(release).commit, flush=True)
except GenaeError as error:
    print(type(error).__name__, error, flush=True)
    sys.exit(error.exit_code)
"""


@pytest.fixture
def client(server, root, tmp_path):
    """`client(verb, place, release)`: a process that waits for a line before it starts."""
    import json

    started = []

    def start(verb: str, place, made=None) -> subprocess.Popen:
        env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
        env |= {"HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(root)}
        files = [json.dumps([f.path, f.size, f.sha256]) for f in made.files] if made else []
        version = made.version if made else "0.0.0"
        process = subprocess.Popen(
            [sys.executable, "-c", CLIENT, server.url, verb, str(place), version, *files],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env=env, text=True,
        )  # fmt: skip
        started.append(process)
        assert process.stdout.readline() == "ready\n", process.stderr.read()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def go(process):
    process.stdin.write("go\n")
    process.stdin.flush()


def kill_after(process, seconds):
    go(process)
    time.sleep(seconds)
    process.send_signal(signal.SIGKILL)
    process.wait()


@few_or(300, 20)
def test_transfers_cut_at_random_bytes(server, open_hub, release, rounds, monkeypatch):
    monkeypatch.setattr("zoo.registry.receiving.WAITS", (0.0, 0.0))
    chance = random.Random(1)
    made = release(**release_files("1.0.0", weights=50_000))
    open_hub("pusher").push(made)
    for number in range(rounds):
        places = [chance.randrange(200_000) for _ in range(chance.randint(1, 4))]
        cuts = [Wrong("resolve", Cut(place)) for place in places]
        server.faults[:] = cuts
        folder = open_hub(f"cut-{number}").folder("alice/toy")
        assert content(folder) == content(made.folder)


@few_or(100, 3)
def test_killed_pulls(server, open_hub, client, release, tmp_path, rounds):
    chance = random.Random(2)
    old, new = release("1.0.0"), release("1.1.0")
    open_hub("pusher").push(old)
    for number in range(rounds):
        hub = open_hub(f"killed-{number}")
        hub.folder("alice/toy", "v1.0.0")
        if number == 0:
            open_hub("pusher").push(new)
        server.faults[:] = [Wrong("resolve", Trickle(20_000), times=None)]
        kill_after(client("pull", hub.cache.root), chance.uniform(0, 0.25))
        server.faults.clear()
        have = open_hub(f"killed-{number}", offline=True)
        assert content(have.folder("alice/toy", "v1.0.0")) == content(old.folder)
        if have.cache.known("alice/toy", "main"):
            assert content(have.folder("alice/toy")) == content(new.folder)
        assert content(hub.folder("alice/toy")) == content(new.folder)
        assert not list(hub.cache.root.rglob("*partial"))


@few_or(100, 3)
def test_killed_pushes(server, open_hub, client, release, rounds):
    chance = random.Random(3)
    hub = open_hub()
    hub.push(release("0.0.1"))
    before = release("0.0.1")
    for number in range(rounds):
        made = release(f"1.{number}.0")
        server.faults[:] = [Wrong(".", Hang(0.02), times=None)]
        kill_after(client("push", made.folder, made), chance.uniform(0, 0.4))
        server.faults.clear()
        time.sleep(0.05)  # a request under way is carried out, as on any server
        state = server.storage.files("alice/toy")
        assert state in (content(before.folder), content(made.folder))
        if made.tag in server.storage.repo("alice/toy").tags:
            assert server.storage.files("alice/toy", made.tag) == content(made.folder)
        else:
            hub.push(made)
        assert server.storage.files("alice/toy", made.tag) == content(made.folder)
        before = made
    assert len(server.storage.history("alice/toy")) == rounds + 2  # no commit was made twice


@few_or(200, 24)
def test_corruptions_are_found(server, open_hub, release, rounds):
    chance = random.Random(4)
    made = release()
    open_hub("pusher").push(made)
    for number in range(rounds):
        file = chance.choice(made.files)
        action = chance.choice(
            [Flip(chance.randrange(file.size)), Swap(), Resize(-1 - chance.randrange(file.size)),
             Resize(1 + chance.randrange(99))]
        )  # fmt: skip
        server.faults[:] = [Wrong(f"resolve/.*/{re.escape(file.path)}$", action, times=None)]
        hub = open_hub(f"bad-{number}")
        with pytest.raises(IntegrityError, match=re.escape(file.path)):
            hub.folder("alice/toy")
        assert not list(hub.cache.root.glob("models*"))


@pytest.mark.parametrize(("rounds", "count"), [(1, 2), pytest.param(20, 8, marks=SOAK)])
def test_processes_share_one_transfer(server, open_hub, client, release, tmp_path, rounds, count):
    made = release()
    open_hub("pusher").push(made)
    for number in range(rounds):
        server.clear()
        server.faults[:] = [Wrong("resolve", Trickle(20_000), times=None)]
        workers = [client("pull", tmp_path / f"shared-{number}") for _ in range(count)]
        for worker in workers:
            go(worker)
        folders = {worker.communicate()[0].strip() for worker in workers}
        assert [worker.returncode for worker in workers] == [0] * count
        assert server.count("GET", "resolve") == len(made.files)
        [folder] = folders
        assert content(folder) == content(made.folder)


@pytest.mark.slow
@few_or(20, 1)
def test_writers_on_one_branch_lose_nothing(server, open_hub, client, release, rounds):
    for number in range(rounds):
        made = [release(f"{number + 1}.0.{i}") for i in range(16)]
        workers = [client("push", one.folder, one) for one in made]
        for worker in workers:
            go(worker)
        said = [worker.communicate() for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * 16, said
        tags = server.storage.repo("alice/toy").tags
        assert len(tags) == 16 * (number + 1)
        for one in made:
            assert server.storage.files("alice/toy", one.tag) == content(one.folder)
        assert list(server.storage.repo("alice/toy").branches) == ["main"]
        newest = max(tags, key=registry.types.version_key)
        assert server.storage.files("alice/toy") == server.storage.files("alice/toy", newest)


@pytest.mark.parametrize("number", range(4))
def test_a_full_disk_at_every_file(server, open_hub, release, tmp_path, monkeypatch, number):
    """Nothing half there, and with room again the next run is right."""
    made = release()
    open_hub("pusher").push(made)
    full = OSError(errno.ENOSPC, "No space left on device")
    hub, seen = open_hub(), []

    def write(*_):
        seen.append(1)
        if len(seen) > number:
            raise full

    with monkeypatch.context() as patch:
        fetched = hub.read

        def read(snapshot, file, start=0, guard=None):
            write()
            return fetched(snapshot, file, start, guard)

        patch.setattr(hub, "read", read)
        with pytest.raises(MissingDependencyError, match="no space left"):
            hub.folder("alice/toy")
    assert hub.cache.known("alice/toy", "main") is None
    folder = hub.folder("alice/toy")
    assert content(folder) == content(made.folder)

    seen.clear()
    with monkeypatch.context() as patch:
        patch.setattr("zoo.registry.transfer.shutil.copyfile", write)
        with pytest.raises((MissingDependencyError, IntegrityError)):
            registry.pull(folder, tmp_path / "out" / "toy")
    assert list((tmp_path / "out").iterdir()) == []
    registry.pull(folder, tmp_path / "out" / "toy")

    seen.clear()
    shared = Folder(str(tmp_path / "models"))
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", write)
        with pytest.raises(OSError, match="No space"):
            shared.push(made)
    assert shared.list() == []
    shared.push(made)
    assert content(shared.folder("alice/toy")) == content(made.folder)


ROUTES = {
    "pull": ("/revision/", "/tree/", "/resolve/"),
    "push": ("/refs", "/create$", "/tree/", "/validate", "/preupload/", "/batch$", "/put/",
             "/verify/", "/commit/", "/tag/"),
}  # fmt: skip
FAULTS = {
    "429": Status(429, {"Retry-After": "1"}),
    "503": Status(503, {}, b"<html>busy</html>"),
    "drop": Drop(),
    "hang": Hang(120),
    "trickle": Trickle(10),
}


@pytest.mark.parametrize("fault", FAULTS)
@pytest.mark.parametrize("verb", ROUTES)
@pytest.mark.parametrize("full", [False, pytest.param(True, marks=SOAK)], ids=["one", "all"])
def test_every_fault_on_every_route_ends_in_time(
    server, open_hub, release, monkeypatch, fault, verb, full
):
    deadline = 3 if full else 1.5 if fault == "429" else 0.5  # a wait of a second is waited once
    monkeypatch.setenv("GENAE_HUB_DEADLINE", str(deadline))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT", 0.6 * deadline)
    open_hub("pusher").push(release())
    routes = ROUTES[verb] if full else [random.Random(f"{fault} {verb}").choice(ROUTES[verb])]
    for number, route in enumerate(routes):
        server.faults[:] = [Wrong(route, FAULTS[fault], times=None)]
        hub = open_hub(f"{number}")
        start = time.monotonic()
        run = {
            "pull": lambda hub=hub: hub.folder("alice/toy"),
            "push": lambda hub=hub, n=number: hub.push(release("1.1.0", f"alice/new{n}")),
        }[verb]
        try:
            run()
        except GenaeError:
            ended = "error"
        else:
            ended = "done"
        assert time.monotonic() - start < deadline + 5, route
        # A short answer is there in time also byte by byte.
        assert ended == "error" or (fault, verb) == ("trickle", "push")
        assert hub.cache.known("alice/toy", "main") is None


def test_the_command_line_shows_no_traceback(server, release, open_hub, root, tmp_path):
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env |= {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "hf"), "HF_TOKEN": "tok",
            "GENAE_HUB_DEADLINE": "2", "HF_HUB_DOWNLOAD_TIMEOUT": "1"}  # fmt: skip
    working = []
    for number, fault in enumerate((Drop(), Hang(60), Status(500, {}, b"\x1b[2J" + b"x" * 9999))):
        name = f"alice/toy{number}"
        open_hub("pusher").push(release(name=name))
        server.faults.append(Wrong(f"{name}/resolve", fault, times=None))
        words = ["pull", name, "--to", str(tmp_path / "out"), "--quiet"]
        working.append(
            subprocess.Popen(
                [sys.executable, "-c", "from zoo.cli import app; app()", *words],
                cwd=root,
                env=env,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
            )
        )
    for process in working:
        _, said = process.communicate()
        assert process.returncode == 3
        assert said.count("\n") == 1
        assert "\x1b" not in said
    assert not (tmp_path / "out").exists()
