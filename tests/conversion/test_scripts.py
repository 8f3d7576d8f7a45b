"""Files of published scripts of image models: recognised by shapes, computed as recorded."""

import re
import shutil

import h5py
import numpy as np
import pytest
import torch

import convert
import zoo
from convert.images.families import FAMILIES
from convert.images.opening import open_script, proposals
from convert.images.units import read_units
from convert.readers import open_checkpoint
from tests.conversion.script_models import (
    HERE,
    PARTS,
    THERE,
    TOLERANCES,
    WHOLE,
    forms,
    gaps,
    load,
    originals,
    pixel_values,
    record,
    tensors,
)
from zoo.errors import IntegrityError, ToleranceError, UsageError
from zoo.models.images.von_mises_fisher import draw_cosines

LOCAL = {name: HERE / name for name in WHOLE if (HERE / name).is_dir()}
LOCAL["infomax"] = HERE.parent / "infomax"


@pytest.mark.parametrize("family", LOCAL)
def test_a_whole_file_computes_everything_that_was_recorded(family):
    name, compute, options = WHOLE[family]
    given, expected = record(LOCAL[family], torch.float64)
    model = load(LOCAL[family] / name, family, torch.float64, **options)
    made = compute(model, given)
    expected = {key: array for key, array in expected.items() if not key.endswith(PARTS)}
    assert made.keys() >= expected.keys()
    far = {key: gap for key, gap in gaps(made, expected).items() if not gap <= 1e-9}
    assert not far


def test_forms_of_a_file_hold_the_same(tmp_path):
    first, *others = (
        load(HERE / "vae_cnn" / name, "vae_cnn").state_dict()
        for name in ("vae.weights", "whole.weights.h5", "decoder.h5")
    )
    for state in others:
        decoder = {key: tensor for key, tensor in state.items() if key.startswith("decoder.")}
        assert decoder
        assert all(torch.equal(tensor, first[key]) for key, tensor in decoder.items())


def test_a_decoder_alone_makes_the_recorded_images():
    given, expected = record(HERE / "vae_cnn", torch.float64)
    model = load(HERE / "vae_cnn/decoder.h5", "vae_cnn", torch.float64)
    made = originals(model, model.decode(given["decoder_in"]), expected["decoder_out"])
    assert (
        gaps({"decoder_out": made}, {"decoder_out": expected["decoder_out"]})["decoder_out"] < 1e-9
    )
    with pytest.raises(ValueError, match="decoder alone"):
        model.encode(torch.rand(1, 1, 28, 28, dtype=torch.float64))


def test_the_size_of_images_is_asked_for_where_no_shape_tells_it():
    path = HERE / "eae/best_encoder.weights"
    with open_script(path, "eae") as script, pytest.raises(UsageError, match="image_size=N"):
        script.require()
    given, expected = record(HERE / "eae", torch.float64)
    model = load(path, "eae", torch.float64, image_size=64)
    codes = model.encode(((given["x"] + 1) / 2).movedim(-1, 1))
    assert gaps({"z": codes}, {"z": expected["z"]})["z"] < 1e-9


def test_training_normalises_by_the_batch():
    """In training mode the codes of a batch have mean 0 and variance v / (v + epsilon)."""
    given, _ = record(HERE / "eae", torch.float64)
    model = load(HERE / "eae/eae.weights", "eae", torch.float64).train()
    codes = model.encode(((given["x"] + 1) / 2).movedim(-1, 1)).detach()
    torch.testing.assert_close(codes.mean(0), torch.zeros(16, dtype=torch.float64))
    assert (codes.var(0, correction=0) < 1).all()


def test_another_family_is_refused_and_those_that_fit_are_named():
    path = HERE / "dense_vae/vae.weights"
    with (
        open_script(path, "vae_cnn") as script,
        pytest.raises(IntegrityError, match=r"--family dense_vae \(whole\)"),
    ):
        script.require()
    with open_checkpoint(path) as checkpoint:
        assert proposals(read_units(checkpoint)) == "--family dense_vae (whole)"


@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
def test_an_encoder_that_becomes_layers_is_named_too():
    with open_checkpoint(THERE / "celeba_vae/best_encoder.weights") as checkpoint:
        assert proposals(read_units(checkpoint)) == "--family celeba_vae (encoder)"


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"images_size": 28}, "image_size"),
        ({"image_size": "large"}, "not a number from 2 to 65536"),
        ({"image_size": 1}, "not a number from 2 to 65536"),
        ({"image_size": 27.5}, "not a whole number"),
        ({"part": "encodre"}, "encoder"),
    ],
)
def test_wrong_options_are_refused_in_words(options, words):
    path = HERE / "dense_vae/vae.weights"
    with (
        open_script(path, "dense_vae", options=options) as script,
        pytest.raises(UsageError, match=words),
    ):
        script.require()


def test_settings_that_the_result_could_not_have_are_refused():
    path = HERE / "vae_gumbel/vae.weights"
    for options, words in (
        ({"num_choices": 7, "relaxation": 0.7}, "does not divide the 80"),
        ({"num_choices": 1, "relaxation": 0.7}, "not a number from 2"),
        ({"num_choices": 10, "relaxation": 0.001}, "not a number from 0.01"),
        ({"num_choices": 10, "relaxation": float("nan")}, "not a number from 0.01"),
        ({"num_choices": 10}, "relaxation=N: tau"),
    ):
        with (
            open_script(path, "vae_gumbel", options=options) as script,
            pytest.raises(UsageError, match=words),
        ):
            script.require()


def test_damaged_shapes_are_refused(tmp_path):
    path = tmp_path / "vae.weights"
    for change in ("drop", "reshape", "square"):
        shutil.copy(HERE / "dense_vae/vae.weights", path)
        with h5py.File(path, "a") as file:
            group = file["dense_3/dense_3"]
            del group["kernel:0"]
            if change == "reshape":
                group["kernel:0"] = np.zeros((16, 3), "float32")
            if change == "square":
                group["kernel:0"] = np.zeros((16, 2), "float32")
                del file["dense_1/dense_1/kernel:0"]
                file["dense_1/dense_1/kernel:0"] = np.zeros((783, 16), "float32")
        with pytest.raises(IntegrityError), open_script(path, "dense_vae") as script:
            script.require()


def test_every_family_has_its_parts():
    for family in FAMILIES.values():
        for file in family.files.values():
            assert {*file.parts} <= family.parts.keys()
        assert re.fullmatch(r"[a-z_]+", family.name)


@pytest.mark.slow
@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("family", WHOLE)
def test_every_form_of_a_whole_file_computes_everything(family, dtype):
    _, compute, options = WHOLE[family]
    given, expected = record(THERE / family, dtype)
    expected = {key: one for key, one in expected.items() if not key.endswith(PARTS)}
    for path in forms(family):
        model = load(path, family, dtype, **options)
        made = compute(model, given)
        if any(key.startswith("trainmode_") for key in expected):
            trained = compute(model.train(), given)
            made |= {f"trainmode_{key}": one for key, one in trained.items()}
        assert made.keys() >= expected.keys()
        far = {
            key: gap for key, gap in gaps(made, expected).items() if not gap <= TOLERANCES[dtype]
        }
        assert not far, path


def test_a_folder_is_a_model_with_its_image_processor(tmp_path):
    given, expected = np.load(HERE / "vae_cnn/inputs.npz"), np.load(HERE / "vae_cnn/ref_f64.npz")
    np.savez(
        tmp_path / "io.npz",
        encoder_in=given["x"], encoder_out=expected["z_mean"].astype("float32"),
        encoder_out_f64=expected["z_mean"], decoder_in=given["decoder_in"],
        decoder_out=expected["decoder_out"].astype("float32"),
    )  # fmt: skip
    out = tmp_path / "vae"
    report = convert.convert_checkpoint(
        HERE / "vae_cnn/vae.weights", out, family="vae_cnn", verify=tmp_path / "io.npz"
    )
    assert [one.name for one in report.parity] == ["encoder_out", "decoder_out", "encoder_out_f64"]
    assert {path.name for path in out.iterdir()} == {*report.files}
    model, processor = zoo.from_pretrained(out), zoo.load_image_processor(out)
    pixels = processor(given["x_uint8"][0], return_tensors="pt")["pixel_values"]
    codes = model.encode(pixels)
    assert gaps({"z": codes}, {"z": torch.from_numpy(expected["z_mean"][:1])})["z"] < 1e-5


def test_outputs_that_differ_leave_nothing(tmp_path):
    given = np.load(HERE / "vae_cnn/inputs.npz")
    for arrays, error in (
        (
            {"decoder_in": given["decoder_in"], "decoder_out": np.zeros((4, 28, 28, 1))},
            ToleranceError,
        ),
        ({"encoder_in": given["x"][:, :-1], "encoder_out": np.zeros((8, 2))}, UsageError),
        ({"in0": given["x"], "out0": given["x"]}, UsageError),
    ):
        np.savez(tmp_path / "io.npz", **arrays)
        with pytest.raises(error):
            convert.convert_checkpoint(
                HERE / "vae_cnn/vae.weights", tmp_path / "out", family="vae_cnn",
                verify=tmp_path / "io.npz",
            )  # fmt: skip
        assert not (tmp_path / "out").exists()


def test_the_command_names_the_family_to_give(run, tmp_path):
    path = str(HERE / "dense_vae/vae.weights")
    for verb in (("inspect", path), ("convert", path, str(tmp_path / "out"))):
        done = run(*verb)
        assert done.code == 2
        assert "--family dense_vae (whole)" in " ".join((done.out + done.err).split())
    shown = run("inspect", path, "--family", "dense_vae")
    assert shown.code == 0
    assert "decoder/dense_1" in shown.out
    done = run("convert", path, str(tmp_path / "out"), "--family", "dense_vae")
    assert done.code == 0
    assert "VAEModel, 10 tensors" in done.out
    wrong = run("convert", path, str(tmp_path / "no"), "--family", "dense_va")
    assert wrong.code == 2
    assert "dense_vae" in wrong.err


#: Files of encoders alone -> what was recorded of their codes, and options.
ENCODERS = {
    "dense_vae": ("z_mean", ["best_encoder.weights"], {}),
    "vae_cnn": (
        "z_mean",
        ["best_encoder.weights", "keras3/encoder.weights.h5", "keras3/encoder.keras"],
        {},
    ),
    "cvae": ("z_mean", ["best_encoder.weights"], {}),
    "vae_cluster": ("z_mean", ["best_encoder.weights"], {}),
    "vae_vmf": ("mu", ["best_encoder.weights"], {"concentration": 20}),
    "vae_gumbel": ("logits", ["best_encoder.weights"], {"num_choices": 10, "relaxation": 0.7}),
    "infomax": ("z_mean", ["encoder.weights"], {"image_size": 32}),
    "ae": ("z", ["best_encoder.weights"], {"image_size": 64}),
    "eae": (
        "z",
        ["best_encoder.weights", "tfkeras/encoder.h5", "tfkeras/ckpt_encoder"],
        {"image_size": 64},
    ),
}
DECODERS = {
    "dense_vae": ["generator.h5"],
    "vae_cnn": ["decoder.h5", "keras3/decoder.weights.h5", "keras3/decoder.keras"],
    "cvae": ["generator.h5"],
    "vae_cluster": ["decoder.h5"],
    "vae_vmf": ["generator.h5"],
    "vae_gumbel": ["decoder.h5"],
    "celeba_vae": ["decoder.h5", "tfkeras/decoder.keras", "keras3/decoder.keras"],
    "ae": ["decoder.h5"],
    "eae": ["decoder.h5"],
}
GRAPHS = [
    ("celeba_vae", "best_encoder.weights", "x", "features"),
    ("celeba_vae", "tfkeras/encoder.h5", "x", "features"),
    ("celeba_vae", "tfkeras/ckpt_encoder", "x", "features"),
    ("celeba_vae", "keras3/encoder.weights.h5", "x", "features"),
    ("celeba_vae", "keras3/encoder.keras", "x", "features"),
    ("cvae", "class_mean.weights", "class_mean_in", "class_mean_out"),
    ("vae_cluster", "classifier.weights", "classifier_in", "classifier_out"),
    ("infomax", "feature_map_encoder.weights", "x", "feature_map"),
    ("infomax", "global_discriminator.weights", "global_discriminator_in",
     "global_discriminator_out"),
    ("infomax", "local_discriminator.weights", "local_discriminator_in",
     "local_discriminator_out"),
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("family", ENCODERS)
def test_every_encoder_alone_gives_the_recorded_codes(family, dtype):
    name, files, options = ENCODERS[family]
    given, expected = record(THERE / family, dtype)
    wanted = expected[name]
    if family == "vae_gumbel":
        wanted = wanted.softmax(-1).flatten(1)
    for file in files:
        model = load(THERE / family / file, family, dtype, **options)
        codes = model.encode(pixel_values(model, given["x"]))
        assert gaps({name: codes}, {name: wanted})[name] < TOLERANCES[dtype], file


@pytest.mark.slow
@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize("family", DECODERS)
def test_every_decoder_alone_makes_the_recorded_images(family, dtype):
    given, expected = record(THERE / family, dtype)
    if (wanted := expected.get("decoder_out")) is None:
        wanted = record(THERE / family, torch.float32)[1]["decoder_out"]
        dtype = torch.float32
    _, _, options = WHOLE[family]
    for file in DECODERS[family]:
        model = load(THERE / family / file, family, dtype, **options)
        images = model.decode(given["decoder_in"].to(dtype).flatten(1))
        made = originals(model, images, wanted)
        assert gaps({"out": made}, {"out": wanted})["out"] < TOLERANCES[dtype], file


@pytest.mark.slow
@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
@pytest.mark.parametrize("dtype", TOLERANCES)
@pytest.mark.parametrize(("family", "file", "fed", "name"), GRAPHS)
def test_every_other_part_is_a_graph_of_layers(family, file, fed, name, dtype):
    given, expected = record(THERE / family, dtype)
    part = name.removesuffix("_out")
    options = {"part": part} if part in FAMILIES[family].files else {}
    model = load(THERE / family / file, family, dtype, **options)
    made = {name: model(given[fed]).outputs[0]}
    assert gaps(made, {name: expected[name]})[name] < TOLERANCES[dtype]


def test_the_sphere_draws_cosines_of_the_scripts_table():
    """The chance that a cosine is below those of the script's table is what the table says."""
    arrays = np.load(HERE / "vae_vmf/inputs.npz")
    size, kappa = 4, 20.0
    grid = np.linspace(-1, 1, 2_000_001)[1:-1]
    density = np.exp(kappa * (grid - 1)) * (1 - grid**2) ** ((size - 3) / 2)
    below = np.cumsum(density) / density.sum()
    # The script's own table steps along the grid of cosines, its chances by 1e-7.
    np.testing.assert_allclose(
        np.interp(arrays["table_w"], grid, below), arrays["table_u"], atol=1e-5
    )
    drawn = draw_cosines((20_000, 1), size, kappa, torch.Generator().manual_seed(0)).sort(0).values
    chances = np.interp(drawn[:, 0].numpy(), grid, below)
    assert abs(chances - (np.arange(20_000) + 0.5) / 20_000).max() < 1.63 / 20_000**0.5


@pytest.mark.slow
@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
def test_statistics_of_a_training_pass_are_those_of_keras():
    """Moving statistics follow from the codes before their norm; Keras takes one hundredth."""
    kept = tensors(np.load(THERE / "eae/tfkeras/trainmode.npz"), torch.float32)
    given, _ = record(THERE / "eae", torch.float32)
    model = load(THERE / "eae/eae.weights", "eae").train()
    stored = model.code_norm.running_mean.clone(), model.code_norm.running_var.clone()
    pixels = pixel_values(model, given["x"])
    raw = model.encoder(pixels).detach()
    own = raw.mean(0), raw.var(0, correction=0)
    mean, variance = (0.99 * old + 0.01 * new for old, new in zip(stored, own, strict=True))
    made = {
        "z": model.encode(pixels),
        "latent_bn_after_mean": mean,
        "latent_bn_after_var": variance,
    }
    assert max(gaps(made, kept).values()) < 1e-5


@pytest.mark.skipif(not THERE.is_dir(), reason="needs the recorded Keras files")
def test_a_whole_file_without_lambdas_converts_layer_by_layer_and_inspect_names_the_script():
    path = THERE / "eae/full.h5"
    summary = convert.inspect(path)
    assert summary.exit_code == 0
    assert any("--family eae" in note for note in summary.notes)
    assert convert.inspect(path, family="eae").to_dict()["families"] == ["eae"]
