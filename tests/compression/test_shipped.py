"""The bars of the shipped compressors, on all 10,000 MNIST test images."""

import bz2

import numpy as np
import pytest

from zoo.compression import chains, load_codec
from zoo.compression.container import Container
from zoo.compression.verbs import symbols
from zoo.data import freeze_binarized, load_images
from zoo.models.images.image_processing_genae import GenaeImageProcessor
from zoo.registry import embedded

BARS = {"vae-mnist-binary": 0.19, "vae-mnist-8bit": 1.41}  # bits per pixel, seed bits apart


@pytest.mark.slow
@pytest.mark.parametrize("name", BARS)
def test_a_shipped_compressor_meets_its_bars(name, shared_data, monkeypatch):
    if not embedded.ships(embedded.ROOT / name):
        pytest.skip(f"{name} is a recipe")
    monkeypatch.setenv("GENAE_DATA", str(shared_data))
    pixels = load_images("mnist", "test", GenaeImageProcessor(), quiet=True).pixels
    codec = load_codec(f"genae/{name}")
    if codec.pixels.levels == 1:
        pixels = 255 * freeze_binarized(pixels)
    values = symbols(pixels.numpy(), codec)
    made = chains.encode(codec, values, chains.number_of_chains(len(values)))
    net = sum(chain.net_bits for chain in made) / values.size
    assert net < BARS[name]
    expected = chains.expected_bits(codec, values).mean() / values.shape[1]
    assert net == pytest.approx(expected, rel=0.01)

    few = chains.encode(codec, values[:300], chains.number_of_chains(300))
    names = [f"{number:04}.png" for number in range(300)]
    content = Container(codec.identity, codec.shape, "L", names, few).to_bytes()
    assert len(content) < len(bz2.compress(pixels[:300].numpy().tobytes(), 9))
    stored = Container.from_bytes(content, name)
    assert stored.names == names
    assert np.array_equal(chains.decode(codec, stored.chains, 300), values[:300])
