"""A hub that means harm: answers in every wrong form, on every route."""

import itertools
import json
import os
import random
import subprocess
import sys
import time

import pytest

from tests.hubs.faults import Edit, Headers, Status
from tests.hubs.faults import Fault as Wrong
from tests.registry.conftest import SOAK, release_files
from zoo.errors import GenaeError, IntegrityError, UnsafeError
from zoo.header import MAX_HEADER_BYTES, MAX_TENSORS, safetensors_header

NAMES = (
    "../evil", "/etc/evil", "a/../../evil", "..\\evil", "C:evil", "C:\\evil", ".git/config",
    "a/.GIT/x", "a//b", "./x", "a\0b", "a\nb", "x" * 1100, "", "a/", "con?", "e\u202etxt", " /x",
    "config.json/x", "CONFIG.JSON", "a/b/../../../x", "model.safetensors/../../x", "a. /b",
)  # fmt: skip
VALUES = (
    None, True, -1, 2**70, 1.5, float("nan"), "", "x", "../../x", [], [[]], {}, {"a": 1},
    "0" * 39, "g" * 40, "a" * 65, "\0", [None], "é" * 40,
)  # fmt: skip
FIELDS = {
    "/revision/": ("sha", "id", "siblings", "private", "gated", "tags", "lastModified"),
    "/tree/": ("path", "size", "oid", "type", "lfs", "lfs.oid", "lfs.size"),
    "/refs": ("branches", "tags", "branches.name", "branches.targetCommit", "tags.targetCommit"),
    "/preupload/": ("files", "files.path", "files.uploadMode", "files.oid", "files.shouldIgnore"),
    "/batch$": ("objects", "transfer", "objects.oid", "objects.actions", "objects.actions.upload",
                "objects.actions.upload.href", "objects.actions.upload.header"),
    "/commit/": ("commitOid", "commitUrl"),
    "/validate-yaml": ("errors", "warnings"),
}  # fmt: skip
PLACES = (
    "file:///etc/passwd", "ftp://127.0.0.1/x", "http://user:pass@127.0.0.1/x", "gopher://x",
    "//", "http://", "\\\\server\\x", "http://[::1", "javascript:x", "http://127.0.0.1:1/x",
)  # fmt: skip


def put(value, path, new):
    """The answer with one field replaced, in the first row of every list on the way."""
    name, _, rest = path.partition(".")
    if isinstance(value, list):
        return [put(value[0], path, new), *value[1:]] if value else value
    if isinstance(value, dict) and (name in value or not rest):
        return value | {name: put(value[name], rest, new) if rest else new}
    return value


def endless(piece: bytes, size: int):
    def pieces():
        for _ in range(size // len(piece)):
            yield piece

    return pieces


def cases():
    """(route, action) of everything hostile, in one fixed order."""
    for name in NAMES:
        yield "/tree/", Edit(lambda rows, n=name: put(rows, "path", n))
        row = {"type": "file", "path": name, "size": 1, "oid": "0" * 40}
        yield "/tree/", Edit(lambda rows, r=row: [*rows, r])
    for (route, fields), value in itertools.product(FIELDS.items(), VALUES):
        for field in fields:
            yield route, Edit(lambda answer, f=field, v=value: put(answer, f, v))
    for route, value in itertools.product(FIELDS, ([], {}, None, "text", 3, [[1]], {"error": []})):
        yield route, Edit(lambda _, v=value: v)
    for route in [*FIELDS, "/resolve/", "/create$", "/tag/", "/put/"]:
        for code in (200, 404, 500):
            yield route, Status(code, {}, endless(b'{"a": "' + b"x" * 65521 + b'"}', 100 * 2**20))
            yield route, Status(code, {}, endless(b"[" * 65536, 100 * 2**20))
        page = endless(b"error " * 9999, 30 * 2**20)
        yield route, Status(500, {"Content-Type": "text/plain"}, page)
        yield route, Status(200, {"Content-Type": "application/json"}, b"[" * 100_000)
        yield route, Status(200, {"Content-Type": "application/json"}, b"\xff\xfe{}")
        for place in PLACES:
            yield route, Status(302, {"Location": place}, b"")
            yield route, Status(307, {"Location": place}, b"")
        yield route, Status(302, {"Location": "/api/models/alice/toy/refs"}, b"")
        yield route, Headers({"Content-Encoding": "gzip"})
        for code in ("GatedRepo", "RepoNotFound", "x" * 9000):
            change = {"X-Error-Message": "m" * 9000, "X-Error-Code": code}
            yield route, Status(404, change, b'{"error": "\\u001b[2J"}')
    for place in PLACES:
        yield "/batch$", Edit(lambda a, p=place: put(a, "objects.actions.upload.href", p))
        yield "/batch$", Edit(lambda a, p=place: put(a, "objects.actions.verify.href", p))
    for link in ('<http://127.0.0.1:1/>; rel="next"', "<<<", f"<{'x' * 9000}>; rel=next"):
        yield "/tree/", Headers({"Link": link})


ALL = list(cases())


def test_there_are_enough_of_them():
    assert len(ALL) >= 400


@pytest.mark.parametrize("count", [60, pytest.param(None, marks=SOAK)])
def test_hostile_answers_harm_nothing(server, open_hub, release, monkeypatch, tmp_path, count):
    monkeypatch.setattr("zoo.registry.receiving.WAITS", ())
    monkeypatch.setattr("zoo.registry.hub.guard.WAITS", (0.0,))
    monkeypatch.setattr("time.sleep", lambda seconds: None)
    monkeypatch.setenv("GENAE_HUB_DEADLINE", "9")
    open_hub("pusher").push(release())
    chosen = ALL if count is None else random.Random(0).sample(ALL, count)
    outside = {p for p in tmp_path.iterdir()}
    worst, words = 0.0, []
    for number, (route, action) in enumerate(chosen):
        pushing = any(w in route for w in ("preupload", "batch", "commit", "validate", "create",
                                           "tag/", "put"))  # fmt: skip
        server.faults[:] = [Wrong(route, action, times=None)]
        hub = open_hub(f"hostile-{number}")
        start = time.monotonic()
        try:
            if pushing:
                hub.push(release(f"1.{number + 1}.0", f"alice/t{number}"))
            else:
                hub.folder("alice/toy")
        except GenaeError as error:
            words.append(str(error))
        worst = max(worst, time.monotonic() - start)
        for path in hub.cache.root.rglob("*"):
            real = path.resolve()
            assert real.is_relative_to(hub.cache.root), path
    assert worst < 10
    assert max(map(len, words)) < 1500
    assert not [text for text in words if not text.isprintable()]
    strangers = {p.name for p in tmp_path.iterdir()} - {p.name for p in outside}
    assert all(name.startswith(("cache-hostile-", "release-alice")) for name in strangers)


MEMORY = r"""
import re, sys
from tests.hubs.faults import Status
from zoo.errors import GenaeError
from zoo.registry.cache import Cache
from zoo.registry.hub.hub import Hub
url, folder, rounds, *names = sys.argv[1:]
for name in names:
    said = []
    for i in range(int(rounds)):
        try:
            Hub(url, cache=Cache(f"{folder}/{i}")).folder(name)
            said.append("served")
        except GenaeError as error:
            said.append(type(error).__name__)
    peak = int(re.search(r"VmHWM:\s+(\d+)", open("/proc/self/status").read())[1])
    print(name, peak // 1024, *said)
"""


HUGE = {
    "deep": endless(b"[" * 65536, 100 * 2**20),
    "rows": endless(b'[{"a": 1}, ' * 6000, 100 * 2**20),
    "text": endless(b'"' + b"x" * 65535, 100 * 2**20),
    "just small enough": b"[" + b"[]," * 1_390_000 + b"[]]",
}


@pytest.mark.skipif(not os.path.exists("/proc/self/status"), reason="reads /proc")
@pytest.mark.parametrize("rounds", [1, pytest.param(3, marks=pytest.mark.slow)])
def test_a_huge_answer_takes_little_memory(server, tmp_path, root, rounds):
    names = []
    for route, (kind, body) in itertools.product(("revision", "tree"), HUGE.items()):
        names.append(f"alice/{route}-{kind.replace(' ', '-')}")
        server.storage.commit(names[-1], release_files("1.0.0", names[-1]))
        fault = Wrong(f"{names[-1]}/{route}/", Status(200, {}, body), times=None)
        server.faults.append(fault)
    env = {k: v for k, v in os.environ.items() if not k.startswith("HF_")}
    env |= {"HF_HOME": str(tmp_path / "hf"), "PYTHONPATH": str(root)}
    done = subprocess.run(
        [sys.executable, "-c", MEMORY, server.url, str(tmp_path / "c"), str(rounds), *names],
        env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for name, line in zip(names, done.stdout.splitlines(), strict=True):
        place, megabytes, *said = line.split()
        assert (place, said) == (name, ["IntegrityError"] * rounds)
        assert int(megabytes) < 300, name


def head(table: dict | str, data: int = 0) -> bytes:
    text = (table if isinstance(table, str) else json.dumps(table)).encode()
    return len(text).to_bytes(8, "little") + text + bytes(data)


TENSOR = '{"dtype": "F32", "shape": [0], "data_offsets": [0, 0]}'
HEADERS = {
    "over 4 MiB": head('{"a": ' + TENSOR + "}" + " " * MAX_HEADER_BYTES),
    "too many tensors": head("{" + ", ".join(f'"{i}": {TENSOR}' for i in range(MAX_TENSORS + 1))
                             + "}"),
    "twice": head(f'{{"a": {TENSOR}, "a": {TENSOR}}}'),
    "unprintable": head({"a\x1b[2J": json.loads(TENSOR)}),
    "empty name": head({"": json.loads(TENSOR)}),
}  # fmt: skip


@pytest.mark.parametrize("kind", HEADERS)
def test_headers_are_refused_before_safetensors_sees_them(server, open_hub, tmp_path, kind):
    (tmp_path / "x.safetensors").write_bytes(HEADERS[kind])
    with pytest.raises(IntegrityError):
        safetensors_header(tmp_path / "x.safetensors")
    server.storage.commit("alice/bad", {"config.json": b"{}", "model.safetensors": HEADERS[kind]})
    hub = open_hub()
    with pytest.raises(IntegrityError):
        hub.folder("alice/bad")
    assert not list(hub.cache.root.glob("models*"))


def test_pickles_listed_in_a_manifest_are_refused(server, open_hub):
    files = release_files("1.0.0")
    table = json.loads(files["manifest.json"])
    for name in ("extra.pkl", "weights.PT", "a.joblib", "x.npz"):
        listed = [*table["files"], {"path": name, "size": 1, "sha256": "0" * 64}]
        forged = files | {"manifest.json": json.dumps(table | {"files": listed}).encode()}
        server.storage.commit("alice/toy", forged | {name: b"x"})
        with pytest.raises(UnsafeError):
            open_hub(name).folder("alice/toy")
