"""What the original computed, the result computes; nothing is lost, guessed or half done."""

import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

import convert
import zoo
from convert.families import FAMILIES
from convert.verify.texts import compare
from convert.weights import steps
from convert.weights.rows import expand
from tests.conversion.bundles import write_bundle
from tests.conversion.records import (
    LEGACY,
    MODELS,
    WITHOUT_CONDITION,
    few_or_all,
    options,
    record,
    sources,
)
from tests.conversion.rewritten import rewritten
from tests.weights import content
from zoo.errors import ConflictError, IntegrityError, NotFoundError, ToleranceError, UsageError

PAIRS = [
    (name, source)
    for name in MODELS
    for source in sources(name)
    if (name, source.suffix) != WITHOUT_CONDITION
]
PLAIN = {
    *("bert_encoder", "bert_full", "bert_fp16", "bert_optim", "bert_shards", "bert_sliced"),
    *(
        "bert_v1",
        "bert_tf2writer",
        "bert_gelu_tanh",
        "bert_keep_tokens",
        "bert_mlm_linear",
        "roberta",
    ),
    *("bert_segment5", "bert_custom_position", "bert_autoresize", "albert", "albert_unshared"),
    *("electra", "electra_encoder", "electra_linear", "gpt2", "roformer_small"),
}

#: Every layer takes a copy of the one block that its checkpoints hold.
COPIED = ("albert_unshared", "tensorflow")


def bring_over(name, source, out, **more):
    fixture = record(name)
    told = options(fixture) | more.pop("options", {})
    config = LEGACY / name / "bert_config.json"
    return convert.convert_checkpoint(
        source, out, family=fixture["model"], config=config, options=told, **more
    )


@pytest.mark.parametrize(
    ("name", "source"), PAIRS, ids=[f"{name}-{source.name}" for name, source in PAIRS]
)
def test_every_recorded_output_is_reproduced(name, source, tmp_path):
    report = bring_over(name, source, tmp_path / "out", verify=LEGACY / name / "reference.npz")
    wanted = {out for out in record(name)["outputs"] if not out.endswith("mask")}
    assert {parity.name.removeprefix("out_") for parity in report.parity} == wanted
    assert all(parity.ok for parity in report.parity)
    # Hidden states are held to a tighter bound than the tolerance.
    hidden = [p for p in report.parity if "layer_" in p.name or p.name == "out_emb"]
    assert all(p.max_absolute <= 2e-5 * max(1, p.tolerance / 1e-4) for p in hidden)
    assert report.architecture.startswith("Genae") == (name not in PLAIN)


@pytest.mark.parametrize("name", few_or_all("bert_full", "bert_keep_tokens"))
def test_the_zoo_loads_the_class_that_the_configuration_names(name, tmp_path):
    source = sources(name)[0]
    bring_over(name, source, tmp_path)
    named = json.loads((tmp_path / "config.json").read_text())["architectures"]
    loaded = []
    for seed in (0, 1):
        torch.manual_seed(seed)
        loaded.append(zoo.from_pretrained(tmp_path))
    first, second = loaded
    assert [type(first).__name__] == named
    for key, tensor in first.state_dict().items():  # no weight is left to chance
        assert torch.equal(tensor, second.state_dict()[key]), key


def test_a_wrong_weight_is_noticed(tmp_path):
    source = LEGACY / "bert_full/bert_model.ckpt.index"
    bring_over("bert_full", source, tmp_path / "out")
    path = tmp_path / "out/model.safetensors"
    weights = load_file(path)
    weights["bert.encoder.layer.1.output.dense.weight"] *= 1.01
    from safetensors.numpy import save_file

    save_file(weights, path, {"format": "pt"})
    parity = compare(tmp_path / "out", LEGACY / "bert_full/reference.npz")
    off = {p.name for p in parity if not p.ok}
    assert off >= {"out_layer_1", "out_layer_2", "out_mlm_logits"}
    assert off.isdisjoint({"out_emb", "out_layer_0"})


def test_a_wrong_option_leaves_nothing(tmp_path):
    with pytest.raises(ToleranceError, match="out_layer_0"):
        bring_over(
            "bert_gelu_tanh",
            LEGACY / "bert_gelu_tanh/bert_model.ckpt",
            tmp_path / "out",
            options={"gelu": "erf"},
            verify=LEGACY / "bert_gelu_tanh/reference.npz",
        )
    assert not list(tmp_path.iterdir())


def test_both_formats_give_the_same_bytes(tmp_path):
    first, second = tmp_path / "tf", tmp_path / "keras"
    bring_over("bert_full", LEGACY / "bert_full/bert_model.ckpt", first)
    bring_over("bert_full", LEGACY / "bert_full/model.weights", second)
    for name in ("model.safetensors", "config.json", "tokenizer.json"):
        assert content(first / name) == content(second / name)


@pytest.mark.parametrize("format", ["tf_bundle", "keras_hdf5"])
def test_operations_can_be_undone_and_give_the_checkpoint_back(tmp_path, format):
    names = {"tf_bundle": "bert_model.ckpt", "keras_hdf5": "model.weights"}
    source = LEGACY / "bert_full" / names[format]
    report = bring_over("bert_full", source, tmp_path / "out")
    ours = load_file(tmp_path / "out/model.safetensors")
    with convert.open_checkpoint(source) as checkpoint:
        assert {step.source for step in report.plan.steps} == set(checkpoint)
        assert {step.target for step in report.plan.steps} == set(ours)
        for step in report.plan.steps:
            back = step.op.invert(ours[step.target])
            assert np.array_equal(back, checkpoint[step.source].numpy()), step.source


@pytest.mark.parametrize("family", FAMILIES, ids=lambda family: family.name)
def test_no_two_rows_take_or_make_one_tensor(family):
    parts = {part: True for row in family.rows for part in row.part.split("+")}
    for absent in ("condition", "hidden_condition"):  # they exclude each other
        rows = list(expand(family.rows, parts | {absent: False}, 3))
        assert len({row.target for row in rows}) == len(rows)
        for naming in ("tensorflow", "keras"):
            names = [name for row in rows if (name := row.name_in(naming))]
            assert len(set(names)) == len(names) or (family.name, naming) == COPIED


def whole():
    with convert.open_checkpoint(LEGACY / "bert_segment5/bert_model.ckpt") as checkpoint:
        return {name: tensor.numpy() for name, tensor in checkpoint.items()}


def convert_tensors(tmp_path, tensors, **more):
    (tmp_path / "in").mkdir(exist_ok=True)
    prefix = write_bundle(tmp_path / "in", tensors)
    config = LEGACY / "bert_segment5/bert_config.json"
    return convert.convert_checkpoint(prefix, tmp_path / "out", config=config, **more)


def test_a_tensor_too_many_is_named_and_can_be_allowed(tmp_path):
    tensors = whole() | {"cls/other/weights": np.zeros((2, 24), np.float32)}
    with pytest.raises(IntegrityError, match=r"not in the map: cls/other/weights \(2, 24\)"):
        convert_tensors(tmp_path, tensors)
    assert not (tmp_path / "out").exists()
    report = convert_tensors(tmp_path, tensors, allow_unused=["cls/other/*"])
    assert report.plan.dropped == {"cls/other/weights": "allowed by cls/other/*"}


def test_a_tensor_too_few_is_named(tmp_path):
    tensors = whole()
    gone = "bert/encoder/layer_1/attention/self/key/bias"
    del tensors[gone]
    with pytest.raises(IntegrityError, match=f"absent from the checkpoint: {gone}"):
        convert_tensors(tmp_path, tensors)


def test_a_tensor_of_another_shape_is_named(tmp_path):
    tensors = whole()
    name = "bert/embeddings/position_embeddings"
    tensors[name] = tensors[name][:7]
    with pytest.raises(IntegrityError, match=rf"of another shape: {name} is \(7, 24\)"):
        convert_tensors(tmp_path, tensors)


def test_slots_are_dropped_and_never_read(tmp_path):
    tensors = whole()
    slots = {f"{name}/adam_{kind}": value for name, value in tensors.items() for kind in "mv"}
    slots["global_step"] = np.array(7, np.int64)
    prefix = write_bundle(tmp_path, tensors | slots)
    data = prefix.with_name("model.ckpt.data-00000-of-00001")
    with convert.open_checkpoint(prefix) as checkpoint:
        content = bytearray(data.read_bytes())
        for name in slots:  # a checksum that fails shows who looked
            content[checkpoint[name].place.offset] ^= 1
        data.write_bytes(content)
    config = LEGACY / "bert_segment5/bert_config.json"
    report = convert.convert_checkpoint(prefix, tmp_path / "out", config=config)
    assert set(report.plan.dropped) == set(slots)
    assert "step counter" in report.plan.dropped["global_step"]


def test_a_head_is_left_out_when_asked_and_asked_for_in_vain(tmp_path):
    source = LEGACY / "bert_full/bert_model.ckpt"
    off = {"with_mlm": False, "with_nsp": False, "with_pool": True}
    report = bring_over("bert_full", source, tmp_path / "out", options=off)
    assert report.architecture == "BertModel"
    assert set(report.plan.dropped.values()) == {
        "left out by with_mlm=False",
        "left out by with_nsp=False",
    }
    encoder = LEGACY / "bert_encoder/bert_model.ckpt"
    with pytest.raises(IntegrityError, match="absent from the checkpoint: cls/predictions"):
        bring_over("bert_encoder", encoder, tmp_path / "other", options={"with_mlm": True})


@pytest.mark.parametrize("application", ["encoder", "unilm"])
def test_every_set_of_heads_has_a_class_that_loads_it(tmp_path, application):
    import transformers

    import zoo.models

    source = LEGACY / "bert_full/bert_model.ckpt"
    for mlm in (True, False):
        for nsp in (True, False):
            out = tmp_path / f"{mlm}{nsp}"
            told = {"with_mlm": mlm, "with_nsp": nsp, "application": application}
            name = bring_over("bert_full", source, out, options=told).architecture
            home = zoo.models if name.startswith("Genae") else transformers
            _, info = getattr(home, name).from_pretrained(out, output_loading_info=True)
            assert not info["missing_keys"], name


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    import errno

    from convert.writers import safetensors
    from zoo.errors import MissingDependencyError

    def full(*arguments):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(safetensors, "_pieces", full)
    with pytest.raises(MissingDependencyError, match="no space left"):
        bring_over("bert_full", LEGACY / "bert_full/bert_model.ckpt", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_keep_tokens_keep_the_vocabulary_too(tmp_path):
    fixture = record("bert_keep_tokens")
    (source, *_) = sources("bert_keep_tokens")
    bring_over("bert_keep_tokens", source, tmp_path / "out")
    old = (LEGACY / "bert_full/vocab.txt").read_text("utf-8").split("\n")
    new = (tmp_path / "out/vocab.txt").read_text("utf-8").split("\n")[:-1]
    kept = fixture["build_kwargs"]["keep_tokens"]
    assert new[: len(kept)] == [old[number] for number in kept]
    assert len(new) == fixture["effective"]["vocab_size"]


@pytest.mark.parametrize(
    ("dtype", "stored"), [(None, "float16"), ("float32", "float32"), ("bfloat16", "bfloat16")]
)
def test_types(tmp_path, dtype, stored):
    source = LEGACY / "bert_fp16/bert_model.ckpt"
    bring_over("bert_fp16", source, tmp_path / "out", dtype=dtype)
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert config["dtype"] == stored
    header = (tmp_path / "out/model.safetensors").read_bytes()[8:4000]
    names = {"float16": b'"F16"', "float32": b'"F32"', "bfloat16": b'"BF16"'}
    assert names[stored] in header
    with convert.open_checkpoint(source) as checkpoint:
        theirs = checkpoint["bert/embeddings/word_embeddings"].numpy()
    import torch
    from safetensors.torch import load_file as load_torch

    ours = load_torch(tmp_path / "out/model.safetensors")["bert.embeddings.word_embeddings.weight"]
    wanted = torch.from_numpy(theirs).to(getattr(torch, stored))
    assert torch.equal(ours, wanted)


def test_shards_hold_together_what_one_file_holds(tmp_path):
    source = LEGACY / "bert_full/bert_model.ckpt"
    bring_over("bert_full", source, tmp_path / "one")
    bring_over("bert_full", source, tmp_path / "many", max_shard_size="20KB")
    index = json.loads((tmp_path / "many/model.safetensors.index.json").read_text())
    files = sorted((tmp_path / "many").glob("model-*.safetensors"))
    assert len(files) > 2
    assert sorted(set(index["weight_map"].values())) == [file.name for file in files]
    whole, parts = load_file(tmp_path / "one/model.safetensors"), {}
    for file in files:
        part = load_file(file)
        assert sum(array.nbytes for array in part.values()) <= 20_000 or len(part) == 1
        assert all(index["weight_map"][name] == file.name for name in part)
        parts |= part
    assert {name: a.tobytes() for name, a in whole.items()} == {
        name: a.tobytes() for name, a in parts.items()
    }
    assert index["metadata"]["total_size"] == sum(a.nbytes for a in whole.values())
    assert all(p.ok for p in compare(tmp_path / "many", LEGACY / "bert_full/reference.npz"))


def test_an_interrupt_leaves_nothing(tmp_path, monkeypatch):
    from convert.writers import safetensors

    real, turns = safetensors._pieces, iter(range(10))

    def pieces(*arguments):
        if next(turns) == 5:
            raise KeyboardInterrupt
        yield from real(*arguments)

    monkeypatch.setattr(safetensors, "_pieces", pieces)
    with pytest.raises(KeyboardInterrupt):
        bring_over("bert_full", LEGACY / "bert_full/bert_model.ckpt", tmp_path / "out")
    assert not list(tmp_path.iterdir())


def test_a_full_folder_is_kept(tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out/mine.txt").write_text("mine")
    with pytest.raises(ConflictError, match="not empty"):
        bring_over("bert_full", LEGACY / "bert_full/bert_model.ckpt", tmp_path / "out")
    assert [file.name for file in (tmp_path / "out").iterdir()] == ["mine.txt"]


@pytest.mark.parametrize(
    ("told", "message"),
    [
        ({"aplication": "lm"}, "Did you mean 'application'"),
        ({"application": "llm"}, "encoder or lm or unilm"),
        ({"gelu": "exact"}, "erf or tanh"),
        ({"hidden_act": "snake"}, "no activation 'snake'"),
        ({"keep_tokens": [0, 5000]}, r"outside 0\.\.59"),
        ({"attention_head_size": "7"}, "attention_head_size is '7'"),
    ],
)
def test_options_that_cannot_be(tmp_path, told, message):
    with pytest.raises(UsageError, match=message):
        convert_tensors(tmp_path, whole(), options=told)


def test_no_configuration_no_guess(tmp_path):
    (tmp_path / "in").mkdir()
    prefix = write_bundle(tmp_path / "in", whole())
    with pytest.raises(NotFoundError, match="--config FILE"):
        convert.convert_checkpoint(prefix, tmp_path / "out")


def test_a_vocabulary_of_another_model_is_refused(tmp_path):
    for file in (LEGACY / "bert_segment5").glob("b*"):
        shutil.copy(file, tmp_path)
    (tmp_path / "vocab.txt").write_text("[PAD]\n[UNK]\n")
    with pytest.raises(IntegrityError, match="has 2 tokens, the checkpoint 60"):
        convert.convert_checkpoint(tmp_path / "bert_model.ckpt", tmp_path / "out")


def test_tensors_of_no_family_say_what_is_known(tmp_path):
    (tmp_path / "in").mkdir()
    prefix = write_bundle(tmp_path / "in", {"w": np.zeros(3, np.float32)})
    with pytest.raises(UsageError, match=r"no family.*bert.*first are w"):
        convert.convert_checkpoint(prefix, tmp_path / "out", config={})


def test_check_reads_no_weights(tmp_path):
    for file in (LEGACY / "bert_optim").glob("b*"):
        shutil.copy(file, tmp_path)
    data = tmp_path / "bert_model.ckpt.data-00000-of-00001"
    data.write_bytes(bytes(data.stat().st_size))
    found = convert.inspect(tmp_path)
    assert (found.families, found.missing) == (["bert"], [])
    assert set(found.parts) == {"body", "mlm", "nsp", "pooler", "segments"}
    assert found.dropped == sum(
        name.endswith(("adam_m", "adam_v", "global_step"))
        for name in record("bert_optim")["checkpoint_variables"]
    )
    (tmp_path / "bert_config.json").unlink()
    assert "--config FILE" in convert.inspect(tmp_path).missing[0]


def run_fresh(code, *arguments):
    return subprocess.run(
        [sys.executable, "-c", code, *map(str, arguments)], capture_output=True, text=True
    )


def test_conversion_loads_neither_torch_nor_transformers(tmp_path):
    code = (
        "import sys, convert; convert.convert_checkpoint(sys.argv[1], sys.argv[2]); "
        "heavy = {'torch', 'transformers', 'tensorflow', 'keras', 'datasets'} & set(sys.modules); "
        "assert not heavy, heavy"
    )
    done = run_fresh(code, LEGACY / "bert_segment5/bert_model.ckpt", tmp_path / "out")
    assert done.returncode == 0, done.stderr


#: Fixtures that become transformers' own, one of each family at least, with what was told.
THEIRS = {
    name: {}
    for name in ("bert_full", "roberta", "albert", "albert_unshared", "electra", "gpt2",
                 "roformer_small")
} | {name: {"semantics": "google"} for name in ("t5", "t5_v1_1", "mt5")}  # fmt: skip

#: Run where neither genae's packages nor its folder can be imported: each folder's class is the
#: one it names, has every tensor, and gives the recorded outputs.
ALONE = """
import json, sys
sys.modules.update(zoo=None, convert=None)
import numpy as np, torch, transformers as t

ATTRIBUTES = {
    "out_mlm_logits": ("logits", "prediction_logits"), "out_tied_logits": ("logits",),
    "out_discriminator_output": ("logits",), "out_lm_logits": ("logits",),
}
for folder, record, last in json.loads(sys.argv[1]):
    config = json.load(open(folder + "/config.json"))
    load = getattr(t, config["architectures"][0]).from_pretrained
    model, info = load(folder, output_loading_info=True)
    # RoFormer's sinusoids are a parameter there, and computed where a file has none.
    missing = [name for name in info["missing_keys"] if "embed_positions" not in name]
    assert not missing and not info["mismatched_keys"] and not info["error_msgs"], info
    assert all("pooler" in name for name in info["unexpected_keys"]), info
    assert type(t.AutoConfig.from_pretrained(folder)) is type(model.config)
    held = np.load(record)
    whole = {k: torch.from_numpy(held[k]).long() for k in held.files if k.startswith("in_")}
    if "in_token_ids" in whole:
        told = {"input_ids": whole["in_token_ids"], "attention_mask": held["out_mask"]}
        if "in_segment_ids" in whole:
            told["token_type_ids"] = whole["in_segment_ids"]
    else:
        told = {"input_ids": whole["in_encoder_token_ids"], "attention_mask": held["out_enc_mask"],
                "decoder_input_ids": whole["in_decoder_token_ids"],
                "decoder_attention_mask": held["out_dec_mask"]}
    told = {key: torch.as_tensor(value).long() for key, value in told.items()}
    with torch.no_grad():
        made = model.eval()(**told)
    found = next(made[key] for key in ATTRIBUTES[last] if key in made).double().numpy()
    if last == "out_discriminator_output":
        found = 1 / (1 + np.exp(-found[..., None]))
    if config["model_type"] in ("t5", "mt5") and not config["tie_word_embeddings"]:
        found = found * config["d_model"] ** -0.5  # the record has it, Google's models do not
    far = np.abs(found - held[last]).max() / max(1, np.abs(held[last]).max())
    gelu = config.get("feed_forward_proj") == "gated-gelu"  # recorded with the other gelu
    assert (1e-4 < far < 1e-1) if gelu else far <= 1e-4, (folder, last, far)
    print(type(model).__name__)
assert not any(name == "zoo" or name.startswith(("zoo.", "convert.")) for name in
               (n for n, m in sys.modules.items() if m is not None))
folder = json.loads(sys.argv[1])[0][0]
print(len(t.AutoTokenizer.from_pretrained(folder)("a")["input_ids"]))
"""


@pytest.mark.slow  # a process that imports torch and transformers
def test_the_results_load_where_genae_is_not(tmp_path):
    told, wanted = [], []
    for name, options_of in THEIRS.items():
        (source, *_) = sources(name)
        report = convert.convert_checkpoint(
            source,
            tmp_path / name,
            family=record(name)["model"],
            config=LEGACY / name / "bert_config.json",
            options=options_of or options(record(name)),
        )
        last = next(
            f"out_{out}"
            for out in ("mlm_logits", "tied_logits", "discriminator_output", "lm_logits")
            if out in record(name)["outputs"]
        )
        told.append((str(tmp_path / name), str(LEGACY / name / "reference.npz"), last))
        wanted.append(report.architecture)
        assert not report.architecture.startswith("Genae")
    done = subprocess.run(
        [sys.executable, "-I", "-c", ALONE, json.dumps(told)], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.split() == [*wanted, "3"]


def test_the_report_is_written_beside_the_model(tmp_path):
    source = LEGACY / "bert_optim/bert_model.ckpt"
    report = bring_over("bert_optim", source, tmp_path / "out")
    told = json.loads((tmp_path / "out/conversion.json").read_text("utf-8"))
    assert len(told["tensors"]) + len(told["dropped"]) == len(
        record("bert_optim")["checkpoint_variables"]
    )
    assert str(tmp_path) not in (tmp_path / "out/conversion.json").read_text("utf-8")
    assert sorted(report.files) == sorted(f.name for f in (tmp_path / "out").iterdir())
    values = sum(a.size for a in load_file(tmp_path / "out/model.safetensors").values())
    assert told["parameters"] == steps.parameters(report.plan.steps) == values


@pytest.mark.parametrize(
    ("change", "dtype", "said"),
    [(np.nan, None, "training had diverged"), (1e30, "float16", "float16 cannot represent")],
)
def test_values_that_are_no_finite_numbers_are_reported(change, dtype, said, tmp_path):
    def spoilt(arrays):
        name = next(name for name in arrays if name.endswith("query/kernel"))
        arrays[name] = arrays[name].copy()
        arrays[name][0, 0] = change
        return arrays

    source = rewritten("bert_encoder", tmp_path / "in", spoilt)
    report = convert.convert_checkpoint(source, tmp_path / "out", dtype=dtype)
    [note] = [note for note in report.warnings if "no finite numbers" in note]
    assert said in note
    assert "attention.self.query.weight" in note
