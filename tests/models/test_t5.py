"""The laws of genae_t5 that every model keeps."""

import copy

import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

import zoo
import zoo.models
from tests.models.t5_zoo import GATED, KINDS, PLAIN, SIZES, TIED, build, make_inputs
from tests.tiny import TINY
from zoo import catalog
from zoo.models.text.configuration_t5 import GenaeT5Config
from zoo.models.text.modeling_t5 import (
    GenaeT5DecoderForCausalLM,
    GenaeT5EncoderModel,
    GenaeT5ForConditionalGeneration,
    GenaeT5Model,
)


@pytest.fixture
def inputs():
    return make_inputs()


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
        ({"num_decoder_layers": 0}, "num_decoder_layers must be at least 1"),
        ({"hidden_act": "relu_"}, "hidden_act must be one of"),
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


def test_the_encoder_is_in_the_mode_of_its_model():
    model = build(**TIED)
    assert [model.train(mode).get_encoder().training for mode in (True, False)] == [True, False]


ROWS = {"t5": "T5", "mt5": "MT5", "genae_t5": "GenaeT5"}


@pytest.mark.parametrize("name", ROWS)
def test_heads_stand_on_the_encoder_of_a_whole_model(name, tmp_path):
    entry = catalog.find(name)
    whole = catalog.load(entry.model)(
        catalog.load(entry.config)(**next(iter(TINY[name].values())))
    ).eval()
    whole.save_pretrained(tmp_path / "whole")
    kind = getattr(zoo.models, f"{ROWS[name]}ForEntityPointers")
    heads = {"it": {"kind": "global_pointer", "size": 4}}
    model, report = kind.from_pretrained(tmp_path / "whole", heads=heads, output_loading_info=True)
    assert not report["unexpected_keys"]
    assert {key.partition(".")[0] for key in report["missing_keys"]} == {"heads"}
    assert model.config.is_encoder_decoder is False
    ids = torch.tensor([[3, 5, 7, 1]])
    with torch.no_grad():
        wanted = whole.get_encoder()(ids).last_hidden_state
        assert torch.equal(model.base_model(ids).last_hidden_state, wanted)
        model.resize_token_embeddings(40, mean_resizing=False)
        assert model(torch.tensor([[39, 1]])).logits.shape == (1, 2, 2, 2)
    model.save_pretrained(tmp_path / "tuned")
    again = zoo.from_pretrained(tmp_path / "tuned")
    assert type(again) is kind
    assert torch.equal(again(ids).logits, model(ids).logits)


@pytest.mark.parametrize(
    ("word", "labels"), [("Sequence", [1, 0, 2]), ("Token", [[0, 1, -100], [2, 2, 0], [1, 1, 1]])]
)
def test_classifiers_of_one_label(word, labels, tmp_path):
    kind = getattr(zoo.models, f"GenaeT5For{word}Classification")
    model = kind(GenaeT5Config(**SIZES, num_labels=3)).eval()
    model.save_pretrained(tmp_path)
    again = getattr(transformers, f"AutoModelFor{word}Classification").from_pretrained(tmp_path)
    assert type(again) is kind
    ids = torch.tensor([[3, 5, 7], [2, 9, 4], [8, 6, 1]])
    output = model(ids, labels=torch.tensor(labels))
    assert torch.equal(again(ids).logits, output.logits)
    hidden = model.base_model(ids).last_hidden_state
    (head,) = model.heads.values()
    logits = head.classifier(hidden.mean(1) if word == "Sequence" else hidden)
    torch.testing.assert_close(output.logits, logits)
    wanted = torch.nn.functional.cross_entropy(
        logits.flatten(0, -2), torch.tensor(labels).flatten()
    )
    torch.testing.assert_close(output.loss, wanted)
