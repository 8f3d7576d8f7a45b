"""The system's Chromium without a window, driven by playwright: what a page asks for and says."""

import contextlib
import os
import shutil
from collections.abc import Iterator

import pytest

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SIZE = {"width": 1100, "height": 900}


@contextlib.contextmanager
def open_page(
    address: str, *, first: str = "", **settings: object
) -> Iterator[tuple[object, list[str], list[str]]]:
    """Open a page without a network.

    Args:
        address: of the page.
        first: a script that runs before its own.
        **settings: of the browser's page, such as `locale`, in place of these.

    Yields:
        The page, every address that it asked for, and everything on its console: messages,
        exceptions and complaints of the browser.
    """
    program = next(filter(None, map(shutil.which, NAMES)), None)
    if program is None:
        reason = f"no browser here: none of {', '.join(NAMES)} is on the path"
        # Where every test has to run, a missing tool is an error.
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    from playwright.sync_api import sync_playwright

    asked: list[str] = []
    said: list[str] = []
    with sync_playwright() as playwright:
        words = ["--host-resolver-rules=MAP * ~NOTFOUND", "--disable-background-networking"]
        browser = playwright.chromium.launch(
            executable_path=program, args=words, chromium_sandbox=False
        )
        try:
            page = browser.new_page(**{"viewport": SIZE, **settings})
            page.add_init_script(first)
            page.on("request", lambda request: asked.append(request.url))
            page.on("console", lambda message: said.append(message.text))
            page.on("pageerror", lambda error: said.append(str(error)))
            page.goto(address)
            yield page, asked, said
        finally:
            browser.close()
