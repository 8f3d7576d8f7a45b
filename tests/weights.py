"""Files of weights, compared without what their headers say of where they come from."""

import json


def content(path):
    """A file of a conversion, without what its header says of the source."""
    content = path.read_bytes()
    if path.suffix != ".safetensors":
        return content
    end = 8 + int.from_bytes(content[:8], "little")
    header = json.loads(content[8:end])
    header["__metadata__"].pop("genae.source", None)  # shipped before headers had it
    return list(header.items()), content[end:]
