"""Laws of every text model on the island, besides those of test_models.py.

What a backbone does is tested once for every backbone, what a head does once for every head.
"""

import copy

import pytest
import torch
import transformers
from torch.nn.functional import binary_cross_entropy_with_logits, cross_entropy, mse_loss

from tests.contract.text_subjects import (
    BACKBONES,
    CALLED,
    CAUSAL,
    MODELS,
    build,
    every,
    first,
    of_head,
    some_ids,
)


@pytest.fixture
def ids():
    return some_ids()


#: Heads of what is released, besides those that all have.
HEADS = {
    "genae_electra": {"PreTraining"},
    **{f"genae_{name}": {"CausalLM"} for name in ("gpt", "gpt2", "gpt2_ml")},
    **{f"genae_{name}": {"CausalLM", "MaskedLM"} for name in ("roformer_v2", "gau_alpha")},
    **{
        f"genae_{name}": {"CausalLM", "MaskedLM", "PreTraining", "NextSentencePrediction"}
        for name in ("bert", "albert", "nezha", "roformer")
    },
}


def test_every_family_has_the_heads_that_apply():
    found: dict[str, set[str]] = {}
    for config, kind, auto in MODELS:
        found.setdefault(config.model_type, set()).add(auto.removeprefix("AutoModel"))
        assert kind.__module__.startswith("zoo.models.text.modeling_")
    always = {"", "ForSequenceClassification", "ForTokenClassification"}
    assert HEADS.keys() <= found.keys()
    for family, heads in found.items():
        own = HEADS.get(family, {head.removeprefix("For") for head in heads - always})
        assert heads == always | {f"For{head}" for head in own}, family
        assert own


def masks_of(config):
    """Masks that a family may have: with a prefix where segments say which tokens it has."""
    masks = ("full", "causal", "prefix") if config.type_vocab_size else ("full", "causal")
    return masks[masks.index(config.attention_mask_kind) :]


@every(MODELS)
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


@every(MODELS)
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


@every(BACKBONES)
def test_attention_implementations_agree(config, kind, auto, ids):
    model = build(config, kind)
    if not model._supports_sdpa:
        for asked in ("sdpa", "flash_attention_2", "flex_attention"):
            with pytest.raises(ValueError, match=rf"{asked}.*needs the attention probabilities"):
                model.set_attn_implementation(asked)
            for each in (k for c, k, _ in MODELS if c is config):
                with pytest.raises(ValueError, match="'eager' only"):
                    each._from_config(copy.deepcopy(model.config), attn_implementation=asked)
        assert model.config._attn_implementation == "eager"
        return
    segments = (torch.arange(8) > 3).long().expand(3, 8) if config.type_vocab_size else None
    for mask in masks_of(config):
        model = build(config, kind, attention_mask_kind=mask)
        found = []
        for implementation in ("eager", "sdpa"):
            model.set_attn_implementation(implementation)
            with torch.no_grad():
                found.append(first(model(ids, token_type_ids=segments)))
        torch.testing.assert_close(*found)


@every(MODELS)
def test_padding_and_company_change_nothing(config, kind, auto):
    model = build(config, kind)
    long, short = torch.randint(1, 30, (1, 9)), torch.randint(1, 30, (1, 5))
    batch = torch.cat([long, torch.nn.functional.pad(short, (0, 4))])
    with torch.no_grad():
        alone = first(model(short))
        together = first(model(batch, attention_mask=(batch != 0).long()))[1:]
    if together.shape[1] == 9:  # of every token
        together = together[:, :5]
    torch.testing.assert_close(alone, together, rtol=1e-4, atol=1e-5)


@every(CALLED)
def test_hidden_states_attentions_and_types(config, kind, auto, ids):
    model = build(config, kind)
    with torch.no_grad():
        output = model(ids, output_hidden_states=True, output_attentions=True)
        heads, depth = model.config.num_attention_heads, model.config.num_hidden_layers
        shape = (3, 8, model.config.hidden_size)
        assert [tuple(state.shape) for state in output.hidden_states] == [shape] * (depth + 1)
        assert [tuple(w.shape) for w in output.attentions] == [(3, heads, 8, 8)] * depth
        torch.testing.assert_close(output.attentions[0].sum(-1), torch.ones(3, heads, 8))
        exact = first(model(ids))
        torch.testing.assert_close(first(model.double()(ids)).float(), exact, rtol=1e-3, atol=1e-4)
        assert first(model.bfloat16()(ids)).isfinite().all()


@every(CALLED)
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


@every(MODELS)
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


@every(CAUSAL)
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


@every(CAUSAL)
def test_nothing_sees_the_future(config, kind, auto, ids):
    model = build(config, kind)
    ids = ids[:1]
    other = ids.clone()
    other[:, 5] = other[:, 5] % 29 + 1
    with torch.no_grad():
        moved = (model(ids).logits - model(other).logits).abs().amax((0, 2)) > 1e-6
    assert moved.tolist() == [False] * 5 + [True] * 3


# Losses, by hand, once for each head.


def labels_for(ids):
    labels = ids.clone()
    labels[ids == 0] = -100
    labels[0, 2] = -100
    return labels


@of_head("MaskedLM", CALLED)
def test_the_loss_of_masked_tokens(config, kind, auto, ids):
    labels = labels_for(ids)
    with torch.no_grad():
        made = build(config, kind)(ids, labels=labels)
    wanted = cross_entropy(made.logits[labels >= 0], labels[labels >= 0])
    torch.testing.assert_close(made.loss, wanted)


@of_head("CausalLM", CALLED)
def test_the_loss_of_the_next_token(config, kind, auto, ids):
    labels = labels_for(ids)
    with torch.no_grad():
        made = build(config, kind)(ids, labels=labels)
    pairs = [
        (made.logits[row, place], labels[row, place + 1])
        for row in range(3)
        for place in range(7)
        if labels[row, place + 1] >= 0
    ]
    logits, wanted = (torch.stack(part) for part in zip(*pairs, strict=True))
    torch.testing.assert_close(made.loss, cross_entropy(logits, wanted))


@of_head("PreTraining", CALLED)
def test_the_loss_of_pretraining(config, kind, auto, ids):
    model = build(config, kind)
    with torch.no_grad():
        if not hasattr(model(ids), "seq_relationship_logits"):  # tells what was replaced
            replaced = labels_for(ids).clamp(max=1)
            replaced[2] = replaced[2].clamp(max=0)
            made = model(ids, labels=replaced)
            asked = replaced >= 0
            wanted = binary_cross_entropy_with_logits(made.logits[asked], replaced[asked].float())
        else:
            labels, follows = labels_for(ids), torch.tensor([0, 1, 1])
            made = model(ids, labels=labels, next_sentence_label=follows)
            wanted = cross_entropy(
                made.prediction_logits[labels >= 0], labels[labels >= 0]
            ) + cross_entropy(made.seq_relationship_logits, follows)
            alone = model(ids, next_sentence_label=follows).loss
            torch.testing.assert_close(alone, cross_entropy(made.seq_relationship_logits, follows))
    torch.testing.assert_close(made.loss, wanted)


@of_head("NextSentencePrediction", CALLED)
def test_the_loss_of_the_next_sentence(config, kind, auto, ids):
    labels = torch.tensor([0, 1, 0])
    with torch.no_grad():
        made = build(config, kind)(ids, labels=labels)
    torch.testing.assert_close(made.loss, cross_entropy(made.logits, labels))


@of_head("TokenClassification", CALLED)
def test_the_loss_of_classes_of_tokens(config, kind, auto, ids):
    labels = labels_for(ids).clamp(max=4)
    with torch.no_grad():
        made = build(config, kind, num_labels=5)(ids, labels=labels)
    assert made.logits.shape == (3, 8, 5)
    wanted = cross_entropy(made.logits[labels >= 0], labels[labels >= 0])
    torch.testing.assert_close(made.loss, wanted)


@of_head("SequenceClassification", CALLED)
def test_the_loss_of_classes_of_texts_of_numbers_and_of_sets(config, kind, auto, ids):
    cases = (
        (4, torch.tensor([3, 0, 1]), cross_entropy),
        (1, torch.tensor([0.5, -2.0, 1.5]), lambda x, y: mse_loss(x[:, 0], y)),
        (3, torch.tensor([[1.0, 0, 1], [0, 0, 0], [0, 1, 0]]), binary_cross_entropy_with_logits),
    )
    for classes, labels, loss in cases:
        with torch.no_grad():
            made = build(config, kind, num_labels=classes)(ids, labels=labels)
        assert made.logits.shape == (3, classes)
        torch.testing.assert_close(made.loss, loss(made.logits, labels))


# Ways to call.


@every(CALLED)
def test_embeddings_may_be_given_and_a_tuple_asked_for(config, kind, auto, ids):
    model = build(config, kind)
    mask = torch.ones_like(ids)
    with torch.no_grad():
        told = first(model(ids, attention_mask=mask))
        embeds = model.get_input_embeddings()(ids)
        torch.testing.assert_close(first(model(inputs_embeds=embeds)), told)
        found = model(ids, attention_mask=mask, return_dict=False)
        assert isinstance(found, tuple)
        assert torch.equal(found[0], told)
        model.config.return_dict = False
        assert isinstance(model(ids), tuple)
    for wrong in ({}, {"input_ids": ids, "inputs_embeds": embeds}):
        with pytest.raises(ValueError, match="one of them"):
            model(**wrong)


@every(CALLED)
def test_every_input_that_the_original_has_is_heard(config, kind, auto, ids):
    model = build(config, kind)
    segments = (torch.arange(8) > 3).long().expand(3, 8)
    places = torch.arange(8)[None] + torch.tensor([[0], [2], [5]]) * (torch.arange(8) > 4)
    with torch.no_grad():
        plain = first(model(ids))
        for word, values, heard in (
            ("token_type_ids", segments, bool(model.config.type_vocab_size)),
            ("position_ids", places, model.config.position_kind != "relative"),
        ):
            moved = first(model(ids, **{word: values}))
            assert torch.allclose(moved, plain, atol=1e-5) != heard, word
        mask = (ids != 0).long()
        torch.testing.assert_close(first(model(ids, attention_mask=mask)), plain)
        mask[0, 3] = 0
        assert not torch.allclose(first(model(ids, attention_mask=mask)), plain, atol=1e-5)


@every(CALLED)
def test_only_training_is_random(config, kind, auto, ids):
    model = build(config, kind, hidden_dropout_prob=0.5)
    with torch.no_grad():
        assert torch.equal(first(model(ids)), first(model(ids)))
        model.train()
        assert not torch.equal(first(model(ids)), first(model(ids)))


@every(CALLED)
def test_it_loads_in_another_precision(config, kind, auto, ids, tmp_path):
    model = build(config, kind)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        exact = first(model(ids))
        for dtype in (torch.float16, torch.bfloat16):
            again = getattr(transformers, auto).from_pretrained(tmp_path, dtype=dtype).eval()
            assert {p.dtype for p in again.parameters()} == {dtype}
            found = first(again(ids))
            assert found.dtype == dtype
            far = (found.float() - exact).abs().mean() / exact.abs().mean()
            assert far < (0.02 if dtype == torch.float16 else 0.1)


@of_head("SequenceClassification")
def test_a_backbone_takes_a_new_head(config, kind, auto, ids, tmp_path):
    """As fine-tuning begins: only the classifier is new, and of the asked width."""
    backbone = next(k for c, k, _ in BACKBONES if c is config)
    model = build(config, backbone)
    model.save_pretrained(tmp_path)
    with torch.no_grad():
        wanted = model(ids).last_hidden_state
    for word in ("SequenceClassification", "TokenClassification"):
        loader = getattr(transformers, f"AutoModelFor{word}")
        tuned, info = loader.from_pretrained(tmp_path, num_labels=7, output_loading_info=True)
        assert set(info["missing_keys"]) == {"classifier.weight", "classifier.bias"}
        assert not info["unexpected_keys"]
        with torch.no_grad():
            assert torch.equal(tuned.eval().base_model(ids).last_hidden_state, wanted)
            assert tuned(ids).logits.shape[-1] == 7


# Generation.


GENERATED = [
    pytest.param(
        *(config, kind, implementation, mask),
        id=f"{kind.__name__}-{implementation}-{mask}",
        marks=[pytest.mark.slow] * (kind._supports_sdpa and implementation == "eager"),
    )
    for config, kind, _ in CAUSAL
    for implementation in ("eager", "sdpa")[: 1 + kind._supports_sdpa]
    for mask in masks_of(config)
    if mask != "full"
]


@pytest.mark.parametrize(("config", "kind", "implementation", "mask_kind"), GENERATED)
def test_a_batch_padded_on_the_left_generates_as_one_by_one(
    config, kind, implementation, mask_kind
):
    model = build(config, kind, attention_mask_kind=mask_kind, max_position_embeddings=24)
    model.set_attn_implementation(implementation)
    told = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False, "pad_token_id": 0}
    texts = [torch.randint(1, 30, (1, length)) for length in (7, 3, 5)]
    alone = [
        model.generate(text, attention_mask=torch.ones_like(text), **told)[:, -6:]
        for text in texts
    ]
    batch = torch.cat([torch.nn.functional.pad(text, (7 - text.shape[1], 0)) for text in texts])
    for cache in (True, False):
        found = model.generate(batch, attention_mask=(batch != 0).long(), use_cache=cache, **told)[
            :, -6:
        ]
        assert torch.equal(found, torch.cat(alone)), cache


@every(CAUSAL)
def test_a_head_stays_tied_when_resized_and_saved(config, kind, auto, ids, tmp_path):
    model = build(config, kind)
    model.resize_token_embeddings(35)
    model.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path).eval()
    for one in (model, again):
        head, words = one.get_output_embeddings(), one.get_input_embeddings()
        assert head.weight is words.weight
        assert (head.out_features, words.num_embeddings, one.config.vocab_size) == (35, 35, 35)
    with torch.no_grad():
        assert torch.equal(model(ids).logits, again(ids).logits)
    assert model.generate(ids[:1], max_new_tokens=3).shape == (1, 11)
    from safetensors.torch import load_file

    held = load_file(tmp_path / "model.safetensors")
    tables = [name for name, array in held.items() if array.ndim == 2 and array.shape[0] == 35]
    assert len(tables) == 1
