"""Synthesizers as graphs: compiled and exported, they give what they give step by step."""

import pytest
import torch

from tests.models.synthesizer_zoo import EVERY, build
from zoo import SynthesizerForCausalLM, SynthesizerForMaskedLM


def batches():
    """Two batches of different sizes, padded on the right, on the left, and not at all."""
    for rows, length in ((2, 7), (3, 9)):
        ids = torch.randint(1, 30, (rows, length))
        mask = torch.ones_like(ids)
        mask[0, 5:] = 0
        mask[1, :2] = 0
        yield ids, mask
        yield ids, torch.ones_like(ids)


@pytest.mark.slow  # ten seconds for each
@pytest.mark.parametrize(
    ("attention", "kind"),
    [
        ("fixed_random+factorized_dense+dot_product", SynthesizerForMaskedLM),
        ("factorized_random+random", SynthesizerForMaskedLM),
        ("random+dot_product", SynthesizerForCausalLM),
        ("dense", SynthesizerForCausalLM),
    ],
)
def test_a_compiled_model_gives_the_same(attention, kind):
    torch._dynamo.reset()
    model = build(kind, attention)
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    with torch.no_grad():
        for ids, mask in batches():
            given = {"attention_mask": mask, "use_cache": False}
            wanted = model(ids, **given).logits[mask.bool()]
            found = compiled(ids, **given).logits[mask.bool()]
            torch.testing.assert_close(found, wanted)
            wanted, found = (each(ids, use_cache=False).logits for each in (model, compiled))
            torch.testing.assert_close(found, wanted)
            placed = {"position_ids": torch.arange(ids.shape[1])[None] + 3, "use_cache": False}
            wanted, found = (each(ids, **placed).logits for each in (model, compiled))
            torch.testing.assert_close(found, wanted)


class Logits(torch.nn.Module):
    """What a graph is made of: ids and mask in, logits out."""

    def __init__(self, model):
        super().__init__()
        self.model = model

    def forward(self, input_ids, attention_mask):
        return self.model(input_ids, attention_mask=attention_mask, use_cache=False).logits


@EVERY
@pytest.mark.slow
@pytest.mark.parametrize("kind", [SynthesizerForMaskedLM, SynthesizerForCausalLM])
def test_an_exported_model_takes_any_batch_and_length(attention, kind):
    model = Logits(build(kind, attention)).eval()
    ids, mask = next(batches())
    batch = torch.export.Dim("batch", min=1, max=64)
    length = torch.export.Dim("length", min=2, max=16)
    shape = {0: batch, 1: length}
    program = torch.export.export(model, (ids, mask), dynamic_shapes=(shape, shape)).module()
    with torch.no_grad():
        for each, seen in batches():
            wanted, found = (one(each, seen)[seen.bool()] for one in (model, program))
            torch.testing.assert_close(found, wanted)
