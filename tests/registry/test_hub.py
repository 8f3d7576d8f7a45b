"""genae against a hub: what is asked, what is refused, what is left behind."""

import json
import logging
import os
import subprocess
import sys

import pytest

import zoo
from tests.hubs.faults import (
    Drop,
    Headers,
    Lost,
    Status,
)
from tests.hubs.faults import Fault as Wrong
from tests.hubs.server import HubServer, User
from tests.registry.conftest import content, release_files
from zoo import registry
from zoo.errors import (
    ConflictError,
    IntegrityError,
    NotAllowedError,
    NotFoundError,
    ToleranceError,
    UnreachableError,
    UnsafeError,
    UsageError,
)
from zoo.registry import embedded, order
from zoo.registry.hub.hub import Hub


@pytest.mark.parametrize("lfs", ["basic", "multipart"])
@pytest.mark.parametrize("serve", ["direct", "same-origin", "other-origin"])
def test_what_is_pushed_is_pulled_byte_for_byte(online, release, tmp_path, lfs, serve):
    from zoo.registry.cache import Cache

    with HubServer(lfs=lfs, serve=serve, page_size=2) as server:
        hub = Hub(server.url, token="tok", cache=Cache(tmp_path / "cache"))
        made = release()
        done = hub.push(made)
        assert server.storage.files("alice/toy", "v1.0.0") == content(made.folder)
        assert content(hub.folder("alice/toy")) == content(made.folder)
        assert done.commit == server.storage.head("alice/toy")
        assert not [r for r in server.log if r.origin == "other" and r.token]


def test_the_number_of_requests(server, open_hub, release):
    hub, made = open_hub(), release()
    hub.push(made)
    asked = [f"{r.method} {r.path.replace('/alice/toy', '')}" for r in server.log]
    assert [line.partition("/")[0] + line.split("/")[-2] for line in asked[:4]] == [
        "GET models", "POST repos", "GET models", "GET tree",
    ]  # fmt: skip
    counts = {
        "refs": 2, "create$": 1, "tree": 1, "validate": 1, "preupload": 1, "batch$": 1,
        "/put/": 1, "/verify/": 1, "/commit/": 1, "/tag/": 1,
    }  # fmt: skip
    assert {path: server.count(None, path) for path in counts} == counts
    assert len(server.log) == 11
    server.clear()
    hub.folder("alice/toy")
    assert len(server.log) == 2 + len(made.files)  # commit, tree, and each file once
    for revision, number in ((None, 1), ("v1.0.0", 1), (server.storage.head("alice/toy"), 0)):
        server.clear()
        hub.folder("alice/toy", revision)
        assert len(server.log) == number
    server.clear()
    open_hub(offline=True).folder("alice/toy")
    assert server.log == []


def test_a_published_version_is_refused(server, open_hub, release):
    hub = open_hub()
    hub.push(release())
    before = server.storage.history("alice/toy")
    with pytest.raises(ConflictError, match="these very files"):
        hub.push(release())
    with pytest.raises(ConflictError, match="other files"):
        hub.push(release(**{"config.json": b"{}"}))
    assert server.storage.history("alice/toy") == before


def test_files_of_the_version_before_do_not_stay(server, open_hub, release):
    hub = open_hub()
    hub.push(release(**{"old.txt": b"x"}))
    made = release("1.1.0")
    hub.push(made)
    assert server.storage.files("alice/toy") == content(made.folder)
    assert list(hub.versions("alice/toy")) == ["v1.1.0", "v1.0.0"]


def test_an_older_version_never_moves_main(server, open_hub, release):
    hub = open_hub()
    hub.push(release("2.0.0"))
    head = server.storage.head("alice/toy")
    made = release("1.0.1")
    hub.push(made)
    assert server.storage.head("alice/toy") == head
    assert server.storage.files("alice/toy", "v1.0.1") == content(made.folder)
    assert list(server.storage.repo("alice/toy").branches) == ["main"]
    assert content(hub.folder("alice/toy", "1.0.1")) == content(made.folder)


@pytest.mark.usefixtures("haste")
@pytest.mark.parametrize("action", [Lost(), Drop(), Status(503)], ids=repr)
@pytest.mark.parametrize(
    "route", ["/refs", "/create$", "/tree/", "/preupload/", "/batch$", "/put/", "/verify/",
              "/commit/", "/tag/"]
)  # fmt: skip
def test_a_push_survives_one_failure_on_every_route(server, open_hub, release, route, action):
    server.faults.append(Wrong(route, action))
    made = release()
    try:
        open_hub().push(made)
    except UnreachableError:  # some are not repeated: then nothing is half there, and again works
        files = server.storage.head("alice/toy") and server.storage.files("alice/toy")
        assert files in (None, {}, content(made.folder))
        open_hub().push(made)
    assert server.storage.files("alice/toy", "v1.0.0") == content(made.folder)
    assert len(server.storage.history("alice/toy")) == 2


@pytest.mark.usefixtures("haste")
def test_a_lost_answer_to_the_commit_is_no_second_commit(server, open_hub, release):
    server.faults += [Wrong("/commit/", Lost()), Wrong("/tag/", Lost())]
    open_hub().push(release())
    assert len(server.storage.history("alice/toy")) == 2
    assert server.storage.repo("alice/toy").tags == {"v1.0.0": server.storage.head("alice/toy")}


def test_objects_that_are_there_are_not_sent_again(server, open_hub, release):
    server.faults.append(Wrong("/commit/", Status(400, body=b'{"error": "no"}'), times=1))
    with pytest.raises(UsageError, match="no"):
        open_hub().push(release())
    server.clear()
    open_hub().push(release())
    assert server.count("PUT") == 0


def test_a_dry_run_sends_nothing(server, open_hub, release):
    planned = open_hub().push(release(), dry_run=True)
    assert {r.method for r in server.log} == {"GET"}
    assert set(planned.sent) == set(release_files("1.0.0"))
    open_hub().push(release())
    planned = open_hub().push(release("1.1.0"), dry_run=True)
    assert "config.json" not in planned.sent
    with pytest.raises(ConflictError):
        open_hub().push(release(), dry_run=True)


def test_rights(server, open_hub, release):
    server.users["reader"] = User("bob", write=False)
    for token in (None, "wrong", "reader"):
        with pytest.raises(NotAllowedError):
            open_hub(token=token).push(release())
    open_hub().push(release())
    server.storage.repo("alice/toy").private = True
    messages = set()
    for token, name in ((None, "alice/toy"), (None, "alice/none")):
        with pytest.raises(NotFoundError, match="HF_TOKEN") as caught:
            open_hub("b", token=token).folder(name)
        messages.add(str(caught.value).replace(name, ""))
    assert len(messages) == 1  # a private model looks like a missing one
    server.storage.repo("alice/toy").private = False
    server.storage.repo("alice/toy").gated = True
    with pytest.raises(NotAllowedError, match="alice/toy: gated"):
        open_hub("b", token=None).folder("alice/toy")
    with pytest.raises(NotFoundError, match="no such revision"):
        open_hub().folder("alice/toy", "v7.0.0")


def test_what_huggingface_hub_fetched_serves_offline(server, open_hub, release, tmp_path):
    from huggingface_hub import snapshot_download

    made = release()
    open_hub("pusher").push(made)
    cache = open_hub("foreign").cache.root
    settings = {"endpoint": server.url, "cache_dir": cache, "token": "tok"}
    snapshot_download("alice/toy", allow_patterns=["*.json"], **settings)
    offline = open_hub("foreign", offline=True)
    with pytest.raises(UnreachableError, match="not in the cache"):
        offline.folder("alice/toy")  # its weights are not there
    snapshot_download("alice/toy", **settings)
    server.clear()
    folder = offline.folder("alice/toy")
    assert {p.name for p in folder.iterdir()} == {f.path for f in made.files} | {".gitattributes"}
    assert server.log == []
    blob = (folder / "config.json").resolve()
    blob.write_bytes(blob.read_bytes()[::-1])
    (offline.cache.place("alice/toy") / "genae.json").unlink()
    with pytest.raises(UnreachableError, match="not in the cache"):
        offline.folder("alice/toy")


def test_only_pickles_are_refused_and_others_left_out(server, open_hub):
    files = release_files("1.0.0", "alice/mixed")
    del files["manifest.json"]
    extra = {"pytorch_model.bin": b"x", "tf_model.h5": b"x", "onnx/m.onnx": b"x", ".hidden": b"x"}
    server.storage.commit("alice/mixed", files | extra)
    folder = open_hub().folder("alice/mixed")
    assert content(folder) == files
    server.storage.commit("alice/pickled", {"config.json": b"{}", "pytorch_model.bin": b"x"})
    with pytest.raises(UnsafeError, match=r"pytorch_model\.bin"):
        open_hub().folder("alice/pickled")
    server.storage.commit("alice/disguised", files | {"notes.txt": b"\x80\x04\x95run me"})
    hub = open_hub()
    with pytest.raises(UnsafeError, match="a pickle by its content"):
        hub.folder("alice/disguised")
    assert not (hub.cache.place("alice/disguised") / "snapshots").exists()


def test_tokens_are_told_to_nobody(online, release, tmp_path, caplog, capfd):
    from zoo.registry.cache import Cache

    caplog.set_level(logging.DEBUG)
    secret = "hf_verysecret"
    with HubServer({secret: User("alice")}, serve="other-origin") as server:
        hub = Hub(server.url, token=secret, cache=Cache(tmp_path / "c"))
        hub.push(release())
        hub.folder("alice/toy")
        server.faults.append(
            Wrong("revision", Status(400, body=json.dumps({"error": f"bad {secret}"}).encode()))
        )
        with pytest.raises(UsageError) as caught:
            hub.folder("alice/toy", "dev")
        assert not [r for r in server.log if r.origin == "other" and "authorization" in r.headers]
    words = [str(caught.value), repr(caught.value), caplog.text, *capfd.readouterr()]
    assert secret not in "".join(words)
    for path in tmp_path.rglob("*"):
        assert not path.is_file() or secret.encode() not in path.read_bytes()


def test_a_redirect_into_the_machine_from_outside_is_not_followed():
    import httpx2

    from zoo.registry.hub.guard import check_target

    outside, inside = httpx2.URL("https://hub.example"), httpx2.URL("http://127.0.0.1:9")
    check_target(httpx2.URL("https://cdn.example/x"), outside)
    check_target(httpx2.URL("http://127.0.0.1:8/x"), inside)
    for bad in (
        "http://cdn.example/x", "ftp://cdn.example/x", "https://user:pass@cdn.example/x",
        "https://127.0.0.1/x", "https://localhost/x", "https://169.254.169.254/x",
        "https://[::1]/x", "https://10.0.0.1/x",
    ):  # fmt: skip
        with pytest.raises(UnsafeError):
            check_target(httpx2.URL(bad), outside)


@pytest.mark.usefixtures("haste")
def test_a_server_may_not_ask_for_a_day(server, open_hub, release, monkeypatch):
    open_hub("pusher").push(release())
    for headers in ({"Retry-After": "86400"}, {"RateLimit": '"api";r=0;t=86400'}):
        monkeypatch.setattr("zoo.registry.hub.guard.MAX_WAIT", 0.2)
        server.faults.append(Wrong("revision|batch", Status(429, headers)))
        open_hub(str(headers)).folder("alice/toy")
    made = release("1.1.0")
    server.faults.append(Wrong("batch", Status(429, {"Retry-After": "86400"})))
    open_hub().push(made)


def test_every_push_is_checked_against_the_card(ready, server, open_hub, monkeypatch):
    hub = open_hub()
    monkeypatch.setattr(order, "open_remote", lambda place: hub)
    monkeypatch.setattr(registry, "open_remote", lambda place: hub)
    done = zoo.push(ready, "alice/toy")
    assert done.version == "1.0.0"
    files = server.storage.files("alice/toy", "v1.0.0")
    assert set(files) == {"README.md", "card.toml", "config.json", "manifest.json",
                          "model.safetensors"}  # fmt: skip
    assert b'status = "experimental"' in files["card.toml"]
    copy = zoo.push(ready, "alice/copy", version="3.0.0")
    files = server.storage.files("alice/copy", "v3.0.0")
    assert b'base_model: "alice/toy"' in files["README.md"]
    assert b'id = "alice/copy"' in files["card.toml"]
    assert copy.version == "3.0.0"
    assert registry.verify(hub.folder("alice/copy")).problems == []

    listed = json.loads((ready / "manifest.json").read_text())
    for results, words in (([], "not measured"), ([listed["results"][0] | {"value": 9}], "9")):
        (ready / "manifest.json").write_text(json.dumps(listed | {"results": results}))
        with pytest.raises(ToleranceError, match=words):
            zoo.push(ready, "alice/unmeasured")
    (ready / "manifest.json").write_text(json.dumps(listed))
    (ready / "config.json").write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="Nothing was pushed"):
        zoo.push(ready, "alice/damaged")
    (ready / "manifest.json").unlink()
    with pytest.raises(NotFoundError, match=r"manifest\.json"):
        zoo.push(ready, "alice/unlisted")
    (ready / "card.toml").unlink()
    with pytest.raises(NotFoundError, match="no card"):
        zoo.push(ready, "alice/cardless")
    for name in ("toy", "alice/..", "a/b/c", "alice/x.git"):
        with pytest.raises(UsageError):
            zoo.push("genae/eae-mnist", name)


def test_pickles_are_not_pushed(ready, tmp_path):
    from zoo.card import Card
    from zoo.registry import manifest

    results = json.loads((ready / "manifest.json").read_text())["results"]
    (ready / "notes.txt").write_bytes(b"\x80\x04\x95run me")
    manifest.write(ready, Card.load(ready), {}, results=results)
    with pytest.raises(UnsafeError, match="by its content"):
        zoo.push(ready, "alice/toy", to=str(tmp_path / "models"))
    (ready / "optimizer.pt").touch()
    with pytest.raises(UnsafeError, match="by its name"):
        zoo.push(ready, "alice/toy", to=str(tmp_path / "models"))
    assert not (tmp_path / "models").exists()


def test_the_page_is_read_by_the_hubs_own_parser(ready, server, open_hub, monkeypatch):
    from huggingface_hub import ModelCard

    hub = open_hub()
    monkeypatch.setattr(registry, "open_remote", lambda place: hub)
    zoo.push(ready, "alice/copy")
    page = ModelCard(server.storage.files("alice/copy")["README.md"].decode())
    data = page.data
    assert (data.license, data.library_name) == ("apache-2.0", "genae")
    assert data.pipeline_tag == "unconditional-image-generation"
    assert (data.base_model, data.datasets) == ("alice/toy", ["mnist"])
    [result] = data.eval_results
    assert (result.metric_type, result.metric_value) == ("reconstruction_mse", 2e-05)


def test_a_card_with_a_published_commit_is_fetched_and_held_to_its_own_manifest(
    registry_root, ready, server, monkeypatch, make_model, card_table, tmp_path
):
    from huggingface_hub import constants

    monkeypatch.setattr(constants, "ENDPOINT", server.url)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache"))
    files = {p.name: p.read_bytes() for p in ready.iterdir()}
    commit = server.storage.commit("genae/far", files)
    table = card_table | {"id": "genae/far", "published": {"commit": commit}}
    place = make_model(registry_root / "far", table, weights=False)
    (place / "manifest.json").write_bytes(files["manifest.json"])
    folder = registry.resolve("genae/far")
    assert content(registry.fetch("genae/far")) == files
    assert type(zoo.from_pretrained("genae/far")).__name__ == "EAEModel"
    server.clear()
    assert registry.resolve("genae/far") == folder
    assert server.log == []
    with pytest.raises(NotFoundError, match="revision 'dev'"):
        registry.resolve("genae/far", "dev")
    (place / "manifest.json").write_bytes(files["manifest.json"].replace(b"1.0.0", b"1.0.1"))
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "hub-cache-2"))
    with pytest.raises(IntegrityError, match="not the one that came with genae"):
        registry.resolve("genae/far")
    # Whoever owns the name elsewhere, an id of ours without a card is not asked for there.
    server.storage.commit("genae/squatted", files)
    server.clear()
    with pytest.raises(NotFoundError, match="no model named"):
        registry.resolve("genae/squatted")
    assert server.log == []
    assert embedded.owns("genae/squatted")


LOAD_WITHOUT_GENAE = """
import sys
sys.modules["zoo"] = None  # as if genae were not installed
import transformers
for pair in sys.argv[1:]:
    name, auto = pair.split(":")
    model = getattr(transformers, auto).from_pretrained(name, trust_remote_code=True)
    total = sum(p.detach().double().abs().sum() for p in model.parameters())
    print(type(model).__name__, float(total))
"""


@pytest.mark.slow  # a process that imports torch and transformers
def test_code_that_travels_loads_where_genae_is_not(
    ready, server, open_hub, monkeypatch, tmp_path
):
    hub = open_hub()
    monkeypatch.setattr(registry, "open_remote", lambda place: hub)
    rows = [
        (ready, "alice/toy:AutoModel", "EAEModel"),
        ("genae/tiny-simbert", "alice/a:AutoModelForCausalLM", "GenaeBertForCausalLM"),
        ("genae/tiny-t5-1-1", "alice/b:AutoModelForSeq2SeqLM", "GenaeT5ForConditionalGeneration"),
    ]
    for source, pair, _ in rows:
        zoo.push(source, pair.partition(":")[0], with_code=True)
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTHONPATH"))}
    env |= {"HF_ENDPOINT": server.url, "HF_HOME": str(tmp_path / "other"), "HF_HUB_OFFLINE": "0"}
    done = subprocess.run(
        [sys.executable, "-c", LOAD_WITHOUT_GENAE, *(pair for _, pair, _ in rows)],
        cwd=tmp_path, env=env, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    for (source, _, kind), line in zip(rows, done.stdout.splitlines(), strict=True):
        name, total = line.split()
        own = zoo.from_pretrained(str(source))
        assert name == kind
        assert float(total) == pytest.approx(
            float(sum(p.detach().double().abs().sum() for p in own.parameters())), rel=1e-12
        )


def test_headers_that_lie_do_no_harm(server, open_hub, release):
    made = release()
    open_hub("pusher").push(made)
    for change in (
        {"ETag": '"../../../evil"', "X-Linked-Etag": "../../evil", "X-Repo-Commit": "../x"},
        {"X-Linked-Size": "-5"},
        {"X-Repo-Commit": None, "ETag": None},
    ):
        server.faults[:] = [Wrong("resolve", Headers(change), times=None)]
        assert content(open_hub(str(len(str(change)))).folder("alice/toy")) == content(made.folder)
    server.faults[:] = [Wrong("resolve", Headers({"Content-Encoding": "gzip"}), times=None)]
    with pytest.raises(IntegrityError, match="gzip"):
        open_hub("z").folder("alice/toy")
