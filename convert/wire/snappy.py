"""Raw Snappy blocks, as in the indexes of published checkpoints (no framing).

Format: https://github.com/google/snappy/blob/main/format_description.txt
"""

from convert.wire.protobuf import WireError, varint

MAX_RATIO = 22  # of what is stored: three bytes give 64 at most; more is a bomb


def decompress(data: bytes) -> bytes:
    """The bytes that were compressed.

    Raises:
        WireError: the block is malformed, or announces an absurd length.
    """
    length, position = varint(data, 0)
    if length > MAX_RATIO * len(data) + 64:
        raise WireError(f"a block of {len(data)} bytes announces {length} after decompression")
    out = bytearray()
    while position < len(data):
        tag = data[position]
        position += 1
        if tag & 3 == 0:
            size = tag >> 2
            if size >= 60:
                extra = size - 59
                if position + extra > len(data):
                    raise WireError("a literal's length runs past the block")
                size = int.from_bytes(data[position : position + extra], "little")
                position += extra
            size += 1
            if position + size > len(data):
                raise WireError("a literal runs past the block")
            out += data[position : position + size]
            position += size
        else:
            kind = tag & 3
            extra = (0, 1, 2, 4)[kind]
            if position + extra > len(data):
                raise WireError("a copy's offset runs past the block")
            offset = int.from_bytes(data[position : position + extra], "little")
            position += extra
            size = (tag >> 2) + 1
            if kind == 1:
                offset |= tag >> 5 << 8
                size = (tag >> 2 & 7) + 4
            if not 0 < offset <= len(out):
                raise WireError(f"a copy reaches {offset} bytes back, there are {len(out)}")
            if size <= offset:
                out += out[len(out) - offset : len(out) - offset + size]
            else:  # the copy overlaps what it writes: a pattern repeated
                pattern = bytes(out[-offset:])
                out += (pattern * (size // offset + 1))[:size]
        if len(out) > length:
            raise WireError(f"decompresses to more than the {length} bytes announced")
    if len(out) != length:
        raise WireError(f"decompresses to {len(out)} bytes, {length} were announced")
    return bytes(out)
