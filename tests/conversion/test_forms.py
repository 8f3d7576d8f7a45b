"""Every form that weights were kept in, and what each reader makes of broken ones."""

import json
import shutil
import tarfile
import zipfile

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import convert
from convert.identify.by_order import match
from convert.names.naming import Naming, naming_of
from convert.readers import open_checkpoint
from convert.readers.tensorflow.v1 import _varints
from tests.conversion.bundles import varint
from tests.conversion.makers import ARRAYS, write_v1
from tests.conversion.records import LEGACY, record
from tests.weights import content
from zoo.errors import IntegrityError, NotFoundError, UnsafeError

FULL = LEGACY / "bert_full"


def test_a_file_of_the_first_version_comes_back(tmp_path):
    with open_checkpoint(write_v1(tmp_path / "model.ckpt", ARRAYS)) as found:
        assert found.format == "tf_v1"
        assert list(found) == sorted(ARRAYS)
        for name, array in ARRAYS.items():
            assert found[name].numpy().dtype == array.dtype
            assert np.array_equal(found[name].numpy(), array), name
            pieces = list(found[name].chunks(8))
            assert np.array_equal(
                np.concatenate([*pieces, array.reshape(-1)[:0]]), array.reshape(-1)
            )


def test_slices_over_several_files_are_put_together(tmp_path):
    array = ARRAYS["a/float"]
    for shard, cut in enumerate([[(0, array[:1])], [(1, array[1:])]]):
        write_v1(tmp_path / f"m-{shard:05}-of-00002", {"x": array}, {"x": cut})
    for given_path in (tmp_path, tmp_path / "m-00001-of-00002"):
        with open_checkpoint(given_path) as found:
            assert np.array_equal(found["x"].numpy(), array)
    (tmp_path / "m-00001-of-00002").unlink()
    with pytest.raises(NotFoundError, match="m-00001-of-00002"):
        open_checkpoint(tmp_path / "m-00000-of-00002")
    (tmp_path / "m-00000-of-00002").rename(tmp_path / "m")
    with open_checkpoint(tmp_path / "m") as found, pytest.raises(IntegrityError, match="4 values"):
        found["x"].numpy()


@given(st.lists(st.integers(0, 2**64 - 1)))
def test_varints_are_read_all_at_once(numbers):
    assert _varints(b"".join(map(varint, numbers))).tolist() == numbers


@pytest.mark.parametrize("pack", ["zip", "tar.gz"])
def test_an_archive_is_as_good_as_its_folder(tmp_path, pack):
    base = tmp_path / "packed"
    inside = tmp_path / "chinese"
    inside.mkdir()
    for name in ("model.weights", "bert_config.json", "vocab.txt"):
        shutil.copy(FULL / name, inside / name)
    archive = shutil.make_archive(
        str(base), {"tar.gz": "gztar"}.get(pack, pack), tmp_path, "chinese"
    )
    convert.convert_checkpoint(inside, tmp_path / "one")
    convert.convert_checkpoint(archive, tmp_path / "two")
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert content(tmp_path / "one" / name) == content(tmp_path / "two" / name)


def test_what_an_archive_may_not_do(tmp_path, monkeypatch):
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("model.weights", bytes(50_000_000))
    with pytest.raises(UnsafeError, match="200 times"):
        open_checkpoint(tmp_path / "bomb.zip")
    with tarfile.open(tmp_path / "links.tar", "w") as archive:
        link = tarfile.TarInfo("model.weights")
        link.type, link.linkname = tarfile.SYMTYPE, "/etc/passwd"
        archive.addfile(link)
    with pytest.raises(NotFoundError, match="no checkpoint"):
        open_checkpoint(tmp_path / "links.tar")
    with zipfile.ZipFile(tmp_path / "out.zip", "w") as archive:
        archive.write(FULL / "model.weights", "../../up.weights")
    with open_checkpoint(tmp_path / "out.zip") as found:
        assert len(found) == 62
        folder = found.files[0].parent
    assert not folder.exists()
    assert not (tmp_path.parent / "up.weights").exists()


def test_a_keras_archive_is_read_without_its_configuration(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("config.json", json.dumps({"class_name": "Lambda"}))
        archive.write(FULL / "model_tf2.weights.h5", "model.weights.h5")
    report = convert.convert_checkpoint(
        tmp_path / "m.keras", tmp_path / "out", config=FULL / "bert_config.json",
        verify=FULL / "reference.npz",
    )  # fmt: skip
    assert any("by shape and order" in note for note in report.notes)


HDF5 = sorted(path.parent.name for path in LEGACY.glob("*/model.weights"))
#: Families whose layers have the same shapes in the same order.
ALIKE = {"gpt2": {"gpt2", "gpt2_ml"}, "gpt2_ml": {"gpt2", "gpt2_ml"}}
#: Names that stand for one computation.
SAME = {"albert_unshared": "bert"}


@pytest.mark.parametrize("name", HDF5)
def test_layers_without_names_are_identified_by_their_order(name):
    config = json.loads((LEGACY / name / "bert_config.json").read_text("utf-8"))
    family = record(name)["model"]
    with open_checkpoint(LEGACY / name / "model.weights") as found:
        naming = Naming("order", {}, tuple(tuple(layer.tensors) for layer in found.layers))
        fitting = {one.name: told for one, told in match(None, naming, found, config, {})}
        assert set(fitting) == ALIKE.get(name, {SAME.get(family, family)})
        ((_, told),) = match(family, naming, found, config, {})
        assert told.names == naming_of(found).names
        assert "by shape and order" in told.notes[0]


def test_keras_names_in_a_tensorflow_checkpoint_are_understood(tmp_path):
    from tests.conversion.bundles import write_bundle

    with open_checkpoint(FULL / "model.weights") as found:
        tensors = {
            name.partition("/")[2].removesuffix(":0"): tensor.numpy()
            for name, tensor in found.items()
        }
    tensors |= {"my_head/kernel": np.zeros((24, 3), np.float32)}
    prefix = write_bundle(tmp_path, dict(sorted(tensors.items())))
    shutil.copy(FULL / "bert_config.json", tmp_path)
    with pytest.raises(IntegrityError, match="my_head/kernel"):
        convert.convert_checkpoint(prefix, tmp_path / "out")
    convert.convert_checkpoint(
        prefix, tmp_path / "out", allow_unused=["my_head/*"], verify=FULL / "reference.npz"
    )
