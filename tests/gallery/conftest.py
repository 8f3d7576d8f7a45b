"""The page as it is written where no models are named, and what its networks must compute."""

import json
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import zoo
from zoo.gallery.parts import FUNCTIONS
from zoo.gallery.writing import make_gallery

EXAMPLES = 100


@dataclass(frozen=True)
class Part:
    """A network of a page, 100 inputs, and what PyTorch makes of them with weights as rounded."""

    model: str
    place: int
    name: str
    network: dict[str, Any]
    weights: str
    inputs: Tensor
    outputs: Tensor


@pytest.fixture(scope="session")
def page_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Its file."""
    return make_gallery().save(tmp_path_factory.mktemp("gallery") / "gallery.html")


@pytest.fixture(scope="session")
def page_parts(page_file: Path) -> list[Part]:
    """All of its networks."""
    html = page_file.read_text("utf-8")
    blocks = dict(re.findall(r'<script type="[^"]*" id="([^"]*)">(.*?)</script>', html))
    parts = []
    for place, facts in enumerate(json.loads(blocks["models"])["models"]):
        model = rounded(zoo.from_pretrained(facts["id"]))
        for name, network in facts["networks"].items():
            draw = torch.randn if name == "decode" else torch.rand
            generator = torch.Generator().manual_seed(place)
            inputs = draw(EXAMPLES, *network["inputs"][0], generator=generator)
            with torch.no_grad():
                outputs = FUNCTIONS[name](model, inputs)
            weights = blocks[f"weights-{place}"]
            parts.append(Part(facts["id"], place, name, network, weights, inputs, outputs))
    return parts


def rounded(model: nn.Module) -> nn.Module:
    """A model whose matrices are what half precision keeps of them, as on the page."""
    for parameter in model.parameters():
        if parameter.ndim > 1:
            parameter.data = parameter.data.half().float()
    return model
