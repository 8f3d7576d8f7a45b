"""Depths read off the modules of many kinds of networks."""

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn
from transformers import (
    AlbertConfig,
    AlbertForSequenceClassification,
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    CLIPConfig,
    CLIPModel,
    GPT2Config,
    GPT2LMHeadModel,
    OPTConfig,
    OPTForSequenceClassification,
    ResNetConfig,
    ResNetForImageClassification,
    SwinConfig,
    SwinForImageClassification,
    T5Config,
    T5ForConditionalGeneration,
    ViTConfig,
    ViTForImageClassification,
)

from tests.tiny import NARROW, T5, TEXT, TINY
from zoo import catalog
from zoo.errors import UsageError
from zoo.training import parameter_groups, scale_parameters
from zoo.training.depth import read_depths

VISION = {
    "hidden_size": 12,
    "num_hidden_layers": 2,
    "num_attention_heads": 3,
    "intermediate_size": 20,
    "image_size": 8,
    "patch_size": 4,
}
SPECIAL = {"bos_token_id": 1, "eos_token_id": 2}
CLIP = {"text_config": TEXT | SPECIAL | {"num_hidden_layers": 1}, "vision_config": VISION}


class Block(nn.Module):
    def __init__(self):
        super().__init__()
        self.norm1 = nn.LayerNorm(4)
        self.qkv = nn.Linear(4, 12)
        self.gamma_1 = nn.Parameter(torch.ones(4))
        self.mlp = nn.Sequential(nn.Linear(4, 8), nn.GELU(), nn.Linear(8, 4))


class TimmVit(nn.Module):
    """Modules and parameters as timm's vision transformer names them."""

    def __init__(self):
        super().__init__()
        self.cls_token = nn.Parameter(torch.zeros(1, 1, 4))
        self.pos_embed = nn.Parameter(torch.zeros(1, 5, 4))
        self.patch_embed = nn.Module()
        self.patch_embed.proj = nn.Conv2d(3, 4, 4, 4)
        self.blocks = nn.Sequential(*(Block() for _ in range(3)))
        self.norm = nn.LayerNorm(4)
        self.head = nn.Linear(4, 2)


class Residual(nn.Module):
    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(4, 4, 3), nn.BatchNorm2d(4)
        self.downsample = nn.Sequential(nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4))


class TorchvisionResNet(nn.Module):
    """Modules as torchvision's residual network names them."""

    def __init__(self):
        super().__init__()
        self.conv1, self.bn1 = nn.Conv2d(3, 4, 7), nn.BatchNorm2d(4)
        self.layer1 = nn.Sequential(Residual(), Residual())
        self.layer2 = nn.Sequential(Residual())
        self.fc = nn.Linear(4, 2)


def wrapped():
    """A pretrained stack and a head in one `nn.Sequential`."""
    return nn.Sequential(nn.Sequential(nn.Linear(2, 2), nn.Linear(2, 2)), nn.Linear(2, 1))


def head_first():
    model = nn.Module()
    model.classifier = nn.Linear(4, 2)
    model.layers = nn.ModuleList([Block()])
    return model


def shared_block():
    model = nn.Module()
    model.embed = nn.Embedding(3, 4)
    model.layers = nn.ModuleList([Block()] * 6)
    model.head = nn.Linear(4, 2)
    return model


def compiled():
    model = nn.Module()
    model._orig_mod = TimmVit()
    return model


def scaled():
    model = TimmVit()
    scale_parameters(model, {"*": 0.5}, kind="sgd")
    return model


def images(name):
    entry = catalog.ARCHITECTURES[name]
    return lambda: catalog.load(entry.model)(
        catalog.load(entry.config)(**TINY[name]["convolutional"])
    )


# Places as (tower, depth of top, head) in the model's order, each with its first parameter.
VIT = [
    ("0/4", "cls_token"),
    ("1/4", "blocks.0.gamma_1"),
    ("2/4", "blocks.1.gamma_1"),
    ("3/4", "blocks.2.gamma_1"),
    ("4/4", "norm.weight"),
    ("4/4 head", "head.weight"),
]
BERT = [
    ("0/3", "bert.embeddings.word_embeddings.weight"),
    ("1/3", "bert.encoder.layer.0.attention.self.query.weight"),
    ("2/3", "bert.encoder.layer.1.attention.self.query.weight"),
]
AUTOENCODER = [
    ("encoder 1/5", "encoder.convolutions.0.weight"),
    ("encoder 2/5", "encoder.convolutions.3.weight"),
    ("encoder 3/5", "encoder.convolutions.6.weight"),
    ("encoder 4/5", "encoder.convolutions.9.weight"),
    ("encoder 5/5 head", "encoder.output.weight"),
    ("decoder 0/2", "decoder.input.weight"),
    ("decoder 1/2", "decoder.convolutions.0.weight"),
    ("decoder 2/2", "decoder.convolutions.5.weight"),
]
OPT = {"word_embed_proj_dim": 6, "ffn_dim": 20, "num_hidden_layers": 2} | SPECIAL


def graph():
    """Convolutions and their norms in two lists, as in many a network for graphs."""
    model = nn.Module()
    model.convs = nn.ModuleList(nn.Linear(4, 4) for _ in range(3))
    model.norms = nn.ModuleList(nn.BatchNorm1d(4) for _ in range(2))
    model.head = nn.Linear(4, 2)
    return model


def detector():
    """A head that is a stack of its own."""
    model = nn.Module()
    model.encoder, model.decoder, model.box_predictor = nn.Module(), nn.Module(), nn.Module()
    for each in (model.encoder, model.decoder):
        each.layers = nn.ModuleList([Block()])
    model.box_predictor.layers = nn.ModuleList([nn.Linear(4, 4), nn.Linear(4, 4)])
    return model


MODELS = {
    "norm and projection registered before the layers": (
        lambda: OPTForSequenceClassification(OPTConfig(**TEXT | OPT)),
        [
            ("0/3", "model.decoder.embed_tokens.weight"),
            ("3/3 head", "model.decoder.project_out.weight"),
            ("0/3", "model.decoder.project_in.weight"),
            ("3/3", "model.decoder.final_layer_norm.weight"),
            ("1/3", "model.decoder.layers.0.self_attn.k_proj.weight"),
            ("2/3", "model.decoder.layers.1.self_attn.k_proj.weight"),
            ("3/3 head", "score.weight"),
        ],
    ),
    "norms in a list": (
        graph,
        [
            ("1/4", "convs.0.weight"),
            ("2/4", "convs.1.weight"),
            ("3/4", "convs.2.weight"),
            ("1/4", "norms.0.weight"),
            ("2/4", "norms.1.weight"),
            ("4/4 head", "head.weight"),
        ],
    ),
    "head of several layers": (
        detector,
        [
            ("encoder 1/2", "encoder.layers.0.gamma_1"),
            ("decoder 1/2", "decoder.layers.0.gamma_1"),
            ("2/2 head", "box_predictor.layers.0.weight"),
        ],
    ),
    "bert": (
        lambda: BertForSequenceClassification(BertConfig(**TEXT)),
        [*BERT, ("3/3 head", "bert.pooler.dense.weight")],
    ),
    "bert, tied": (
        lambda: BertForMaskedLM(BertConfig(**TEXT)),
        [*BERT, ("3/3 head", "cls.predictions.bias")],
    ),
    "albert": (
        lambda: AlbertForSequenceClassification(AlbertConfig(**TEXT | NARROW)),
        [
            ("0/2", "albert.embeddings.word_embeddings.weight"),
            (
                "1/2",
                "albert.encoder.albert_layer_groups.0.albert_layers.0.full_layer_layer_norm.weight",
            ),
            ("2/2 head", "albert.pooler.weight"),
        ],
    ),
    "t5": (
        lambda: T5ForConditionalGeneration(T5Config(**T5)),
        [
            ("0/3", "shared.weight"),
            ("encoder 1/3", "encoder.block.0.layer.0.SelfAttention.q.weight"),
            ("encoder 2/3", "encoder.block.1.layer.0.SelfAttention.q.weight"),
            ("encoder 3/3", "encoder.final_layer_norm.weight"),
            ("decoder 1/3", "decoder.block.0.layer.0.SelfAttention.q.weight"),
            ("decoder 2/3", "decoder.block.1.layer.0.SelfAttention.q.weight"),
            ("decoder 3/3", "decoder.final_layer_norm.weight"),
        ],
    ),
    "gpt2": (
        lambda: GPT2LMHeadModel(GPT2Config(**TINY["gpt2"]["plain"])),
        [
            ("0/3", "transformer.wte.weight"),
            ("1/3", "transformer.h.0.ln_1.weight"),
            ("2/3", "transformer.h.1.ln_1.weight"),
            ("3/3", "transformer.ln_f.weight"),
        ],
    ),
    "vit": (
        lambda: ViTForImageClassification(ViTConfig(**VISION)),
        [
            ("0/3", "vit.embeddings.cls_token"),
            ("1/3", "vit.layers.0.attention.q_proj.weight"),
            ("2/3", "vit.layers.1.attention.q_proj.weight"),
            ("3/3", "vit.layernorm.weight"),
            ("3/3 head", "classifier.weight"),
        ],
    ),
    "clip": (
        lambda: CLIPModel(CLIPConfig(**CLIP)),
        [
            ("3/3", "logit_scale"),
            ("text_model 0/2", "text_model.embeddings.token_embedding.weight"),
            ("text_model 1/2", "text_model.encoder.layers.0.self_attn.k_proj.weight"),
            ("text_model 2/2", "text_model.final_layer_norm.weight"),
            ("vision_model 0/3", "vision_model.embeddings.class_embedding"),
            ("vision_model 1/3", "vision_model.encoder.layers.0.self_attn.k_proj.weight"),
            ("vision_model 2/3", "vision_model.encoder.layers.1.self_attn.k_proj.weight"),
            ("vision_model 3/3", "vision_model.post_layernorm.weight"),
            ("3/3 head", "visual_projection.weight"),
        ],
    ),
    "resnet": (
        lambda: ResNetForImageClassification(
            ResNetConfig(embedding_size=4, hidden_sizes=[4, 8], depths=[1, 2])
        ),
        [
            ("0/4", "resnet.embedder.embedder.convolution.weight"),
            ("1/4", "resnet.encoder.stages.0.layers.0.layer.0.convolution.weight"),
            ("2/4", "resnet.encoder.stages.1.layers.0.shortcut.convolution.weight"),
            ("3/4", "resnet.encoder.stages.1.layers.1.layer.0.convolution.weight"),
            ("4/4 head", "classifier.1.weight"),
        ],
    ),
    "swin": (
        lambda: SwinForImageClassification(
            SwinConfig(
                image_size=16,
                patch_size=2,
                embed_dim=4,
                depths=[1, 2],
                num_heads=[1, 2],
                window_size=2,
            )
        ),
        [
            ("0/4", "swin.embeddings.patch_embeddings.projection.weight"),
            ("1/4", "swin.encoder.layers.0.blocks.0.attention.q_proj.weight"),
            ("2/4", "swin.encoder.layers.1.blocks.0.attention.q_proj.weight"),
            ("3/4", "swin.encoder.layers.1.blocks.1.attention.q_proj.weight"),
            ("4/4", "swin.layernorm.weight"),
            ("4/4 head", "classifier.weight"),
        ],
    ),
    "as timm's": (TimmVit, VIT),
    "compiled": (compiled, [(place, f"_orig_mod.{name}") for place, name in VIT]),
    "as torchvision's": (
        TorchvisionResNet,
        [
            ("0/4", "conv1.weight"),
            ("1/4", "layer1.0.conv1.weight"),
            ("2/4", "layer1.1.conv1.weight"),
            ("3/4", "layer2.0.conv1.weight"),
            ("4/4 head", "fc.weight"),
        ],
    ),
    "ae": (images("ae"), AUTOENCODER),
    "vae": (images("vae"), AUTOENCODER),
    "eae": (images("eae"), AUTOENCODER),
    "wrapped": (
        wrapped,
        [("1/3", "0.0.weight"), ("2/3", "0.1.weight"), ("3/3 head", "1.weight")],
    ),
    "head registered first": (
        head_first,
        [("2/2 head", "classifier.weight"), ("1/2", "layers.0.gamma_1")],
    ),
    "one block six times": (
        shared_block,
        [("0/2", "embed.weight"), ("1/2", "layers.0.gamma_1"), ("2/2 head", "head.weight")],
    ),
    "one layer": (lambda: nn.Linear(2, 2), [("1/1", "weight")]),
}


def places(groups):
    """Each run of parameters at one place: tower, depth, head; its first parameter."""
    found = []
    for decision in groups.decisions:
        place = decision.entry.place
        text = f"{place.tower} {place.depth}/{place.top}{' head' * place.head}".strip()
        found.append((text, decision.entry.name))
    return [next(run) for _, run in itertools.groupby(found, key=lambda pair: pair[0])]


@pytest.mark.parametrize("name", MODELS)
def test_depths_follow_the_structure(name):
    make, wanted = MODELS[name]
    assert places(parameter_groups(make(), 1.0)) == wanted


def test_a_reparameterised_model_has_the_same_depths():
    plain, stored = parameter_groups(TimmVit(), 1.0), parameter_groups(scaled(), 1.0)
    assert {d.entry.name: (d.entry.place, d.entry.kind) for d in plain.decisions} == {
        d.entry.name: (d.entry.place, d.entry.kind) for d in stored.decisions
    }


def test_an_untied_head_of_t5_is_at_the_top():
    entry = catalog.ARCHITECTURES["genae_t5"]
    model = catalog.load(entry.model)(catalog.load(entry.config)(**TINY["genae_t5"]["gated"]))
    last = parameter_groups(model, 1.0, head=2.0).decisions[-1]
    assert (last.entry.name, last.entry.place.depth, last.rate) == ("lm_head.weight", 3, 2.0)


def test_tied_weights_are_one_parameter_at_the_lower_depth():
    model = BertForMaskedLM(BertConfig(**TEXT))
    groups = parameter_groups(model, 1.0, layer_decay=0.5)
    (tied,) = [
        each
        for each in groups.decisions
        if len(each.entry.names) > 1 and "weight" in each.entry.name
    ]
    assert tied.rate == 0.125
    assert "cls.predictions.decoder.weight" in tied.entry.names


def test_layers_can_be_named():
    layers = ["patch_embed*", "*_token", "pos_*", "blocks*", "*"]
    groups = parameter_groups(TimmVit(), 1.0, layer_decay=0.5, layers=layers)
    rates = {each.entry.name: each.rate for each in groups.decisions}
    assert rates["patch_embed.proj.weight"] == 0.0625
    assert rates["blocks.2.qkv.weight"] == 0.5
    assert rates["norm.bias"] == 1.0


@pytest.mark.parametrize(
    ("layers", "message"),
    [(["blocks*"], "cls_token is in none"), (["*", "blocks*"], "'blocks\\*'")],
)
def test_layers_have_every_parameter_and_none_is_empty(layers, message):
    with pytest.raises(UsageError, match=message):
        parameter_groups(TimmVit(), 1.0, layers=layers)


class Tree(nn.Module):
    """Any children under any names, and a parameter of its own."""

    def __init__(self, children):
        super().__init__()
        self.own = nn.Parameter(torch.ones(2))
        for name, child in children:
            self.add_module(name, child)


class OwnStack(nn.Sequential):
    """A stack with a parameter of its own."""

    def __init__(self, *layers):
        super().__init__(*layers)
        self.scale = nn.Parameter(torch.ones(2))


LEAVES = st.sampled_from(
    [
        lambda: nn.Linear(2, 2),
        lambda: nn.LayerNorm(2),
        lambda: nn.Embedding(2, 2),
        lambda: nn.ReLU(),
        lambda: nn.ParameterList([nn.Parameter(torch.ones(1))]),
    ]
).map(lambda make: make())
NAMES = st.sampled_from(["encoder", "decoder", "embed", "head", "layers", "norm", "a", "b1", "b2"])


def nodes(inner):
    lists = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        lists.map(nn.ModuleList),
        lists.map(lambda each: nn.Sequential(*each)),
        lists.map(lambda each: OwnStack(*each)),
        lists.map(lambda each: nn.ModuleList(each[:1] * 3)),
        st.lists(st.tuples(NAMES, inner), min_size=1, max_size=4).map(Tree),
    )


@settings(max_examples=150, deadline=None)
@given(st.recursive(LEAVES, nodes, max_leaves=12))
def test_every_parameter_of_any_module_has_a_depth(module):
    found = read_depths(module)
    assert found.keys() == set(module.parameters())
    for place in found.values():
        assert 0 <= place.depth <= place.top
        assert place.layer or place.depth in (0, place.top)
