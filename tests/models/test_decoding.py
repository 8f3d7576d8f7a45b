"""bert4keras's decoding, token for token, through `generate` with the cache on."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

import convert
import zoo
from tests.conversion.records import LEGACY, options, record
from zoo.models.text.decoding import beam_search, largest, random_sample

NAMES = sorted(path.parent.name for path in LEGACY.glob("*/decode.json"))
SHARED = ("end_id", "minlen", "min_ends", "topk", "temperature")
SETTINGS = (*SHARED[1:], "method", "topp")


@pytest.fixture(scope="module")
def models(tmp_path_factory):
    """Converted models by name, each made once."""
    made = {}

    def get(name):
        if name not in made:
            out = tmp_path_factory.mktemp(name) / "out"
            convert.convert_checkpoint(
                LEGACY / name / "bert_model.ckpt",
                out,
                family=record(name)["model"],
                config=LEGACY / name / "bert_config.json",
                options=options(record(name)),
            )
            made[name] = zoo.from_pretrained(out)
        return made[name]

    return get


def jobs_of(name):
    return json.loads((LEGACY / name / "decode.json").read_text("utf-8"))


def run(model, name, job, **more):
    """What one recorded job gives now, in the record's form."""
    ids = torch.tensor([job["token_ids"]])
    given = {"attention_mask": (ids != 0).long()}
    given["attention_mask"][:, 0] = 1
    if model.config.is_encoder_decoder:
        given["decoder_start_token_id"] = job["start_id"]
    elif record(name)["decode"] != "lm1":
        given["token_type_ids"] = torch.tensor([job["segment_ids"]])
    told = {key: job[key] for key in SHARED if key in job}
    told["max_new_tokens"] = job["maxlen"]
    if job["method"] == "random_sample":
        told |= {key: job[key] for key in ("n", "topp", "numpy_seed")}
    method = {"beam_search": beam_search, "random_sample": random_sample}[job["method"]]
    found = model.generate(
        ids, custom_generate=method, **{"use_cache": True} | given | told | more
    )
    start = 0 if model.config.is_encoder_decoder else ids.shape[1]
    return [row[start:].tolist() for row in found]


@pytest.mark.parametrize("jobs", ["of a setting one", pytest.param("all", marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_every_recorded_job_gives_the_same_tokens(models, name, jobs):
    model = models(name)
    wrong = []
    numbered = dict(enumerate(jobs_of(name)))
    if jobs != "all":
        one = {tuple(map(job.get, SETTINGS)): number for number, job in numbered.items()}
        numbered = {number: numbered[number] for number in one.values()}
        assert len(numbered) >= 7
    for number, job in numbered.items():
        found = run(model, name, job)
        if job["method"] == "beam_search":
            ok = found == [job["output"]]
        else:  # shorter ones are filled up
            ok = len(found) == len(job["output"]) and all(
                row == one + [0] * (len(row) - len(one))
                for row, one in zip(found, job["output"], strict=True)
            )
        if not ok:
            wrong.append(
                (number, job["method"], job["topk"], job.get("topp"), job["output"], found)
            )
    assert not wrong, f"{len(wrong)} of {len(jobs_of(name))}: {wrong[:3]}"


def test_every_way_to_predict_and_to_choose_is_recorded():
    found = {(record(name)["decode"], job["method"]) for name in NAMES for job in jobs_of(name)}
    ways = ("lm", "lm1", "unilm", "gpt_seg", "t5")
    assert found == {(way, how) for way in ways for how in ("beam_search", "random_sample")}
    generated = [
        row[:-1][way == "t5" :]  # a start token of T5 is no generated one
        for name in NAMES
        for way in [record(name)["decode"]]
        for job in jobs_of(name)
        for row in ([job["output"]] if job["method"] == "beam_search" else job["output"])
    ]
    assert any(0 in row for row in generated), "a generated 0 that is padding from then on"


@pytest.mark.parametrize("every", [21, pytest.param(7, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", NAMES)
def test_the_cache_changes_no_token(models, name, every):
    for job in jobs_of(name)[::every]:
        fast = run(models(name), name, job)
        assert fast == run(models(name), name, job, use_cache=False)


@given(arrays(np.float32, st.integers(1, 60), elements=st.integers(0, 30)), st.data())
def test_the_largest_are_the_largest(values, data):
    count = data.draw(st.integers(1, len(values)))
    found = largest(values, count)
    assert len(set(found.tolist())) == count
    assert sorted(values[found]) == sorted(values)[-count:]
    assert values[found[0]] == min(values[found])  # what is selected stands first


def test_several_prompts_are_refused(models):
    with pytest.raises(ValueError, match="2 prompts"):
        models("gpt2").generate(
            torch.ones((2, 3), dtype=torch.long), custom_generate=beam_search, max_new_tokens=2
        )
