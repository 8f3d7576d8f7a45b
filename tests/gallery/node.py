"""Networks run by the gallery's engine in node, many at once."""

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.gallery.packing import as_text, pack
from zoo.gallery.tracing import Network

FOLDER = Path(__file__).parents[2] / "zoo" / "gallery"
SCRIPT = """
const fs = require("fs"), engine = require(process.argv[1]);
const floats = (text) => new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer);
for (const { network, weights, examples } of JSON.parse(fs.readFileSync(0))) {
  const run = engine.load(network, Uint8Array.from(Buffer.from(weights, "base64")).buffer);
  const made = examples.map((text) => Buffer.from(run(floats(text)).buffer).toString("base64"));
  console.log(JSON.stringify(made));
}
"""


def node() -> str:
    """The program; where every test has to run, its absence is an error."""
    program = shutil.which("node")
    if program is None:
        reason = "no node on the path, which runs the engine without a browser"
        pytest.fail(reason) if os.environ.get("CI") == "true" else pytest.skip(reason)
    return program


def outputs(cases: Sequence[tuple[Network, Tensor]]) -> list[Tensor]:
    """What the engine makes of each network and its batch of inputs, `(B, ...)`."""
    sent = []
    for network, batch in cases:
        packed, weights = pack({"it": network})
        sent.append((packed["it"], as_text(weights), batch))
    return packed_outputs(sent)


def packed_outputs(cases: Sequence[tuple[dict[str, Any], str, Tensor]]) -> list[Tensor]:
    """The same of networks and weights as they stand on a page."""
    sent = [
        {"network": network, "weights": weights, "examples": as_texts(batch)}
        for network, weights, batch in cases
    ]
    done = subprocess.run(
        [node(), "-e", SCRIPT, str(FOLDER / "engine.js")],
        input=json.dumps(sent), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return [
        of_texts(json.loads(line)).unflatten(1, network["shape"])
        for line, (network, _, _) in zip(done.stdout.splitlines(), cases, strict=True)
    ]


def as_texts(batch: Tensor) -> list[str]:
    """Each example's numbers as base64."""
    return [base64.b64encode(one.float().numpy().tobytes()).decode() for one in batch]


def of_texts(texts: Sequence[str]) -> Tensor:
    """The examples again, each a row."""
    rows = [np.frombuffer(base64.b64decode(text), dtype=np.float32) for text in texts]
    return torch.from_numpy(np.stack(rows))


def operations() -> list[str]:
    """The names of all operations that the engine has."""
    script = "console.log(JSON.stringify(require(process.argv[1]).operations))"
    done = subprocess.run(
        [node(), "-e", script, str(FOLDER / "engine.js")], capture_output=True, text=True
    )
    found: list[str] = json.loads(done.stdout)
    return found
