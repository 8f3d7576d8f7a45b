"""Masked tokens: which, how many, and what they become."""

import math

import pytest
import torch

from zoo.data.text.masking import IGNORED, mask_tokens, ordinary_ids
from zoo.data.text.row_numbers import RowNumbers, draw

MASK, SIZE = 4, 1000
ORDINARY = torch.arange(5, SIZE)


def masked(input_ids, words, seed=0, rate=0.15):
    return mask_tokens(
        input_ids, words, rate=rate, mask_id=MASK, ordinary_ids=ORDINARY,
        generator=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def within(count: int, trials: int, share: float) -> bool:
    """Whether a binomial count lies within five standard deviations."""
    return abs(count - trials * share) < 5 * math.sqrt(trials * share * (1 - share))


@pytest.fixture
def batch():
    """512 texts of 128 tokens: a first and a last special one, ten of padding at most."""
    ids = torch.randint(5, SIZE, (512, 128))
    words = torch.arange(-1, 127).repeat(512, 1)
    words[:, -1] = -1
    for row in range(512):
        words[row, 127 - row % 10 :] = -1
    ids[words < 0] = 3
    return ids, words


def test_shares_are_those_of_bert(batch):
    ids, words = batch
    inputs, labels = masked(ids, words)
    chosen = labels != IGNORED
    free = int((words >= 0).sum())
    count = int(chosen.sum())
    assert not chosen[words < 0].any()
    assert torch.equal(labels[chosen], ids[chosen])
    assert torch.equal(inputs[~chosen], ids[~chosen])
    assert within(count, free, 0.15)
    hidden = chosen & (inputs == MASK)
    stayed = chosen & (inputs == ids)
    replaced = chosen & ~hidden & ~stayed
    assert within(int(hidden.sum()), count, 0.8)
    assert within(int(stayed.sum()), count, 0.1 + 0.1 / len(ORDINARY))
    assert within(int(replaced.sum()), count, 0.1 - 0.1 / len(ORDINARY))
    assert inputs[replaced].min() >= 5
    # Every place is as likely as any other, and any token may replace.
    places = chosen.float().mean(0)[1:117]
    assert (places - 0.15).abs().max() < 5 * math.sqrt(0.15 * 0.85 / 512)
    assert len(inputs[replaced].unique()) > 400


def test_masks_differ_from_step_to_step_and_not_with_the_seed(batch):
    first, again, other = masked(*batch), masked(*batch), masked(*batch, seed=1)
    assert torch.equal(first[0], again[0])
    assert torch.equal(first[1], again[1])
    assert not torch.equal(first[1], other[1])


def test_a_word_is_chosen_whole_or_not_at_all():
    words = (torch.arange(90) // 3).repeat(200, 1)
    words[:, 30:33] = -1
    _, labels = masked(torch.randint(5, SIZE, words.shape), words, rate=0.3)
    chosen = (labels != IGNORED).unflatten(1, (30, 3))
    assert torch.equal(chosen.all(-1), chosen.any(-1))
    assert not chosen[:, 10].any()
    assert within(int(chosen.any(-1).sum()), 29 * 200, 0.3)


def test_something_is_always_chosen_if_anything_can_be():
    for seed in range(50):
        inputs, labels = masked(torch.full((1, 3), 7), torch.tensor([[-1, 0, -1]]), seed)
        assert labels.tolist() == [[IGNORED, 7, IGNORED]]
        assert inputs[0, 0] == inputs[0, 2] == 7
    inputs, labels = masked(torch.full((2, 3), 7), torch.full((2, 3), -1))
    assert torch.equal(inputs, torch.full((2, 3), 7))
    assert (labels == IGNORED).all()


def test_ordinary_tokens_are_all_but_the_special_ones(characters):
    assert ordinary_ids(characters).tolist() == list(range(5, len(characters)))


def by_rows(ids, words, first=0, step=3):
    return mask_tokens(
        ids, words, rate=0.15, mask_id=MASK, ordinary_ids=ORDINARY,
        generator=RowNumbers(7, step, first=first),
    )  # fmt: skip


def test_rows_with_numbers_of_their_own_are_masked_alike_in_any_part_of_a_batch(batch):
    ids, words = (each[:64] for each in batch)
    whole = by_rows(ids, words)
    for made, wanted in zip(by_rows(ids[40:], words[40:], 40), whole, strict=True):
        assert torch.equal(made, wanted[40:])
    padded = (
        torch.nn.functional.pad(ids, (0, 9)),
        torch.nn.functional.pad(words, (0, 9), value=-1),
    )
    for made, wanted in zip(by_rows(*padded), whole, strict=True):
        assert torch.equal(made[:, :128], wanted)
    assert not torch.equal(by_rows(ids, words, step=4)[1], whole[1])
    assert not torch.equal(by_rows(ids, words, first=1)[1], whole[1])


def test_numbers_of_rows_are_spread_as_those_of_a_generator(batch):
    ids, words = (each[:256] for each in batch)
    chosen = by_rows(ids, words)[1] != IGNORED
    assert within(int(chosen.sum()), int((words >= 0).sum()), 0.15)
    numbers = RowNumbers(1)
    first, second = (draw(torch.rand, (256, 64), ids.device, numbers) for _ in range(2))
    for one, other in ((first, second), (first[1:], first[:-1])):  # of two draws, of two rows
        correlation = torch.corrcoef(torch.stack([one.flatten(), other.flatten()]))[0, 1]
        assert abs(correlation) < 5 / math.sqrt(one.numel())
    assert within(int((first < 0.5).sum()), first.numel(), 0.5)


def test_a_part_of_a_batch_may_have_nothing_masked():
    ids, words = torch.full((1, 3), 9), torch.arange(3)[None]
    assert any((by_rows(ids, words, first)[1] == IGNORED).all() for first in range(20))
    assert not any((masked(ids, words, seed)[1] == IGNORED).all() for seed in range(20))
