"""What is on the page, what is left out and why, and what a bad call gives."""

import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from tests.gallery.conftest import Part
from tests.gallery.node import packed_outputs
from zoo.errors import NotFoundError, UsageError
from zoo.gallery.writing import DEFAULT, make_gallery


def test_the_engine_agrees_with_the_shipped_models(page_parts: list[Part]) -> None:
    found = packed_outputs([(part.network, part.weights, part.inputs) for part in page_parts])
    assert {(part.model, part.name) for part in page_parts} == {
        (name, part) for name, parts in DEFAULT.items() for part in parts
    }
    for part, made in zip(page_parts, found, strict=True):
        message = f"{part.model} {part.name}"
        torch.testing.assert_close(
            made, part.outputs, rtol=1e-4, atol=1e-4, msg=lambda text, of=message: f"{of}: {text}"
        )


def test_a_page_too_small_says_what_it_leaves_out() -> None:
    made = make_gallery(max_size=0.4)
    assert 0 < made.size <= 400_000
    assert "encoder" in " ".join(made.left_out)
    assert all("--max-size" in reason for reason in made.left_out.values())
    assert list(made.models) == ["genae/eae-mnist"]


def test_a_model_that_cannot_be_shown_is_named_with_the_reason() -> None:
    names = [
        "genae/eae-mnist",
        "genae/bert-poetry-zh",
        "genae/classifier-mnist",
        "genae/dde-mnist",
    ]
    made = make_gallery(names)
    assert list(made.models) == ["genae/eae-mnist"]
    assert "texts" in made.left_out["genae/bert-poetry-zh"]
    assert "100,000" in made.left_out["genae/classifier-mnist"]
    assert made.left_out["genae/dde-mnist"]


def test_nothing_to_show_is_an_error_with_a_next_step() -> None:
    with pytest.raises(UsageError, match=r"texts.*genae gallery -o gallery\.html"):
        make_gallery(["genae/bert-poetry-zh"])
    with pytest.raises(NotFoundError):
        make_gallery(["genae/no-such-model"])
    with pytest.raises(NotFoundError):
        make_gallery(images=["no-such-folder"])
    with pytest.raises(UsageError, match="max_size"):
        make_gallery(max_size=0)


def data_of(html: str) -> Any:
    """What a page is told of its models."""
    found = re.search(r'<script type="application/json" id="models">(.*?)</script>', html)
    assert found is not None
    return json.loads(found[1])


def test_images_of_ones_own_are_on_the_page(tmp_path: Path) -> None:
    from PIL import Image

    noise = np.random.default_rng(0).integers(0, 256, (2, 50, 40, 3), dtype=np.uint8)
    for number, image in enumerate(noise):
        Image.fromarray(image).save(tmp_path / f"{number}.png")
    made = make_gallery(["genae/eae-mnist"], images=[str(tmp_path)])
    assert len(data_of(made.html)["examples"][0]) == 2


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    made = make_gallery(["genae/vae-mnist-2d"])
    with pytest.raises(UsageError, match=r"\.html"):
        made.save(tmp_path / "page.png")
    assert list(tmp_path.iterdir()) == []
    assert made.save(tmp_path / "page.html").read_text("utf-8") == made.html
