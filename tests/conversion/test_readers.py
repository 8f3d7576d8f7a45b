"""Readers give back what was written, byte for byte, or say what is wrong."""

import shutil

import h5py
import ml_dtypes
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import array_shapes, arrays

import convert
from convert.readers.tensorflow import slices
from convert.wire import crc32c
from convert.wire.protobuf import WireError
from convert.wire.snappy import decompress
from tests.conversion.bundles import BFLOAT16, NUMBERS, literal_snappy, write_bundle
from tests.conversion.records import LEGACY, MODELS, record
from zoo.errors import IntegrityError, NotFoundError, UsageError

BUNDLES = [name for name in MODELS if (LEGACY / name / "bert_model.ckpt.index").exists()]
quick = settings(
    max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)


@pytest.mark.parametrize("name", BUNDLES)
def test_names_shapes_and_types_are_those_recorded(name):
    with convert.open_checkpoint(LEGACY / name / "bert_model.ckpt") as checkpoint:
        found = {key: [list(t.shape), t.dtype.name] for key, t in checkpoint.items()}
        assert found == record(name)["checkpoint_variables"]
        for tensor in checkpoint.values():
            assert tensor.numpy().nbytes == tensor.nbytes


@pytest.mark.parametrize("name", [n for n in MODELS if (LEGACY / n / "model.weights").exists()])
def test_keras_files_keep_the_order_of_weights(name):
    wanted = [
        (f"{layer}/{weight}", tuple(shape))
        for layer, weights in record(name)["hdf5_layers"]
        for weight, shape in weights
    ]
    with convert.open_checkpoint(LEGACY / name / "model.weights") as checkpoint:
        assert [(key, tensor.shape) for key, tensor in checkpoint.items()] == wanted


def test_both_formats_of_one_model_hold_the_same_numbers():
    folder = LEGACY / "bert_full"
    with (
        convert.open_checkpoint(folder / "bert_model.ckpt") as bundle,
        convert.open_checkpoint(folder / "model.weights") as keras,
        convert.open_checkpoint(folder / "model_tf2.h5") as newer,
    ):
        table = "bert/embeddings/word_embeddings"
        theirs = keras["Embedding-Token/Embedding-Token/embeddings:0"].numpy()
        assert np.array_equal(bundle[table].numpy(), theirs)
        for first, second in zip(keras.values(), newer.values(), strict=True):
            assert np.array_equal(first.numpy(), second.numpy())


numbers = st.sampled_from([np.dtype(name) for name in NUMBERS if np.dtype(name).isbuiltin == 1])
tables = st.dictionaries(
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12),
    numbers.flatmap(lambda kind: arrays(kind, array_shapes(min_dims=0, min_side=0, max_side=5))),
    max_size=6,
)


@quick
@given(tables, st.integers(1, 3), st.booleans(), st.booleans(), st.integers(1, 4))
def test_what_is_written_is_read(tmp_path_factory, tensors, shards, big, snappy, per_block):
    folder = tmp_path_factory.mktemp("bundle")
    prefix = write_bundle(
        folder, tensors, shards=shards, big_endian=big, snappy=snappy, per_block=per_block
    )
    with convert.open_checkpoint(prefix) as checkpoint:
        assert set(checkpoint) == set(tensors)
        for name, array in tensors.items():
            read = checkpoint[name].numpy()
            assert (read.dtype, read.shape) == (array.dtype, array.shape)
            assert read.tobytes() == array.tobytes()
            pieces = [piece.tobytes() for piece in checkpoint[name].chunks(7)]
            assert b"".join(pieces) == array.tobytes()
    shutil.rmtree(folder)


@quick
@given(st.lists(st.integers(1, 70), min_size=1, max_size=5), st.integers(1, 3), st.booleans())
def test_slices_are_put_together(tmp_path_factory, heights, width, big):
    folder = tmp_path_factory.mktemp("sliced")
    array = np.arange(sum(heights) * width, dtype=np.float32).reshape(-1, width)
    prefix = write_bundle(
        folder, {"p/emb": array, "q": array}, big_endian=big, rows={"p/emb": heights}
    )
    with convert.open_checkpoint(prefix) as checkpoint:
        assert sorted(checkpoint) == ["p/emb", "q"]
        assert np.array_equal(checkpoint["p/emb"].numpy(), array)
        assert np.array_equal(np.concatenate(list(checkpoint["p/emb"].chunks(20))), array.ravel())
    shutil.rmtree(folder)


def test_bfloat16_keeps_its_bits(tmp_path):
    array = np.array([1.5, -0.0, 3e38, np.nan], BFLOAT16)
    with convert.open_checkpoint(write_bundle(tmp_path, {"x": array})) as checkpoint:
        assert checkpoint["x"].dtype == ml_dtypes.bfloat16
        assert checkpoint["x"].numpy().tobytes() == array.tobytes()


@given(st.binary(max_size=300), st.binary(max_size=300))
def test_checksums_go_on(first, second):
    assert crc32c.crc32c(second, crc32c.crc32c(first)) == crc32c.crc32c(first + second)


def test_the_published_check_values():
    assert crc32c.crc32c(b"123456789") == 0xE3069283
    assert crc32c.mask(crc32c.crc32c(b"")) == 0xA282EAD8


@given(st.binary(max_size=500))
def test_snappy_of_literals(data):
    assert decompress(literal_snappy(data)) == data


@pytest.mark.parametrize(
    ("stored", "wanted"),
    [
        (b"\x08\x04ab\x09\x02", b"abababab"[:8]),  # a copy of 6 bytes, 2 back: it overlaps itself
        (b"\x06\x08abc\x0a\x03\x00", b"abcabc"),  # a copy with an offset of two bytes
        (b"\x06\x08abc\x0b\x03\x00\x00\x00", b"abcabc"),  # and of four
    ],
)
def test_snappy_copies(stored, wanted):
    assert decompress(stored) == wanted


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\x05\x08abc",  # shorter than announced
        b"\x02\x08abc",  # longer
        b"\x06\x08abc\x0a\x04\x00",  # from before the beginning
        b"\x06\x08abc\x0a\x00\x00",  # from nowhere
        b"\x06\x20abc",  # a literal past the end
        b"\xff\xff\xff\xff\x0f\x00a",  # a bomb
    ],
)
def test_snappy_that_is_none(stored):
    with pytest.raises(WireError):
        decompress(stored)


@pytest.mark.parametrize(
    "ending", ["", ".index", ".data-00000-of-00001", ".meta", "folder", "checkpoint"]
)
def test_every_way_of_naming_a_checkpoint(tmp_path, ending):
    for file in (LEGACY / "bert_segment5").glob("*"):
        shutil.copy(file, tmp_path)
    names = {"folder": tmp_path, "checkpoint": tmp_path / "checkpoint"}
    path = names.get(ending, tmp_path / f"bert_model.ckpt{ending}")
    with convert.open_checkpoint(path) as checkpoint:
        assert "bert/embeddings/word_embeddings" in checkpoint
        assert [file.name for file in checkpoint.files] == [
            "bert_model.ckpt.index",
            "bert_model.ckpt.data-00000-of-00001",
        ]


def test_a_saved_model_is_found(tmp_path):
    (tmp_path / "variables").mkdir()
    for file in (LEGACY / "bert_segment5").glob("bert_model.ckpt.*"):
        shutil.copy(
            file, tmp_path / "variables" / file.name.replace("bert_model.ckpt", "variables")
        )
    with convert.open_checkpoint(tmp_path) as checkpoint:
        assert len(checkpoint) > 10


def test_a_folder_of_several_lists_them():
    with pytest.raises(UsageError, match=r"bert_model\.ckpt, model\.weights, model_tf2\.h5"):
        convert.open_checkpoint(LEGACY / "bert_full")


def test_the_checkpoint_file_cannot_lead_out_of_its_folder(tmp_path):
    (tmp_path / "in").mkdir()
    shutil.copy(LEGACY / "bert_segment5/bert_model.ckpt.index", tmp_path / "secret.index")
    (tmp_path / "in/checkpoint").write_text('model_checkpoint_path: "/home/author/../secret"\n')
    with pytest.raises(NotFoundError, match="names secret"):
        convert.open_checkpoint(tmp_path / "in/checkpoint")


def test_strings_are_listed_and_never_read(tmp_path):
    prefix = write_bundle(tmp_path, {"x": np.zeros(2, np.float32)})
    with convert.open_checkpoint(prefix) as checkpoint:
        assert checkpoint.unreadable == {}
    from tests.conversion.bundles import entry, field, table

    records = {
        b"": field(1, 1),
        b"_CHECKPOINTABLE_OBJECT_GRAPH": entry(7, (), size=10),
        b"thing": entry(21, ()),
    }
    (tmp_path / "model.ckpt.index").write_bytes(table(records))
    with convert.open_checkpoint(prefix) as checkpoint:
        assert len(checkpoint) == 0
        assert checkpoint.unreadable == {
            "_CHECKPOINTABLE_OBJECT_GRAPH": "contains strings",
            "thing": "contains a variant",
        }


def test_values_in_other_files_are_not_followed(tmp_path):
    np.arange(4, dtype=np.float32).tofile(tmp_path / "secret")
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file.create_dataset("a", (4,), "f4", external=[(str(tmp_path / "secret"), 0, 16)])
    from zoo.errors import UnsafeError

    with pytest.raises(UnsafeError, match="other files"):
        convert.open_checkpoint(tmp_path / "x.h5")
    with h5py.File(tmp_path / "y.h5", "w") as file:
        file["own"] = np.ones(2, np.float32)
        file["link"] = h5py.ExternalLink(str(LEGACY / "bert_full/model.weights"), "/MLM-Norm")
        file["soft"] = h5py.SoftLink("/own")
    with convert.open_checkpoint(tmp_path / "y.h5") as checkpoint:
        assert list(checkpoint) == ["own"]


@pytest.mark.parametrize("place", [0, 1000, 40_000])
def test_a_flipped_bit_of_the_data_is_noticed_only_when_it_is_read(tmp_path, place):
    for file in (LEGACY / "bert_segment5").glob("bert_model.ckpt*"):
        shutil.copy(file, tmp_path)
    data = tmp_path / "bert_model.ckpt.data-00000-of-00001"
    content = bytearray(data.read_bytes())
    content[place] ^= 4
    data.write_bytes(content)
    with convert.open_checkpoint(data) as checkpoint:
        bad = []
        for name, tensor in checkpoint.items():
            try:
                tensor.numpy()
            except IntegrityError as error:
                bad.append(name)
                assert name in str(error)  # noqa: PT017
                assert data.name in str(error)  # noqa: PT017
        assert len(bad) == 1
    with convert.open_checkpoint(data, verify_checksums=False) as checkpoint:
        checkpoint[bad[0]].numpy()


def test_ordered_code_of_slices():
    from tests.conversion.bundles import ordered

    for value in (-1, 0, 1, 63, 64, 100, 8191, 8192, 250_112, 2**40):
        assert slices._ordered(ordered(value), 0) == (value, len(ordered(value)))
