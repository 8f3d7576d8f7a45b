"""Synthesizers that generate: what is kept from step to step changes nothing."""

import pytest
import torch
import transformers

from tests.contract.text_subjects import some_ids
from tests.models.synthesizer_zoo import EVERY, SIZES, attentions, build
from zoo import SynthesizerConfig, SynthesizerForCausalLM, SynthesizerForConditionalGeneration

EITHER = pytest.mark.parametrize("implementation", ["eager", "sdpa"])
KINDS = pytest.mark.parametrize(
    ("attention", "options"),
    [
        ("random", {"norm": "pre"}),
        ("dense+dot_product", {"num_decoder_layers": 3}),
        (["mean", "factorized_random"], {"decoder_attention": "random+dot_product"}),
    ],
)


@pytest.fixture
def ids():
    return some_ids()


def ones(rows, length):
    return torch.ones((rows, length), dtype=torch.long)


@EVERY
@EITHER
def test_step_by_step_is_all_at_once(attention, implementation):
    """In pieces, with padding on the left, and positions that leave some out."""
    model = build(SynthesizerForCausalLM, attention)
    model.set_attn_implementation(implementation)
    ids = torch.randint(1, 30, (2, 9))
    padded = ones(2, 9)
    padded[1, :3] = 0
    spaced = torch.arange(9)[None] + torch.tensor([[0], [4]]) * (torch.arange(9) > 4)
    for mask, places in ((None, None), (padded, None), (None, spaced)):
        with torch.no_grad():
            whole = model(ids, attention_mask=mask, position_ids=places, use_cache=False).logits
            past, found = None, []
            for start, stop in ((0, 4), (4, 5), (5, 6), (6, 9)):
                made = model(
                    ids[:, start:stop],
                    attention_mask=None if mask is None else mask[:, :stop],
                    position_ids=None if places is None else places[:, start:stop],
                    past_key_values=past,
                    use_cache=True,
                )
                past = made.past_key_values
                found.append(made.logits)
        seen = slice(None) if mask is None else mask.bool()
        torch.testing.assert_close(torch.cat(found, 1)[seen], whole[seen])


@EVERY
def test_a_cache_has_values_alone_where_no_dot_product_is_mixed_in(attention):
    model = build(SynthesizerForCausalLM, attention)
    with torch.no_grad():
        past = model(torch.randint(1, 30, (2, 9)), use_cache=True).past_key_values
    for layer in past.layers[:2]:
        assert layer.values.shape == (2, 3, 9, 4)
        keys = (2, 3, 9, 4) if "dot_product" in attention else (2, 1, 9, 1)
        assert layer.keys.shape == keys
    assert past.get_seq_length() == 9


@pytest.mark.parametrize("attention", ["random", "factorized_dense", "random+dot_product"])
def test_generated_is_what_the_whole_text_predicts(attention):
    """Of a batch padded on the left, by argmax over the full pass; beams and samples as well."""
    model = build(SynthesizerForCausalLM, attention)
    ids = torch.randint(1, 30, (2, 6))
    mask = ones(2, 6)
    mask[0, :2] = 0
    told = {"attention_mask": mask, "max_new_tokens": 7, "eos_token_id": None, "pad_token_id": 0}
    found = model.generate(ids, do_sample=False, **told)
    text, seen = ids, mask
    for _ in range(7):
        with torch.no_grad():
            logits = model(text, attention_mask=seen, use_cache=False).logits[:, -1]
        text = torch.cat([text, logits.argmax(-1, keepdim=True)], 1)
        seen = torch.cat([seen, ones(2, 1)], 1)
    assert torch.equal(found, text)
    for way in ({"num_beams": 3}, {"do_sample": True, "num_return_sequences": 2}):
        made = []
        for use_cache in (True, False):
            torch.manual_seed(0)
            made.append(model.generate(ids, use_cache=use_cache, **told, **way))
        assert torch.equal(*made)
    with pytest.raises(ValueError, match="longer than max_position_embeddings, 16"):
        model.generate(ids, **told | {"max_new_tokens": 20})


def test_a_causal_model_says_so_and_its_configuration_keeps_what_it_was(tmp_path):
    config = SynthesizerConfig(**SIZES)
    model = SynthesizerForCausalLM(config)
    assert (config.attention_mask_kind, model.config.attention_mask_kind) == ("full", "causal")
    model.save_pretrained(tmp_path)
    assert transformers.AutoModel.from_pretrained(tmp_path).config.attention_mask_kind == "causal"


# Encoder and decoder.


def seq2seq(attention, options):
    return build(SynthesizerForConditionalGeneration, attention, **options)


@KINDS
def test_halves_attend_as_they_are_told(attention, options, ids):
    model = seq2seq(attention, options)
    decoder = torch.randint(1, 30, (3, 5))
    with torch.no_grad():
        made = model(ids, decoder_input_ids=decoder, output_attentions=True)
        model.set_attn_implementation("eager")
        eager = model(ids, decoder_input_ids=decoder)
    torch.testing.assert_close(made.logits, eager.logits)
    assert len(attentions(model.decoder)) == len(made.decoder_attentions)
    assert len(made.decoder_attentions) == options.get("num_decoder_layers", 2)
    wanted = model.config.decoder_forms()
    assert [layer.names for layer in attentions(model.decoder)] == wanted
    for weights in (*made.encoder_attentions, *made.decoder_attentions, *made.cross_attentions):
        torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
    assert made.cross_attentions[0].shape == (3, 3, 5, 8)
    assert not made.cross_attentions[0][1, :, :, 6:].any()
    assert not made.decoder_attentions[0].triu(1).any()


@KINDS
def test_padding_of_a_source_and_of_its_company_changes_nothing(attention, options, ids):
    model = seq2seq(attention, options)
    text, decoder = torch.randint(1, 30, (1, 5)), torch.randint(1, 30, (1, 4))
    with torch.no_grad():
        alone = model(text, decoder_input_ids=decoder).logits
        for left in (0, 1, 3):
            source = torch.nn.functional.pad(text, (left, 3 - left))
            mask = (source != 0).long()
            made = model(
                torch.cat([source, ids[:1]]),
                attention_mask=torch.cat([mask, ones(1, 8)]),
                decoder_input_ids=torch.cat([decoder, decoder.flip(1)]),
            ).logits[:1]
            torch.testing.assert_close(made, alone)
    with pytest.raises(ValueError, match="begins with the padding token"):
        model(source, decoder_input_ids=decoder)


@KINDS
def test_no_gradient_of_a_decoder_comes_from_later_tokens(attention, options, ids):
    model = seq2seq(attention, options)
    embeds = torch.randn(3, 6, 12, requires_grad=True)
    logits = model(ids, decoder_inputs_embeds=embeds).logits
    (gradient,) = torch.autograd.grad(logits[:, 2].sum(), embeds)
    assert not gradient[:, 3:].any()
    assert gradient[:, :3].any(-1).all()


@KINDS
@pytest.mark.parametrize("beams", [1, 3])
def test_the_cache_of_a_decoder_changes_nothing(attention, options, beams, ids):
    model = seq2seq(attention, options)
    told = {"attention_mask": (ids != 0).long(), "max_new_tokens": 7, "eos_token_id": None}
    found = [model.generate(ids, use_cache=c, num_beams=beams, **told) for c in (True, False)]
    assert torch.equal(*found)
    assert found[0].shape == (3, 8)
    if beams == 1:
        for step in range(1, 8):
            with torch.no_grad():
                made = model(ids, decoder_input_ids=found[0][:, :step]).logits[:, -1]
            assert torch.equal(made.argmax(-1), found[0][:, step])


@KINDS
def test_labels_are_read_shifted_and_every_parameter_learns(attention, options, ids, tmp_path):
    model = seq2seq(attention, options | {"bos_token_id": 1}).train()
    labels = torch.randint(2, 30, (3, 6))
    labels[0, 4:] = -100
    made = model(ids, labels=labels)
    made.loss.backward()
    still = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    assert all("key.bias" in name for name in still), still
    shifted = model.prepare_decoder_input_ids_from_labels(labels)
    assert torch.equal(shifted[:, 1:], labels[:, :-1].clamp(min=0))
    assert (shifted[:, 0] == 1).all()
    logits = model(ids, decoder_input_ids=shifted).logits
    wanted = torch.nn.functional.cross_entropy(logits[labels >= 0], labels[labels >= 0])
    torch.testing.assert_close(made.loss, wanted)
    model.save_pretrained(tmp_path)
    again, notes = transformers.AutoModelForSeq2SeqLM.from_pretrained(
        tmp_path, output_loading_info=True
    )
    assert not any(notes.values())
    torch.testing.assert_close(again(ids, decoder_input_ids=shifted).logits, logits)
    again.resize_token_embeddings(40)
    assert again.lm_head.weight is again.get_input_embeddings().weight
    with torch.no_grad():
        longer = again(ids, decoder_input_ids=shifted).logits
    assert longer.shape[-1] == 40
    torch.testing.assert_close(longer[..., :30], logits)


@KINDS
@pytest.mark.parametrize("reentrant", [True, False])
def test_checkpointing_a_decoder_changes_no_gradient(attention, options, reentrant, ids):
    gradients = []
    model = seq2seq(attention, options).train()
    for checkpointing in (False, True):
        if checkpointing:
            new = getattr(model, "activation_checkpointing_enable", None)  # its name in v6
            (new or model.gradient_checkpointing_enable)({"use_reentrant": reentrant})
        model.zero_grad()
        model(ids, labels=ids).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters()})
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


def test_fixed_logits_of_both_halves_are_not_alike():
    model = seq2seq("fixed_random", {})
    tables = [table for _, table in model.named_buffers()]
    assert len(tables) == 4
    assert not any(torch.equal(tables[0], other) for other in tables[1:])


def test_what_a_decoder_reads_has_to_be_given(ids):
    model = seq2seq("random", {})
    with pytest.raises(ValueError, match="give decoder_input_ids"):
        model(ids)


PREFIX = {"attention_mask_kind": "prefix", "type_vocab_size": 2}


@EVERY
def test_a_prefix_sees_itself_and_the_rest_what_stands_before_it(attention):
    """Exactly: a gradient of 0 is no leak at all."""
    model = build(SynthesizerForCausalLM, attention, **PREFIX)
    ids = torch.randint(1, 30, (1, 7))
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1]])  # three tokens of a prefix, and four more
    embeds = model.get_input_embeddings()(ids).detach().requires_grad_()
    logits = model(inputs_embeds=embeds, token_type_ids=segments).logits
    for place in range(7):
        (found,) = torch.autograd.grad(logits[0, place].square().sum(), embeds, retain_graph=True)
        reached = found[0].abs().sum(-1) > 0
        assert reached.tolist() == [key < max(3, place + 1) for key in range(7)]


@EITHER
@pytest.mark.parametrize("attention", ["random", "dense+dot_product"])
def test_a_prefix_is_kept_from_step_to_step(attention, implementation):
    """With padding on the left as well; prefixes are of unequal lengths."""
    model = build(SynthesizerForCausalLM, attention, **PREFIX)
    ids, mask = torch.randint(1, 30, (2, 8)), ones(2, 8)
    mask[1, :2] = 0
    segments = torch.tensor([[0, 0, 0, 1, 1, 1, 1, 1], [0, 0, 0, 0, 1, 1, 1, 1]])
    told = {"attention_mask": mask, "token_type_ids": segments}
    with torch.no_grad():
        whole = model(ids, **told, use_cache=False).logits
        model.set_attn_implementation(implementation)
        past, found = None, []
        for start, stop in ((0, 4), (4, 5), (5, 8)):
            made = model(
                ids[:, start:stop],
                attention_mask=mask[:, :stop],
                token_type_ids=segments[:, start:stop],
                past_key_values=past,
                use_cache=True,
            )
            past = made.past_key_values
            found.append(made.logits)
    torch.testing.assert_close(torch.cat(found, 1)[mask.bool()], whole[mask.bool()])


def test_positions_cannot_become_more():
    with pytest.raises(NotImplementedError, match="16 positions, none for others; train one"):
        build(SynthesizerForCausalLM).resize_position_embeddings(32)
