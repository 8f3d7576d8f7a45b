"""`genae compress` and `genae decompress`, as a person runs them."""

import json
import shlex
import shutil

import pytest
from PIL import Image

from tests.compression.conftest import SIDE, make_model, write_images


@pytest.fixture
def grey(models):
    return models["beta_binomial"]


@pytest.fixture
def folder(tmp_path):
    return write_images(tmp_path / "in", 5, 255)


@pytest.fixture
def packed(run, folder, grey, tmp_path):
    code, out, _ = run("compress", folder, tmp_path / "out.gnz", "--model", grey)
    assert code == 0
    assert "5 images" in out
    return tmp_path / "out.gnz"


def test_there_and_back(run, folder, grey, packed, tmp_path):
    code, out, err = run("decompress", packed, tmp_path / "back", "--model", grey, "--json")
    assert (code, err) == (0, "")
    assert json.loads(out)["images"] == 5
    for file in folder.iterdir():
        with Image.open(file) as one, Image.open(tmp_path / "back" / file.name) as other:
            assert one.tobytes() == other.tobytes()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("posterior", "von_mises_fisher"),
        ("posterior_scale", "log_standard_deviation"),
        ("prior", "class_means"),
    ],
)
def test_codes_of_other_distributions_are_refused(run, folder, grey, tmp_path, field, value):
    model = tmp_path / "other"
    shutil.copytree(grey, model)
    config = json.loads((model / "config.json").read_text())
    (model / "config.json").write_text(json.dumps(config | {field: value}))
    code, _, err = run("compress", folder, tmp_path / "out.gnz", "--model", model)
    assert code == 2
    assert f"cannot compress: its {field} is '{value}'" in err
    assert not (tmp_path / "out.gnz").exists()


def test_a_dry_run_writes_nothing(run, folder, grey, tmp_path):
    code, out, _ = run("compress", folder, "--model", grey, "--dry-run", "--json")
    assert code == 0
    assert json.loads(out)["bytes"] > 100
    assert [path.name for path in tmp_path.iterdir()] == ["in"]


def test_damage_ends_with_5(run, grey, packed, tmp_path):
    content = packed.read_bytes()
    for damaged in (content[:-1], content[:40] + b"x" + content[41:], b"", b"\x89PNG"):
        packed.write_bytes(damaged)
        code, _, err = run("decompress", packed, tmp_path / "back", "--model", grey)
        assert code == 5
        assert "Traceback" not in err
        assert not (tmp_path / "back").exists()


def test_what_is_missing_ends_with_3(run, grey, packed, tmp_path):
    for words in (
        ("decompress", packed, tmp_path / "back"),  # me/tiny-beta-binomial is nowhere
        ("decompress", tmp_path / "none.gnz", tmp_path / "back"),
        ("compress", tmp_path / "none.png", tmp_path / "o.gnz", "--model", grey),
        ("compress", tmp_path / "in", tmp_path / "o.gnz", "--model", tmp_path / "none"),
    ):
        assert run(*words)[0] == 3, words
    assert not (tmp_path / "back").exists()


def test_another_model_ends_with_7(run, packed, tmp_path):
    other = make_model(tmp_path / "other", "beta_binomial", seed=5)
    code, _, err = run("decompress", packed, tmp_path / "back", "--model", other)
    assert code == 7
    assert "me/tiny-beta-binomial 1.2.3" in err
    assert not (tmp_path / "back").exists()


def test_images_that_fit_no_model_end_with_2(run, grey, tmp_path):
    Image.new("L", (SIDE, SIDE + 2)).save(tmp_path / "tall.png")
    code, _, err = run("compress", tmp_path / "tall.png", tmp_path / "o.gnz", "--model", grey)
    assert code == 2
    assert "6 x 8" in err
    assert not (tmp_path / "o.gnz").exists()


@pytest.mark.parametrize("names", [("in",), ("in", "out.zip")])
def test_the_file_to_write_is_named(run, folder, grey, tmp_path, names):
    code, _, err = run("compress", *(tmp_path / name for name in names), "--model", grey)
    assert code == 2
    assert ".gnz" in err


@pytest.mark.slow
@pytest.mark.parametrize("mode", ["RGB", "L"])
def test_the_line_that_refuses_other_images_trains_a_model_of_them(run, tmp_path, mode):
    """Typed as it is printed; the settings that follow only make it short."""
    folder = write_images(tmp_path / "mine", 25, 255, mode=mode, side=9)
    refused = run("compress", folder, tmp_path / "o.gnz", "--model", "genae/vae-mnist-8bit")
    assert refused.code == 2
    line = refused.err.rpartition("train one: ")[2].strip()
    words = line.replace("FOLDER", str(folder)).replace("SIDE", "9").split()[1:]
    grey = ["config.num_channels=1", "processor.num_channels=1"] if mode == "L" else []
    short = ["num_train_epochs=1", "hidden_sizes=[8]", "latent_size=2", "samplers=[]"]
    more = [word for setting in (*short, *grey) for word in ("--set", setting)]
    assert run(*words, *more, "-o", tmp_path / "model", "-q").code == 0
    done = run("compress", folder, tmp_path / "o.gnz", "--model", tmp_path / "model")
    assert done.code == 0
    back = shlex.split(done.tried[0])[1:]
    back[2] = str(tmp_path / "back")  # it would be written here
    assert run(*back).code == 0
    for file in folder.iterdir():
        with Image.open(file) as one, Image.open(tmp_path / "back" / file.name) as other:
            assert (one.mode, one.tobytes()) == (other.mode, other.tobytes())
