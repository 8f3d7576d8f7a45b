"""Whatever is asked of a tensor in boxes is what the whole tensor has there."""

import tracemalloc
from dataclasses import replace

import h5py
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import convert
from convert.readers.tensorflow import spans
from convert.weights import ops
from convert.weights.lazy import boxes
from convert.weights.steps import Step
from convert.weights.views import InMemory, SideBySide
from convert.writers import safetensors
from tests.conversion.bundles import write_bundle
from tests.conversion.makers import write_v1
from tests.conversion.records import LEGACY, spread
from tests.conversion.test_converting import bring_over
from zoo.errors import IntegrityError

quick = settings(max_examples=40, deadline=None)


def numbers(*shape):
    return np.random.default_rng(len(shape)).standard_normal(shape).astype(np.float32)


@st.composite
def tables_and_boxes(draw, axes=2):
    """An array and a box that may be empty along no axis."""
    shape = draw(st.lists(st.integers(1, 7), min_size=axes, max_size=axes))
    return numbers(*shape), draw(st.randoms(use_true_random=False))


def some_box(shape, chance):
    stops = [chance.randint(1, size) for size in shape]
    return tuple(slice(chance.randrange(stop), stop) for stop in stops)


def selected(array, keep, compounds):
    kept = array[keep]
    means = [np.average(kept[rows], 0, weights) for rows, weights in compounds]
    return np.concatenate([kept, np.stack(means).astype(array.dtype)]) if means else kept


def resized(array, shape):
    """As bert4keras does it: pairs repeated, cut, the norm kept."""
    found = array
    for axis, (old, new) in enumerate(zip(array.shape, shape, strict=True)):
        times = -(-new // old)
        if times > 1:
            pairs = np.split(found, old // 2, axis)
            found = np.concatenate([pair for pair in pairs for _ in range(times)], axis)
        found = found.take(range(new), axis)
    return found * np.linalg.norm(array) / np.linalg.norm(found)


@quick
@given(tables_and_boxes(), st.data())
def test_operations_in_boxes_are_operations_on_the_whole(table, data):
    array, chance = table
    rows = st.integers(0, len(array) - 1)
    keep = data.draw(st.lists(rows, min_size=1, max_size=9))
    new = st.integers(0, len(keep) - 1)
    compound = st.lists(new, min_size=1, max_size=3).map(lambda r: (r, [1.0 + i for i in r]))
    compounds = data.draw(st.lists(compound, max_size=3))
    wanted = [
        (ops.KEEP, array),
        (ops.TRANSPOSE, array.T),
        (ops.select_rows(keep, compounds), selected(array, keep, compounds)),
        (ops.then(ops.TRANSPOSE, ops.TRANSPOSE), array),
        (
            ops.then(ops.TRANSPOSE, ops.select_rows([0, 0], [])),
            array.T[[0, 0]],
        ),
    ]
    for op, result in wanted:
        view = op.view(InMemory(array))
        assert view.shape == result.shape
        box = some_box(result.shape, chance)
        assert np.array_equal(view.block(box), result[box])
        assert np.array_equal(op.apply(array), result)


@quick
@given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 20), st.integers(1, 20), st.randoms())
def test_resizing_in_boxes(rows, columns, height, width, chance):
    array = numbers(2 * rows, 2 * columns)
    view = ops.resize((height, width)).view(InMemory(array))
    box = some_box((height, width), chance)
    result = resized(array.astype(np.float64), (height, width))
    assert np.allclose(view.block(box), result[box], rtol=1e-6, atol=0)
    assert np.isclose(np.linalg.norm(view.numpy()), np.linalg.norm(array), rtol=1e-6)


@quick
@given(st.lists(st.integers(1, 4), min_size=1, max_size=4), st.randoms())
def test_side_by_side_in_boxes(widths, chance):
    parts = [numbers(3, width) + i for i, width in enumerate(widths)]
    whole = np.concatenate(parts, -1)
    view = SideBySide([InMemory(part) for part in parts])
    box = some_box(whole.shape, chance)
    assert np.array_equal(view.block(box), whole[box])


@quick
@given(st.lists(st.integers(0, 5), max_size=4), st.integers(0, 40))
def test_boxes_are_all_of_it_in_order(shape, most):
    array = np.arange(np.prod(shape, dtype=int)).reshape(shape)
    pieces = [array[box] for box in boxes(tuple(shape), most)]
    assert all(0 < piece.size <= max(1, most) for piece in pieces)
    flat = [value for piece in pieces for value in piece.reshape(-1).tolist()]
    assert flat == array.reshape(-1).tolist()


def keras(folder, array, **kind):
    with h5py.File(folder / "model.h5", "w") as file:
        file.create_dataset("x", data=array, **kind)
    return folder / "model.h5"


STORED = {
    "bundle": lambda folder, array: write_bundle(folder, {"x": array, "y": array}),
    "big-endian": lambda folder, array: write_bundle(folder, {"x": array}, big_endian=True),
    "sliced": lambda folder, array: write_bundle(
        folder, {"x": array}, rows={"x": [len(array) // 3, len(array) - len(array) // 3]}
    ),
    "v1": lambda folder, array: write_v1(folder / "model.ckpt", {"x": array}, per_block=1),
    "v1 in slices": lambda folder, array: write_v1(
        folder / "model.ckpt",
        {"x": array},
        {"x": [(0, array[: len(array) // 2]), (len(array) // 2, array[len(array) // 2 :])]},
        per_block=1,
    ),
    "keras": keras,
    "keras in chunks": lambda folder, array: keras(
        folder,
        array.astype(">f4"),
        chunks=tuple(min(100, size) for size in array.shape),
        compression="gzip",
        compression_opts=1,
    ),
}


@pytest.mark.parametrize("form", STORED)
@pytest.mark.parametrize("shape", [(1200, 700), (9, 100_000), (40_000, 9), (400_001,)])
def test_every_form_gives_boxes(tmp_path, form, shape):
    array = numbers(*shape)
    with convert.open_checkpoint(STORED[form](tmp_path, array)) as found:
        tensor = found["x"]
        for part in (0.01, 0.3, 0.99):
            box = tuple(slice(int(part * size) // 2, int(part * size) + 1) for size in shape)
            assert np.array_equal(tensor.block(box), array[box])
        tensor.verify()
        assert np.array_equal(tensor.numpy(), array)
        assert b"".join(piece.tobytes() for piece in tensor.chunks(10**6)) == array.tobytes()


@pytest.mark.parametrize("read", ["nothing", "all", "the first rows", "the last rows", "columns"])
@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_checksum_is_over_all_of_it_whatever_was_read(tmp_path, read, place):
    array = numbers(300, 400)
    prefix = write_bundle(tmp_path, {"x": array})
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    content = bytearray(data.read_bytes())
    content[place * (len(content) - 1) // 2] ^= 1
    parts = {
        "nothing": [],
        "all": list(boxes(array.shape, 7000)),
        "the first rows": [(slice(0, 5), slice(0, 400))],
        "the last rows": [(slice(290, 300), slice(0, 400))],
        "columns": [(slice(0, 300), slice(i, i + 100)) for i in range(0, 400, 100)],
    }[read]
    for bad in (False, True):
        if bad:
            data.write_bytes(content)
        with convert.open_checkpoint(prefix) as found:
            for box in parts:
                found["x"].block(box)
            if not bad:
                found["x"].verify()
                continue
            for _ in range(2):
                with pytest.raises(IntegrityError, match="checksum of 'x'"):
                    found["x"].verify()


@pytest.mark.parametrize("model", ["bert_full", "bert_keep_tokens", "gpt2", "bert_autoresize"])
def test_the_result_does_not_depend_on_the_blocks(tmp_path, monkeypatch, model):
    (file,) = sorted((LEGACY / model).glob("bert_model.ckpt.index"))[:1] or [
        LEGACY / "bert_full/bert_model.ckpt.index"
    ]
    results = []
    for size in (safetensors.BLOCK, 97, 13):
        monkeypatch.setattr(safetensors, "BLOCK", size * 4)
        bring_over(model, file, tmp_path / str(size))
        results.append((tmp_path / str(size) / "model.safetensors").read_bytes())
    assert results[0] == results[1] == results[2]


EVERY = {
    "as it is": ops.KEEP,
    "transposed": ops.TRANSPOSE,
    "rows": ops.select_rows(range(2999, -1, -2), [([0, 2], [1.0, 1.0])]),
    "resized": ops.resize((6000, 1000)),
}


@pytest.mark.parametrize(("form", "op"), spread([*STORED], [*EVERY]))
def test_no_tensor_is_in_memory_as_a_whole(tmp_path, monkeypatch, form, op):
    array = numbers(3000, 500)  # 6 MB, its result up to 48
    monkeypatch.setattr(safetensors, "BLOCK", 2**17)
    monkeypatch.setattr(spans, "PIECE", 2**17)
    path = STORED[form](tmp_path, array)
    with convert.open_checkpoint(path) as found:
        shape = EVERY[op].view(found["x"]).shape
        step = Step(("x",), "x", shape, EVERY[op])
        step = replace(step, sources=("x", "x"), shape=(shape[0], 2 * shape[1]))
        tracemalloc.start()
        safetensors.write(tmp_path, [step], found, max_shard_bytes=10**9)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 4 * 2**20
