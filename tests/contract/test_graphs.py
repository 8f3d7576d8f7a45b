"""Every model is a graph for batches and texts of any size: exported, and compiled unbroken."""

import copy

import pytest
import torch
from transformers.exporters.exporter_dynamo import register_cache_pytrees_for_model

from tests.contract.subjects import OF_IMAGES, VARIANTS, images, randomize
from tests.contract.test_text_heads import EVERY_BACKBONE, EVERY_CLASS, build
from tests.tiny import TINY
from zoo import catalog
from zoo.exporting.graph import Computing, tensors_of
from zoo.exporting.graphs import graphs

#: Cases and tokens: what is traced, and what the graph is then given.
TRACED, OTHERS = (3, 6), ((1, 4), (5, 9))
#: Cheap ones that between them have every way of reading and every mask.
QUICK = [("vae", "dense"), ("vq_vae", "averages"), ("dde", "dense-connected"), ("layers", "dense")]
QUICK_TEXTS = [("genae_bert", "prefix"), ("genae_gpt", "segments")]


def subject(name, variant):
    """A model in eval mode, as if trained."""
    entry = catalog.ARCHITECTURES[name]
    model = catalog.load(entry.model)(catalog.load(entry.config)(**TINY[name][variant])).eval()
    randomize(model)
    return model


def cases():
    """Every variant; those that are not quick are slow."""
    for case in VARIANTS:
        quick = case in QUICK + QUICK_TEXTS
        yield pytest.param(*case, id="-".join(case), marks=() if quick else pytest.mark.slow)


every_variant = pytest.mark.parametrize(("name", "variant"), [*cases()])


class Given(torch.nn.Module):
    """A module that is given its inputs by name, as one table."""

    def __init__(self, module):
        super().__init__()
        self.module = module

    def forward(self, inputs):
        return dict(self.module(**inputs))


def traced(module, inputs, shapes):
    register_cache_pytrees_for_model(module.model)
    given = (copy.deepcopy(inputs),)
    with torch.no_grad():
        return torch.export.export(
            Given(module), given, strict=False, dynamic_shapes=(shapes,)
        ).module()


def check_equal(found, wanted):
    found, wanted = tensors_of(found), tensors_of(wanted)
    assert found.keys() == wanted.keys()
    assert found
    for name in wanted:
        torch.testing.assert_close(found[name], wanted[name], rtol=1e-4, atol=1e-5, msg=name)


def check_graphs(model):
    for graph in graphs(model):
        program = traced(graph.module, graph.examples(*TRACED), graph.dynamic_shapes())
        for sizes in OTHERS:
            inputs = graph.examples(*sizes)
            with torch.no_grad():
                found = program(copy.deepcopy(inputs))
                check_equal(found, graph.module(**inputs))


@every_variant
def test_graphs_take_batches_and_texts_of_any_size(name, variant):
    check_graphs(subject(name, variant))


@pytest.mark.parametrize(
    ("name", "ending"),
    [EVERY_CLASS[0], *(pytest.param(*case, marks=pytest.mark.slow) for case in EVERY_CLASS[1:])],
)
def test_so_does_every_head_of_fine_tuning(name, ending):
    check_graphs(build(name, ending))


@pytest.mark.slow
@pytest.mark.parametrize(("name", "ending"), EVERY_BACKBONE)
def test_so_does_a_head_on_every_backbone(name, ending):
    check_graphs(build(name, ending))


def forward_inputs(model, batch):
    """What `forward` reads when nothing is to be learned, with chance given where it loops."""
    values = images(model.config, batch)
    more = {}
    if getattr(model.config, "posterior", "") == "von_mises_fisher":
        more["noise"] = (torch.rand(batch, 1), torch.randn(batch, model.config.latent_size))
    return {"pixel_values": values, "return_loss": False, **more}


@pytest.mark.parametrize(
    ("name", "variant"),
    [
        pytest.param(*case, id="-".join(case), marks=() if case in QUICK[:1] else pytest.mark.slow)
        for case in OF_IMAGES
    ],
)
def test_the_forward_of_models_of_images_is_a_graph(name, variant):
    model = subject(name, variant)
    module = Computing(model, lambda model, **inputs: model(**inputs))
    inputs = forward_inputs(model, 3)
    shapes = {"pixel_values": {0: torch.export.Dim.DYNAMIC}, "return_loss": None}
    if "noise" in inputs:
        shapes["noise"] = ({0: torch.export.Dim.DYNAMIC},) * 2
    program, other = traced(module, inputs, shapes), forward_inputs(model, 5)
    with torch.no_grad():
        torch.manual_seed(1)
        found = program(other)
        torch.manual_seed(1)
        check_equal(found, model(**other))


@pytest.mark.slow
@every_variant
def test_graphs_compile_without_breaks(name, variant):
    for graph in graphs(subject(name, variant)):
        compiled = torch.compile(graph.module, fullgraph=True, dynamic=True, backend="eager")
        with torch.no_grad():
            for sizes in (TRACED, OTHERS[-1]):
                inputs = graph.examples(*sizes)
                check_equal(compiled(**copy.deepcopy(inputs)), graph.module(**inputs))
        torch.compiler.reset()


@pytest.mark.parametrize(
    ("name", "variant"),
    [("dde", "parabola"), pytest.param("mdsm", "vectors", marks=pytest.mark.slow)],
)
def test_scores_compile_as_the_gradient_of_the_energy(name, variant):
    model = subject(name, variant)
    values = images(model.config, 3)
    score = torch.func.grad(lambda x: model.log_density(x).sum())
    compiled = torch.compile(score, fullgraph=True, backend="eager")
    torch.testing.assert_close(compiled(values), model.score(values))
