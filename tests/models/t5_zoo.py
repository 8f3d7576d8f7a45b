"""genae_t5, small: what the laws of `test_t5.py` and its neighbours share."""

import pytest
import torch

from tests.tiny import T5 as SIZES
from tests.tiny import TINY
from zoo.models import GenaeT5Config, GenaeT5ForConditionalGeneration

PLAIN, TIED, GATED = ({**settings, "dropout_rate": 0.0} for settings in TINY["genae_t5"].values())
KINDS = pytest.mark.parametrize("options", [PLAIN, TIED, GATED], ids=list(TINY["genae_t5"]))


def build(kind=GenaeT5ForConditionalGeneration, **options):
    """A model in eval mode whose every weight is random, as if trained."""
    model = kind(GenaeT5Config(**SIZES | options)).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.normal_(0, 0.4)
    model.tie_weights()
    return model


def make_inputs():
    """Four padded pairs of ids, as keyword arguments."""
    ids = torch.randint(1, 30, (4, 9))
    ids[2, 6:] = 0
    ids[3, 0] = 0
    decoder = torch.randint(1, 30, (4, 7))
    decoder[:, 0] = 0
    decoder[1, 5:] = 0
    decoder[2, 3] = 0
    return {"input_ids": ids, "decoder_input_ids": decoder}
