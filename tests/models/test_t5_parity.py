"""genae_t5 beside its originals: what bert4keras recorded, transformers' T5 without options."""

import json

import numpy as np
import pytest
import torch
import transformers

import convert
from convert.families import t5
from convert.weights.rows import expand
from tests.conversion.records import LEGACY
from tests.models.t5_zoo import PLAIN, SIZES, build, make_inputs
from zoo.models.text.configuration_t5 import GenaeT5Config
from zoo.models.text.modeling_t5 import (
    GenaeT5ForConditionalGeneration,
)
from zoo.models.text.t5_bias import buckets

FIXTURES = [
    name
    for name in (
        "t5",
        "t5_cross_bias",
        "t5_long",
        "t5_v1_1",
        "t5_v1_1_gelu_tanh",
        "mt5",
        "mt5_keep_tokens",
    )
    if (LEGACY / name).is_dir()
]


@pytest.fixture
def inputs():
    return make_inputs()


# What bert4keras recorded.


def weights_of(name, fixture, file="bert_model.ckpt"):
    """The version and a fixture's weights under our names."""
    words = {word: version for version in t5.VERSIONS for word in version.names}
    version = words[fixture["model"]]
    parts = {"body": True, "encoder": True, "decoder": True, "lm": True}
    layers = fixture["effective"]["num_hidden_layers"]
    found = {}
    with convert.open_checkpoint(LEGACY / (fixture["loads_checkpoint_of"] or name) / file) as held:
        for row in expand(t5.rows_of(version), parts, layers):
            found[row.target] = row.op.apply(held[row.source].numpy())
    if keep := fixture["build_kwargs"].get("keep_tokens"):
        for target in {"shared.weight", "lm_head.weight"} & set(found):
            found[target] = found[target][keep]
    return version, {name: torch.tensor(np.array(value)) for name, value in found.items()}


def fields_of(name, fixture):
    given = json.loads((LEGACY / name / "bert_config.json").read_text("utf-8"))
    return {
        "vocab_size": fixture["effective"]["vocab_size"],
        "d_model": given["hidden_size"],
        "d_kv": given["attention_head_size"],
        "d_ff": given["intermediate_size"],
        "num_layers": given["num_hidden_layers"],
        "num_heads": given["num_attention_heads"],
    }


def reference_of(name):
    with np.load(LEGACY / name / "reference.npz") as archive:
        return {key: torch.from_numpy(archive[key]) for key in archive.files}


def every_output(model, reference, scale):
    """All that a record can hold, computed by ours or by transformers' model."""
    last, hooks = {}, []
    for stack in ("encoder", "decoder"):

        def keep(module, args, output, stack=stack):
            last[stack] = output[0]

        hooks.append(getattr(model, stack).block[-1].register_forward_hook(keep))
    source, target = (
        reference[f"in_{stack}_token_ids"].long() for stack in ("encoder", "decoder")
    )
    masks = {
        "attention_mask": reference["out_enc_mask"].long(),
        "decoder_attention_mask": reference["out_dec_mask"].long(),
    }
    with torch.no_grad():
        made = model(source, decoder_input_ids=target, output_hidden_states=True, **masks)
        if isinstance(model, GenaeT5ForConditionalGeneration):  # the masks are the default ones
            plain = model(source, decoder_input_ids=target)
            assert torch.equal(plain.logits, made.logits)
        halves = (made.encoder_hidden_states, made.decoder_hidden_states)
        names = (("enc", "encoder"), ("dec", "decoder"))
        found = {}
        for (short, stack), states in zip(names, halves, strict=True):
            blocks = [*states[1:-1], last[stack]]
            found |= {f"{short}_layer_{i}": state for i, state in enumerate(blocks)}
            found[f"{short}_emb"] = states[0]
        for hook in hooks:
            hook.remove()
        split = model(
            encoder_outputs=(made.encoder_last_hidden_state,),
            decoder_input_ids=target,
            decoder_attention_mask=masks["decoder_attention_mask"],
        )
    norm = made.decoder_hidden_states[-1]
    return found | {
        "encoder_output": made.encoder_last_hidden_state,
        "decoder_norm": norm,
        "decoder_scaled": norm * scale,
        "lm_logits": made.logits,
        "split_lm_output": split.logits.softmax(-1),  # what bert4keras's decoder returns
    }


def off(found, reference):
    """Recorded outputs that are not reproduced -> by how much, against 1e-4 of the largest."""
    wrong = {}
    records = {
        name.removeprefix("out_"): array
        for name, array in reference.items()
        if name.startswith("out_") and not name.endswith("_mask")
    }
    assert set(records) == set(found)
    for name, array in records.items():
        ours = found[name]
        difference = (ours - array).abs().max().item() / max(1.0, array.abs().max().item())
        if difference > 1e-4:
            wrong[name] = difference
    return wrong


def legacy_model(name):
    fixture = json.loads((LEGACY / name / "fixture.json").read_text("utf-8"))
    version, weights = weights_of(name, fixture)
    gelu = {"erf": "gelu", "tanh": "gelu_pytorch_tanh"}[fixture["gelu"]]
    config = GenaeT5Config(
        **fields_of(name, fixture),
        cross_position_bias=fixture["build_kwargs"].get("cross_position_bias", True),
        hidden_act=gelu if version.gated else "relu",
        is_gated_act=version.gated,
        tie_word_embeddings=not version.gated,
    )
    model = GenaeT5ForConditionalGeneration(config).eval()
    missing, unexpected = model.load_state_dict(weights, strict=False)
    model.tie_weights()
    assert unexpected == []
    assert missing == ([] if version.gated else ["lm_head.weight"])
    return model


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("name", FIXTURES)
def test_every_recorded_output_is_reproduced(name, implementation):
    model, reference = legacy_model(name), reference_of(name)
    model.set_attn_implementation(implementation)
    scale = model.config.d_model**-0.5
    recorded = {key: value for key, value in reference.items() if not key.startswith("bucket")}
    assert off(every_output(model, recorded, scale), recorded) == {}


@pytest.mark.parametrize("use_cache", [True, False])
@pytest.mark.parametrize("name", [n for n in FIXTURES if (LEGACY / n / "decode.json").exists()])
def test_greedy_generation_is_as_recorded(name, use_cache):
    model = legacy_model(name)
    jobs = json.loads((LEGACY / name / "decode.json").read_text("utf-8"))
    greedy = [
        job
        for job in jobs
        if (job["method"], job.get("topk"), job["end_id"]) == ("beam_search", 1, -1)
        and job["output"] is not None
    ]
    assert greedy
    for job in greedy:
        ids = torch.tensor([job["token_ids"]])
        found = model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            max_new_tokens=job["maxlen"],
            do_sample=False,
            num_beams=1,
            eos_token_id=None,
            use_cache=use_cache,
        )
        wanted = job["output"]
        assert found[0].tolist() == wanted


@pytest.mark.parametrize("name", [n for n in ("t5", "t5_long") if n in FIXTURES])
def test_every_recorded_bucket(name):
    reference = reference_of(name)
    for key, one_sided in (("bucket_bidirectional", False), ("bucket_unidirectional", True)):
        found = buckets(reference["bucket_offsets"].long(), 32, 128, one_sided)
        assert torch.equal(found, reference[key].long())


@pytest.mark.parametrize("count", [8, 32, 64])
@pytest.mark.parametrize("furthest", [40, 128, 500])
@pytest.mark.parametrize("one_sided", [True, False])
def test_buckets_are_those_of_transformers(count, furthest, one_sided):
    from transformers.models.t5.modeling_t5 import T5Attention

    offsets = torch.arange(-1000, 1001)
    theirs = T5Attention._relative_position_bucket(offsets, not one_sided, count, furthest)
    assert torch.equal(buckets(offsets, count, furthest, one_sided), theirs)


# transformers' own T5.


@pytest.mark.parametrize("gated", [False, True])
def test_without_options_it_is_the_t5_of_transformers(gated, inputs):
    act = {"feed_forward_proj": "gated-gelu" if gated else "relu"}
    theirs = transformers.T5ForConditionalGeneration(transformers.T5Config(**SIZES, **act)).eval()
    for name, parameter in theirs.named_parameters():
        if "layer_norm" in name:
            torch.nn.init.normal_(parameter)
    options = PLAIN | {
        "hidden_act": "gelu_pytorch_tanh" if gated else "relu",
        "is_gated_act": gated,
    }
    ours = build(**options)
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert missing == []
    assert set(unexpected) == {f"{stack}.embed_tokens.weight" for stack in ("encoder", "decoder")}
    masks = {
        "attention_mask": (inputs["input_ids"] != 0).long(),
        "decoder_attention_mask": torch.ones_like(inputs["decoder_input_ids"]),
    }
    with torch.no_grad():
        first, second = (
            model(**inputs, **masks, output_hidden_states=True) for model in (theirs, ours)
        )
    torch.testing.assert_close(second.logits, first.logits)
    for key in ("encoder_hidden_states", "decoder_hidden_states"):
        for a, b in zip(first[key], second[key], strict=True):
            torch.testing.assert_close(b, a)


#: Records that transformers' own T5 gives as well: all, but for the scale of an untied head.
GOOGLE = {
    "t5": ("T5", "relu", True),
    "t5_long": ("T5", "relu", True),
    "t5_v1_1_gelu_tanh": ("T5", "gated-gelu", False),
    "mt5": ("MT5", "gated-gelu", False),
}


@pytest.mark.parametrize("name", [name for name in GOOGLE if name in FIXTURES])
def test_the_t5_of_transformers_keeps_an_untied_head_apart_and_unscaled(name, tmp_path):
    from safetensors.torch import save_file

    prefix, projection, tied = GOOGLE[name]
    fixture = json.loads((LEGACY / name / "fixture.json").read_text("utf-8"))
    _, weights = weights_of(name, fixture)
    fields = fields_of(name, fixture) | {
        "model_type": prefix.lower(),
        "feed_forward_proj": projection,
        "tie_word_embeddings": tied,
        "decoder_start_token_id": 0,
    }
    (tmp_path / "config.json").write_text(json.dumps(fields), "utf-8")
    contiguous = {name: value.contiguous() for name, value in weights.items()}
    save_file(contiguous, tmp_path / "model.safetensors", {"format": "pt"})
    loader = getattr(transformers, f"{prefix}ForConditionalGeneration")
    model = loader.from_pretrained(tmp_path).eval()
    reference = {k: v for k, v in reference_of(name).items() if not k.startswith("bucket")}
    scale = model.config.d_model**-0.5
    head = torch.equal(model.lm_head.weight, model.shared.weight)
    assert head == tied
    made = every_output(model, reference, scale)
    if not tied:
        logits = made["lm_logits"] * scale  # what bert4keras does and Google did not
        torch.testing.assert_close(
            logits, reference["out_lm_logits"], rtol=0, atol=5e-3 if name == "mt5" else 1e-4
        )
    if name != "mt5":  # recorded with the other gelu
        heads = set() if tied else {"lm_logits", "split_lm_output"}
        assert set(off(made, reference)) == heads
    model.save_pretrained(tmp_path / "again")
    again = loader.from_pretrained(tmp_path / "again").eval()
    with torch.no_grad():
        ids = reference["in_encoder_token_ids"].long()
        before, after = (m(ids, decoder_input_ids=ids).logits for m in (model, again))
    assert torch.equal(before, after)
    optimizer = torch.optim.SGD(again.train().parameters(), 0.1)
    again(ids, labels=ids).loss.backward()
    optimizer.step()
    assert torch.equal(again.lm_head.weight, again.shared.weight) == tied
