"""What is particular to parts of text models; the laws of all are in tests/contract."""

import pytest
import torch

from tests.contract.text_subjects import build, some_ids
from tests.tiny import TEXT as SIZES


@pytest.fixture
def ids():
    return some_ids()


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
