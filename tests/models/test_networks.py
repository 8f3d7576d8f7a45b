"""The networks compute what the layers they are made of promise."""

import pytest
import torch
from torch import nn

from zoo.models.images.networks import Upsampling


@pytest.mark.parametrize(
    ("size", "stride", "padding", "extra", "bias"),
    [
        (4, 2, 1, 0, False),
        (3, 2, 1, 1, True),
        (3, 2, 1, 0, True),
        (3, 1, 0, 0, False),
        (2, 3, 0, 2, True),
    ],
)
def test_upsampling_is_a_transposed_convolution(size, stride, padding, extra, bias, monkeypatch):
    layer = Upsampling(6, 3, size, stride, padding, extra, bias=bias).double()
    images = torch.randn(2, 6, 5, 4).double()
    expected = nn.ConvTranspose2d.forward(layer, images)
    assert torch.equal(layer(images), expected)  # with a graph
    monkeypatch.setattr(Upsampling, "wide", 1)
    calls = []
    monkeypatch.setattr(nn.ConvTranspose2d, "forward", lambda *_: calls.append(1))
    with torch.no_grad():
        found = layer(images)
    assert not calls
    torch.testing.assert_close(found, expected)
