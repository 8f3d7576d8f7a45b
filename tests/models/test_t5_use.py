"""What people do with genae_t5: the Auto classes, losses, padded batches, other precisions."""

import pytest
import torch
import transformers
from torch.nn.functional import cross_entropy, pad

import zoo.models
from tests.models.t5_zoo import build
from zoo import catalog
from zoo.models import GenaeT5ForConditionalGeneration

TIED = {}
APART = {"hidden_act": "gelu", "is_gated_act": True, "tie_word_embeddings": False}
KINDS = pytest.mark.parametrize("options", [TIED, APART], ids=["tied", "apart"])


@pytest.fixture
def ids():
    made = torch.randint(1, 30, (3, 7))
    made[1, 5:] = 0
    return made


@pytest.mark.parametrize(
    ("auto", "kind"),
    [
        (getattr(transformers, auto), getattr(zoo.models, name))
        for name, auto in catalog.heads(catalog.find("genae_t5")).items()
        if not catalog.is_fine_tuned(name)  # which the contract of heads holds to it
    ],
    ids=lambda kind: kind.__name__,
)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float16, torch.bfloat16])
def test_auto_classes_find_it_in_every_precision(auto, kind, dtype, ids, tmp_path):
    model = build(kind, **APART)
    model.save_pretrained(tmp_path)
    loader = getattr(transformers, auto.__name__)
    again, info = loader.from_pretrained(tmp_path, dtype=dtype, output_loading_info=True)
    assert type(again) is kind
    assert not any(info.values())
    assert {parameter.dtype for parameter in again.parameters()} == {dtype}
    more = exactly = {} if "Encoder" in kind.__name__ else {"decoder_input_ids": ids}
    if "Decoder" in kind.__name__:
        states = torch.randn(*ids.shape, model.config.d_model)
        exactly, more = ({"encoder_hidden_states": states.to(d)} for d in (torch.float32, dtype))
    with torch.no_grad():
        exact, found = model(ids, **exactly)[0], again.eval()(ids, **more)[0]
        assert torch.equal(again(ids, **more)[0], found)
        as_tuple = again(ids, **more, return_dict=False)
    assert isinstance(as_tuple, tuple)
    assert found.dtype == dtype
    far = (found.float() - exact).abs().mean() / exact.abs().mean()
    assert far <= {torch.float32: 0, torch.float16: 0.02, torch.bfloat16: 0.1}[dtype]


@KINDS
def test_the_loss_is_of_the_labels_after_the_start(options, ids):
    model = build(**options)
    labels = ids.masked_fill(ids == 0, -100)
    read = torch.cat([torch.zeros(3, 1, dtype=torch.long), ids[:, :-1]], 1)
    with torch.no_grad():
        made = model(ids, labels=labels)
        logits = model(ids, decoder_input_ids=read).logits
        as_tuple = model(ids, labels=labels, return_dict=False)
    torch.testing.assert_close(made.logits, logits)
    torch.testing.assert_close(made.loss, cross_entropy(logits[ids > 0], ids[ids > 0]))
    assert torch.equal(as_tuple[0], made.loss)


@KINDS
@pytest.mark.parametrize("implementation", ["eager", "sdpa"])
@pytest.mark.parametrize("side", ["left", "right"])
def test_a_padded_batch_generates_as_one_by_one(options, implementation, side):
    # A bias in cross attention counts positions from the encoder's first, padding included.
    model = build(**options, cross_position_bias=side == "right")
    model.set_attn_implementation(implementation)
    told = {"max_new_tokens": 6, "min_new_tokens": 6, "do_sample": False}
    texts = [torch.randint(1, 30, (1, length)) for length in (7, 3, 5)]
    alone = [model.generate(t, attention_mask=torch.ones_like(t), **told) for t in texts]
    rows = [
        pad(text, (7 - text.shape[1], 0) if side == "left" else (0, 7 - text.shape[1]))
        for text in texts
    ]
    batch = torch.cat(rows)
    for cache in (True, False):
        found = model.generate(batch, attention_mask=(batch != 0).long(), use_cache=cache, **told)
        assert torch.equal(found, torch.cat(alone)), cache


@KINDS
def test_resized_matrices_are_saved_as_they_are(options, ids, tmp_path):
    model = build(**options)
    model.resize_token_embeddings(35)
    model.save_pretrained(tmp_path)
    again = GenaeT5ForConditionalGeneration.from_pretrained(tmp_path).eval()
    tied = not options
    for one in (model, again):
        assert (one.lm_head.weight is one.shared.weight) == tied
        assert torch.equal(one.lm_head.weight, one.shared.weight) == tied
        assert one.lm_head.weight.shape == one.shared.weight.shape == (35, 12)
    with torch.no_grad():
        assert torch.equal(*(m(ids, decoder_input_ids=ids).logits for m in (model, again)))


def test_only_training_is_random(ids):
    model = build(dropout_rate=0.5)
    with torch.no_grad():
        found = [model(ids, decoder_input_ids=ids).logits for _ in range(2)]
        assert torch.equal(*found)
        model.train()
        assert not torch.equal(model(ids, decoder_input_ids=ids).logits, found[0])
