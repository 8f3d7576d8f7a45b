"""The file format, `.gnz`: everything that another machine needs, apart from the model.

A file is a signature and blocks, without gaps; whole numbers are little-endian::

    signature   8 bytes   89 47 4E 5A 0D 0A 1A 0A: damaged by whatever changes line ends
    block       repeated  header, names, then one for each chain

    block       u32       length n of the content
                n bytes   content
                u32       CRC-32 of length and content

    header      u8        version of the format, 2
                u8 + text model id, UTF-8
                u8 + text model version
                32 bytes  SHA-256 of the weights file
                u16 x 3   channels, height, width of an image
                u8        mode of the images: 0 for "L", 1 for "1" (of two values), 2 for "RGB"
                u32       count of images, 1 to 1,000,000
                u16       count of chains: image i is in chain i modulo it
                u16       buckets of a latent dimension, in bits
    names       bytes     see `names`
    chain       u16       words of the seed that are not stored, see `chains`
                bytes     the rest of the stack in 32-bit words, without zero bytes at its end

Any flipped bit fails a checksum, any cut leaves a block incomplete, and a stack must end as the
seed once all images are taken off it. The weights of the model are not in the file.
"""

import struct
import zlib
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from zoo.errors import ConflictError, IntegrityError

from .chains import BUCKET_BITS, Chain
from .codec import Identity
from .names import pack, unpack

SIGNATURE = b"\x89GNZ\r\n\x1a\n"
FORMAT = 2
CHANNELS = {"L": 1, "1": 1, "RGB": 3}  # of the modes that can be stored
MODES = tuple(CHANNELS)
MAX_IMAGES = 1_000_000  # in one file; all are in memory at once
_U32 = struct.Struct("<I")
_U16 = struct.Struct("<H")
_NUMBERS = struct.Struct("<3HBIHH")


@dataclass(frozen=True)
class Container:
    """A file's content.

    Attributes:
        identity: of the model.
        shape: `(channels, height, width)`.
        mode: of the images, one of `MODES`.
        names: of the images' files, relative, with `/`.
        chains: the coded stacks.
    """

    identity: Identity
    shape: tuple[int, int, int]
    mode: str
    names: Sequence[str]
    chains: Sequence[Chain]

    def to_bytes(self) -> bytes:
        """The file."""
        texts = [self.identity.id.encode(), self.identity.version.encode()]
        header = bytes([FORMAT]) + b"".join(bytes([len(text)]) + text for text in texts)
        header += self.identity.sha256 + _NUMBERS.pack(
            *self.shape, MODES.index(self.mode), len(self.names), len(self.chains), BUCKET_BITS
        )
        stacks = [
            _U16.pack(chain.unreached) + chain.words.astype("<u4").tobytes().rstrip(b"\0")
            for chain in self.chains
        ]
        return SIGNATURE + b"".join(map(_block, (header, pack(self.names), *stacks)))

    @classmethod
    def from_bytes(cls, content: bytes, name: str) -> "Container":
        """Read a file.

        Args:
            content: all bytes of the file.
            name: of the file in messages.

        Raises:
            IntegrityError: it is not such a file, is incomplete, or a byte of it changed.
            ConflictError: another version of genae wrote it.
        """
        if not content.startswith(SIGNATURE):
            raise IntegrityError(f"{name}: is not a .gnz file, or its beginning is damaged")
        blocks = _blocks(content, name)
        try:
            identity, shape, mode, count, chains = _header(blocks[0], name)
            if len(blocks) != chains + 2:
                raise ValueError(f"it holds {len(blocks) - 2} of {chains} chains")
            names = unpack(blocks[1], count)
            stacks = [_chain(block) for block in blocks[2:]]
        except (ValueError, IndexError, struct.error) as error:
            raise IntegrityError(f"{name}: is damaged ({error}); get it again") from None
        return cls(identity, shape, mode, names, stacks)


def _block(content: bytes) -> bytes:
    head = _U32.pack(len(content)) + content
    return head + _U32.pack(zlib.crc32(head))


def _blocks(content: bytes, name: str) -> list[bytes]:
    """The contents of all blocks, each checked."""
    blocks: list[bytes] = []
    place = len(SIGNATURE)
    while place < len(content):
        end = place + _U32.size
        if end <= len(content):
            end += _U32.unpack_from(content, place)[0]
        if end + _U32.size > len(content):
            raise IntegrityError(
                f"{name}: ends within block {len(blocks) + 1}: incomplete or damaged; get it again"
            )
        if zlib.crc32(content[place:end]) != _U32.unpack_from(content, end)[0]:
            raise IntegrityError(
                f"{name}: block {len(blocks) + 1} fails its checksum; get it again"
            )
        blocks.append(content[place + _U32.size : end])
        place = end + _U32.size
    return blocks


def _header(block: bytes, name: str) -> tuple[Identity, tuple[int, int, int], str, int, int]:
    if block[0] != FORMAT:
        other = "newer" if block[0] > FORMAT else "older"
        raise ConflictError(
            f"{name}: has format {block[0]}, which {'an' if other == 'older' else 'a'} {other} "
            f"genae wrote; this one reads {FORMAT}. Decompress it with that version"
        )
    texts, place = [], 1
    for _ in range(2):
        end = place + 1 + block[place]
        texts.append(block[place + 1 : end].decode())
        place = end
    sha256, place = block[place : place + 32], place + 32
    *shape, mode, count, chains, bits = _NUMBERS.unpack(block[place:])
    if bits != BUCKET_BITS:
        raise ConflictError(f"{name}: has buckets of {bits} bits, this genae {BUCKET_BITS}")
    if mode >= len(MODES) or not 1 <= chains <= count <= MAX_IMAGES:
        raise ValueError("its header makes no sense")
    if shape[0] != CHANNELS[MODES[mode]]:
        raise ValueError(f"its images have {shape[0]} channels and mode {MODES[mode]}")
    model_id, version = texts
    return (
        Identity(model_id, version, sha256),
        (shape[0], shape[1], shape[2]),
        MODES[mode],
        count,
        chains,
    )


def _chain(block: bytes) -> Chain:
    (unreached,) = _U16.unpack_from(block)
    stack = block[_U16.size :]
    return Chain(unreached, np.frombuffer(stack + bytes(-len(stack) % 4), "<u4").astype(np.uint32))
