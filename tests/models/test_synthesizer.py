"""What is particular to the Synthesizer: its forms, their sizes, and what they must not do."""

import copy

import pytest
import torch
import transformers
from huggingface_hub.errors import StrictDataclassError

from tests.contract.text_subjects import some_ids
from tests.models.synthesizer_zoo import EVERY, MIXED, SIZES, attentions, build
from zoo import (
    SynthesizerConfig,
    SynthesizerForCausalLM,
    SynthesizerForConditionalGeneration,
    SynthesizerForMaskedLM,
    SynthesizerModel,
)
from zoo.models.text.configuration_synthesizer import FORMS, nearest_divisors


@pytest.fixture
def ids():
    return some_ids()


# What each form is: its logits, by a plain loop over the paper's definition.


def by_hand(module, hidden):
    """Logits of the synthesized forms of one layer, one number at a time."""
    heads, width = 3, 4
    length = hidden.shape[1]
    parts = hidden.unflatten(-1, (heads, width))
    (name, form), total = next(iter(module.forms.items())), torch.zeros(3, heads, length, length)
    for h in range(heads):
        for i in range(length):
            x = parts[:, i, h]
            for j in range(length):
                if name in ("random", "fixed_random"):
                    found = form.position_bias[h, i, j]
                elif name == "factorized_random":
                    found = form.query_bias[h, i] @ form.memory_bias[h, j]
                elif name == "dense":
                    inner = (x @ form.inner.weight[h] + form.inner.bias[h]).relu()
                    found = inner @ form.outer.weight[h, :, j] + form.outer.bias[h, j]
                elif name == "factorized_dense":
                    a = form.tiled.weight.shape[-1]
                    first = x @ form.tiled.weight[h] + form.tiled.bias[h]
                    second = x @ form.repeated.weight[h] + form.repeated.bias[h]
                    found = first[:, j % a] * second[:, j // a]
                else:
                    found = 0.0
                total[:, h, i, j] = found
    return total


@pytest.mark.parametrize("attention", FORMS[1:])
def test_weights_are_the_softmax_of_what_the_paper_writes(attention, ids):
    ids = ids.clamp(min=1)
    model = build(attention=attention)
    with torch.no_grad():
        made = model(ids, output_hidden_states=True, output_attentions=True)
        wanted = by_hand(attentions(model)[1], made.hidden_states[1]).softmax(-1)
    torch.testing.assert_close(made.attentions[1], wanted)
    assert attention == "mean" or made.attentions[1].std() > 0.01


def test_a_dot_product_alone_is_the_bert_of_transformers(ids):
    sizes = {name: value for name, value in SIZES.items() if name != "factors"}
    theirs = transformers.BertForMaskedLM(
        transformers.BertConfig(**sizes, type_vocab_size=1, layer_norm_eps=1e-12)
    ).eval()
    ours = build(SynthesizerForMaskedLM, "dot_product", type_vocab_size=1)
    values = {k.replace("bert.", "synthesizer."): v for k, v in theirs.state_dict().items()}
    assert ours.load_state_dict(values, strict=False) == ([], [])
    mask = (ids != 0).long()
    for implementation in ("eager", "sdpa"):
        ours.set_attn_implementation(implementation)
        with torch.no_grad():
            first, second = theirs(ids, mask).logits, ours(ids, mask).logits
        torch.testing.assert_close(second[mask.bool()], first[mask.bool()])


@pytest.mark.parametrize("mixture", ["softmax", "sigmoid", "sum"])
def test_a_mixture_is_a_mixture_of_logits(mixture, ids):
    """Whatever the order; the dot product keeps its scale, the other has none."""
    model = build(attention="random+dot_product", mixture=mixture)
    layer = attentions(model)[0]
    with torch.no_grad():
        made = model(ids.clamp(min=1), output_hidden_states=True, output_attentions=True)
        hidden = made.hidden_states[0]
        query, key = (
            part(hidden).unflatten(-1, (3, 4)).transpose(1, 2) for part in (layer.query, layer.key)
        )
        product = query @ key.transpose(-1, -2) / 2
        table = layer.forms["random"].position_bias[:, :8, :8]
        if mixture == "softmax":
            first, second = layer.alpha.exp() / layer.alpha.exp().sum()
        elif mixture == "sigmoid":
            first = 1 / (1 + (-layer.alpha).exp())
            second = 1 - first
        else:
            first = second = 1
            assert layer.alpha is None
        wanted = (first * table + second * product).softmax(-1)
    torch.testing.assert_close(made.attentions[0], wanted)


# Sizes.


def logit_weights(module):
    """Weights that logits are made of, biases of maps not counted."""
    held = {
        name: p.numel()
        for name, p in module.named_parameters()
        if name.startswith(("query.", "key.", "forms.")) and not name.endswith(".bias")
    }
    return sum(held.values())


d, h, N, k = 48, 3, 20, 5
PER_LAYER = {
    "dot_product": 2 * d**2,
    "random": h * N**2,
    "fixed_random": 0,
    "factorized_random": 2 * h * N * k,
    "dense": h * ((d // h) ** 2 + d // h * N),
    "factorized_dense": h * (d // h) * (4 + 5),
    "mean": 0,
}


def test_the_weights_of_logits_are_as_many_as_the_forms_say():
    sizes = {"hidden_size": d, "max_position_embeddings": N, "factors": k}
    forms = [*FORMS, *MIXED]
    with torch.device("meta"):
        model = build(attention=forms, num_hidden_layers=len(forms), **sizes)
    found = [logit_weights(layer) for layer in attentions(model)]
    assert found == [sum(PER_LAYER[name] for name in each.split("+")) for each in forms]


def transformer_base(attention):
    """Millions of weights of the paper's translator: 6 + 6 layers, d 512, length 256, k 8.

    Matrices alone, without tables of positions, as the paper's are sines. It states no vocabulary:
    within 35 tokens of this one all its totals come out. Whatever it is, dense maps that read the
    full width (d^2 + h d N) or share the queries' projection (d^2 + d N / h) give more than the 62
    that it has beside the 61 of fixed logits.
    """
    sizes = {
        "vocab_size": 44_470,
        "hidden_size": 512,
        "num_hidden_layers": 6,
        "num_attention_heads": 8,
        "intermediate_size": 2048,
        "max_position_embeddings": 256,
    }
    config = SynthesizerConfig(**sizes, attention=attention)
    with torch.device("meta"):
        model = SynthesizerForConditionalGeneration(config)
    model.tie_weights()
    weights = {
        name: p.numel()
        for name, p in model.named_parameters()
        if not name.endswith((".bias", "position_embeddings.weight", "LayerNorm.weight"))
    }
    return sum(weights.values()) / 1e6


@pytest.mark.parametrize(
    ("attention", "millions"),
    [
        ("dot_product", 67),
        ("random", 67),
        ("fixed_random", 61),
        ("factorized_random", 61),
        ("dense", 62),
        ("factorized_dense", 61),
        ("random+dot_product", 73),
    ],
)
def test_a_translator_has_as_many_weights_as_the_paper_states(attention, millions):
    assert round(transformer_base(attention)) == millions


@pytest.mark.parametrize(("number", "pair"), [(128, (8, 16)), (256, (16, 16)), (30, (5, 6))])
def test_factors_are_the_nearest_each_other(number, pair):
    assert nearest_divisors(number) == pair


def test_factorized_dense_makes_as_many_columns_as_positions(ids):
    """Tiling both factors, 4 and 8 of 32, would leave 8 different ones."""
    model = build(attention="factorized_dense", max_position_embeddings=32)
    layer = attentions(model)[0]
    hidden = torch.randn(2, 32, 12)
    from zoo.models.text.attention import Places

    logits = layer.forms["factorized_dense"](hidden, Places(0, None, None, False), 32)
    assert len(torch.unique(logits[0, 0].detach().round(decimals=5), dim=1).T) == 32


# What must not happen.


@EVERY
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_no_gradient_comes_from_later_tokens(attention, implementation):
    model = build(SynthesizerForCausalLM, attention).train()
    model.set_attn_implementation(implementation)
    embeds = torch.randn(2, 9, 12, requires_grad=True)
    logits = model(inputs_embeds=embeds).logits
    for place in (0, 4, 7):
        (gradient,) = torch.autograd.grad(logits[:, place].sum(), embeds, retain_graph=True)
        assert not gradient[:, place + 1 :].any()
        assert gradient[:, : place + 1].flatten(2).any(-1).all()


@EVERY
def test_eager_and_sdpa_agree_and_padding_changes_nothing(attention, ids):
    """Padding on either side, eager and SDPA, in order and not: the text's own numbers."""
    model = build(attention=attention)
    text = ids[:1, :5]
    with torch.no_grad():
        alone = model(text).last_hidden_state[0]
        shown = model(text, output_attentions=True).attentions[1][0]
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        for left in (0, 2, 4):
            batch = torch.full((2, 9), 0)
            batch[0, left : left + 5] = text
            batch[1] = torch.arange(1, 10)
            mask = (batch != 0).long()
            with torch.no_grad():
                made = model(batch, attention_mask=mask, output_attentions=True)
                exact = model(batch, attention_mask=mask).last_hidden_state
            own = slice(left, left + 5)
            torch.testing.assert_close(made.last_hidden_state[0, own], alone)
            torch.testing.assert_close(exact[0, own], alone)
            torch.testing.assert_close(made.attentions[1][0][:, own, own], shown)
            total = made.attentions[1].sum(-1)
            torch.testing.assert_close(total, torch.ones_like(total))


@pytest.mark.parametrize("attention", ["random", "dense", "random+dot_product"])
def test_padding_on_the_left_without_a_mask_is_refused(attention, ids):
    model = build(attention=attention)
    padded = ids.clone()
    padded[0, :3] = 0
    with pytest.raises(ValueError, match="begins with the padding token 0"):
        model(padded)
    model(padded, attention_mask=(padded != 0).long())
    model.config.pad_token_id = None  # then 0 is a token as any other
    model(padded)


@EVERY
def test_a_text_too_long_is_an_error(attention):
    model = build(attention=attention)
    model(torch.ones(1, 16, dtype=torch.long))
    with pytest.raises(ValueError, match="17 tokens is longer than max_position_embeddings, 16"):
        model(torch.ones(1, 17, dtype=torch.long))
    padded = torch.nn.functional.pad(torch.ones(1, 16, dtype=torch.long), (3, 0))
    model(padded, attention_mask=padded)  # of which 16 are tokens


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention": "densee"}, "attention must be one of dot_product"),
        ({"attention": "random+"}, "attention must be one of dot_product"),
        ({"attention": "random+random"}, "has a form twice"),
        ({"attention": "mean+random"}, "adds nothing"),
        ({"attention": ["random"]}, "lists 1 layers, and there are 2"),
        ({"mixture": "convex"}, "mixture must be one of softmax, sigmoid, sum"),
        ({"attention": "random+dense+dot_product", "mixture": "sigmoid"}, "got 3"),
        ({"norm": "both"}, "norm must be one of pre, post"),
        ({"factors": 0}, "factors must be at least 1"),
        ({"attention": "factorized_dense", "max_position_embeddings": 13}, "13 is prime"),
        ({"attention": "dense", "hidden_size": 13, "attention_head_size": 4}, "not a multiple"),
        ({"residual_attention_scores": True}, "residual_attention_scores is not for"),
    ],
)
def test_options_that_cannot_be(options, message):
    with pytest.raises(StrictDataclassError, match=message):
        SynthesizerConfig(**SIZES | options)


# Fixed random, and weights that are kept.


def test_fixed_random_is_never_trained_and_survives(ids, tmp_path):
    model = build(SynthesizerForMaskedLM, "fixed_random", random_seed=3).train()
    before = {name: b.clone() for name, b in model.named_buffers()}
    assert len(before) == 2  # one for each layer, and not alike
    assert not torch.equal(*before.values())
    optimizer = torch.optim.AdamW(model.parameters(), lr=0.1, weight_decay=0.5)
    model(ids, labels=ids).loss.backward()
    optimizer.step()
    model.save_pretrained(tmp_path)
    again = SynthesizerForMaskedLM.from_pretrained(tmp_path)
    fresh = SynthesizerForMaskedLM(model.config)
    for each in (model, again, fresh):
        assert all(torch.equal(b, before[name]) for name, b in each.named_buffers())
    other = build(SynthesizerForMaskedLM, "fixed_random", random_seed=4)
    assert not any(torch.equal(b, before[name]) for name, b in other.named_buffers())


def test_what_weights_by_position_are_has_no_decay():
    """Neither by our own rules nor by those of transformers' Trainer."""
    from zoo.training.rates import parameter_groups

    model = build(attention=["random+dense", "factorized_random"])
    decayed = {
        name
        for group in parameter_groups(model, 1e-3, weight_decay=0.1)
        for name in group["param_names"]
        if group["weight_decay"]
    }
    tables = {name for name, _ in model.named_parameters() if name.endswith("_bias")}
    assert len(tables) == 3
    assert not tables & decayed
    assert any(name.endswith("dense.outer.weight") for name in decayed)
    theirs = transformers.Trainer.get_decay_parameter_names(None, model)
    assert not tables & set(theirs)
    assert any(name.endswith("dense.outer.weight") for name in theirs)


def kept(model):
    return [layer._kept.weights for layer in attentions(model) if layer._kept]


CHANGES = {
    "step": lambda m: torch.optim.SGD(m.parameters(), 0.5).step(),
    "fused": lambda m: torch.optim.AdamW(m.parameters(), 0.5, fused=True).step(),
    "load": lambda m: m.load_state_dict({k: v * 2 + 1 for k, v in m.state_dict().items()}),
    "assign": lambda m: m.load_state_dict(
        {k: torch.rand_like(v) for k, v in m.state_dict().items()}, assign=True
    ),
    "to": lambda m: m.double(),
    "by hand": lambda m: attentions(m)[0].forms["random"].position_bias.data.mul_(3),
    "mode": lambda m: m.train().eval() and attentions(m)[0].value.weight.mul_(3),
}


@pytest.mark.parametrize("change", CHANGES)
def test_kept_weights_are_dropped_when_anything_changes(change, ids):
    """Without a call of `train` or `eval` in between, which drop them as well."""
    ids = ids.clamp(min=1)
    model = build(attention="random", num_hidden_layers=1)
    model(ids).last_hidden_state.square().sum().backward()
    assert not kept(model)  # they carry gradients
    with torch.no_grad():
        first = model(ids).last_hidden_state
        (weights,) = kept(model)
        assert torch.equal(model(ids).last_hidden_state, first)
        assert kept(model)[0] is weights
        CHANGES[change](model)
        found = model(ids).last_hidden_state
        assert kept(model)[0] is not weights
        fresh = copy.deepcopy(model).train()
        assert not kept(fresh)
        torch.testing.assert_close(found, fresh(ids).last_hidden_state)
    assert change == "to" or not torch.allclose(found, first, atol=1e-3)


def test_weights_are_kept_for_a_length_and_a_mask_alone(ids):
    ids = ids.clamp(min=1)
    model = build(attention=["random", "mean"])
    with torch.no_grad():
        for length in (8, 5, 8):
            found = model(ids[:, :length]).last_hidden_state
            alone = copy.deepcopy(model).train()(ids[:, :length]).last_hidden_state
            torch.testing.assert_close(found, alone)
        mask = torch.ones_like(ids)
        mask[1, 6:] = 0
        found = model(ids, attention_mask=mask).last_hidden_state
        torch.testing.assert_close(
            found, copy.deepcopy(model).train()(ids, attention_mask=mask).last_hidden_state
        )
    kept_before = kept(model)
    model(ids).last_hidden_state.sum().backward()  # gradients reach what was kept
    assert attentions(model)[0].forms["random"].position_bias.grad.any()
    assert len(kept_before) == 2
    with torch.inference_mode():
        model(ids)
    model(ids).last_hidden_state.sum().backward()


@EVERY
def test_a_fresh_layer_attends_unevenly_but_not_to_one_token(attention, ids):
    torch.manual_seed(0)
    model = SynthesizerModel(SynthesizerConfig(**SIZES | {"attention": attention})).eval()
    with torch.no_grad():
        weights = model(ids.clamp(min=1), output_attentions=True).attentions[0]
    spread = weights.std(-1).mean()
    assert spread < 0.3
    assert (spread > 0.03) == (attention not in ("mean", "dot_product"))
