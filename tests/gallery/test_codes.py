"""Codes on the page: normal noise, the paths of genae, drawings as MNIST has its digits."""

import json
import subprocess
from typing import Any

import numpy as np
import pytest
import torch

from tests.gallery.node import FOLDER, node
from zoo.models.images.interpolation import interpolate_latents


def script(body: str) -> Any:
    """What a script that uses the page's functions returns."""
    whole = (
        "const { Noise, codeOf, between, plane, centred } = require(process.argv[1]);"
        f"console.log(JSON.stringify((() => {{ {body} }})(), (key, value) =>"
        " ArrayBuffer.isView(value) ? Array.from(value) : value))"
    )
    done = subprocess.run(
        [node(), "-e", whole, str(FOLDER / "codes.js")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_noise_is_normal_and_named_by_its_seed() -> None:
    drawn = script(
        "return [[7, 0], [7, 0], [8, 0], [7, 1]].map(([s, t]) => new Noise(s, t).vector(20000))"
    )
    first, again, other, stream = map(np.array, drawn)
    assert (first == again).all()
    for values in (first, other, stream):
        moments = [np.mean(values**k) for k in (1, 2, 3, 4)]
        np.testing.assert_allclose(moments, [0, 1, 0, 3], atol=0.15)
    assert abs(np.corrcoef(first, other)[0, 1]) < 0.03
    assert abs(np.corrcoef(first, stream)[0, 1]) < 0.03


@pytest.mark.parametrize("mode", ["random", "parallel", "zero"])
def test_paths_are_those_of_zoo_interpolate(mode: str) -> None:
    torch.manual_seed(1)
    start, end = torch.randn(2, 5)
    end = {"random": end, "parallel": 3 * start, "zero": 0 * end}[mode]
    shares = [k / 8 for k in range(9)]
    found = script(
        f"const [a, b] = [{start.tolist()}, {end.tolist()}].map((v) => Float32Array.from(v));"
        f"return {shares}.map((t) => between(a, b, t))"
    )
    wanted = interpolate_latents(start[None], end[None], 9, "slerp")[0]
    torch.testing.assert_close(torch.tensor(found), wanted, rtol=1e-4, atol=1e-4)


def test_directions_of_a_plane_are_at_right_angles() -> None:
    first, second = map(np.array, script("return plane(new Noise(3), 16)"))
    np.testing.assert_allclose(
        [first @ first, second @ second, first @ second], [1, 1, 0], atol=1e-6
    )


def test_codes_follow_what_the_model_has() -> None:
    bare = {"latents": 2, "centers": [], "gaussian": None}
    gaussian = {"mean": [5, 6], "scale": [[2, 0], [1, 3]]}
    facts = {"latents": 2, "centers": [[9, 9], [-9, -9]], "gaussian": gaussian}
    calls = [(bare, {}), (bare, {"spread": 0.5}), (facts, {"label": 1, "spread": 0})]
    calls.append((facts, {"fitted": True}))
    body = f"return {json.dumps(calls)}.map(([facts, how]) => codeOf(facts, new Noise(1), how))"
    noise, half, labelled, fitted = map(np.array, script(body))
    np.testing.assert_allclose(half, noise / 2, rtol=1e-6)
    np.testing.assert_allclose(labelled, [-9, -9])
    np.testing.assert_allclose(fitted, [5 + 2 * noise[0], 6 + noise[0] + 3 * noise[1]], rtol=1e-5)


@pytest.mark.parametrize("place", [(10, 20), (150, 120)])
def test_a_drawing_is_centred_and_of_the_size_of_a_digit(place: tuple[int, int]) -> None:
    top, left = place
    body = (
        f"const ink = new Float32Array(224 * 224); for (let r = {top}; r < {top + 60}; r++)"
        f" for (let c = {left}; c < {left + 30}; c++) ink[r * 224 + c] = 1;"
        "return [centred(ink, 224, 28), centred(new Float32Array(224 * 224), 224, 28)]"
    )
    image, empty = script(body)
    assert empty is None
    found = np.array(image).reshape(28, 28)
    rows, columns = np.nonzero(found > 0.5)
    assert (np.ptp(rows) + 1, np.ptp(columns) + 1) in {(20, 10), (20, 11), (21, 10), (21, 11)}
    middle = [(found * np.arange(28)[:, None]).sum(), (found * np.arange(28)).sum()] / found.sum()
    np.testing.assert_allclose(middle, [13.5, 13.5], atol=0.6)
