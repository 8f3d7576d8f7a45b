"""Every class of genae's loads by its own code where genae is not installed."""

import json
import os
import subprocess
import sys

import pytest
import torch

from tests.tiny import TINY
from zoo import catalog
from zoo.registry.code import add_code

OWN = [name for name in TINY if catalog.find(name).own]
LOAD = """
import sys
sys.modules["zoo"] = sys.modules["convert"] = None  # as if genae were not installed
import transformers
for pair in sys.argv[1:]:
    folder, _, auto = pair.rpartition("=")
    model = getattr(transformers, auto).from_pretrained(folder, trust_remote_code=True)
    total = sum(p.detach().double().abs().sum() for p in model.parameters())
    print(type(model).__name__, float(total))
"""


@pytest.mark.slow
def test_every_class_loads_by_the_code_that_travels_with_it(tmp_path, tiny_config):
    pairs, expected = [], []
    for name in OWN:
        entry = catalog.find(name)
        torch.manual_seed(1)
        model = catalog.model_for(entry)(tiny_config(name))
        model.save_pretrained(tmp_path / name)
        add_code(tmp_path / name, entry)
        kind = type(model).__name__
        named = json.loads((tmp_path / name / "config.json").read_text("utf-8"))["auto_map"]
        (auto,) = (auto for auto, place in named.items() if place.endswith(f".{kind}"))
        pairs.append(f"{tmp_path / name}={auto}")
        total = sum(p.detach().double().abs().sum() for p in model.parameters())
        expected.append((kind, pytest.approx(float(total), rel=1e-12)))
    env = {k: v for k, v in os.environ.items() if not k.startswith(("HF_", "PYTHONPATH"))}
    done = subprocess.run(
        [sys.executable, "-c", LOAD, *pairs], cwd=tmp_path, capture_output=True, text=True,
        env=env | {"HF_HOME": str(tmp_path / "home"), "HF_HUB_OFFLINE": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-2000:]
    found = [line.split() for line in done.stdout.splitlines()]
    assert [(kind, float(total)) for kind, total in found] == expected
