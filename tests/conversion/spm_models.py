"""SentencePiece models made of the recorded ones: other pieces, other ways to normalize."""

import struct

from convert.wire.protobuf import fields
from tests.conversion.bundles import field
from tests.conversion.records import FIXTURES

FOLDER = FIXTURES / "tokenizer"


def piece(text, score=0.0, kind=1):
    stored = text if isinstance(text, bytes) else text.encode()
    bits = struct.pack("<f", score)
    return field(1, field(1, stored) + b"\x15" + bits + field(3, kind))


def parts(name):
    """(number, value) of a recorded model's fields."""
    return list(fields((FOLDER / f"{name}.model").read_bytes()))


def model(name="sp_t5", *, more=b"", training=b"", normalizing=b"", charsmap=True):
    """A recorded model with more pieces, and with fields behind those of its specifications.

    Of a field that is there twice, the last one holds.
    """
    made = b""
    for number, value in parts(name):
        if number == 3 and not charsmap:
            value = b"".join(field(n, v) for n, v in fields(value) if n != 2)
        made += field(number, value + {2: training, 3: normalizing}.get(number, b""))
    return made + more


BYTES = b"".join(piece(f"<0x{byte:02X}>", 0.0, 6) for byte in range(256))
#: What SentencePiece itself made of each is in `sp_variants.json`.
VARIANTS = {
    "t5": model(),
    "cpm": model("sp_cpm"),
    "no_dummy_prefix": model(normalizing=field(3, 0)),
    "all_spaces": model(normalizing=field(4, 0)),
    "all_spaces_no_prefix": model(normalizing=field(3, 0) + field(4, 0)),
    "identity": model(charsmap=False),
    "byte_fallback": model(training=field(35, 1), more=BYTES),
    "user_defined": model(
        more=piece("\n", 0, 4) + piece("\uff21\uff22", 0, 4) + piece("ell", 0, 4)
    ),
    "unused": model(more=piece("abc", -1.0, 5) + piece("[CLS]", 0, 3)),
    "own_names": model(training=field(44, b"<?>") + field(47, b"</s>")),
}
