"""A small server that speaks the Hub's protocol, with a log of requests and faults on demand."""

import contextlib
import hashlib
import json
import re
import socket
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

from tests.hubs import faults as faulty
from tests.hubs.routes import Answer, Routes
from tests.hubs.storage import Storage

PIECE = 65536
POLL = 0.01  # seconds a server takes to see that it is over


@dataclass
class User:
    """Who a token belongs to."""

    name: str
    orgs: tuple[str, ...] = ()
    write: bool = True


@dataclass
class Request:
    """One request that came in."""

    method: str
    path: str
    query: str
    token: str | None
    origin: str
    range: str | None
    headers: dict
    received: int = 0
    status: int = 0
    sent: int = 0


class HubServer:
    """A hub on 127.0.0.1.

    Args:
        users: by token.
        lfs: how objects come in, `basic` or `multipart`.
        serve: how they go out: `direct`, or by a redirect to the `same-origin` or `other-origin`.
        page_size: rows of a tree or list in one answer.
        chunk_size: of a multipart upload.
        lfs_from: files from this size on are large objects, and all safetensors.
    """

    def __init__(
        self,
        users: dict[str, User] | None = None,
        *,
        lfs: str = "basic",
        serve: str = "direct",
        page_size: int = 1000,
        chunk_size: int = 1000,
        lfs_from: int = 10 * 2**20,
    ) -> None:
        self.users = {"tok": User("alice", ("genae",))} if users is None else users
        self.lfs, self.serve, self.page_size = lfs, serve, page_size
        self.chunk_size = chunk_size
        self.storage = Storage(lambda p, n: n > 0 and (p.endswith(".safetensors") or n > lfs_from))
        self.log: list[Request] = []
        self.faults: list[faulty.Fault] = []
        self.parts: dict[tuple[str, int], bytes] = {}
        self.stopped = threading.Event()
        self.servers: dict[str, ThreadingHTTPServer] = {}

    def __enter__(self) -> "HubServer":
        for origin in ("main", "other"):
            handler = type("Handler", (_Handler,), {"hub": self, "origin": origin})
            server = _Server(("127.0.0.1", 0), handler)
            self.servers[origin] = server
            threading.Thread(target=server.serve_forever, args=(POLL,), daemon=True).start()
        return self

    def __exit__(self, *_) -> None:
        self.stopped.set()
        for server in self.servers.values():
            server.shutdown()
            server.server_close()

    def address(self, origin: str) -> str:
        return f"http://127.0.0.1:{self.servers[origin].server_address[1]}"

    @property
    def url(self) -> str:
        return self.address("main")

    def clear(self) -> None:
        self.log.clear()

    def count(self, method: str | None = None, path: str = "") -> int:
        return sum(
            (method is None or r.method == method) and bool(re.search(path, r.path))
            for r in list(self.log)
        )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 128

    def handle_error(self, request, client_address):
        """A client that was killed is no news."""


class _Handler(Routes, BaseHTTPRequestHandler):
    hub: HubServer
    origin: str
    protocol_version = "HTTP/1.1"
    wbufsize = -1
    timeout = 60

    def log_message(self, *_):
        """The log of requests is the hub's own."""

    def handle(self):
        self.connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        with contextlib.suppress(OSError):
            super().handle()

    def serve(self):
        parts = urlsplit(self.path)
        token = self.headers.get("Authorization", "").removeprefix("Bearer ") or None
        self.seen = Request(
            self.command, parts.path, parts.query, token, self.origin,
            self.headers.get("Range"), {k.lower(): v for k, v in self.headers.items()},
        )  # fmt: skip
        self.hub.log.append(self.seen)
        self.query = parse_qs(parts.query, keep_blank_values=True)
        self.user = self.hub.users.get(token)
        if self.command == "GET" and "Transfer-Encoding" in self.headers:
            self.close_connection = True
        self.content = self._body()
        self.seen.received = len(self.content)
        action = faulty.take(self.hub.faults, f"{self.command} {parts.path}")
        if isinstance(action, faulty.Drop):
            return self._hang_up()
        if isinstance(action, faulty.Status):
            body = action.body() if callable(action.body) else action.body
            return self._send(Answer(action.code, body, dict(action.headers)), None)
        if isinstance(action, faulty.Hang):
            self.hub.stopped.wait(action.seconds)
        if isinstance(action, faulty.IgnoreRange):
            self.seen.range = None
        answer = self._route(unquote(parts.path))
        if isinstance(action, faulty.Lost):
            return self._hang_up()
        if isinstance(action, faulty.Edit):
            answer = Answer(answer.status, action.change(answer.body), answer.headers)
        self._send(answer, action)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = serve

    def _body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            pieces = []
            while size := int(self.rfile.readline().split(b";")[0] or b"0", 16):
                pieces.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(pieces)
        length = int(self.headers.get("Content-Length") or 0)
        content = self.rfile.read(length)
        if len(content) < length:
            raise ConnectionError("the client left")
        return content

    def _hang_up(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def _send(self, answer: Answer, action) -> None:
        body = answer.body
        if not isinstance(body, bytes) and (isinstance(body, dict | list) or body is None
                                            or isinstance(body, str | int | float)):  # fmt: skip
            body = json.dumps(body).encode()
            answer.headers.setdefault("Content-Type", "application/json")
        headers = {"Date": self.date_time_string(), **answer.headers}
        endless = not isinstance(body, bytes)
        if not endless:
            if isinstance(action, faulty.Flip) and body:
                at = action.at % len(body)
                body = body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]
            if isinstance(action, faulty.Resize):
                body = body + b"x" * action.by if action.by > 0 else body[: action.by]
            if isinstance(action, faulty.Swap):
                body = hashlib.shake_128(body).digest(len(body))
            headers.setdefault("Content-Length", str(len(body)))
        if isinstance(action, faulty.Headers):
            headers |= {k: str(v) for k, v in action.change.items() if v is not None}
            headers = {k: v for k, v in headers.items() if action.change.get(k, "") is not None}
        self.seen.status = answer.status
        with contextlib.suppress(OSError):
            self.send_response_only(answer.status)
            for name, value in headers.items():
                self.send_header(name, value)
            if endless:
                self.send_header("Connection", "close")
                self.close_connection = True
            self.end_headers()
            if self.command == "HEAD":
                return
            self._stream(body if endless else _pieces(body), action)
            return
        self._hang_up()

    def _stream(self, pieces, action) -> None:
        left = action.after if isinstance(action, faulty.Cut) else None
        for piece in pieces:
            if self.hub.stopped.is_set():
                return self._hang_up()
            if isinstance(action, faulty.Trickle):
                for i in range(len(piece)):
                    self.wfile.write(piece[i : i + 1])
                    self.wfile.flush()
                    if self.hub.stopped.wait(1 / action.rate):
                        return self._hang_up()
                continue
            if left is not None and len(piece) >= left:
                self.wfile.write(piece[:left])
                self.wfile.flush()
                self.seen.sent += left
                return self._hang_up()
            left = None if left is None else left - len(piece)
            self.wfile.write(piece)
            self.seen.sent += len(piece)
        self.wfile.flush()


def _pieces(body: bytes):
    for start in range(0, len(body), PIECE):
        yield body[start : start + PIECE]
