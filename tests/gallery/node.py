"""Networks run by the gallery's engine in node, many at once."""

import json
import os
import shutil
import subprocess
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from zoo.gallery.packing import pack
from zoo.gallery.tracing import Network

FOLDER = Path(__file__).parents[2] / "zoo" / "gallery"
SCRIPT = """
const fs = require("fs"), engine = require(process.argv[1]);
const { cases } = JSON.parse(fs.readFileSync(0));
const floats = (text) => new Float32Array(Uint8Array.from(Buffer.from(text, "base64")).buffer);
for (const { network, weights, examples } of cases) {
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
    from base64 import b64decode, b64encode

    sent = []
    for network, batch in cases:
        packed, weights = pack({"it": network})
        examples = [b64encode(one.float().numpy().tobytes()).decode() for one in batch]
        sent.append(
            {"network": packed["it"], "weights": b64encode(weights).decode(), "examples": examples}
        )
    done = subprocess.run(
        [node(), "-e", SCRIPT, str(FOLDER / "engine.js")],
        input=json.dumps({"cases": sent}), capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    made = []
    for line, (network, _) in zip(done.stdout.splitlines(), cases, strict=True):
        rows = [np.frombuffer(b64decode(text), dtype=np.float32) for text in json.loads(line)]
        made.append(torch.from_numpy(np.stack(rows)).view(len(rows), *network.shape))
    return made


def operations() -> list[str]:
    """The names of all operations that the engine has."""
    script = "console.log(JSON.stringify(require(process.argv[1]).operations))"
    done = subprocess.run(
        [node(), "-e", script, str(FOLDER / "engine.js")], capture_output=True, text=True
    )
    found: list[str] = json.loads(done.stdout)
    return found
