r"""Bits back: images on a stack of bits, their codes paid for by what the posterior frees.

To push an image x on a stack: pop a code z with the posterior p(z|x), which takes
:math:`-\log p(z|x)` bits away; push x with q(x|z); push z with the prior. The stack grows by
minus the ELBO (Townsend et al., arXiv:1901.04866). To pop it: z by the prior, x by q(x|z), then
push z back with the posterior. The first image of a stack needs bits to pop: a stack starts from
a seed, words that are the same for every file; those that no pop reached are not stored.

Several stacks, the chains, are filled side by side, so that a network reads one image of each at
once.
Chain c of C holds images c, c + C, c + 2 C, ...; it is filled from its last image to its
first, so that it is emptied in their order.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from constriction import stream

from .codec import Codec
from .tables import BUCKETS

BUCKET_BITS = BUCKETS.bit_length() - 1
IMAGES_PER_CHAIN = 512  # makes a chain's seed of some 40 bytes negligible
MAX_CHAINS = 64
SEED = 1901_04866
STATE_WORDS = 3  # never counted as unreached: the coder keeps up to two words outside the stack

Progress = Callable[[int], None]


@dataclass(frozen=True)
class Chain:
    """One coded stack.

    Attributes:
        unreached: words at the bottom of the seed that are not stored.
        words: the rest of the stack, 32-bit words from the bottom.
        net_bits: bits that its images added to the seed.
    """

    unreached: int
    words: np.ndarray
    net_bits: int = 0


def number_of_chains(images: int) -> int:
    """Number of chains: one for few images, as each costs a seed; more for many, for speed."""
    return max(1, min(MAX_CHAINS, images // IMAGES_PER_CHAIN))


def seed_words(latent_size: int) -> np.ndarray:
    """More than twice the bits that the first pop takes: 32-bit words, the same for every file."""
    count = 2 * latent_size * BUCKET_BITS // 32 + 32
    return (np.random.Philox(SEED).random_raw(count) >> np.uint64(32)).astype(np.uint32)


def encode(
    codec: Codec, pixels: np.ndarray, chains: int, progress: Progress | None = None
) -> list[Chain]:
    """Code images.

    Args:
        codec: of the model.
        pixels: `(n, C H W)`, whole numbers from 0 to the likelihood's levels.
        chains: number of stacks to fill.
        progress: called with the number of images just coded.

    Returns:
        The chains.
    """
    seed = seed_words(codec.latent_size)
    coders = [stream.stack.AnsCoder(seed, seal=True) for _ in range(chains)]
    lowest = [len(seed)] * chains
    start_bits = coders[0].num_valid_bits()
    prior = stream.model.Uniform(BUCKETS)
    outputs = codec.posteriors(pixels)
    family = _posterior_family()
    values = pixels.astype(np.int32)
    for taken in _rounds(len(pixels), chains, backwards=True):
        buckets = np.empty((len(taken), codec.latent_size), np.int32)
        for row, image in enumerate(taken):
            coder = coders[image % chains]
            buckets[row] = coder.decode(family, codec.posterior.masses(outputs[image]))
            lowest[image % chains] = min(lowest[image % chains], coder.num_words())
        decoded = codec.decoded(buckets)
        for row, image in enumerate(taken):
            coder = coders[image % chains]
            chances = codec.pixels.probabilities(decoded[row])
            coder.encode_reverse(values[image], codec.pixels.family, chances)
            coder.encode_reverse(buckets[row], prior)
        if progress:
            progress(len(taken))
    made = []
    for coder, level in zip(coders, lowest, strict=True):
        assert level > STATE_WORDS, "the seed is longer than any pop can take"
        unreached = level - STATE_WORDS
        words = coder.get_compressed()[unreached:]
        made.append(Chain(unreached, words, coder.num_valid_bits() - start_bits))
    return made


def decode(
    codec: Codec, chains: Sequence[Chain], count: int, progress: Progress | None = None
) -> np.ndarray | None:
    """Decode images.

    Args:
        codec: of the same model.
        chains: as `encode` made them.
        count: number of images, n.
        progress: called with the number of images just coded.

    Returns:
        Pixels `(n, C H W)`, uint8; None unless every chain ends as exactly the seed, which wrong
        images would not leave behind.
    """
    seed = seed_words(codec.latent_size)
    if not all(0 <= chain.unreached <= len(seed) and len(chain.words) for chain in chains):
        return None
    if any(chain.words[-1] == 0 for chain in chains):
        return None
    coders = [
        stream.stack.AnsCoder(np.concatenate([seed[: c.unreached], c.words])) for c in chains
    ]
    prior, family = stream.model.Uniform(BUCKETS), _posterior_family()
    size = int(np.prod(codec.shape))
    pixels = np.empty((count, size), np.uint8)
    for taken in _rounds(count, len(chains), backwards=False):
        buckets = np.empty((len(taken), codec.latent_size), np.int32)
        for row, image in enumerate(taken):
            buckets[row] = coders[image % len(chains)].decode(prior, codec.latent_size)
        decoded = codec.decoded(buckets)
        for row, image in enumerate(taken):
            chances = codec.pixels.probabilities(decoded[row])
            pixels[image] = coders[image % len(chains)].decode(codec.pixels.family, chances)
        outputs = codec.posteriors(pixels[taken])
        for row, image in enumerate(taken):
            masses = codec.posterior.masses(outputs[row])
            coders[image % len(chains)].encode_reverse(buckets[row], family, masses)
        if any(coder.is_empty() for coder in coders):
            return None
        if progress:
            progress(len(taken))
    return pixels if all(_is_seed(coder, seed) for coder in coders) else None


def _is_seed(coder: Any, seed: np.ndarray) -> bool:
    left = coder.get_compressed()
    return len(left) == len(seed) + 1 and left[-1] == 1 and bool((left[:-1] == seed).all())


def expected_bits(
    codec: Codec, pixels: np.ndarray, progress: Progress | None = None, seed: int = 0
) -> np.ndarray:
    """Minus the ELBO of the integer model, in bits, `(n,)`: one posterior sample per image.

    The KL from posterior to prior is summed over the buckets; nothing is coded.

    Args:
        codec: of the model.
        pixels: `(n, C H W)`.
        progress: called with the number of images just coded.
        seed: of the posterior samples.
    """
    outputs = codec.posteriors(pixels)
    uniform = np.random.Generator(np.random.Philox(seed)).random((len(pixels), codec.latent_size))
    bits = np.empty(len(pixels))
    for taken in _rounds(len(pixels), MAX_CHAINS, backwards=False):
        buckets = np.empty((len(taken), codec.latent_size), np.int64)
        for row, image in enumerate(taken):
            masses = codec.posterior.masses(outputs[image])
            logarithms = np.log2(np.where(masses > 0, masses * BUCKETS, 1.0))
            bits[image] = (masses * logarithms).sum()
            reached = masses.cumsum(axis=1) <= uniform[image][:, None]
            buckets[row] = np.minimum(reached.sum(axis=1), BUCKETS - 1)
        decoded = codec.decoded(buckets)
        for row, image in enumerate(taken):
            bits[image] += codec.pixels.information(decoded[row], pixels[image])
        if progress:
            progress(len(taken))
    return bits


def _posterior_family() -> Any:
    return stream.model.Categorical(perfect=False)


def _rounds(count: int, chains: int, *, backwards: bool) -> Iterator[np.ndarray]:
    """Indices of the images that are coded together, one of each chain that still has one."""
    starts = range(0, count, chains)
    for start in reversed(starts) if backwards else starts:
        yield np.arange(start, min(start + chains, count))
