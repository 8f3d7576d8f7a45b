"""The page on a phone, in Chinese, where motion is not wanted, and where there are no workers."""

from pathlib import Path

import pytest

from tests.evaluation.browser import open_page
from tests.gallery.looking import drawn, ink, settle

pytestmark = pytest.mark.slow
WITHOUT_WORKERS = {
    "there are none": "delete window.Worker",
    "they do not start": "window.Worker = class { constructor() { throw new Error('no'); } }",
    "they fail later": """window.Worker = class {
      constructor() { setTimeout(() => this.onerror(new Event("error", { cancelable: true }))); }
      postMessage() {}
    }""",
}
PHONE = {"width": 360, "height": 740}


def test_a_chinese_phone_without_motion(page_file: Path) -> None:
    settings = {"viewport": PHONE, "has_touch": True, "locale": "zh-CN"}
    with open_page(page_file.as_uri(), reduced_motion="reduce", **settings) as (page, _, said):
        settle(page)
        assert page.inner_text("#drawing h2") == "写一个数字"
        assert page.evaluate("document.documentElement.lang") == "zh-CN"
        assert page.evaluate("document.documentElement.scrollWidth") <= PHONE["width"]
        pad = page.locator("#walk canvas").nth(1)
        pad.scroll_into_view_if_needed()
        box = pad.bounding_box()
        page.mouse.move(box["x"] + 20, box["y"] + 20)
        page.mouse.down()
        page.mouse.move(box["x"] + 150, box["y"] + 100, steps=8)
        page.mouse.up()
        settle(page)
        before = drawn(page, "#walk canvas")
        page.wait_for_timeout(200)
        assert drawn(page, "#walk canvas") == before
        page.locator("#language").click()
        assert page.inner_text("#drawing h2") == "Draw a digit"
        assert said == []


@pytest.mark.parametrize("fault", WITHOUT_WORKERS)
def test_it_works_where_workers_do_not(page_file: Path, fault: str) -> None:
    with open_page(page_file.as_uri(), first=WITHOUT_WORKERS[fault]) as (page, asked, said):
        settle(page)
        assert ink(page, "#samples .sheet") > 5
        assert [one for one in asked if not one.startswith("blob:")] == [page_file.as_uri()]
        assert said == []


def test_it_says_what_it_needs_where_scripts_are_off(page_file: Path) -> None:
    with open_page(page_file.as_uri(), java_script_enabled=False) as (page, _, _):
        assert "JavaScript" in page.inner_text("noscript")
