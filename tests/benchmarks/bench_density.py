"""log p by importance sampling beside pythae 0.1.2's `get_nll`, on pythae's own networks.

Both estimate the same number with the same weights: a Gaussian of variance 1 around pythae's
decoder. The third arm is what cannot be saved: the decoder and the likelihood alone, codes given.
pythae is found on the path, or in the folder that PYTHAE names, such as one made by
`pip install --no-deps --target FOLDER pythae==0.1.2 pydantic pydantic-core typing-extensions
annotated-types typing-inspection cloudpickle imageio`.
Run: python tests/benchmarks/bench_density.py [--rounds 5] [--nets mlp conv] [--images 10]
"""

import argparse
import copy
import os
import sys

from side_by_side import describe_machine, interleave, median, print_table

LATENTS = 16
SAMPLES = {"mlp": 500, "conv": 100}  # multiples of pythae's batch of 100, or it draws others
IMAGES = {"mlp": 10, "conv": 2}
BARS = {"mlp": 2.5, "conv": 1.4}


def theirs(net: str):
    """pythae's VAE with its networks for MNIST and seeded weights."""
    import torch
    from pythae.models import VAE, VAEConfig

    torch.manual_seed(0)
    config = VAEConfig(input_dim=(1, 28, 28), latent_dim=LATENTS)
    if net == "mlp":
        return VAE(config).eval()
    from pythae.models.nn.benchmarks.mnist import Decoder_Conv_AE_MNIST, Encoder_Conv_VAE_MNIST

    nets = {"encoder": Encoder_Conv_VAE_MNIST(config), "decoder": Decoder_Conv_AE_MNIST(config)}
    return VAE(config, **nets).eval()


def as_ours(layer):
    """A transposed convolution as genae's decoders have it, with the same weights."""
    from torch import nn

    from zoo.models.images.networks import Upsampling

    if not isinstance(layer, nn.ConvTranspose2d):
        return layer
    sizes = (layer.kernel_size, layer.stride, layer.padding, layer.output_padding)
    made = Upsampling(layer.in_channels, layer.out_channels, *sizes)
    made.load_state_dict(layer.state_dict())
    return made


def ours(peer):
    """genae's VAE around the same networks; the Gaussian takes the decoder's sigmoid itself."""
    import torch
    from torch import nn

    from zoo import VAEConfig, VAEModel

    class Encoder(nn.Module):
        def __init__(self):
            super().__init__()
            self.inner = peer.encoder

        def forward(self, images):
            found = self.inner(images)
            return torch.cat([found.embedding, found.log_covariance], 1)

    class Decoder(nn.Module):
        def __init__(self):
            super().__init__()
            first, *blocks = peer.decoder.layers
            convolutional = isinstance(first, nn.Linear)
            shape = (first.out_features // 16, 4, 4) if convolutional else ()
            layers = [layer for block in blocks for layer in block.children()]
            assert isinstance(layers[-1], nn.Sigmoid)
            self.first, self.layers = first, nn.Sequential(*map(as_ours, layers[:-1]))
            self.unflatten = nn.Unflatten(1, shape) if convolutional else nn.Identity()
            self.format = torch.channels_last if convolutional else torch.contiguous_format

        def forward(self, latents):  # as genae's own decoders: channels last
            features = self.unflatten(self.first(latents)).contiguous(memory_format=self.format)
            return self.layers(features).reshape(-1, 1, 28, 28)

    config = VAEConfig(network="dense", image_size=28, latent_size=LATENTS, scale_value=1.0)
    model = VAEModel(config)
    peer = copy.deepcopy(peer)  # whose weights stay as pythae laid them
    model.encoder, model.decoder = Encoder(), Decoder()
    return model.eval().to(memory_format=torch.channels_last)  # as `genae density` does


def bare(model, images, codes):
    """Decoder and likelihood of given codes `(K, B, d)`, in pieces as large as genae's."""
    import torch

    from zoo.models.images.modeling_autoencoder import DECODE_BATCH

    with torch.no_grad():
        for chunk in codes.split(max(1, DECODE_BATCH // len(images))):
            params = model.decoder(chunk.flatten(0, 1)).unflatten(0, chunk.shape[:2])
            model.likelihood.log_prob(params, images)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--nets", nargs="+", default=list(SAMPLES), choices=SAMPLES)
    parser.add_argument("--images", type=int, help="10 for mlp, 2 for conv unless given")
    options = parser.parse_args()
    sys.path += filter(None, [os.environ.get("PYTHAE")])
    import torch

    print(describe_machine())
    for net in options.nets:
        peer = theirs(net)
        model, samples = ours(peer), SAMPLES[net]
        images = torch.rand(options.images or IMAGES[net], 1, 28, 28)
        codes = torch.randn(samples, len(images), LATENTS)
        found = {
            "genae": model.log_prob(images, samples).mean().item(),
            "pythae": float(peer.get_nll(images, samples)),
        }
        assert abs(found["genae"] - found["pythae"]) < 0.01 * abs(found["pythae"]), found
        times = interleave(
            {
                "genae": lambda m=model, p=images, n=samples: m.log_prob(p, n),
                "pythae": lambda m=peer, p=images, n=samples: m.get_nll(p, n),
                "decoder and likelihood": lambda m=model, p=images, c=codes: bare(m, p, c),
            },
            options.rounds,
        )
        rows = []
        for name, values in times.items():
            per_second = len(images) * samples / median(values) * 1000
            ratios = [a / b for a, b in zip(values, times["genae"], strict=True)]
            shown = found.get(name)
            rows.append(
                [name, f"{per_second:,.0f}", f"{median(ratios):.2f}",
                 "" if shown is None else f"{shown:.2f}"]
            )  # fmt: skip
        title = (
            f"{net}, {len(images)} images, {samples} samples; wanted: pythae at least "
            f"{BARS[net]} times genae, genae at most 1.15 times the bare passes"
        )
        headings = ["arm", "weights per CPU second", "time of genae's", "log p, nats"]
        print_table(title, headings, rows)
        share = [a / b for a, b in zip(times["genae"], times["decoder and likelihood"],
                                       strict=True)]  # fmt: skip
        print(f"genae over the bare passes: {median(share):.2f}")


if __name__ == "__main__":
    main()
