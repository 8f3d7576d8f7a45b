"""A headless Chromium, spoken to over its pipe: what it asked for, what it said, what it shows."""

import contextlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from typing import Any

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECONDS = 60


def find() -> str | None:
    """The first browser on the path."""
    return next(filter(None, map(shutil.which, NAMES)), None)


class Browser:
    """One tab: commands in, events kept."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing, self.pending = reading, writing, b""
        self.events: list[dict[str, Any]] = []
        self.number = 0
        self.session: str | None = None
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self.session = attached["sessionId"]
        for domain in ("Page", "Network", "Log", "Runtime"):
            self.call(f"{domain}.enable")

    def _receive(self) -> dict[str, Any]:
        while b"\0" not in self.pending:
            chunk = os.read(self.reading, 65536)
            if not chunk:
                raise RuntimeError("the browser has gone")
            self.pending += chunk
        message, _, self.pending = self.pending.partition(b"\0")
        return json.loads(message)

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """Call a method of the DevTools protocol; events met meanwhile are kept."""
        self.number += 1
        message = {"id": self.number, "method": method, "params": parameters}
        if self.session:
            message["sessionId"] = self.session
        os.write(self.writing, json.dumps(message).encode() + b"\0")
        while (answer := self._receive()).get("id") != self.number:
            self.events.append(answer)
        if "error" in answer:
            raise RuntimeError(f"{method}: {answer['error']}")
        return answer["result"]

    def open(self, url: str) -> None:
        """Go to a page and wait until it has loaded."""
        self.call("Page.navigate", url=url)
        while not any(event.get("method") == "Page.loadEventFired" for event in self.events):
            self.events.append(self._receive())

    def requested(self) -> list[str]:
        """Every address asked for."""
        sent = self.of("Network.requestWillBeSent")
        return [event["params"]["request"]["url"] for event in sent]

    def said(self) -> list[Any]:
        """Everything on the console: calls, exceptions, complaints of the browser."""
        names = ("Log.entryAdded", "Runtime.consoleAPICalled", "Runtime.exceptionThrown")
        return [event["params"] for name in names for event in self.of(name)]

    def of(self, method: str) -> list[dict[str, Any]]:
        return [event for event in self.events if event.get("method") == method]

    def value(self, expression: str) -> Any:
        """What an expression is, in the page."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        return found["result"].get("value")


@contextlib.contextmanager
def browser(program: str) -> Iterator[Browser]:
    """A browser with a profile of its own and no way to the network."""
    command_read, command_write = os.pipe()
    answer_read, answer_write = os.pipe()

    def place() -> None:  # the protocol's pipes are file descriptors 3 and 4
        own = os.dup(command_read), os.dup(answer_write)
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(own)]
        os.dup2(high[0], 3)
        os.dup2(high[1], 4)

    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        words = [
            program, "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
            "--disable-dev-shm-usage", "--disable-background-networking", "--disable-sync",
            "--disable-component-update", "--host-resolver-rules=MAP * ~NOTFOUND",
            "--remote-debugging-pipe", f"--user-data-dir={profile}", "--window-size=1100,900",
        ]  # fmt: skip
        process = subprocess.Popen(
            words, preexec_fn=place, close_fds=False,
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        os.close(command_read)
        os.close(answer_write)
        try:
            yield Browser(answer_read, command_write)
        finally:
            process.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                process.wait(SECONDS)
            process.kill()
