"""What is on the page, what is left out and why, and what a bad call gives."""

import base64
import json
import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import zoo
from tests.gallery.conftest import EXAMPLES, Part
from tests.gallery.node import packed_outputs
from zoo.data.reading import read_images
from zoo.errors import NotFoundError, UsageError
from zoo.gallery.writing import DEFAULT, make_gallery
from zoo.models import VAEConfig, VAEModel
from zoo.models.images.image_processing_genae import GenaeImageProcessor
from zoo.plots import to_uint8


@pytest.mark.parametrize("count", [10, pytest.param(EXAMPLES, marks=pytest.mark.slow)])
def test_the_engine_agrees_with_the_shipped_models(page_parts: list[Part], count: int) -> None:
    found = packed_outputs(
        [(part.network, part.weights, part.inputs[:count]) for part in page_parts]
    )
    assert {(part.model, part.name) for part in page_parts} == {
        (name, part) for name, parts in DEFAULT.items() for part in parts
    }
    for part, made in zip(page_parts, found, strict=True):
        message = f"{part.model} {part.name}"
        torch.testing.assert_close(
            made,
            part.outputs[:count],
            rtol=1e-4,
            atol=1e-4,
            msg=lambda text, of=message: f"{of}: {text}",
        )


def test_a_page_too_small_says_what_it_leaves_out(page_file: Path) -> None:
    made = make_gallery(max_size=0.4)
    assert 0 < made.size <= 400_000
    assert "encoder" in " ".join(made.left_out)
    (reason,) = set(made.left_out.values())
    enough = float(re.search(r"`--max-size ([\d.]+)` has room for all", reason)[1])
    whole = page_file.stat().st_size
    assert whole <= 1e6 * enough <= whole + 300_000
    assert list(made.models) == ["genae/eae-mnist"]


def test_a_model_that_cannot_be_shown_is_named_with_the_reason() -> None:
    names = [
        "genae/eae-mnist",
        "genae/bert-poetry-zh",
        "genae/classifier-mnist",
        "genae/dde-mnist",
        "genae/vq-vae-fashion-mnist",
        "genae/dde-gaussians-2d",
    ]
    made = make_gallery(names)
    assert list(made.models) == ["genae/eae-mnist"]
    assert "texts" in made.left_out["genae/bert-poetry-zh"]
    assert "100,000" in made.left_out["genae/classifier-mnist"]
    for name in ("genae/dde-mnist", "genae/vq-vae-fashion-mnist"):
        assert "vectors of codes" in made.left_out[name]
    assert made.left_out["genae/dde-gaussians-2d"].startswith("it is a model of vectors")


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


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model without a card, whose name and labels are markup."""
    names = {0: "</script><b>", 1: "x" * 500}
    sizes = {"network": "dense", "image_size": 12, "hidden_sizes": [4], "latent_size": 1}
    config = VAEConfig(
        **sizes, prior="class_means", id2label=names, label2id={v: k for k, v in names.items()}
    )
    torch.manual_seed(0)
    folder = tmp_path_factory.mktemp("models") / "<i> 数字"
    VAEModel(config).save_pretrained(folder)
    GenaeImageProcessor(num_channels=1, size=12).save_pretrained(folder)
    return folder


def test_names_are_text_wherever_they_stand(hostile: Path) -> None:
    made = make_gallery([str(hostile)])
    assert data_of(made.html)["models"][0]["labels"] == ["</script><b>", "x" * 500]
    assert made.html.count("</script>") == 3  # of the models, their weights, the script itself
    assert "<b>" not in made.html
    assert "<i>" not in made.html


def test_examples_are_of_a_model_s_own_data(hostile: Path) -> None:
    names = ["genae/vae-fashion-mnist", "genae/eae-mnist", str(hostile)]
    found = data_of(make_gallery(names, max_size=9).html)
    images = [
        np.stack(
            [np.frombuffer(base64.b64decode(text), np.uint8) for text in found["examples"][k]]
        )
        for k in (model["examples"] for model in found["models"])
    ]
    processor = zoo.load_image_processor("genae/eae-mnist")
    for made, data in zip(images, ("examples-fashion-mnist", "examples-mnist"), strict=False):
        pixels = processor.crop_padding(read_images([data], processor).pixels)
        assert (made.reshape(10, 1, 28, 28) == pixels[:10].numpy()).all()
    own = zoo.from_pretrained(hostile).sample(10, seed=0)
    assert (images[2].reshape(own.shape) == to_uint8(own).numpy()).all()


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path) -> None:
    made = make_gallery(["genae/vae-mnist-2d"])
    with pytest.raises(UsageError, match=r"\.html"):
        made.save(tmp_path / "page.png")
    assert list(tmp_path.iterdir()) == []
    assert made.save(tmp_path / "page.html").read_text("utf-8") == made.html
