"""The laws of genae_bert: transformers' BERT where no option is on, and what each option means."""

import pytest
import torch
import transformers

from zoo.models import (
    GenaeBertConfig,
    GenaeBertForCausalLM,
    GenaeBertForMaskedLM,
    GenaeBertForNextSentencePrediction,
    GenaeBertForPreTraining,
    GenaeBertForSequenceClassification,
    GenaeBertForTokenClassification,
    GenaeBertModel,
)

SIZES = {
    "vocab_size": 30,
    "hidden_size": 12,
    "num_hidden_layers": 3,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "max_position_embeddings": 9,
    "type_vocab_size": 2,
}
EVERYTHING = SIZES | {
    "attention_head_size": 5,
    "attention_key_size": 3,
    "embedding_size": 7,
    "hierarchical_position": 0.4,
    "residual_attention_scores": True,
    "condition_size": 4,
    "condition_hidden_size": 6,
    "condition_hidden_act": "tanh",
    "hidden_dropout_prob": 0.0,
    "attention_probs_dropout_prob": 0.0,
}
HEADS = (
    GenaeBertForMaskedLM,
    GenaeBertForCausalLM,
    GenaeBertForPreTraining,
    GenaeBertForNextSentencePrediction,
    GenaeBertForSequenceClassification,
    GenaeBertForTokenClassification,
)
OF_TEXTS = (GenaeBertForNextSentencePrediction, GenaeBertForSequenceClassification)


def build(kind=GenaeBertModel, **options):
    """A model in eval mode whose every weight is random, as if trained."""
    model = kind(GenaeBertConfig(**SIZES | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.3)
    model.tie_weights()
    return model


@pytest.fixture
def inputs():
    ids = torch.randint(1, 30, (4, 8))
    ids[2, 5:] = 0
    segments = (torch.arange(8) > 3).long().expand(4, 8)
    return {"input_ids": ids, "token_type_ids": segments}


@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
def test_without_options_it_is_the_bert_of_transformers(inputs, implementation):
    config = transformers.BertConfig(**SIZES, layer_norm_eps=1e-12)
    theirs = transformers.BertForPreTraining(config).eval()
    ours = GenaeBertForPreTraining(GenaeBertConfig(**SIZES, attn_implementation=implementation))
    missing, unexpected = ours.load_state_dict(theirs.state_dict(), strict=False)
    assert (missing, unexpected) == ([], [])
    ours = ours.eval()
    mask = (inputs["input_ids"] != 0).long()
    with torch.no_grad():
        first = theirs(**inputs, attention_mask=mask, output_hidden_states=True)
        second = ours(**inputs, attention_mask=mask, output_hidden_states=True)
    torch.testing.assert_close(second.prediction_logits, first.prediction_logits)
    torch.testing.assert_close(second.seq_relationship_logits, first.seq_relationship_logits)
    for a, b in zip(first.hidden_states, second.hidden_states, strict=True):
        torch.testing.assert_close(b, a)


@pytest.mark.parametrize("kind", ["full", "causal", "prefix"])
@pytest.mark.parametrize("heads", [{}, {"attention_head_size": 5, "attention_key_size": 3}])
def test_eager_and_sdpa_agree(inputs, kind, heads):
    model = build(attention_mask_kind=kind, **heads)
    found = []
    for implementation in ("eager", "sdpa"):
        model.set_attn_implementation(implementation)
        with torch.no_grad():
            found.append(model(**inputs).last_hidden_state)
    torch.testing.assert_close(*found)


def changed(model, inputs, position):
    """Positions whose hidden states move when one token changes."""
    other = inputs["input_ids"].clone()
    other[:, position] = other[:, position] % 29 + 1
    with torch.no_grad():
        before = model(**inputs).last_hidden_state
        after = model(**inputs | {"input_ids": other}).last_hidden_state
    return ((before - after).abs().amax((0, 2)) > 1e-6).tolist()


def test_what_each_mask_lets_through(inputs):
    inputs["input_ids"][2, 5:] = 3
    for position in (1, 6):
        assert all(changed(build(), inputs, position))
        causal = changed(build(attention_mask_kind="causal"), inputs, position)
        assert causal == [place >= position for place in range(8)]
        prefix = changed(build(attention_mask_kind="prefix"), inputs, position)
        # Segment 0 is seen by all; in segment 1 a token is seen from itself on.
        assert prefix == ([True] * 8 if position < 4 else [p >= position for p in range(8)])


def test_padding_is_not_seen_but_for_the_first_position(inputs):
    model = build()
    ids = inputs["input_ids"]
    ids[0, 0] = 0
    wanted = (ids != 0).long()
    wanted[:, 0] = 1
    with torch.no_grad():
        own = model(**inputs).last_hidden_state
        given = model(**inputs, attention_mask=wanted).last_hidden_state
    torch.testing.assert_close(own, given, rtol=0, atol=0)


def test_hierarchical_positions_are_plain_below_the_table(inputs):
    plain, hierarchical = build(), build(hierarchical_position=0.3)
    hierarchical.load_state_dict(plain.state_dict())
    with torch.no_grad():
        torch.testing.assert_close(
            plain(**inputs).last_hidden_state, hierarchical(**inputs).last_hidden_state
        )
        table = hierarchical.embeddings.positions(torch.arange(81))
    assert len({tuple(row.tolist()) for row in table}) == 81
    with pytest.raises(ValueError, match="position 81 is outside the 81"):
        hierarchical.embeddings.positions(torch.tensor([81]))
    with pytest.raises(ValueError, match="position 9 is outside the 9"):
        plain.embeddings.positions(torch.tensor([9]))


def test_residual_scores_are_of_the_previous_layer_alone():
    """With zero queries from the second layer on, its scores are the first's, the third's none."""
    model = build(residual_attention_scores=True)
    with torch.no_grad():
        for layer in model.encoder.layer[1:]:
            layer.attention.self.query.weight.zero_()
            layer.attention.self.query.bias.zero_()
        attentions = model(torch.randint(1, 30, (2, 6)), output_attentions=True).attentions
    torch.testing.assert_close(attentions[1], attentions[0])
    torch.testing.assert_close(attentions[2], torch.full_like(attentions[2], 1 / 6))


def test_a_condition_that_does_nothing_changes_nothing(inputs):
    plain = build()
    conditional = GenaeBertModel(GenaeBertConfig(**SIZES, condition_size=4)).eval()
    missing, _ = conditional.load_state_dict(plain.state_dict(), strict=False)
    assert all("condition_" in name for name in missing)
    with torch.no_grad():
        same = conditional(**inputs, condition=torch.randn(4, 4)).last_hidden_state
        torch.testing.assert_close(same, plain(**inputs).last_hidden_state)
    with pytest.raises(ValueError, match="give `condition`"):
        conditional(**inputs)
    moved = build(condition_size=4)
    with torch.no_grad():
        first, second = (
            moved(**inputs, condition=torch.randn(4, 4)).last_hidden_state for _ in range(2)
        )
    assert not torch.allclose(first, second)


@pytest.mark.parametrize("kind", HEADS)
@pytest.mark.parametrize("mask", ["full", "prefix"])
def test_a_gradient_reaches_every_parameter(kind, mask, inputs):
    model = kind(GenaeBertConfig(**EVERYTHING, attention_mask_kind=mask)).train()
    for name, parameter in model.named_parameters():  # zeros would stop what lies before them
        if "condition_" in name:
            torch.nn.init.normal_(parameter)
    classes = kind in OF_TEXTS
    labels = torch.ones(4, dtype=torch.long) if classes else inputs["input_ids"] % 2
    more = {"next_sentence_label": torch.ones(4, dtype=torch.long)}
    extra = more if kind is GenaeBertForPreTraining else {}
    model(**inputs, condition=torch.randn(4, 4), labels=labels, **extra).loss.backward()
    unused = set() if kind in (GenaeBertForPreTraining, *OF_TEXTS) else {"pooler"}
    bare = [n for n, p in model.named_parameters() if p.grad is None or not p.grad.any()]
    # A key's bias moves all scores of a query alike, which a softmax does not see.
    bare = [name for name in bare if not name.endswith("key.bias")]
    assert [name for name in bare if not any(word in name for word in unused)] == []


@pytest.mark.parametrize("kind", [GenaeBertModel, GenaeBertForPreTraining])
def test_saved_and_loaded_is_the_same(kind, inputs, tmp_path):
    model = build(kind, **EVERYTHING)
    model.save_pretrained(tmp_path)
    again = kind.from_pretrained(tmp_path).eval()
    for (name, a), (other, b) in zip(
        model.state_dict().items(), again.state_dict().items(), strict=True
    ):
        assert name == other
        assert torch.equal(a, b), name
    loaded = transformers.AutoModel.from_pretrained(tmp_path)
    assert isinstance(loaded, GenaeBertModel)


def test_checkpointing_changes_no_gradient(inputs):
    gradients = []
    for checkpointing in (False, True):
        torch.manual_seed(0)
        model = GenaeBertForMaskedLM(GenaeBertConfig(**EVERYTHING)).train()
        if checkpointing:
            new = getattr(model, "activation_checkpointing_enable", None)  # its name in v6
            (new or model.gradient_checkpointing_enable)()
        condition = torch.ones(4, 4)
        model(**inputs, condition=condition, labels=inputs["input_ids"]).loss.backward()
        gradients.append({n: p.grad for n, p in model.named_parameters() if p.grad is not None})
    assert gradients[0].keys() == gradients[1].keys()
    for name, gradient in gradients[0].items():
        torch.testing.assert_close(gradients[1][name], gradient)


@pytest.mark.parametrize("kind", ["causal", "prefix"])
def test_the_cache_changes_no_generation(kind):
    model = build(GenaeBertForCausalLM, attention_mask_kind=kind, max_position_embeddings=20)
    ids = torch.randint(1, 30, (3, 5))
    settings = {"max_new_tokens": 8, "do_sample": False, "pad_token_id": 0, "min_new_tokens": 8}
    segments = torch.zeros_like(ids)
    found = [
        model.generate(
            ids,
            attention_mask=torch.ones_like(ids),
            token_type_ids=segments.clone(),
            use_cache=use_cache,
            **settings,
        )
        for use_cache in (True, False)
    ]
    assert found[0].shape == (3, 13)
    assert torch.equal(*found)
    # And greedy generation is the repeated argmax of the forward pass.
    grown, kinds = ids, segments
    for _ in range(8):
        with torch.no_grad():
            logits = model(grown, torch.ones_like(grown), kinds).logits[:, -1]
        grown = torch.cat([grown, logits.argmax(-1, keepdim=True)], 1)
        new = torch.full_like(kinds[:, :1], int(kind == "prefix"))
        kinds = torch.cat([kinds, new], 1)
    assert torch.equal(found[0], grown)


def test_embeddings_can_be_resized(inputs):
    model = build(GenaeBertForMaskedLM)
    model.resize_token_embeddings(40)
    with torch.no_grad():
        assert model(**inputs).logits.shape == (4, 8, 40)
    head = model.cls.predictions
    assert head.decoder.weight is model.get_input_embeddings().weight
    assert head.bias.shape == (40,)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"attention_mask_kind": "diagonal"}, "one of full, causal, prefix"),
        ({"hidden_size": 13}, "not a multiple"),
        ({"hierarchical_position": 1.0}, "between 0 and 1"),
        ({"condition_hidden_size": 3}, "needs a condition_size"),
        ({"vocab_size": 0}, "vocab_size"),
        ({"hidden_act": "gelu_new_"}, "hidden_act must be one of .*leaky_relu.*'gelu_new_'"),
        ({"pooler_act": "tangens"}, "pooler_act must be one of"),
    ],
)
def test_options_that_cannot_be(options, message):
    from huggingface_hub.errors import StrictDataclassError

    with pytest.raises(StrictDataclassError, match=message):
        GenaeBertConfig(**SIZES | options)
