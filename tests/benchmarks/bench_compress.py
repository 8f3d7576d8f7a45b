"""Bits per pixel and speed of bits back beside general compressors, on the MNIST test images.

Run: python tests/benchmarks/bench_compress.py [--models cards] [--images 10000] [--faces FOLDER]
With --faces, a folder made by `genae train cards/vae-faces-8bit`: its validation images alone.

Needs the data under GENAE_DATA. "net" leaves out seed bits, names and header; "file" is the whole
file. The general compressors get all images as one stream (of packed bits where they are
two-valued), PNG and WebP one file an image. Weights are not counted.
"""

import argparse
import bz2
import gzip
import io
import lzma
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from side_by_side import ROOT, describe_machine, print_table

import zoo
from zoo.compression import chains, load_codec
from zoo.compression.container import Container
from zoo.compression.verbs import symbols
from zoo.data import freeze_binarized, load_images
from zoo.models.images.image_processing_genae import GenaeImageProcessor

FEW = 300  # images, as a person might have


def one_file_each(images, mode, **options):
    total = 0
    for values in images:
        room = io.BytesIO()
        image = Image.fromarray(values)
        (image.convert(mode) if mode else image).save(room, **options)
        total += room.tell()
    return total


def general(images, two_valued):
    raw = (np.packbits(images // 255) if two_valued else images).tobytes()
    return {
        "gzip -9": len(gzip.compress(raw, 9)),
        "bz2 -9": len(bz2.compress(raw, 9)),
        "lzma -9e": len(lzma.compress(raw, preset=9 | lzma.PRESET_EXTREME)),
        "PNG": one_file_each(images, "1" if two_valued else None, format="PNG", optimize=True),
        "WebP, lossless": one_file_each(
            images, "RGB", format="WEBP", lossless=True, quality=100, method=6
        ),
    }


def for_pillow(pixels):
    """Images `(n, C, H, W)` as Pillow reads them, the channel of grey ones left out."""
    return pixels[:, 0] if pixels.shape[1] == 1 else pixels.transpose(0, 2, 3, 1)


def packed(codec, pixels, two_valued):
    """The file of images with names of numbers, and its chains."""
    count = len(pixels)
    made = chains.encode(codec, symbols(pixels, codec), chains.number_of_chains(count))
    names = [f"{place:05}.png" for place in range(count)]
    mode = "1" if two_valued else {1: "L", 3: "RGB"}[codec.shape[0]]
    return Container(codec.identity, codec.shape, mode, names, made).to_bytes(), made


def float_bits(folder, values, codec):
    """Minus the ELBO of the model in floating point, in bits per image."""
    model = zoo.from_pretrained(folder)
    blocks = torch.from_numpy(values).view(-1, *codec.shape).split(500)
    elbos = [
        model.elbo(block.float() / codec.pixels.levels, 4, seed=n)
        for n, block in enumerate(blocks)
    ]
    return -torch.cat(elbos).mean().item() / math.log(2)


def measure(folder, pixels, two_valued):
    codec, count = load_codec(folder), len(pixels)
    values, dimensions = symbols(pixels, codec), pixels[0].size
    expected = chains.expected_bits(codec, values).mean()
    start = time.perf_counter()
    content, made = packed(codec, pixels, two_valued)
    middle = time.perf_counter()
    decoded = chains.decode(codec, made, count)
    end = time.perf_counter()
    assert np.array_equal(decoded, values)
    net = sum(chain.net_bits for chain in made) / count
    floating = float_bits(folder, values, codec)
    few = min(FEW, count)
    small = len(packed(codec, pixels[:few], two_valued)[0])
    raw = len(bz2.compress(pixels[:few].tobytes(), 9))
    rows = [["genae, net", f"{net / dimensions:.4f}"]]
    rows.append(["genae, file", f"{8 * len(content) / count / dimensions:.4f}"])
    rows += [
        [name, f"{8 * size / count / dimensions:.4f}"]
        for name, size in general(for_pillow(pixels), two_valued).items()
    ]
    title = f"{codec.identity.id} {codec.identity.version}, {count} images, {len(made)} chains"
    print_table(title, ["bits per pixel", ""], rows)
    print(f"net over minus the ELBO of the rounded model: {100 * (net / expected - 1):+.2f} %")
    print(f"rounding the model costs {100 * (expected / floating - 1):+.2f} % of minus the ELBO")
    print(f"{few} images: file of {small:,} bytes, bz2 -9 of their raw pixels {raw:,}")
    print(
        f"images/s: {count / (middle - start):.0f} to compress, {count / (end - middle):.0f} back"
    )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--models", type=Path, default=ROOT / "cards")
    parser.add_argument("--images", type=int, default=10_000)
    parser.add_argument("--faces", type=Path)
    asked = parser.parse_args()
    if asked.faces:
        processor = GenaeImageProcessor.from_pretrained(asked.faces)
        pixels = load_images("synthetic-faces", "train[500:]", processor, quiet=True).pixels
        print(describe_machine())
        measure(asked.faces, pixels.numpy(), False)
        return
    split = f"test[:{asked.images}]"
    pixels = load_images("mnist", split, GenaeImageProcessor(), quiet=True).pixels
    print(describe_machine())
    measure(asked.models / "vae-mnist-binary", 255 * freeze_binarized(pixels).numpy(), True)
    measure(asked.models / "vae-mnist-8bit", pixels.numpy(), False)


if __name__ == "__main__":
    main()
