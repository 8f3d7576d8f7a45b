"""Encoders in sentence-transformers: the vectors that bert4keras recorded."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import torch

import convert
import zoo
from tests.conversion.records import FIXTURES, LEGACY
from zoo.errors import MissingDependencyError, UsageError
from zoo.exporting.export import export

sentence_transformers = pytest.importorskip("sentence_transformers")
RECORDED = FIXTURES / "finetuned" / "sentence_vectors"
#: Arrays of the record by our names of poolings; the slow ones take the same way.
POOLINGS = {"pooler": "pooler", "first-last-avg": "first_last_avg"}
SLOW = {"cls": "cls", "mean": "last_avg", "last-avg": "last_avg", "max": "last_max"}
#: Those two rows of the record that are tokens of two texts.
ROWS = {2: ("", "他"), 0: ("这出我 4", "0 中动\uff1f")}


@pytest.fixture(scope="module")
def sentences(tmp_path_factory):
    place = tmp_path_factory.mktemp("vectors") / "model"
    convert.convert_checkpoint(RECORDED, place, options={"with_pool": "linear"})
    return place


@pytest.mark.parametrize(
    ("pooling", "array"),
    [*POOLINGS.items(), *(pytest.param(*one, marks=pytest.mark.slow) for one in SLOW.items())],
)
def test_the_vectors_are_those_that_were_recorded(sentences, pooling, array, tmp_path):
    made = export(sentences, tmp_path / "out", to="sentence-transformers", pooling=pooling)
    assert made.parity["model"]["relative_difference"]["vectors"] < 1e-5
    again = sentence_transformers.SentenceTransformer(
        str(tmp_path / "out"), device="cpu", local_files_only=True
    )
    with np.load(RECORDED / "reference.npz") as found:
        wanted = found[f"out_{array}"][[*ROWS]]
    given = again.encode([*ROWS.values()], convert_to_numpy=True)
    np.testing.assert_allclose(given, wanted, rtol=2e-5, atol=2e-5)


#: Encoders of sentences that bert4keras recorded, by fixtures: their options, and those to run by
#: default. The first has the pooler of LaBSE, with a tanh.
READERS = {
    "bert_full": {"with_pool": True},
    "simbert": {"with_pool": "linear", "application": "unilm"},
    "roformer_sim": {"with_pool": "linear", "application": "unilm"},
}
QUICK = [("roformer_sim", "pooler")]


def of_states(states, pooling, mask):
    """The closed form of a pooling, of the states of the first and of the last block."""
    first, last = (np.where(mask[..., None], one, 0) for one in states)
    count = mask.sum(1, keepdims=True)
    return {
        "cls": last[:, 0],
        "mean": last.sum(1) / count,
        "last-avg": last.sum(1) / count,
        "first-last-avg": (first + last).sum(1) / count / 2,
        "max": np.where(mask[..., None], last, -np.inf).max(1),
    }[pooling]


@pytest.mark.parametrize(
    ("name", "pooling"),
    [
        pytest.param(name, pooling, marks=() if (name, pooling) in QUICK else pytest.mark.slow)
        for name in READERS
        for pooling in ("pooler", "cls", "mean", "last-avg", "first-last-avg", "max")
    ],
)
def test_every_pooling_is_that_of_the_recorded_states(name, pooling, tmp_path):
    family = "roformer" if name == "roformer_sim" else "bert"
    convert.convert_checkpoint(
        LEGACY / name / "bert_model.ckpt", tmp_path / "in", family=family, options=READERS[name]
    )
    export(tmp_path / "in", tmp_path / "out", to="sentence-transformers", pooling=pooling)
    reader = sentence_transformers.SentenceTransformer(
        str(tmp_path / "out"), device="cpu", local_files_only=True
    )
    with np.load(LEGACY / name / "reference.npz") as found:
        given = {key: found[key] for key in found.files}
    mask = given["out_mask"] != 0
    inputs = {
        "input_ids": torch.from_numpy(given["in_token_ids"]).long(),
        "token_type_ids": torch.from_numpy(given["in_segment_ids"]).long(),
        "attention_mask": torch.from_numpy(mask).long(),
    }
    with torch.no_grad():
        made = reader(inputs)["sentence_embedding"].numpy()
    layers = sorted(key for key in given if key.startswith("out_layer_"))
    states = given[layers[0]], given[layers[-1]]
    wanted = given["out_pooled"] if pooling == "pooler" else of_states(states, pooling, mask)
    np.testing.assert_allclose(made, wanted, rtol=2e-5, atol=2e-5)


def test_a_backbone_is_the_plain_encoder(sentences, tmp_path):
    made = export(sentences, tmp_path / "out", to="sentence-transformers", backbone=True)
    assert not {"modules.json", "parity.json"} & set(made.files)
    assert {"model.safetensors", "vocab.txt", "tokenizer.json"} <= set(made.files)
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert config["architectures"] == ["GenaeBertModel"]
    texts = ["好", "天气"]
    found, wanted = (zoo.embed(place, texts) for place in (tmp_path / "out", sentences))
    torch.testing.assert_close(found, wanted)


def test_code_travels_where_it_is_asked_for(sentences, tmp_path):
    made = export(sentences, tmp_path / "out", to="sentence-transformers", with_code=True)
    assert "modeling_bert.py" in made.files
    config = json.loads((tmp_path / "out/config.json").read_text("utf-8"))
    assert config["auto_map"]["AutoModel"] == "modeling_bert.GenaeBertModel"


ELSEWHERE = """
import sys
sys.modules["zoo"] = None  # as if it were not installed
import numpy as np
from sentence_transformers import SentenceTransformer
reader = SentenceTransformer(sys.argv[1], device="cpu", trust_remote_code=True)
np.save(sys.argv[2], reader.encode(sys.argv[3:], convert_to_numpy=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize("name", ["tiny-roformer-sim", "tiny-nezha"])
def test_with_its_code_an_encoder_loads_where_genae_is_not(name, tmp_path):
    texts = ["好", "天气 a b"]
    export(f"genae/{name}", tmp_path / "out", to="sentence-transformers", with_code=True)
    words = [str(tmp_path / "out"), str(tmp_path / "found.npy"), *texts]
    done = subprocess.run(
        [sys.executable, "-c", ELSEWHERE, *words],
        env=os.environ | {"HF_MODULES_CACHE": str(tmp_path / "code"), "HF_HUB_OFFLINE": "1"},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    wanted = zoo.embed(f"genae/{name}", texts).numpy()
    np.testing.assert_allclose(np.load(words[1]), wanted, rtol=1e-5, atol=1e-5)


def test_a_model_of_images_and_a_missing_package_are_said(sentences, tmp_path, monkeypatch):
    with pytest.raises(UsageError):
        export("genae/vae-mnist", tmp_path / "out", to="sentence-transformers")
    monkeypatch.setitem(sys.modules, "sentence_transformers", None)
    with pytest.raises(MissingDependencyError, match=r'"genae\[sentence-transformers\]"'):
        export(sentences, tmp_path / "out", to="sentence-transformers")
    assert not [*tmp_path.iterdir()]
