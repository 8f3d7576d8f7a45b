"""BERT-of-Theseus: layers of a small model in the place of a large one's, by chance."""

import pytest
import torch
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForSequenceClassification,
    Trainer,
    TrainingArguments,
)

import zoo
from zoo.errors import UsageError
from zoo.models import (
    GenaeNezhaConfig,
    GenaeNezhaForSequenceClassification,
    GenaeT5Config,
    GenaeT5ForConditionalGeneration,
)
from zoo.training import begin_replacing, end_replacing
from zoo.training.theseus import Replaceable

SIZES = {"vocab_size": 40, "hidden_size": 16, "num_attention_heads": 2, "intermediate_size": 20}
SIZES |= {"hidden_dropout_prob": 0.0, "attention_probs_dropout_prob": 0.0}
IDS = torch.randint(1, 40, (3, 7), generator=torch.Generator().manual_seed(0))
BATCH = {
    "input_ids": IDS,
    "attention_mask": (torch.arange(7) < torch.tensor([[7], [5], [4]])).long(),
    "labels": torch.tensor([0, 1, 1]),
}
KINDS = {
    "bert": (BertForSequenceClassification, BertConfig),
    "nezha": (GenaeNezhaForSequenceClassification, GenaeNezhaConfig),
}


@pytest.fixture(params=KINDS)
def predecessor(request):
    """A model of 4 layers whose layers do something."""
    model, config = KINDS[request.param]
    made = model(config(**SIZES, num_hidden_layers=4)).eval()
    for parameter in made.parameters():
        nn.init.normal_(parameter, std=0.2)
    return made


def logits(model):
    with torch.no_grad():
        return model(**BATCH).logits


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_a_rate_of_0_is_the_predecessor_and_of_1_the_successor(predecessor, rate):
    large = logits(predecessor)
    model = begin_replacing(predecessor, 2, rate=rate)
    small = logits(model)  # in use: the successor alone
    assert not torch.allclose(large, small)
    torch.testing.assert_close(logits(model.train()), small if rate else large)
    plain = end_replacing(model).eval()
    torch.testing.assert_close(logits(plain), small)
    assert plain.config.num_hidden_layers == 2


def test_gradients_reach_the_new_layers_and_the_head_alone(predecessor):
    model = begin_replacing(predecessor, 2, rate=0.5).train()
    reached = set()
    for _ in range(12):  # each layer is computed by chance
        model.zero_grad()
        model(**BATCH).loss.backward()
        reached |= {name for name, one in model.named_parameters() if one.grad is not None}
    wanted = {
        name
        for name, _ in model.named_parameters()
        if ".successor." in name or name.startswith(("classifier", "heads", "score"))
    }
    assert reached == {name for name, one in model.named_parameters() if one.requires_grad}
    assert reached == wanted
    assert all(one.requires_grad for one in end_replacing(model).parameters())


def test_layers_begin_as_the_first_and_are_chosen_one_by_one(predecessor):
    first = [*predecessor.base_model.encoder.layer][:2]
    model = begin_replacing(predecessor, 2, rate=0.3).train()
    places = [one for one in model.modules() if isinstance(one, Replaceable)]
    for old, place in zip(first, places, strict=True):
        ours, theirs = place.successor.state_dict(), old.state_dict()
        assert all(torch.equal(ours[name], theirs[name]) for name in theirs)
    torch.manual_seed(0)
    chosen = [[], []]
    for number, place in enumerate(places):
        place.successor.register_forward_hook(
            lambda *_, n=number: chosen[n].append(int(places[1].num_batches))
        )
    for _ in range(100):
        logits(model)
    assert all(15 < len(one) < 45 for one in chosen), chosen
    assert chosen[0] != chosen[1]


def test_the_rate_grows_until_it_is_1_and_counts_on_in_a_checkpoint(predecessor):
    model = begin_replacing(predecessor, 4, rate=0.0, growth=0.5).train()
    large = logits(model)
    logits(model)
    again = begin_replacing(predecessor, 4, rate=0.0, growth=0.5).train()
    again.load_state_dict(model.state_dict())
    small = logits(model.eval())
    torch.testing.assert_close(logits(model.train()), small)
    torch.testing.assert_close(logits(again), small)
    torch.testing.assert_close(small, large)  # of as many layers, which begin as they are


def test_a_trainer_trains_it_and_the_result_is_a_plain_model(predecessor, tmp_path):
    before = {name: one.clone() for name, one in predecessor.state_dict().items()}
    model = begin_replacing(predecessor, 2)
    rows = [{name: row[i] for name, row in BATCH.items()} for i in range(3)] * 4
    arguments = TrainingArguments(
        str(tmp_path / "run"), max_steps=4, learning_rate=1e-2, save_steps=2, report_to=[],
        dataloader_pin_memory=False, use_cpu=True,
    )  # fmt: skip
    trainer = Trainer(model, arguments, train_dataset=rows)
    trainer.train()
    small = end_replacing(model).eval()
    for name, one in predecessor.state_dict().items():
        assert torch.equal(one, before[name]), name  # but for its head, which is a copy
    small.save_pretrained(tmp_path / "small")
    again = zoo.from_pretrained(tmp_path / "small").eval()
    assert type(again) is type(predecessor)
    torch.testing.assert_close(logits(again), logits(small))
    moved = small.base_model.encoder.layer[0].state_dict()
    assert any(
        not torch.equal(one, before[f"{small.base_model_prefix}.encoder.layer.0.{name}"])
        for name, one in moved.items()
    )


@pytest.mark.parametrize(
    ("number", "more", "message"),
    [
        (3, {}, "4 layers do not divide by it"),
        (0, {}, "num_layers is 0"),
        (8, {}, "do not divide"),
        (2, {"rate": 1.5}, "rate is 1.5"),
        (2, {"growth": -0.1}, "growth is -0.1"),
        (2, {"rate": float("nan")}, "rate is nan"),
    ],
)
def test_what_cannot_be_is_refused(number, more, message):
    model = BertForSequenceClassification(BertConfig(**SIZES, num_hidden_layers=4))
    with pytest.raises(UsageError, match=message):
        begin_replacing(model, number, **more)


def test_shared_layers_and_several_stacks_are_refused():
    albert = AlbertConfig(**SIZES, num_hidden_layers=4, embedding_size=8)
    with pytest.raises(UsageError, match="share weights"):
        begin_replacing(AlbertForSequenceClassification(albert), 2)
    t5 = GenaeT5Config(vocab_size=40, d_model=16, d_kv=8, d_ff=20, num_layers=2, num_heads=2)
    with pytest.raises(UsageError, match="several stacks"):
        begin_replacing(GenaeT5ForConditionalGeneration(t5), 1)
