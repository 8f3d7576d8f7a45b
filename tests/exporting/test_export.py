"""`zoo.export`: other runtimes give what PyTorch gives, or nothing is written."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

import zoo
import zoo.models
from tests.contract.subjects import VARIANTS, randomize
from tests.contract.test_text_heads import EVERY_CLASS, build
from tests.fresh import ROOT, commands
from tests.tiny import TINY
from zoo import catalog
from zoo.errors import ConflictError, MissingDependencyError, ToleranceError, UsageError
from zoo.exporting import proof, targets
from zoo.exporting.export import export
from zoo.exporting.graph import tensors_of
from zoo.exporting.graphs import graphs
from zoo.exporting.programs import runners

BLOCK = re.compile(r"```python\n(.*?)```", re.S)


def save(folder, name, variant):
    entry = catalog.ARCHITECTURES[name]
    model = catalog.load(entry.model)(catalog.load(entry.config)(**TINY[name][variant])).eval()
    randomize(model)
    model.save_pretrained(folder)
    return model


def fit(model):
    """Samplers with covariances and weights of their own."""
    chance = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for name, buffer in model.samplers.named_buffers():
            drawn = torch.rand(buffer.shape, generator=chance)
            buffer.copy_(drawn.tril() if "tril" in name else drawn)


@pytest.fixture(scope="module")
def vae(tmp_path_factory):
    """A tiny VAE with fitted samplers, and its export to ONNX."""
    pytest.importorskip("onnxruntime")
    folder = tmp_path_factory.mktemp("vae")
    model = save(folder / "model", "vae", "dense")
    fit(model)
    model.save_pretrained(folder / "model")
    made = export(folder / "model", folder / "onnx", to="onnx")
    return model, folder, made


def test_an_autoencoder_becomes_two_programs_with_their_proof(vae):
    _, folder, made = vae
    names = set(made.files)
    assert {"encoder.onnx", "decoder.onnx", "export.json", "parity.json", "config.json"} <= names
    stated = json.loads((folder / "onnx/parity.json").read_text("utf-8"))
    assert stated["graphs"] == made.parity
    assert made.parity.keys() == {"encoder", "decoder"}
    for graph in made.parity.values():
        assert [batch for batch, _ in graph["sizes"]] == [1, 2, 5]
        assert all(0 <= far < 1e-5 for far in graph["relative_difference"].values())


def test_images_are_drawn_without_pytorch_as_the_page_says(vae, monkeypatch):
    model, folder, _ = vae
    monkeypatch.chdir(folder / "onnx")
    blocks = BLOCK.findall((folder / "onnx/README.md").read_text("utf-8"))
    assert len(blocks) == 3  # prior, Gaussian, mixture
    for block in blocks:
        assert "torch" not in block
        found = {}
        exec(block, found)
        assert found["latents"].shape == (16, 4)
        latents = torch.as_tensor(found["latents"]).float()
        wanted = model.decode(latents).numpy()
        np.testing.assert_allclose(found["images"], wanted, rtol=1e-4, atol=1e-5)
    gaussian = {}
    many = blocks[1].replace("16", "60000", 1).split("decoder =")[0]
    exec(many, gaussian)
    tril = model.samplers["gaussian"].scale_tril
    covariance = np.cov(gaussian["latents"].T)
    np.testing.assert_allclose(covariance, (tril @ tril.T).numpy(), atol=0.05)


def test_what_is_worse_than_pytorch_is_not_written(vae, monkeypatch, tmp_path):
    _, folder, _ = vae
    monkeypatch.setattr(proof, "TOLERANCE", -1.0)
    with pytest.raises(ToleranceError, match="nothing was written"):
        export(folder / "model", tmp_path / "out", to="torch")
    assert not [*tmp_path.iterdir()]


def test_a_program_of_torch_needs_none_of_the_models_code_and_has_its_weights_alone(vae, tmp_path):
    model, folder, _ = vae
    made = export(folder / "model", tmp_path / "out", to="torch")
    assert {"encoder.pt2", "decoder.pt2"} <= set(made.files)
    encoder, decoder = (
        torch.export.load(tmp_path / "out" / f"{name}.pt2") for name in ("encoder", "decoder")
    )
    latents = torch.randn(7, 4)
    with torch.no_grad():
        found = decoder.module()(latents=latents)["images"]
        torch.testing.assert_close(found, model.decode(latents))
    assert encoder.state_dict.keys().isdisjoint(decoder.state_dict)
    read = sum(tensor.numel() for one in (encoder, decoder) for tensor in one.state_dict.values())
    samplers = sum(tensor.numel() for tensor in model.samplers.state_dict().values())
    assert read <= sum(tensor.numel() for tensor in model.state_dict().values()) - samplers


def test_an_energy_and_its_generator_are_programs_and_its_score_is_none(tmp_path):
    save(tmp_path / "model", "dde", "dense-connected")
    made = export(tmp_path / "model", tmp_path / "out", to="torch")
    assert made.parity.keys() == {"energy", "generator"}
    assert "torch.func.grad" in (tmp_path / "out/README.md").read_text("utf-8")


@pytest.mark.parametrize(
    ("options", "error", "said"),
    [
        ({"to": "onx"}, UsageError, "Did you mean 'onnx'"),
        ({"to": "onnx", "pooling": "cls"}, UsageError, "--pooling is for --to sentence"),
        ({"to": "torch", "int8": True}, UsageError, "--int8 is for --to onnx"),
        ({"to": "executorch"}, MissingDependencyError, "pip install executorch"),
        ({"to": "openvino"}, MissingDependencyError, "pip install openvino"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_options_are_refused_before_anything_is_written(options, error, said, tmp_path):
    with pytest.raises(error, match=said):
        export("genae/vae-mnist", tmp_path / "out", **options)
    assert not [*tmp_path.iterdir()]


def test_a_full_folder_and_a_missing_package_are_said(tmp_path, monkeypatch):
    (tmp_path / "a").touch()
    with pytest.raises(ConflictError, match="not empty"):
        export("genae/vae-mnist", tmp_path, to="torch")
    monkeypatch.setattr(targets.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(MissingDependencyError, match=r'pip install "genae\[onnx\]"'):
        export("genae/vae-mnist", tmp_path / "out", to="onnx")


def test_infinities_and_whole_numbers_are_compared_as_they_are():
    far = float("inf")
    one = torch.tensor([1.0, -far, 4.0])
    assert proof.difference(one, one) == 0
    assert proof.difference(one + torch.tensor([0.2, 0.0, 0.0]), one) == pytest.approx(0.05)
    assert proof.difference(torch.tensor([1.0, far, 4.0]), one) == far
    assert proof.difference(torch.tensor([1.0, 0.0, 4.0]), one) == far
    assert proof.difference(torch.tensor([1, 2]), torch.tensor([1, 3])) == 0.5
    assert proof.difference(torch.zeros(2), torch.zeros(3)) == far


@pytest.mark.slow
def test_a_causal_model_writes_on_from_its_cache(tmp_path):
    """Whole texts from an empty cache, and token by token: the same scores."""
    pytest.importorskip("onnxruntime")
    model = save(tmp_path / "model", "genae_gpt2", "plain")
    export(tmp_path / "model", tmp_path / "out", to="onnx")
    (runner,) = runners(tmp_path / "out").values()
    (graph,) = graphs(model)
    ids = torch.randint(1, 30, (2, 5))
    cache, scores = graph.examples(2, 1)["past_key_values"], []
    for place in range(5):
        found = runner(
            input_ids=ids[:, place : place + 1],
            attention_mask=torch.ones((2, place + 1), dtype=torch.long),
            token_type_ids=torch.zeros((2, 1), dtype=torch.long),
            position_ids=torch.full((2, 1), place),
            past_key_values=cache,
        )
        cache = found["past_key_values"]
        scores.append(found["logits"])
    with torch.no_grad():
        wanted = model(ids).logits
    torch.testing.assert_close(torch.cat(scores, 1), wanted, rtol=1e-4, atol=1e-5)


def checked(folder, out, model):
    export(folder, out, to="onnx")
    running = runners(out)
    for graph in graphs(model):
        inputs = graph.examples(4, min(9, graph.max_length or 9), seed=7)
        found = tensors_of(running[graph.name](**inputs))
        with torch.no_grad():
            wanted = tensors_of(graph.module(**graph.examples(4, 9, seed=7)))
        assert found.keys() == wanted.keys()
        assert all(proof.difference(found[name], wanted[name]) < 1e-4 for name in wanted)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "variant"), VARIANTS, ids=map("-".join, VARIANTS))
def test_every_architecture_runs_in_onnx(name, variant, tmp_path):
    model = save(tmp_path / "model", name, variant)
    checked(tmp_path / "model", tmp_path / "out", model)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ending"), EVERY_CLASS)
def test_every_head_runs_in_onnx(name, ending, tmp_path):
    model = build(name, ending)
    model.save_pretrained(tmp_path / "model")
    checked(tmp_path / "model", tmp_path / "out", model)


ENCODER = "genae/tiny-roformer-sim"
#: What is exported, and the options.
PRINTED = [
    ("genae/tiny-gpt", "--to", "onnx"),
    ("genae/tiny-gpt", "--to", "torch"),
    (ENCODER, "--to", "sentence-transformers"),
    (ENCODER, "--to", "sentence-transformers", "--backbone"),
    (ENCODER, "--to", "sentence-transformers", "--with-code", "--pooling", "first-last-avg"),
]


@pytest.mark.slow
@pytest.mark.parametrize("words", PRINTED, ids=" ".join)
def test_the_command_that_is_printed_runs_as_printed_in_any_folder(words, tmp_path, monkeypatch):
    if words[2] != "torch":
        pytest.importorskip({"onnx": "onnxruntime"}.get(words[2], "sentence_transformers"))
    monkeypatch.chdir(tmp_path)
    (said,) = commands(["export", words[0], 'it\'s "$HOME" `x`', *words[1:]], cwd=tmp_path)
    assert said.code == 0, said.err
    (line,) = re.findall(r"^try: (.*)$", said.err, re.M)
    environment = os.environ | {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PYTHONPATH": str(ROOT),
    }
    done = subprocess.run(
        ["bash", "-c", line], cwd="/", env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip()


@pytest.mark.slow
def test_eight_bits_are_stated(tmp_path):
    save(tmp_path / "model", "genae_bert", "plain")
    made = export(tmp_path / "model", tmp_path / "out", to="onnx", int8=True)
    (graph,) = made.parity.values()
    assert graph["times_as_fast"] > 0
    assert graph["bytes"] < graph["bytes_of_32_bits"]
    assert 1e-4 < graph["relative_difference"]["logits"] < 0.5


def test_it_is_offered_by_the_facade():
    assert zoo.export is export
