"""The way to a hub: settings, proxies, login pages, packed and broken answers."""

import email.utils
import gzip
import json
import socket
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx2
import pytest

from tests.hubs.faults import Fault as Wrong
from tests.hubs.faults import Headers, Status
from tests.hubs.server import POLL
from tests.registry.conftest import content
from zoo.errors import (
    CutOffError,
    IntegrityError,
    MissingDependencyError,
    NotAllowedError,
    NotFoundError,
    RedirectError,
    SettingError,
    UnreachableError,
)
from zoo.registry import order, shown
from zoo.registry.hub import network
from zoo.registry.hub.guard import asked_wait
from zoo.registry.hub.hub import Hub

PAGE = b"<!DOCTYPE html><html>Welcome to the hotel</html>"
HTML = {"Content-Type": "text/html; charset=utf-8"}
JSON = {"Content-Type": "application/json"}
PROXIES = ("http_proxy", "https_proxy", "all_proxy", "no_proxy")


@pytest.fixture(autouse=True)
def _fresh(monkeypatch):
    """No proxy of this machine's, a client that reads the environment anew, and no waiting."""
    from huggingface_hub import close_session

    for name in PROXIES:
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    for name in network.CERTIFICATES:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr("zoo.registry.hub.guard.WAITS", (0.0, 0.0))
    monkeypatch.setattr("zoo.registry.receiving.WAITS", (0.0,))
    shown._TOLD.clear()
    close_session()
    yield
    close_session()


@pytest.fixture
def pushed(open_hub, release, server):
    """A release on the hub, which the cache "warm" holds."""
    made = release()
    open_hub("pusher").push(made)
    open_hub("warm").folder("alice/toy")
    from huggingface_hub import close_session

    close_session()
    server.clear()
    return made


@pytest.fixture
def proxy():
    """`proxy(status)`: the address of a proxy that refuses everything so, with a page."""
    servers = []

    def make(status: int) -> str:
        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                self.send_response(status)
                self.send_header("Content-Type", "text/html")
                self.send_header("Content-Length", str(len(PAGE)))
                self.end_headers()
                self.wfile.write(PAGE)

            do_CONNECT = do_GET

            def log_message(self, *_):
                """Say nothing."""

        servers.append(ThreadingHTTPServer(("127.0.0.1", 0), Handler))
        threading.Thread(target=servers[-1].serve_forever, args=(POLL,), daemon=True).start()
        return f"http://127.0.0.1:{servers[-1].server_address[1]}"

    yield make
    for one in servers:
        one.shutdown()
        one.server_close()


def served_or(kind, words, open_hub, made, caplog):
    """Without the model in the cache an error of this very kind, with it the model and a word."""
    start = time.monotonic()
    with pytest.raises(kind, match=words) as caught:
        open_hub("cold").folder("alice/toy")
    assert caught.value.exit_code == kind.exit_code
    assert content(open_hub("warm").folder("alice/toy")) == content(made.folder)
    assert time.monotonic() - start < 5
    assert "The version in the cache serves" in caplog.text
    return str(caught.value)


BAD = {
    ("ALL_PROXY", "socks5://127.0.0.1:9"): MissingDependencyError,
    ("all_proxy", "socks5h://127.0.0.1:9"): MissingDependencyError,
    ("http_proxy", "ftp://proxy.example"): SettingError,
    ("HTTP_PROXY", "socks4://proxy.example"): SettingError,
    ("ALL_PROXY", "http://proxy.example:port"): SettingError,
    ("SSL_CERT_FILE", "/nowhere/ca.pem"): SettingError,
    ("SSL_CERT_DIR", "/nowhere"): SettingError,
    ("GENAE_HUB_DEADLINE", "abc"): SettingError,
    ("GENAE_HUB_DEADLINE", "-1"): SettingError,
}


@pytest.mark.parametrize(("name", "value"), BAD)
def test_a_setting_that_cannot_be_used_is_named(
    name, value, open_hub, pushed, server, monkeypatch, caplog
):
    monkeypatch.setitem(sys.modules, "socksio", None)  # as if it were not installed
    monkeypatch.setenv(name, value)
    text = served_or(BAD[name, value], name, open_hub, pushed, caplog)
    assert value in text
    if BAD[name, value] is MissingDependencyError:
        assert "httpx2[socks]" in text
    assert server.log == []


def test_an_unusable_proxy_of_other_ways_does_no_harm(open_hub, pushed, monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "socks4://127.0.0.1:9")
    monkeypatch.setenv("ALL_PROXY", "ftp://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    assert content(open_hub("cold").folder("alice/toy")) == content(pushed.folder)


def test_a_proxy_that_is_not_there_is_named_without_its_password(
    open_hub, pushed, monkeypatch, caplog
):
    monkeypatch.setenv("http_proxy", "http://me:secret@127.0.0.1:9")
    monkeypatch.setenv("HTTP_PROXY", "http://upper.example")  # the other spelling counts
    text = served_or(CutOffError, r"proxy http://127\.0\.0\.1:9 \(http_proxy\)", open_hub, pushed,
                     caplog)  # fmt: skip
    assert "secret" not in text + caplog.text


def test_a_word_that_is_no_proxy_is_the_users_own_error(open_hub, pushed, monkeypatch, caplog):
    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    monkeypatch.setenv("ALL_PROXY", "garbage")
    served_or(SettingError, "ALL_PROXY is 'garbage'", open_hub, pushed, caplog)


@pytest.mark.parametrize("status", [407, 403, 502])
def test_a_refusing_proxy_is_told_as_one(open_hub, pushed, proxy, monkeypatch, caplog, status):
    monkeypatch.setenv("HTTP_PROXY", proxy(status))
    text = served_or(UnreachableError, f"{status}", open_hub, pushed, caplog)
    assert "HTTP_PROXY" in text
    assert ("NAME:PASSWORD" in text) == (status == 407)
    monkeypatch.setenv("HTTPS_PROXY", proxy(status))
    from huggingface_hub import close_session

    close_session()
    with pytest.raises(CutOffError, match=f"HTTPS_PROXY.*{status}"):
        Hub("https://hub.example", token="t").folder("alice/toy")


def test_the_configured_address(monkeypatch, tmp_path, pushed, server, caplog):
    from huggingface_hub import constants

    from zoo.registry.cache import Cache

    warm = Cache(tmp_path / "cache-warm")
    for address in ("hub.example", "htps://hub.example", "http://127.0.0.1:port", "127.0.0.1:80"):
        monkeypatch.setattr(constants, "ENDPOINT", address)
        with pytest.raises(SettingError, match=f"HF_ENDPOINT is '{address}'"):
            Hub().folder("alice/toy")
        with pytest.raises(SettingError, match="HF_ENDPOINT"):
            Hub().versions("alice/toy")
        assert content(Hub(cache=warm).folder("alice/toy")) == content(pushed.folder)
    monkeypatch.setattr(constants, "ENDPOINT", "")
    assert Hub().endpoint == "https://huggingface.co"
    monkeypatch.setattr(constants, "ENDPOINT", f"{server.url}/typo")
    with pytest.raises(NotFoundError, match=f"is {server.url}/typo the address of a hub"):
        Hub(token="tok").folder("alice/toy")


def test_no_way_is_told_at_once(monkeypatch, tmp_path, online):
    monkeypatch.setattr("zoo.registry.hub.guard.WAITS", (60.0,))
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(CutOffError, match=r"refused.*HF_ENDPOINT is 'http://127\.0\.0\.1:9'"):
        Hub("http://127.0.0.1:9").versions("alice/toy")

    def unknown(*_, **__):
        raise socket.gaierror(-2, "Name or service not known")

    monkeypatch.setattr(socket, "getaddrinfo", unknown)
    with pytest.raises(CutOffError, match=r"hub\.example cannot be reached: no such host"):
        Hub("https://hub.example").versions("alice/toy")


def test_a_server_without_tls(server):
    with pytest.raises(CutOffError, match="no encrypted connection"):
        Hub(server.url.replace("http:", "https:")).versions("alice/toy")


def test_numbers_that_are_none(monkeypatch):
    for value in ("abc", "", "-3", "1.5"):
        monkeypatch.setenv("HF_HUB_DOWNLOAD_TIMEOUT", value)
        with pytest.raises(SettingError, match="HF_HUB_DOWNLOAD_TIMEOUT"):
            order.open_remote("hub")


def test_a_file_where_the_cache_should_be(tmp_path, server, monkeypatch):
    from zoo.registry.cache import Cache

    (tmp_path / "file").touch()
    monkeypatch.setenv("HF_HUB_CACHE", str(tmp_path / "file"))
    for root in (tmp_path / "file", tmp_path / "file" / "hub"):
        with pytest.raises(NotAllowedError, match="HF_HUB_CACHE"):
            Hub(server.url, cache=Cache(root)).folder("alice/toy")
    assert server.log == []


LATER = {
    "seconds": {"Retry-After": "3600"},
    "date": {"Retry-After": email.utils.formatdate(time.time() + 7200, usegmt=True)},
    "the Hub's own header": {"RateLimit": '"api";r=0;t=3600'},
    "longer than the deadline": {"Retry-After": "9"},
}


@pytest.mark.parametrize("kind", LATER)
@pytest.mark.parametrize("status", [429, 503])
def test_a_long_wait_is_told_at_once(open_hub, pushed, server, monkeypatch, caplog, kind, status):
    monkeypatch.setenv("GENAE_HUB_DEADLINE", "8")
    answer = Status(status, {**LATER[kind], **HTML}, PAGE)
    server.faults.append(Wrong("/api/models", answer, times=None))
    words = f"({status}).*asks to wait [0-9]+ s"
    text = served_or(UnreachableError, words.replace("(", r"\(").replace(")", r"\)"),
                     lambda cache: open_hub(cache, token=None), pushed, caplog)  # fmt: skip
    assert ("a token raises the limit" in text) == (status == 429)
    server.faults[:] = [Wrong("/resolve/", answer, times=None)]
    with pytest.raises(UnreachableError, match="asks to wait"):
        open_hub("cold").folder("alice/toy")


def test_a_short_wait_is_waited_for(open_hub, pushed, server, monkeypatch):
    waited = []
    monkeypatch.setattr("zoo.registry.deadline.time.sleep", waited.append)
    server.faults += [Wrong("/revision/", Status(429, {"Retry-After": "2"})),
                      Wrong("/tree/", Status(503, {"Retry-After": "3"})),
                      Wrong("/resolve/", Status(429, {"Retry-After": "4"}))]  # fmt: skip
    assert content(open_hub("cold").folder("alice/toy")) == content(pushed.folder)
    assert [round(seconds) for seconds in waited] == [2, 3, 4]


def test_what_a_server_asks_to_wait():
    now = email.utils.formatdate(1_000_000, usegmt=True)
    later = email.utils.formatdate(1_000_090, usegmt=True)
    for headers, seconds in (
        ({"retry-after": "7"}, 7), ({"retry-after": later, "date": now}, 90), ({}, 0),
        ({"retry-after": now, "date": later}, 0), ({"retry-after": "soon"}, 0),
        ({"retry-after": "-5"}, 0), ({"retry-after": "9" * 400}, 0),
        ({"ratelimit": '"api";r=0;t=55'}, 55), ({"ratelimit": '"api";r=3;t=55'}, 0),
    ):  # fmt: skip
        assert asked_wait(httpx2.Headers(headers)) == seconds


PAGES = {
    "a page": Status(200, HTML, PAGE),
    "a page that says it is JSON": Status(200, JSON, b"\n " + PAGE),
    "401": Status(401, HTML, PAGE),
    "403": Status(403, HTML, PAGE),
    "404": Status(404, HTML, PAGE),
    "511": Status(511, HTML, PAGE),
    "407": Status(407, HTML, PAGE),
}


@pytest.mark.parametrize("kind", PAGES)
def test_a_page_in_place_of_an_answer(open_hub, pushed, server, caplog, kind):
    server.faults.append(Wrong("/api/models", PAGES[kind], times=None))
    served_or(CutOffError, "login page|407", open_hub, pushed, caplog)


def test_a_page_in_place_of_a_file(open_hub, pushed, server, release, caplog):
    server.faults.append(Wrong("/resolve/", Status(200, HTML, PAGE), times=None))
    with pytest.raises(CutOffError, match="a web page came in place of"):
        open_hub("cold").folder("alice/toy")
    newer = release("1.1.0")
    server.faults.clear()
    open_hub("pusher").push(newer)
    for answer in (Status(200, HTML, PAGE), Status(429, {"Retry-After": "3600"})):
        server.faults[:] = [Wrong("/resolve/", answer, times=None)]
        assert content(open_hub("warm").folder("alice/toy")) == content(pushed.folder)
    assert caplog.text.count("The version in the cache serves") == 2
    server.faults.clear()
    assert content(open_hub("warm").folder("alice/toy")) == content(newer.folder)


def test_a_hub_that_says_nothing_does_not_hold_up_what_is_there(
    open_hub, pushed, server, monkeypatch, caplog
):
    from tests.hubs.faults import Hang

    monkeypatch.setattr("zoo.registry.hub.guard.HASTE", 0.2)
    server.faults.append(Wrong("/revision/", Hang(1.5), times=None))
    start = time.monotonic()
    assert content(open_hub("warm").folder("alice/toy")) == content(pushed.folder)
    assert time.monotonic() - start < 1.2
    assert "serves" in caplog.text


def test_a_redirect_to_a_login_page(open_hub, pushed, server, caplog):
    other = server.address("other")
    server.faults += [Wrong("/api/models", Status(302, {"Location": f"{other}/login"}), None),
                      Wrong("/login", Status(200, HTML, PAGE), None)]  # fmt: skip
    served_or(CutOffError, "login page", open_hub, pushed, caplog)
    server.faults[:] = [Wrong("/api/models", Status(302, {"Location": "ftp://x/login"}), None)]
    served_or(RedirectError, "an address that", open_hub, pushed, caplog)


def test_what_the_hub_itself_refuses_is_not_hidden(open_hub, pushed, server):
    server.storage.repo("alice/toy").gated = True
    server.storage.commit("alice/toy", {"README.md": b"newer"})
    with pytest.raises(NotAllowedError, match="gated"):
        open_hub("warm", token=None).folder("alice/toy")
    server.storage.repo("alice/toy").private = True
    with pytest.raises(NotFoundError, match="no such model"):
        open_hub("warm", token=None).folder("alice/toy")


def packed(server, monkeypatch):
    """Let the hub pack every answer, asked or not."""
    from tests.hubs import server as hubs

    plain = hubs._Handler._send

    def send(self, answer, action):
        body = answer.body
        if not isinstance(body, bytes):
            body = json.dumps(body).encode()
        answer.headers["Content-Encoding"] = "gzip"
        answer.body = gzip.compress(body)
        plain(self, answer, action)

    monkeypatch.setattr(hubs._Handler, "_send", send)


def test_packed_answers_are_read(open_hub, pushed, server, monkeypatch):
    packed(server, monkeypatch)
    assert content(open_hub("cold").folder("alice/toy")) == content(pushed.folder)
    with pytest.raises(NotFoundError, match="no such revision"):
        open_hub("cold").folder("alice/toy", "dev")


BROKEN = {
    "broken off": Status(200, JSON | {"Content-Encoding": "gzip"}, gzip.compress(b"{}" * 99)[:20]),
    "not packed": Status(200, JSON | {"Content-Encoding": "gzip"}, b'{"id": 1}'),
    "a bomb": Status(200, JSON | {"Content-Encoding": "gzip"}, gzip.compress(bytes(30 * 2**20))),
    "brotli": Status(200, JSON | {"Content-Encoding": "br"}, b"x"),
    "half": Status(200, JSON, b'{"id": "alice/toy", "sha'),
    "empty": Status(200, JSON, b""),
    "text": Status(200, {"Content-Type": "text/plain"}, b"It works!"),
    "list": Status(200, JSON, b"[]"),
    "null": Status(200, JSON, b"null"),
    "no text": Status(200, JSON, b"\xff\xfe{"),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_a_broken_answer_is_no_word_on_the_model(open_hub, pushed, server, caplog, kind):
    server.faults.append(Wrong("/api/models", BROKEN[kind], times=None))
    text = served_or(IntegrityError, "127.0.0.1|an answer", open_hub, pushed, caplog)
    assert ("JSON" in text) == (kind in ("half", "text"))


def test_a_packed_part_of_a_file_is_refused(open_hub, pushed, server):
    from tests.hubs.faults import Cut
    from tests.registry.conftest import WEIGHTS

    zipped = Headers({"Content-Encoding": "gzip"})
    server.faults += [Wrong(WEIGHTS, Cut(400)), Wrong(WEIGHTS, zipped, times=None)]
    with pytest.raises(IntegrityError, match="gzip"):
        open_hub("cold").folder("alice/toy")


def test_which_proxy_an_address_goes_through(monkeypatch):
    monkeypatch.setenv("HTTPS_PROXY", "proxy.example:3128")
    monkeypatch.setenv("NO_PROXY", "inside.example")
    assert network.proxy_of("https://hub.example/x") == (
        "HTTPS_PROXY",
        "http://proxy.example:3128",
    )
    for other in ("http://hub.example", "https://inside.example", "https://a.inside.example"):
        assert network.proxy_of(other) is None


def test_the_cache_describes_a_model_where_no_answer_comes(open_hub, pushed, server, monkeypatch):
    from zoo.registry.peek import peek

    monkeypatch.setattr(order, "open_remote", lambda place: open_hub("warm"))
    asked, _ = peek("alice/toy", source="hub")
    server.faults.append(Wrong("/api/models", PAGES["403"], times=None))
    cached, _ = peek("alice/toy", source="hub")
    assert cached == asked | {"versions": [], "files": cached["files"]}
    assert {f["path"] for f in cached["files"]} <= {f["path"] for f in asked["files"]}
