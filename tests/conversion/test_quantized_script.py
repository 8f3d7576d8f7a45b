"""Parts of the script with discrete codes: each alone does what it holds."""

from pathlib import Path

import numpy as np
import pytest
import torch

import convert
import zoo
from tests.conversion.script_models import (
    HERE,
    THERE,
    TOLERANCES,
    gaps,
    load,
    originals,
    pixel_values,
    record,
)
from zoo.errors import IntegrityError

SIZE = {"image_size": 64}
FACES = Path(__file__).resolve().parents[2] / "cards/examples/faces"
WHOLE = HERE / "vq_vae/train_model.weights"


def test_a_quantizer_alone_gives_the_recorded_codes_and_vectors():
    given, expected = record(HERE / "vq_vae", torch.float64)
    model = load(HERE / "vq_vae/quantizer.weights", "vq_vae", torch.float64, **SIZE)
    assert model.config.parts == ("codebook",)
    codes = model.quantize(given["quantizer_in"].movedim(-1, 1))
    assert torch.equal(codes, expected["quantizer_out0"].long())
    found = {"out": model.embed(codes).movedim(1, -1)}
    assert gaps(found, {"out": expected["quantizer_out1"]})["out"] == 0
    for call, part in ((model.encode, "encoder"), (model.reconstruct, "encoder")):
        with pytest.raises(ValueError, match=f"no {part}: it was made of the codebook alone"):
            call(torch.rand(1, 3, 64, 64))
    with pytest.raises(ValueError, match="no decoder: it was made of the codebook alone"):
        model.decode(codes)


@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize("dtype", TOLERANCES)
def test_an_encoder_and_a_decoder_alone_give_the_recorded_vectors_and_images(dtype):
    given, expected = record(THERE / "vq_vae", dtype)
    for name, options in (("e_model.weights", SIZE), ("encoder_full.h5", {})):
        model = load(THERE / "vq_vae" / name, "vq_vae", dtype, **options)
        vectors = model.encode_vectors(pixel_values(model, given["x"])).movedim(1, -1)
        assert gaps({"z_e": vectors}, {"z_e": expected["z_e"]})["z_e"] < TOLERANCES[dtype], name
        with pytest.raises(ValueError, match="no codebook: it was made of the encoder alone"):
            model.encode(pixel_values(model, given["x"]))
    model = load(THERE / "vq_vae/g_model.h5", "vq_vae", dtype, **SIZE)
    wanted = record(THERE / "vq_vae", torch.float32)[1]["decoder_out"]  # not kept in float64
    images = model.decode_vectors(given["decoder_in"].movedim(-1, 1))
    made = originals(model, images, wanted)
    assert gaps({"out": made}, {"out": wanted})["out"] < TOLERANCES[torch.float32]


@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
def test_a_whole_file_brings_the_size_of_its_images():
    model = load(THERE / "vq_vae/full.h5", "vq_vae")
    assert (model.config.image_size, model.config.grid_shape) == (64, (16, 16))
    again = load(WHOLE, "vq_vae", **SIZE).state_dict()
    assert all(torch.equal(tensor, again[name]) for name, tensor in model.state_dict().items())


def test_a_folder_reconstructs_and_says_that_it_does_not_sample(run, tmp_path):
    given, expected = np.load(HERE / "vq_vae/inputs.npz"), np.load(HERE / "vq_vae/ref_f64.npz")
    io = {"encoder_in": given["x"], "encoder_out": expected["z_e"].astype("float32")}
    np.savez(tmp_path / "io.npz", **io)
    out = tmp_path / "vq"
    report = convert.convert_checkpoint(
        WHOLE, out, family="vq_vae", options=SIZE, verify=tmp_path / "io.npz"
    )
    assert [one.name for one in report.parity] == ["encoder_out"]
    model, processor = zoo.from_pretrained(out), zoo.load_image_processor(out)
    pixels = processor(list(given["x_uint8"]), return_tensors="pt")["pixel_values"]
    assert torch.equal(model.encode(pixels), torch.from_numpy(expected["codes"]).long())
    done = run("sample", out, "-o", tmp_path / "samples.png")
    assert done.code == 2
    assert "no prior over its codes" in done.err
    assert f"genae reconstruct {out} IMAGES" in done.err
    assert run("info", out).tried == [f"genae verify {out}"]
    images = [str(path) for path in sorted(FACES.iterdir())[:2]]
    done = run("interpolate", out, *images, "-o", tmp_path / "walk.png", "--steps", "3")
    assert done.tried == [f"genae info {out}"]
    codebook = tmp_path / "codebook"
    quantizer = HERE / "vq_vae/quantizer.weights"
    convert.convert_checkpoint(quantizer, codebook, family="vq_vae", options=SIZE)
    assert "genae reconstruct" not in run("sample", codebook, "-o", tmp_path / "samples.png").err
    done = run("evaluate", codebook, "--data", FACES)
    assert done.code == 2
    assert "made of a part of another, for which there is no metric" in done.err


def test_a_codebook_of_another_width_is_refused(tmp_path):
    import shutil

    import h5py

    path = tmp_path / "train_model.weights"
    shutil.copy(WHOLE, path)
    with h5py.File(path, "a") as file:
        group = file["model_3/vector_quantizer_1"]
        del group["embeddings:0"]
        group["embeddings:0"] = np.zeros((16, 12), "float32")
    with pytest.raises(
        IntegrityError, match="codes have several widths: 16 of the encoder, 12 of"
    ):
        load(path, "vq_vae", **SIZE)
