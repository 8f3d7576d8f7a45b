"""What holds for every text model of every family."""

import copy

import pytest
import torch

from tests.models.text_zoo import SIZES, build, causal, every_model, first, some_ids


@pytest.fixture
def ids():
    return some_ids()


@every_model
def test_saved_and_loaded_it_is_the_same_and_has_no_tensor_too_many(
    config, kind, auto, ids, tmp_path
):
    import transformers

    model = build(config, kind)
    model.save_pretrained(tmp_path)
    again, info = getattr(transformers, auto).from_pretrained(tmp_path, output_loading_info=True)
    assert type(again) is kind
    assert not info["missing_keys"]
    assert not info["unexpected_keys"]
    with torch.no_grad():
        assert torch.equal(first(model(ids)), first(again.eval()(ids)))


@every_model
def test_gradients_reach_every_parameter(config, kind, auto, ids):
    model = build(config, kind).train()
    segments = {"token_type_ids": (ids > 15).long()} if model.config.type_vocab_size else {}
    output = model(ids, **segments)
    total = first(output).square().sum()
    if getattr(output, "seq_relationship_logits", None) is not None:
        total = total + output.seq_relationship_logits.square().sum()
    if getattr(output, "pooler_output", None) is not None:
        total = total + output.pooler_output.square().sum()
    total.backward()
    without = [name for name, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # A softmax does not see what is added to all scores of a query.
    assert all("key.bias" in name for name in without), without


@every_model
def test_attention_implementations_agree(config, kind, auto, ids):
    model = build(config, kind)
    if not model._supports_sdpa:
        for asked in ("sdpa", "flash_attention_2", "flex_attention"):
            with pytest.raises(ValueError, match=rf"{asked}.*needs the attention probabilities"):
                model.set_attn_implementation(asked)
            with pytest.raises(ValueError, match="'eager' only"):
                kind._from_config(copy.deepcopy(model.config), attn_implementation=asked)
        assert model.config._attn_implementation == "eager"
        return
    found = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            found.append(first(model(ids)))
    torch.testing.assert_close(*found)


@every_model
def test_padding_and_company_change_nothing(config, kind, auto):
    model = build(config, kind)
    long, short = torch.randint(1, 30, (1, 9)), torch.randint(1, 30, (1, 5))
    batch = torch.cat([long, torch.nn.functional.pad(short, (0, 4))])
    with torch.no_grad():
        alone = first(model(short))
        together = first(model(batch, attention_mask=(batch != 0).long()))[1:]
    if together.ndim == 3 or ("Electra" in kind.__name__ and "PreTraining" in kind.__name__):
        together = together[:, :5]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


@every_model
def test_hidden_states_attentions_and_types(config, kind, auto, ids):
    model = build(config, kind)
    with torch.no_grad():
        output = model(ids, output_hidden_states=True, output_attentions=True)
        assert [tuple(state.shape) for state in output.hidden_states] == [(3, 8, 12)] * 3
        heads = model.config.num_attention_heads
        assert [tuple(w.shape) for w in output.attentions] == [(3, heads, 8, 8)] * 2
        torch.testing.assert_close(output.attentions[0].sum(-1), torch.ones(3, heads, 8))
        exact = first(model(ids))
        torch.testing.assert_close(first(model.double()(ids)).float(), exact, rtol=1e-3, atol=1e-4)
        assert first(model.bfloat16()(ids)).isfinite().all()


@every_model
def test_checkpointing_gives_the_same_gradients(config, kind, auto, ids):
    found = []
    model = build(config, kind, hidden_dropout_prob=0.0, attention_probs_dropout_prob=0.0).train()
    for on in (False, True):
        if on:
            new = getattr(model, "activation_checkpointing_enable", None)  # its name in v6
            (new or model.gradient_checkpointing_enable)()
        model.zero_grad()
        first(model(ids)).square().sum().backward()
        found.append(
            torch.cat([p.grad.flatten() for p in model.parameters() if p.grad is not None])
        )
    torch.testing.assert_close(*found)


@every_model
def test_embeddings_can_be_resized(config, kind, auto, ids):
    model = build(config, kind)
    with torch.no_grad():
        before = first(model(ids))
    model.resize_token_embeddings(34)
    assert model.config.vocab_size == 34
    with torch.no_grad():
        after = first(model(ids))
    if before.shape[-1] == 30:
        assert after.shape[-1] == 34
        after = after[..., :30]
    torch.testing.assert_close(before, after)


@pytest.mark.parametrize(
    ("config", "kind", "auto"), causal, ids=[kind.__name__ for _, kind, _ in causal]
)
def test_the_cache_changes_no_number_and_no_token(config, kind, auto, ids):
    model = build(config, kind)
    ids = ids[:1]
    with torch.no_grad():
        whole = model(ids).logits
        past, steps = None, []
        for piece in (ids[:, :3], ids[:, 3:4], ids[:, 4:]):
            output = model(piece, past_key_values=past, use_cache=True)
            past = output.past_key_values
            steps.append(output.logits)
    torch.testing.assert_close(torch.cat(steps, 1), whole, rtol=1e-4, atol=1e-5)
    told = {"max_new_tokens": 6, "do_sample": False, "eos_token_id": None}
    fast, slow = (model.generate(ids, use_cache=cache, **told) for cache in (True, False))
    assert torch.equal(fast, slow)
    beams = model.generate(ids, num_beams=3, use_cache=True, **told)
    assert torch.equal(beams, model.generate(ids, num_beams=3, use_cache=False, **told))


@pytest.mark.parametrize(
    ("config", "kind", "auto"), causal, ids=[kind.__name__ for _, kind, _ in causal]
)
def test_nothing_sees_the_future(config, kind, auto, ids):
    model = build(config, kind)
    ids = ids[:1]
    other = ids.clone()
    other[:, 5] = other[:, 5] % 29 + 1
    with torch.no_grad():
        moved = (model(ids).logits - model(other).logits).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [False] * 5 + [True] * 3


def test_rotary_scores_depend_on_the_distance_alone(ids):
    from zoo.models import GenaeRoFormerConfig, GenaeRoFormerModel

    model = build(GenaeRoFormerConfig, GenaeRoFormerModel)
    places = torch.arange(8)[None]
    with torch.no_grad():
        here, there = (model(ids, position_ids=places + far)[0] for far in (0, 5))
        apart = model(ids, position_ids=places * 2)[0]
    torch.testing.assert_close(here, there, rtol=1e-4, atol=1e-5)
    assert (here - apart).abs().max() > 1e-3


def test_relative_offsets_are_clipped():
    from zoo.models.text.attention import relative_vectors

    vectors = relative_vectors(6, 6, 4, 2, torch.zeros(1))
    assert torch.equal(vectors[0, 2], vectors[0, 5])
    assert torch.equal(vectors[5, 3], vectors[5, 0])
    assert torch.equal(vectors[1, 2], vectors[3, 4])
    # Row 2 is the offset 0: sin and cos of 2 at rates 1 and 1/100.
    wanted = torch.tensor([2.0, 2.0, 0.02, 0.02])
    wanted = torch.stack((wanted[0].sin(), wanted[1].cos(), wanted[2].sin(), wanted[3].cos()))
    torch.testing.assert_close(vectors[4, 4], wanted)


def test_a_head_that_has_nothing_to_be_tied_to_is_refused():
    from zoo.models import GenaeGPTConfig, GenaeGPTForCausalLM

    with pytest.raises(ValueError, match="embedding_size 8"):
        GenaeGPTForCausalLM(GenaeGPTConfig(**SIZES, embedding_size=8))


def test_a_causal_classifier_reads_the_last_token_that_is_there(ids):
    from zoo.models import GenaeGPT2Config, GenaeGPT2ForSequenceClassification

    model = build(GenaeGPT2Config, GenaeGPT2ForSequenceClassification)
    with torch.no_grad():
        short = model(ids[1:2, :6]).logits
        padded = model(ids[1:2]).logits
    torch.testing.assert_close(short, padded)
