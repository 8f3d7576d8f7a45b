"""How exported programs write texts: lines of NumPy that take the likeliest token each time."""

import sys
from inspect import signature
from typing import Any

from zoo.generating import ends_of, makes_another

#: Texts to begin with: the first whose tokens the vocabulary knows, or the letters it knows.
TEXTS = ("今天天气很好", "The weather is fine")
STEPS = 20

HEAD = """import numpy as np
from onnxruntime import InferenceSession
{imports}

def call(session, given):
    reads = [each.name for each in session.get_inputs()]
    gives = [each.name for each in session.get_outputs()]
    return dict(zip(gives, session.run(None, {{name: given[name] for name in reads}})))


def empty(session):
    kinds = {{"tensor(float)": "float32", "tensor(int64)": "int64"}}
    past = [each for each in session.get_inputs() if "past_key_values" in each.name]
    shapes = [(1, each.shape[1], 0, each.shape[3]) for each in past]
    return {{each.name: np.zeros(s, kinds[each.type]) for each, s in zip(past, shapes)}}


tokenizer = {tokenizer}
ids = {encode}
"""
DECODER = """{shortened}model = InferenceSession("model.onnx")
given, prompt, read = empty(model), len(ids), 0
for _ in range({steps}):
    given["input_ids"] = np.array([ids[read:]])
    given["attention_mask"] = np.ones((1, len(ids)), "int64")
    given["position_ids"] = np.arange(read, len(ids))[None]
    given["token_type_ids"] = np.full((1, len(ids) - read), {segment})
    found = call(model, given)
"""
ENCODER_DECODER = """encoder, decoder = map(InferenceSession, ("encoder.onnx", "decoder.onnx"))
given = {{"input_ids": np.array([ids]), "attention_mask": np.ones((1, len(ids)), "int64")}}
given |= call(encoder, given) | empty(decoder)
ids, read = [{start}], 0
for _ in range({steps}):
    given["decoder_input_ids"] = np.array([ids[read:]])
    given["decoder_attention_mask"] = {mask}
    found = call(decoder, given)
"""
TAIL = """    given |= {{name.replace("output", "input", 1): each for name, each in found.items()}}
    read = len(ids)
    ids.append(int(found["logits"][0, -1].argmax()))
    if ids[-1] in {ends}:
        break
print({decode})
"""
#: Masks of what was written: all of it, or without padding, which some models do not see.
ALL = 'np.ones((1, len(ids)), "int64")'
SEEN = "np.array([[1, *(int(each != {pad}) for each in ids[1:])]])"

#: Tokenizers that are files of `tokenizers`, and those that cut words by code of genae's.
FILE = {
    "imports": "from tokenizers import Tokenizer\n",
    "tokenizer": 'Tokenizer.from_file("tokenizer.json")',
    "encode": "tokenizer.encode({text!r}).ids",
    "decode": "tokenizer.decode({written})",
}
CODE = {
    "imports": "from transformers import AutoTokenizer\n\nimport zoo.models\n",
    "tokenizer": 'AutoTokenizer.from_pretrained(".")',
    "encode": 'tokenizer({text!r})["input_ids"]',
    "decode": "tokenizer.decode({written}, skip_special_tokens=True)",
}


def recipe(model: Any, tokenizer: Any) -> str | None:
    """Lines that write a text as `zoo.generate` does with `greedy=True`.

    Args:
        model: with a head that writes.
        tokenizer: of it.

    Returns:
        The lines, which need the export's folder as the current one; None of a model that reads a
        condition besides, which is its user's to give, and of one with no room for a text.
    """
    config, settings = model.config, model.generation_config
    if any(getattr(config, name, None) for name in ("num_conditions", "condition_size")):
        return None
    text = _known(tokenizer)
    ids, ends = tokenizer.encode(text), ends_of(model, tokenizer)
    read, whole = (1, len(ids)) if config.is_encoder_decoder else (len(ids), 0)
    room = getattr(config, "max_position_embeddings", None) or sys.maxsize
    if whole > room or read >= room:
        return None
    values = FILE if type(tokenizer).__module__.startswith("transformers.") else CODE
    prefix = makes_another(config) and not config.is_encoder_decoder
    segmented = prefix and not getattr(config, "shared_segment_embeddings", False)
    shortened = not makes_another(config) and ids[-1] in {*ends, tokenizer.sep_token_id}
    start = settings.decoder_start_token_id
    prepared = signature(model.prepare_inputs_for_generation).parameters
    lines = "".join((HEAD, ENCODER_DECODER if config.is_encoder_decoder else DECODER, TAIL))
    return lines.format(
        imports=values["imports"],
        tokenizer=values["tokenizer"],
        encode=values["encode"].format(text=text),
        decode=values["decode"].format(written="ids[prompt:]" if prefix else "ids"),
        shortened="ids.pop()\n" if shortened else "",
        steps=min(STEPS, room - read),
        segment="int(read > 0)" if segmented else "0",
        start=settings.bos_token_id if start is None else start,
        mask=(SEEN if "decoder_attention_mask" in prepared else ALL).format(
            pad=config.pad_token_id or 0
        ),
        ends=ends,
    )


def _known(tokenizer: Any) -> str:
    """A text that the vocabulary knows."""
    letters = ("".join(each for each in text if _knows(tokenizer, each)) for text in TEXTS)
    return next(
        (text for text in (*TEXTS, *letters) if text and _knows(tokenizer, text)), TEXTS[0]
    )


def _knows(tokenizer: Any, text: str) -> bool:
    return tokenizer.unk_token_id not in tokenizer.encode(text)
