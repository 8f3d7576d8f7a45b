"""Every layer of the networks of published scripts gives what Keras recorded of it."""

import numpy as np
import pytest
import torch

from tests.conversion.script_models import THERE, TOLERANCES, WHOLE, gaps, load, tensors

NETWORKS = {"encoder": "x", "decoder": "decoder_in"}
#: A layer of the script that the result has not: its shape is the input's own.
BEFORE = {("vae_gumbel", "decoder"): 1}


def node_of(family, part, name, nodes):
    """The computation of a recorded layer: by its place, of blocks with shortcuts by their sums.

    None where the model has it outside the graph: what comes out of a network (directions,
    choices, normalised codes), recorded as an output as well, or what goes in.
    """
    place, layer = name.split("/")[1].split("_", 1)
    if family == "vq_vae":
        sums = [node for node in nodes if node["layer"].startswith("add_")]
        number = int(layer.removeprefix("add_"))
        return sums[number - 1 - (len(sums) if part == "decoder" else 0)]
    at = int(place) - BEFORE.get((family, part), 0)
    return nodes[at] if 0 <= at < len(nodes) else None


@pytest.mark.slow
@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize("family", WHOLE)
def test_every_layer_gives_what_was_recorded(family):
    file, _, options = WHOLE[family]
    model = load(THERE / family / file, family, **options)
    given, recorded = (
        tensors(np.load(THERE / family / f"{name}.npz"), torch.float32)
        for name in ("inputs", "intermediates")
    )
    compared = 0
    for part, fed in NETWORKS.items():
        if (table := getattr(model.config, f"{part}_layers", None)) is None:
            continue
        names = [name for name in recorded if name.startswith(f"{part}/")]
        nodes = table["nodes"]
        found = {name: node_of(family, part, name, nodes) for name in names}
        # The decoder's last layer has its activation outside; its images are compared elsewhere.
        last = nodes[-1] if part == "decoder" else None
        found = {name: node for name, node in found.items() if node not in (None, last)}
        network = getattr(model, part)
        (source,) = table["inputs"]
        values = given[fed][:1].reshape(1, *source["shape"][1:])
        with torch.no_grad():
            made = network.layers(
                {source["tensor"]: values}, [node["outputs"][0] for node in found.values()]
            )
        wanted = {name: recorded[name] for name in found}
        far = {
            name: gap
            for name, gap in gaps(dict(zip(found, made, strict=True)), wanted).items()
            if not gap <= TOLERANCES[torch.float32]
        }
        assert not far
        compared += len(found)
    assert compared >= 2
