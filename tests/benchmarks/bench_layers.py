"""A converted ResNet beside the hand-written PyTorch module with the same weights.

Both have the same random weights: the architecture of Keras's ResNet50, or of a small ResNet for
images of 32 x 32, goes through the converter as the JSON of `model.to_json()`, as any would. The
peer has its images with channels first, in both of PyTorch's memory formats. Times are CPU time of
inference; a ratio is the median of those within a round.
Run: OMP_NUM_THREADS=1 python tests/benchmarks/bench_layers.py [--only small] [--compiled]
"""

import argparse
from collections.abc import Iterator
from typing import Any

import torch
import torch.nn.functional as F
from side_by_side import describe_machine, interleave, median, print_table
from torch import Tensor, nn

EPSILON = 1.001e-5  # as in keras.applications

#: Name -> image size, batch, first channels, blocks of each stage, whether blocks are bottlenecks.
NETWORKS: dict[str, tuple[int, int, int, tuple[int, ...], bool]] = {
    "small": (32, 16, 16, (3, 3, 3), False),
    "one image": (32, 1, 16, (3, 3, 3), False),
    "resnet50": (224, 1, 64, (3, 4, 6, 3), True),
}
#: Kind of layer -> names of its tensors, the result's and PyTorch's.
MAP = {"weight": "weight", "bias": "bias"}
TENSORS = {
    "Conv2D": MAP,
    "Dense": MAP,
    "BatchNormalization": {
        "scale": "weight", "offset": "bias", "mean": "running_mean", "variance": "running_var"
    },
}  # fmt: skip


class Block(nn.Module):
    """A residual block: three convolutions around a narrow middle, or two."""

    def __init__(self, inputs: int, middle: int, outputs: int, stride: int, deep: bool) -> None:
        super().__init__()
        sizes = [(inputs, middle, 1), (middle, middle, 3), (middle, outputs, 1)]
        if not deep:
            sizes = [(inputs, middle, 3), (middle, outputs, 3)]
        self.convs, self.norms = nn.ModuleList(), nn.ModuleList()
        for number, (a, b, kernel) in enumerate(sizes):
            padding = kernel // 2
            self.convs.append(nn.Conv2d(a, b, kernel, stride if number == 0 else 1, padding))
            self.norms.append(nn.BatchNorm2d(b, EPSILON))
        self.shortcut = self.shortcut_norm = None
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride)
            self.shortcut_norm = nn.BatchNorm2d(outputs, EPSILON)

    def forward(self, x: Tensor) -> Tensor:
        way = x if self.shortcut is None else self.shortcut_norm(self.shortcut(x))
        last = len(self.convs) - 1
        for number, (conv, norm) in enumerate(zip(self.convs, self.norms, strict=True)):
            x = norm(conv(x))
            x = x if number == last else F.relu(x)
        return F.relu(x + way)


class ResNet(nn.Module):
    """As a person writes it."""

    def __init__(self, channels: int, blocks: tuple[int, ...], deep: bool) -> None:
        super().__init__()
        self.deep = deep
        self.stem = nn.Conv2d(3, channels, 7 if deep else 3, 2 if deep else 1, 3 if deep else 1)
        self.norm = nn.BatchNorm2d(channels, EPSILON)
        self.blocks = nn.ModuleList()
        inputs = channels
        for stage, count in enumerate(blocks):
            middle = channels * 2**stage
            outputs = 4 * middle if deep else middle
            for number in range(count):
                stride = 2 if stage and not number else 1
                self.blocks.append(Block(inputs, middle, outputs, stride, deep))
                inputs = outputs
        self.scores = nn.Linear(inputs, 10)

    def forward(self, x: Tensor) -> Tensor:
        x = F.relu(self.norm(self.stem(x)))
        if self.deep:
            x = F.max_pool2d(x, 3, 2, 1)
        for block in self.blocks:
            x = block(x)
        return F.softmax(self.scores(x.mean((2, 3))), -1)


class Writer:
    """The JSON of a Keras model, a layer after the other."""

    def __init__(self, size: int) -> None:
        shape = [None, size, size, 3]
        self.layers: list[dict[str, Any]] = []
        self.last = self.add("InputLayer", [], batch_input_shape=shape)

    def add(self, kind: str, inputs: list[str], **config: Any) -> str:
        """Another layer; its name."""
        name = f"{kind.lower()}_{len(self.layers)}"
        nodes = [[[one, 0, 0, {}] for one in inputs]] if inputs else []
        config = {"name": name, "trainable": True, "dtype": "float32", **config}
        self.layers.append(
            {"class_name": kind, "config": config, "name": name, "inbound_nodes": nodes}
        )
        return name

    def conv(self, x: str, module: nn.Conv2d, padding: str = "same") -> str:
        """A convolution like one of PyTorch; `same` is what both call so at stride 1."""
        return self.add(
            "Conv2D", [x], filters=module.out_channels, kernel_size=list(module.kernel_size),
            strides=list(module.stride), padding=padding, data_format="channels_last",
            dilation_rate=[1, 1], groups=1, activation="linear", use_bias=True,
        )  # fmt: skip

    def norm(self, x: str) -> str:
        """A batch normalisation."""
        return self.add(
            "BatchNormalization", [x], axis=[3], momentum=0.99, epsilon=EPSILON, center=True,
            scale=True,
        )  # fmt: skip

    def act(self, x: str, name: str = "relu") -> str:
        """An activation."""
        return self.add("Activation", [x], activation=name)

    def pad(self, x: str, cells: int) -> str:
        """Zeros around an image."""
        return self.add(
            "ZeroPadding2D", [x], padding=[[cells, cells]] * 2, data_format="channels_last"
        )


def in_keras(network: ResNet, size: int) -> dict[str, Any]:
    """The architecture as `model.to_json()` has it."""
    write = Writer(size)
    x = write.last
    if network.deep:
        x = write.conv(write.pad(x, 3), network.stem, "valid")
    else:
        x = write.conv(x, network.stem)
    x = write.act(write.norm(x))
    if network.deep:
        x = write.add(
            "MaxPooling2D", [write.pad(x, 1)], pool_size=[3, 3], strides=[2, 2], padding="valid",
            data_format="channels_last",
        )  # fmt: skip
    for block in network.blocks:
        way = x
        if block.shortcut is not None:
            way = write.norm(write.conv(way, block.shortcut, "valid"))
        for number, conv in enumerate(block.convs):
            if conv.kernel_size[0] > 1 and conv.stride[0] > 1:
                x = write.conv(write.pad(x, 1), conv, "valid")
            else:
                x = write.conv(x, conv, "valid" if conv.kernel_size[0] == 1 else "same")
            x = write.norm(x)
            if number < len(block.convs) - 1:
                x = write.act(x)
        x = write.act(write.add("Add", [way, x]))
    x = write.add("GlobalAveragePooling2D", [x], data_format="channels_last", keepdims=False)
    write.add("Dense", [x], units=10, activation="softmax", use_bias=True)
    first, last = write.layers[0]["name"], write.layers[-1]["name"]
    ends = {"input_layers": [[first, 0, 0]], "output_layers": [[last, 0, 0]]}
    config = {"name": "resnet", "trainable": True, "layers": write.layers, **ends}
    return {"class_name": "Functional", "config": config, "keras_version": "2.15.0"}


def modules(network: ResNet) -> Iterator[nn.Module]:
    """Those with weights, in the order in which the JSON has them."""
    yield from (network.stem, network.norm)
    for block in network.blocks:
        if block.shortcut is not None:
            yield from (block.shortcut, block.shortcut_norm)
        for pair in zip(block.convs, block.norms, strict=True):
            yield from pair
    yield network.scores


def converted(network: ResNet, size: int):
    """The same as a graph of layers, with the same weights."""
    from convert.layers.network import build
    from convert.layers.parsing import parse
    from convert.layers.settings import settings
    from convert.layers.text import Source
    from zoo import LayersConfig, LayersModel

    told = in_keras(network, size)
    table = settings(build(parse(Source(told, "2.15.0", "resnet"))))
    model = LayersModel(LayersConfig.from_dict(table)).eval()
    layers = [layer for layer in told["config"]["layers"] if layer["class_name"] in TENSORS]
    state = {}
    for layer, module in zip(layers, modules(network), strict=True):
        for ours, theirs in TENSORS[layer["class_name"]].items():
            state[f"layers.{layer['name']}.{ours}"] = module.state_dict()[theirs]
    model.load_state_dict(state)
    return model


def make(channels: int, blocks: tuple[int, ...], deep: bool) -> ResNet:
    """The peer, its statistics those of no trained model but no trivial ones either."""
    torch.manual_seed(0)
    network = ResNet(channels, blocks, deep).eval()
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.1)
            module.running_var.uniform_(0.8, 1.2)
            nn.init.uniform_(module.weight, 0.3, 0.6)
    return network


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--only", nargs="*", choices=list(NETWORKS), default=list(NETWORKS))
    parser.add_argument("--rounds", type=int, default=21)
    parser.add_argument("--compiled", action="store_true", help="Add both, compiled.")
    options = parser.parse_args()
    print(describe_machine())
    # Once so much was freed at a time, glibc keeps the memory of a pass for the next, of all arms.
    torch.zeros(2**22).add_(1)
    rows = []
    for name in options.only:
        size, batch, *shape = NETWORKS[name]
        peer = make(*shape)
        ours = converted(peer, size)
        last = make(*shape).to(memory_format=torch.channels_last)
        x = torch.rand(batch, size, size, 3)
        first = x.movedim(-1, 1).contiguous()
        arms = {
            "genae": lambda m=ours, x=x: m(x).outputs[0],
            "hand-written": lambda m=peer, x=first: m(x),
            "hand-written, channels_last": lambda m=last, x=x: m(x.movedim(-1, 1)),
        }
        if options.compiled:
            fast, fast_peer = torch.compile(ours), torch.compile(peer)
            arms["genae, compiled"] = lambda m=fast, x=x: m(x).outputs[0]
            arms["hand-written, compiled"] = lambda m=fast_peer, x=first: m(x)
        with torch.no_grad():
            wanted = arms["hand-written"]()
            for arm in arms.values():
                torch.testing.assert_close(arm(), wanted, rtol=1e-4, atol=1e-5)
            times = interleave(arms, options.rounds)
        for arm, found in times.items():
            ratios = [a / b for a, b in zip(found, times["hand-written"], strict=True)]
            rows.append([f"{name}: {arm}", f"{median(found):.1f}", f"{median(ratios):.2f}"])
    print_table(
        f"inference, medians of {options.rounds}", ["arm", "CPU ms", "of hand-written"], rows
    )


if __name__ == "__main__":
    main()
