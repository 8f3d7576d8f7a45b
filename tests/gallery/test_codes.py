"""Codes on the page: normal noise, the paths of genae, drawings as MNIST has its digits."""

import json
import subprocess
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from tests.gallery.node import FOLDER, node
from zoo import plots
from zoo.gallery.parts import codes_of
from zoo.models import AEModel, VAEModel
from zoo.models.images.interpolation import interpolate_latents
from zoo.models.images.modeling_autoencoder import AutoencoderModel
from zoo.models.images.samplers import FullGaussian


def script(body: str) -> Any:
    """What a script that uses the page's functions returns."""
    whole = (
        "const { Noise, codesOf, valid, between, plane, centred, shrunk }"
        " = require(process.argv[1]);"
        f"console.log(JSON.stringify((() => {{ {body} }})(), (key, value) =>"
        " ArrayBuffer.isView(value) ? Array.from(value) : value))"
    )
    done = subprocess.run(
        [node(), "-e", whole, str(FOLDER / "codes.js")], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


SEEDS = [0, 1, 123456789, 2**32 - 1, 2**40 + 3]
COUNTS = [16, 17, 35, 64, 1000]  # a last block that is not whole is drawn anew


def test_a_seed_names_the_numbers_that_it_names_for_torch() -> None:
    drawn = script(
        f"return {SEEDS}.map((seed) => [{COUNTS}.map((count) => new Noise(seed).normals(count)),"
        " ((noise) => Array.from({ length: 700 }, () => noise.below(10)))(new Noise(seed))])"
    )
    for seed, (normals, wholes) in zip(SEEDS, drawn, strict=True):
        generator = torch.Generator()
        for count, found in zip(COUNTS, normals, strict=True):
            wanted = torch.randn(count, generator=generator.manual_seed(seed))
            torch.testing.assert_close(torch.tensor(found), wanted, rtol=0, atol=1e-6)
        wanted = torch.randint(10, (700,), generator=generator.manual_seed(seed))
        assert wholes == wanted.tolist()


PRIORS: dict[str, tuple[type[AutoencoderModel], dict[str, Any], dict[str, Any]]] = {
    "plain": (AEModel, {"latent_size": 5}, {}),
    "spread": (AEModel, {"latent_size": 5}, {"spread": 0.5}),
    "fitted": (AEModel, {"latent_size": 5}, {"fitted": True, "spread": 0.5}),
    "classes": (VAEModel, {"prior": "class_means", "num_labels": 3}, {}),
    "class": (VAEModel, {"prior": "class_means", "num_labels": 3}, {"label": 2, "spread": 0.5}),
    "clusters": (VAEModel, {"prior": "clusters", "num_clusters": 4}, {}),
    "sphere": (VAEModel, {"posterior": "von_mises_fisher"}, {}),
    "choices": (VAEModel, {"posterior": "gumbel_softmax", "num_choices": 4}, {}),
}


@pytest.fixture(scope="module")
def drawn() -> dict[str, tuple[Tensor, Tensor]]:
    """Codes of a page and of its model, for each of the priors."""
    calls, wanted = [], {}
    torch.manual_seed(0)
    for name, (kind, settings, options) in PRIORS.items():
        sizes = {"image_size": 8, "network": "dense", "hidden_sizes": [4], "latent_size": 8}
        model = kind(kind.config_class(**sizes | settings))
        gaussian = model.samplers["gaussian"] if options.get("fitted") else None
        if isinstance(gaussian, FullGaussian):
            gaussian.mean += torch.randn(5)
            gaussian.scale_tril += torch.randn(5, 5).tril()
        labels = options.get("label")
        if "prior" in settings and labels is None:
            labels = plots.in_rows(plots.classes_of(model, "prior"), 10)
        wanted[name] = model.sample_latents(
            10, seed=7, temperature=options.get("spread", 1.0), labels=labels,
            sampler="gaussian" if gaussian else "prior",
        )  # fmt: skip
        calls.append((codes_of(model), options))
    found = script(f"return {json.dumps(calls)}.map(([facts, how]) => codesOf(facts, 7, 10, how))")
    return {
        name: (torch.tensor(codes).float(), wanted[name].detach())
        for name, codes in zip(PRIORS, found, strict=True)
    }


@pytest.mark.parametrize("name", PRIORS)
def test_codes_of_a_seed_are_those_of_the_model(
    name: str, drawn: dict[str, tuple[Tensor, Tensor]]
) -> None:
    found, wanted = drawn[name]
    torch.testing.assert_close(found, wanted, rtol=1e-6, atol=2e-6)


def test_what_is_no_code_becomes_the_nearest() -> None:
    cases = [({}, [3, 4]), ({"sphere": True}, [3, 4]), ({"choices": 2}, [3, 1, -5, 2, -1, -1])]
    plain, sphere, choices = script(
        f"return {json.dumps(cases)}.map(([prior, numbers]) =>"
        " valid({ prior }, Float32Array.from(numbers)))"
    )
    assert plain == [3, 4]
    np.testing.assert_allclose(sphere, [0.6, 0.8], atol=1e-6)
    np.testing.assert_allclose(choices, [0.75, 0.25, 0, 1, 0.5, 0.5], atol=1e-6)


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


def test_a_drawing_is_made_smaller_by_means() -> None:
    ink = np.random.default_rng(0).random((56, 56)).round(3)
    found = script(f"return shrunk(Float32Array.from({ink.ravel().tolist()}), 56, 28)")
    wanted = ink.reshape(28, 2, 28, 2).mean(axis=(1, 3))
    np.testing.assert_allclose(np.reshape(found, (28, 28)), wanted, atol=1e-6)
