"""The laws of genae_t5: what bert4keras recorded, transformers' T5 where no option is on."""

import copy
import json

import numpy as np
import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

import convert
from convert.families import t5
from convert.rows import expand
from tests.conversion.records import LEGACY
from zoo.models.configuration_t5 import GenaeT5Config
from zoo.models.modeling_t5 import (
    GenaeT5DecoderForCausalLM,
    GenaeT5EncoderModel,
    GenaeT5ForConditionalGeneration,
    GenaeT5Model,
)
from zoo.models.t5_blocks import buckets

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
SIZES = {
    "vocab_size": 30,
    "d_model": 12,
    "d_kv": 5,
    "d_ff": 20,
    "num_layers": 2,
    "num_heads": 3,
    "relative_attention_num_buckets": 8,
    "relative_attention_max_distance": 12,
}
PLAIN = {"cross_position_bias": False, "dropout_rate": 0.0}
TIED = {"dropout_rate": 0.0}
GATED = {
    "hidden_act": "gelu",
    "is_gated_act": True,
    "tie_word_embeddings": False,
    "dropout_rate": 0.0,
}
KINDS = pytest.mark.parametrize("options", [PLAIN, TIED, GATED], ids=["plain", "tied", "gated"])


def build(kind=GenaeT5ForConditionalGeneration, **options):
    """A model in eval mode whose every weight is random, as if trained."""
    model = kind(GenaeT5Config(**SIZES | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    model.tie_weights()
    return model


@pytest.fixture
def inputs():
    ids = torch.randint(1, 30, (4, 9))
    ids[2, 6:] = 0
    ids[3, 0] = 0
    decoder = torch.randint(1, 30, (4, 7))
    decoder[:, 0] = 0
    decoder[1, 5:] = 0
    decoder[2, 3] = 0
    return {"input_ids": ids, "decoder_input_ids": decoder}


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
    theirs = transformers.T5ForConditionalGeneration(
        transformers.T5Config(**SIZES, **act, decoder_start_token_id=0)
    ).eval()
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


# The laws every model keeps.


@KINDS
def test_eager_and_sdpa_agree(options, inputs):
    model = build(**options)
    found = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            found.append(model(**inputs).logits)
    torch.testing.assert_close(*found)
    with torch.no_grad():
        made = model(**inputs, output_attentions=True)
    for weights in (*made.encoder_attentions, *made.decoder_attentions, *made.cross_attentions):
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert made.cross_attentions[0].shape == (4, 3, 7, 9)
    assert not made.cross_attentions[0][2, :, :, 6:].any()
    assert not made.decoder_attentions[0].triu(1).any()


def test_cross_attention_alone_moves_with_its_bias(inputs):
    """The same weights with and without: only cross attention differs, by the decoder's table."""
    with_bias, without = build(**TIED), build(**PLAIN)
    without.load_state_dict(with_bias.state_dict())
    with torch.no_grad():
        first, second = (model(**inputs, output_attentions=True) for model in (with_bias, without))
    torch.testing.assert_close(first.encoder_last_hidden_state, second.encoder_last_hidden_state)
    torch.testing.assert_close(first.decoder_attentions[0], second.decoder_attentions[0])
    shift = first.cross_attentions[0][0].log() - second.cross_attentions[0][0].log()
    bias = with_bias.decoder.position_bias(7, 9)[0]
    moved = shift - bias  # but for the softmax's own constant of each query
    torch.testing.assert_close(
        moved, moved.mean(-1, keepdim=True).expand_as(moved), rtol=0, atol=1e-4
    )
    assert bias.std() > 0.1


def test_the_scale_of_the_head(inputs):
    scaled, plain = build(**TIED), build(**TIED, scale_output=False)
    plain.load_state_dict(scaled.state_dict())
    with torch.no_grad():
        first, second = (model(**inputs).logits for model in (scaled, plain))
    torch.testing.assert_close(first, second * 12**-0.5)


@KINDS
def test_padding_and_neighbours_change_nothing(options, inputs):
    model = build(**options)
    ids, decoder = inputs["input_ids"][:2, :6], inputs["decoder_input_ids"][:2, :4]
    longer = torch.nn.functional.pad(ids, (0, 3)), torch.nn.functional.pad(decoder, (0, 2))
    with torch.no_grad():
        short = model(ids, decoder_input_ids=decoder).logits
        long = model(longer[0], decoder_input_ids=longer[1]).logits[:, :4]
        alone = model(ids[:1], decoder_input_ids=decoder[:1]).logits
    torch.testing.assert_close(short, long)
    torch.testing.assert_close(short[:1], alone)


@KINDS
def test_the_cache_changes_nothing(options, inputs):
    """Token by token, padding inside included; the encoder's keys are computed once."""
    model = build(**options)
    ids, decoder = inputs["input_ids"], inputs["decoder_input_ids"]
    mask = (decoder != 0).long()
    mask[:, 0] = 1
    with torch.no_grad():
        whole = model(ids, decoder_input_ids=decoder).logits
        encoded = model.get_encoder()(ids)
        seen = (ids != 0).long()
        seen[:, 0] = 1
        past, found = None, []
        for start, stop in ((0, 1), (1, 4), (4, 5), (5, 7)):
            made = model(
                attention_mask=seen,
                encoder_outputs=encoded,
                decoder_input_ids=decoder[:, start:stop],
                decoder_attention_mask=mask[:, :stop],
                past_key_values=past,
                use_cache=True,
            )
            past = made.past_key_values
            found.append(made.logits)
    torch.testing.assert_close(torch.cat(found, 1), whole)
    assert past.cross_attention_cache.get_seq_length() == 9


@KINDS
@pytest.mark.parametrize("beams", [1, 3])
def test_the_cache_changes_no_generation(options, beams, inputs):
    # A token of id 0 may be generated: it must be padding afterwards with and without a cache.
    model = build(**options)
    mask = (inputs["input_ids"] != 0).long()
    found = [
        model.generate(
            inputs["input_ids"],
            attention_mask=mask,
            use_cache=use_cache,
            max_new_tokens=8,
            num_beams=beams,
            do_sample=False,
            eos_token_id=None,
        )
        for use_cache in (True, False)
    ]
    assert found[0].shape == (4, 9)
    assert torch.equal(*found)
    if beams > 1:
        return
    grown = torch.zeros((4, 1), dtype=torch.long)
    for _ in range(8):
        with torch.no_grad():
            logits = model(inputs["input_ids"], mask, decoder_input_ids=grown).logits[:, -1]
        grown = torch.cat([grown, logits.argmax(-1, keepdim=True)], 1)
    assert torch.equal(found[0], grown)


@KINDS
def test_a_gradient_reaches_every_parameter(options, inputs):
    model = GenaeT5ForConditionalGeneration(GenaeT5Config(**SIZES | options)).train()
    labels = inputs["decoder_input_ids"].masked_fill(inputs["decoder_input_ids"] == 0, -100)
    made = model(inputs["input_ids"], labels=labels)
    made.loss.backward()
    assert [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()] == []
    shifted = model.prepare_decoder_input_ids_from_labels(labels)
    assert torch.equal(shifted[:, 1:], labels[:, :-1].clamp(min=0))
    assert not shifted[:, 0].any()
    again = model(inputs["input_ids"], decoder_input_ids=shifted, labels=labels)
    torch.testing.assert_close(made.loss, again.loss)


@KINDS
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_changes_no_gradient(options, reentrant, inputs):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = GenaeT5ForConditionalGeneration(GenaeT5Config(**SIZES | options)).train()
        if checkpointing:
            new = getattr(model, "activation_checkpointing_enable", None)  # its name in v6
            (new or model.gradient_checkpointing_enable)({"use_reentrant": reentrant})
        model(inputs["input_ids"], labels=inputs["decoder_input_ids"]).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


ALL = (
    GenaeT5ForConditionalGeneration,
    GenaeT5Model,
    GenaeT5EncoderModel,
    GenaeT5DecoderForCausalLM,
)


@KINDS
@pytest.mark.parametrize("kind", ALL)
def test_saved_and_loaded_is_the_same(kind, options, tmp_path):
    model = build(kind, **options)
    model.save_pretrained(tmp_path)
    again, notes = kind.from_pretrained(tmp_path, output_loading_info=True)
    assert not any(notes.values())
    first, second = model.state_dict(), again.state_dict()
    assert first.keys() == second.keys()
    assert [name for name in first if not torch.equal(first[name], second[name])] == []
    if hasattr(again, "lm_head"):
        shared = again.lm_head.weight.data_ptr() == again.shared.weight.data_ptr()
        assert shared == options.get("tie_word_embeddings", True)


def test_parts_can_be_loaded_from_the_whole(inputs, tmp_path):
    model = build(**GATED)
    model.save_pretrained(tmp_path)
    parts = {}
    for kind in ALL[1:]:
        parts[kind], notes = kind.from_pretrained(tmp_path, output_loading_info=True)
        assert not any(notes.values())
    with torch.no_grad():
        whole = model(**inputs)
        encoded = parts[GenaeT5EncoderModel](inputs["input_ids"]).last_hidden_state
        torch.testing.assert_close(encoded, whole.encoder_last_hidden_state)
        bare = parts[GenaeT5Model](**inputs).last_hidden_state
        torch.testing.assert_close(model.logits(bare), whole.logits)
        split = model(
            encoder_outputs=(encoded,), decoder_input_ids=inputs["decoder_input_ids"]
        ).logits
        decoder = parts[GenaeT5DecoderForCausalLM]
        half = decoder(inputs["decoder_input_ids"], encoder_hidden_states=encoded).logits
        torch.testing.assert_close(half, split)
        assert not torch.allclose(split, whole.logits)  # padding is seen there
    with pytest.raises(ValueError, match="encoder_hidden_states"):
        decoder(inputs["decoder_input_ids"])


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_other_precisions(dtype, implementation, inputs):
    model = build(**GATED)
    other = copy.deepcopy(model).to(dtype)
    other.set_attn_implementation(implementation)
    with torch.no_grad():
        wanted, found = model(**inputs).logits, other(**inputs).logits
    assert found.dtype == dtype
    allowed = 1e-4 if dtype == torch.float64 else 0.1 * wanted.std().item() + 0.1
    assert (found - wanted).abs().mean() < allowed


@KINDS
def test_embeddings_can_be_resized(options, inputs):
    model = build(**options)
    before = model.lm_head.weight.detach().clone()
    model.resize_token_embeddings(40)
    with torch.no_grad():
        assert model(**inputs).logits.shape == (4, 7, 40)
    tied = options.get("tie_word_embeddings", True)
    assert (model.lm_head.weight is model.shared.weight) == tied
    assert torch.equal(model.lm_head.weight[:30], before)


def test_embeddings_can_be_given(inputs):
    model = build(**TIED)
    source, target = (model.shared(inputs[name]) for name in ("input_ids", "decoder_input_ids"))
    ones = {
        "attention_mask": torch.ones(4, 9),
        "decoder_attention_mask": torch.ones(4, 7),
    }
    with torch.no_grad():
        first = model(**inputs, **ones)
        second = model(inputs_embeds=source, decoder_inputs_embeds=target)
        as_tuple = model(**inputs, **ones, return_dict=False)
    torch.testing.assert_close(first.logits, second.logits)
    assert torch.equal(as_tuple[0], first.logits)
    with pytest.raises(ValueError, match="one of them"):
        model(inputs["input_ids"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"vocab_size": 0}, "vocab_size"),
        ({"relative_attention_num_buckets": 6}, "multiple of 4"),
        ({"relative_attention_max_distance": 4}, "must be above 4"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(StrictDataclassError, match=message):
        GenaeT5Config(**SIZES | options)


def test_depths_may_differ(inputs):
    model = build(**TIED, num_decoder_layers=3)
    with torch.no_grad():
        made = model(**inputs, output_hidden_states=True)
    assert (len(made.encoder_hidden_states), len(made.decoder_hidden_states)) == (3, 4)
    assert model.generate(inputs["input_ids"], max_new_tokens=3).shape[0] == 4


@pytest.mark.parametrize("gated", [False, True])
def test_fresh_weights_spread_as_in_transformers(gated):
    sizes = SIZES | {"d_model": 64, "d_kv": 16, "d_ff": 96, "num_heads": 4, "vocab_size": 200}
    ours = GenaeT5ForConditionalGeneration(
        GenaeT5Config(**sizes, is_gated_act=gated, tie_word_embeddings=not gated)
    )
    theirs = transformers.T5ForConditionalGeneration(
        transformers.T5Config(
            **sizes,
            feed_forward_proj="gated-gelu" if gated else "relu",
            tie_word_embeddings=not gated,
        )
    )
    wanted = dict(theirs.named_parameters())
    wanted.setdefault("lm_head.weight", wanted["shared.weight"])  # which transformers ties
    for name, parameter in ours.named_parameters():
        assert parameter.std().item() == pytest.approx(wanted[name].std().item(), rel=0.25), name
