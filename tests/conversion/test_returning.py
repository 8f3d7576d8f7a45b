"""Export: bit for bit what was brought over, in the files that the old stack reads."""

import json
import os
import shutil
import subprocess
from collections import Counter

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file, save_file

import convert
from convert import families
from convert.backward import pairs, settings
from convert.backward.targets import TARGETS
from convert.readers.safetensors import open_safetensors
from convert.readers.tensorflow.table import entries
from convert.report import Report
from convert.weights import rows
from convert.weights.renames import rename
from convert.weights.steps import Step
from convert.writers.table import _after, _between, table
from tests.conversion.records import (
    LEGACY,
    MODELS,
    RESIZED,
    WITHOUT_CONDITION,
    few_or_all,
    options,
    record,
    sources,
)
from tests.weights import content
from zoo.errors import ConflictError, GenaeError, IntegrityError, NotFoundError, UsageError

FILES = {"tf-checkpoint": "bert_model.ckpt.index", "keras-hdf5": "model.weights"}
DONE = ("keep_tokens", "compound_tokens", "autoresize_weights")
REFUSED = {("albert_unshared", "tf-checkpoint"), ("bert_cln", "tf-checkpoint")}
HEADS = ("with_pool", "with_nsp", "with_mlm", "with_discriminator")


def bring_over(name, out, source=None, **more) -> Report:
    fixture = record(name)
    found = [file for file in sources(name) if (name, file.suffix) != WITHOUT_CONDITION]
    config = LEGACY / name / "bert_config.json"
    told = options(fixture) | more
    return convert.convert_checkpoint(
        source or found[0], out, family=fixture["model"], config=config, options=told
    )


def bits(path, without=()):
    """Names in stored order with shape, type and bytes of each; every checksum is checked."""
    with convert.open_checkpoint(path) as checkpoint:
        return {
            name: (tensor.shape, tensor.dtype, tensor.numpy().tobytes())
            for name, tensor in checkpoint.items()
            if name not in without
        }


@pytest.mark.parametrize("name", few_or_all(*(name for name, _ in REFUSED), "bert_full"))
def test_what_comes_back_is_what_was_brought_over(name, tmp_path):
    ours = tmp_path / "ours"
    told = options(record(name))
    undone = any(option in told for option in DONE)
    for to, file in FILES.items():
        own = [one for one in sources(name) if one.name == file and (name, file) != RESIZED]
        shutil.rmtree(ours, ignore_errors=True)
        report = bring_over(name, ours, own[0] if own and (name, to) not in REFUSED else None)
        if (name, to) in REFUSED:
            with pytest.raises(UsageError, match="--to keras-hdf5"):
                convert.export_checkpoint(ours, tmp_path / to, to=to)
            continue
        back = convert.export_checkpoint(ours, tmp_path / to, to=to)
        assert sorted(back.files) == sorted(path.name for path in (tmp_path / to).iterdir())
        computed = [step.target for step in back.plan.steps if step.source == "computed"]
        computed = [f"{one.partition('/')[0]}/{one}" for one in computed]
        if own and not undone:
            mine = bits(tmp_path / to / file, computed)
            assert list(mine.items()) == list(bits(own[0], report.plan.dropped).items())
        vocab = LEGACY / name / "vocab.txt"
        if vocab.is_file() and not undone and own and own[0].parent == vocab.parent:
            assert (tmp_path / to / "vocab.txt").read_text("utf-8").split() == vocab.read_text(
                "utf-8"
            ).split()
    again = {key: value for key, value in told.items() if key not in DONE}
    again |= {"semantics": "bert4keras"} if "t5" in record(name)["model"] else {}
    family = record(name)["model"]
    convert.convert_checkpoint(tmp_path / to, tmp_path / "b", family=family, options=again)
    for file in ("model.safetensors", "config.json"):
        assert content(tmp_path / "b" / file) == content(ours / file)


@pytest.mark.parametrize("name", ["bert_full", "gpt2", "mt5", "nezha_lm", "bert_fp16"])
def test_an_index_is_byte_for_byte_that_of_tensorflow(name, tmp_path):
    bring_over(name, tmp_path / "ours", LEGACY / name / FILES["tf-checkpoint"])
    files = convert.export_checkpoint(
        tmp_path / "ours", tmp_path / "out", to="tf-checkpoint"
    ).files
    for file in [one for one in files if one == "checkpoint" or one.startswith("bert_model")]:
        assert (tmp_path / "out" / file).read_bytes() == (LEGACY / name / file).read_bytes()


@pytest.mark.parametrize("to", TARGETS)
@pytest.mark.parametrize("name", ["bert_full", "albert_unshared", "gpt2", "mt5"])
def test_tensors_are_expanded_and_paired_once(name, to, tmp_path, monkeypatch):
    bring_over(name, tmp_path / "ours")
    if (name, to) in REFUSED:
        return
    expanded, sought = Counter(), Counter()
    numbered, stored, shapes_of = rows.numbered, pairs._stored, settings.legacy_shapes

    def shapes_then_count(*words):
        found = shapes_of(*words)  # of the first block, before it is known how many there are
        sought.clear()
        return found

    def count_expanded(text, i):
        expanded[text, i] += 1
        return numbered(text, i)

    def count_sought(target, tensors):
        sought[target] += 1
        return stored(target, tensors)

    monkeypatch.setattr(settings, "legacy_shapes", shapes_then_count)
    monkeypatch.setattr(rows, "numbered", count_expanded)
    monkeypatch.setattr(pairs, "_stored", count_sought)
    report = convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to=to)
    table = families.find(record(name)["model"]).rows
    blocks = [row.target for row in table if row.target and rows.PLACE.search(row.layer)]
    assert {target: expanded[target, 1] for target in blocks if expanded[target, 1] > 1} == {}
    assert len(sought) >= len({step.source for step in report.plan.steps})
    assert {target: times for target, times in sought.items() if times > 1} == {}


def test_tensors_that_meet_in_one_are_of_one_part():
    """So that a part that is left out takes whole tensors along."""
    met = 0
    for family in families.FAMILIES:
        every = list(rows.expand(family.rows, pairs._every_part(family, {}), 2))
        steps = [Step((str(i),), row.target, (1,), row.op) for i, row in enumerate(every)]
        for step in rename(steps, family.renames):
            if step.target and len(step.sources) > 1:
                met += 1
                assert len({every[int(source)].part for source in step.sources}) == 1
    assert met


@given(
    st.dictionaries(st.binary(min_size=1, max_size=6), st.binary(max_size=40), min_size=1),
    st.integers(1, 200),
)
def test_tables_of_many_blocks_read_as_they_were_written(content, block_bytes):
    ordered = sorted(content.items())
    assert list(entries(table(ordered, block_bytes))) == ordered


@given(st.binary(max_size=5), st.binary(max_size=5))
def test_keys_between_blocks_keep_the_order(one, other):
    low, high = sorted((one, other))
    assert _after(low) >= low
    if low < high:
        assert low <= _between(low, high) < high


def test_hdf5_has_the_attributes_of_keras(tmp_path):
    bring_over("bert_full", tmp_path / "ours")
    convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="keras-hdf5")
    with (
        h5py.File(tmp_path / "out/model.weights") as mine,
        h5py.File(LEGACY / "bert_full/model.weights") as theirs,
    ):
        for name in ("backend", "keras_version"):
            assert mine.attrs[name] == theirs.attrs[name]
        layers = theirs.attrs["layer_names"]
        wanted = [layer for layer in layers if len(theirs[layer].attrs["weight_names"])]
        assert mine.attrs["layer_names"].tolist() == wanted
        for layer in wanted:
            names = mine[layer].attrs["weight_names"].tolist()
            assert names == theirs[layer].attrs["weight_names"].tolist()


@pytest.mark.parametrize("to", TARGETS)
def test_the_size_of_pieces_changes_nothing(tmp_path, monkeypatch, to):
    bring_over("gpt2", tmp_path / "ours")
    convert.export_checkpoint(tmp_path / "ours", tmp_path / "whole", to=to)
    monkeypatch.setattr(pairs, "PIECE", 200)
    monkeypatch.setattr(pairs, "STRIP", 300)
    convert.export_checkpoint(tmp_path / "ours", tmp_path / "pieces", to=to)
    assert bits(tmp_path / "pieces" / FILES[to]) == bits(tmp_path / "whole" / FILES[to])


SAVED = {
    "bert_full": {},
    "bert_pool": {},
    "albert": {},
    "albert_unshared": {},
    "nezha_keysize": {},
    "roformer_small": {},
    "electra": {},
    "gpt2": {},
    "t5": {"semantics": "google", "cross_position_bias": None},
    "t5_v1_1": {"semantics": "google", "cross_position_bias": None, "stack": "encoder"},
    "mt5": {"semantics": "google", "cross_position_bias": None},
}
#: Which others stand for by default.
LIKE_OTHERS = ("bert_pool", "albert", "roformer_small", "t5_v1_1")


@pytest.mark.parametrize(
    "name", [pytest.param(n, marks=[pytest.mark.slow] * (n in LIKE_OTHERS)) for n in SAVED]
)
def test_a_model_that_was_saved_again_goes_back_without_a_record(name, tmp_path):
    import torch

    import zoo

    bring_over(name, tmp_path / "ours", **SAVED[name])
    model = zoo.from_pretrained(str(tmp_path / "ours"))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(2)  # as if it had been trained
    model.save_pretrained(tmp_path / "saved")
    first = convert.export_checkpoint(tmp_path / "ours", tmp_path / "first", to="keras-hdf5")
    then = convert.export_checkpoint(tmp_path / "saved", tmp_path / "then", to="keras-hdf5")
    assert then.options == first.options
    one, two = (bits(tmp_path / place / "model.weights") for place in ("first", "then"))
    assert list(one) == list(two)
    for key, (_, _, raw) in one.items():
        twice = 1 if "Relative-Position/" in key and "nezha" in name else 2
        assert (np.frombuffer(raw, "<f4") * twice).tobytes() == two[key][2], key


def test_tables_that_were_cut_stay_so_and_the_report_says_it(tmp_path):
    bring_over("bert_keep_tokens", tmp_path / "ours")
    report = convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")
    assert any("keep_tokens" in note for note in report.notes)
    size = record("bert_keep_tokens")["effective"]["vocab_size"]
    assert json.loads((tmp_path / "out/bert_config.json").read_text())["vocab_size"] == size
    assert len((tmp_path / "out/vocab.txt").read_text("utf-8").splitlines()) == size


def test_a_vocabulary_is_taken_from_a_tokenizer_where_there_is_no_list(tmp_path):
    bring_over("bert_full", tmp_path / "ours")
    words = (tmp_path / "ours/vocab.txt").read_text("utf-8")
    (tmp_path / "ours/vocab.txt").unlink()
    convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="keras-hdf5")
    assert (tmp_path / "out/vocab.txt").read_text("utf-8") == words


@pytest.mark.parametrize("to", TARGETS)
def test_types(tmp_path, to):
    bring_over("bert_fp16", tmp_path / "ours")
    convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to=to, dtype="bfloat16")
    kinds = {str(kind) for _, kind, _ in bits(tmp_path / "out" / FILES[to]).values()}
    assert kinds == {"bfloat16" if to == "tf-checkpoint" else "float32"}


def change(folder, **fields):
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"model_type": "llama"}, "no such model"),
        ({"is_decoder": True}, "is_decoder is True"),
        ({"hidden_act": "mish"}, "no activation 'mish'"),
        ({"hidden_size": "24"}, "hidden_size is '24'"),
        ({"num_hidden_layers": 4}, "absent from the folder"),
        ({"num_hidden_layers": 10**9}, "num_hidden_layers is 1000000000"),
        ({"max_position_embeddings": 31}, "of another shape"),
    ],
)
def test_a_configuration_that_bert4keras_cannot_have(tmp_path, fields, message):
    bring_over("bert_full", tmp_path / "ours")
    change(tmp_path / "ours", **fields)
    with pytest.raises(GenaeError, match=message):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")
    assert not (tmp_path / "out").exists()


def test_another_epsilon_is_reported(tmp_path):
    bring_over("bert_full", tmp_path / "ours")
    change(tmp_path / "ours", layer_norm_eps=1e-5)
    report = convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")
    assert any("layer_norm_eps is 1e-05" in note for note in report.notes)


def test_a_head_of_fine_tuning_is_named_and_can_be_left_behind(tmp_path):
    bring_over("bert_full", tmp_path / "ours")
    path = tmp_path / "ours/model.safetensors"
    copy = load_file(path)["bert.embeddings.word_embeddings.weight"]
    more = {"classifier.weight": np.zeros((2, 24), np.float32)}
    save_file(load_file(path) | more | {"cls.predictions.decoder.weight": copy}, path)
    with pytest.raises(IntegrityError, match=r"not in the map: classifier\.weight \(2, 24\)"):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")
    report = convert.export_checkpoint(
        tmp_path / "ours", tmp_path / "out", to="tf-checkpoint", allow_unused=["classifier.*"]
    )
    assert report.plan.dropped == {
        "classifier.weight": "allowed by classifier.*",
        "cls.predictions.decoder.weight": "a copy of bert.embeddings.word_embeddings.weight",
    }
    off = {"with_pool": False, "with_nsp": False}
    report = convert.export_checkpoint(
        tmp_path / "ours",
        tmp_path / "bare",
        to="keras-hdf5",
        options=off,
        allow_unused=["classifier.*"],
    )
    assert report.options == {"model": "bert", "with_mlm": True}


def test_a_head_that_is_tied_no_more_cannot_go_back(tmp_path):
    bring_over("bert_full", tmp_path / "ours")
    path = tmp_path / "ours/model.safetensors"
    other = load_file(path)["bert.embeddings.word_embeddings.weight"] + 1
    save_file(load_file(path) | {"cls.predictions.decoder.weight": other}, path)
    with pytest.raises(IntegrityError, match=r"not in the map: cls\.predictions\.decoder"):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")


def test_what_nobody_can_tell_is_asked(tmp_path):
    bring_over("mt5", tmp_path / "ours")
    (tmp_path / "ours/conversion.json").unlink()
    with pytest.raises(UsageError, match=r"--family t5\.1\.1 or --family mt5\.1\.1"):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")
    convert.export_checkpoint(
        tmp_path / "ours", tmp_path / "out", to="tf-checkpoint", family="mt5.1.1"
    )
    source = LEGACY / "mt5" / FILES["tf-checkpoint"]
    assert bits(tmp_path / "out" / FILES["tf-checkpoint"]) == bits(source)


def test_what_is_not_there_and_what_is_there_already(tmp_path):
    with pytest.raises(NotFoundError, match=r"config\.json"):
        convert.export_checkpoint(LEGACY / "bert_full", tmp_path / "out", to="tf-checkpoint")
    bring_over("bert_full", tmp_path / "ours")
    with pytest.raises(UsageError, match=r"no target 'onnx'.*'tf-checkpoint', 'keras-hdf5'"):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="onnx")
    with pytest.raises(ConflictError, match="not empty"):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "ours", to="tf-checkpoint")
    (tmp_path / "ours/model.safetensors").unlink()
    with pytest.raises(NotFoundError, match=r"model\.safetensors"):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")


@pytest.mark.parametrize("to", TARGETS)
def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch, to):
    bring_over("bert_full", tmp_path / "ours")
    real, turns = pairs.Pair.pieces, iter(range(10))

    def pieces(self, tensors):
        if next(turns) == 5:
            raise KeyboardInterrupt
        yield from real(self, tensors)

    monkeypatch.setattr(pairs.Pair, "pieces", pieces)
    with pytest.raises(KeyboardInterrupt):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to=to)
    assert [path.name for path in tmp_path.iterdir()] == ["ours"]


def test_damaged_weights_give_our_errors_or_values(tmp_path):
    bring_over("gau_alpha", tmp_path / "ours")
    path = tmp_path / "ours/model.safetensors"
    whole = path.read_bytes()
    header = 8 + int.from_bytes(whole[:8], "little")
    rng = np.random.default_rng(0)
    read = refused = 0
    for turn in range(300):
        data = bytearray(whole[: rng.integers(len(whole))] if turn % 10 == 0 else whole)
        for place in rng.integers(min(header, len(data)) or 1, size=1 + turn % 3):
            if place < len(data):
                data[place] = rng.integers(256)
        path.write_bytes(data)
        try:
            with open_safetensors(path.parent) as tensors:
                values = [tensor.numpy() for tensor in tensors.values()]
        except GenaeError:
            refused += 1
            continue
        read += 1
        assert sum(value.nbytes for value in values) <= len(data)
    assert read > 5, "a damaged value or name is still a tensor"
    assert refused > 100, "a damaged shape, type or place is refused"


def test_shards_are_read_where_the_index_names_them_and_nowhere_else(tmp_path):
    source = LEGACY / "bert_full" / FILES["tf-checkpoint"]
    convert.convert_checkpoint(source, tmp_path / "ours", max_shard_size="20KB")
    convert.export_checkpoint(tmp_path / "ours", tmp_path / "out", to="tf-checkpoint")
    assert bits(tmp_path / "out" / FILES["tf-checkpoint"]) == bits(source)
    path = tmp_path / "ours/model.safetensors.index.json"
    path.write_text('{"weight_map": {"a": "../../secret.safetensors"}}')
    (tmp_path / "secret.safetensors").write_bytes(b"x")
    with pytest.raises(NotFoundError, match=r"ours/secret\.safetensors is missing"):
        convert.export_checkpoint(tmp_path / "ours", tmp_path / "other", to="tf-checkpoint")


PYTHON = os.environ.get("GENAE_BERT4KERAS_PYTHON")


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.skipif(not PYTHON, reason="GENAE_BERT4KERAS_PYTHON names no interpreter")
def test_bert4keras_computes_with_it_what_it_computed_before(root, tmp_path):
    jobs = []
    for name in MODELS:
        fixture = record(name)
        told = fixture["build_kwargs"]
        known = families.find(fixture["model"]).options
        bare = [head for head in HEADS if head in known and fixture["application"] == "encoder"]
        if told.get("with_nsp"):  # brings a pooler
            bare.remove("with_pool")
        off = {head: False for head in bare if head not in told}
        bring_over(name, tmp_path / name, **off)
        for to in TARGETS:
            if (name, to) not in REFUSED:
                out = tmp_path / f"{name}-{to}"
                report = convert.export_checkpoint(tmp_path / name, out, to=to)
                jobs.append(
                    {
                        "folder": str(out),
                        "reference": str(LEGACY / name / "reference.npz"),
                        "outputs": fixture["model_outputs"],
                        "options": report.options,
                    }
                )
    (tmp_path / "jobs.json").write_text(json.dumps(jobs))
    script = root / "tests/conversion/old_stack.py"
    done = subprocess.run(
        [PYTHON, script, tmp_path / "jobs.json"], capture_output=True, text=True, check=True
    )
    lines = [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]
    assert len(lines) == len(jobs)
    for line in lines:
        assert "error" not in line, line
        assert max(line["differences"].values()) <= 1, line
