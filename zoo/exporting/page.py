"""The page of an export: what its programs read and give, how images are drawn, texts written."""

from typing import Any

HEAD = """# {name}, exported to {to}

Made by `genae export`; the outputs are compared with PyTorch's, on the CPU, for several sizes of
batches and texts, in `parity.json`. `export.json` says what each program was traced with;
`transformers.exporters.ExportedModel.from_pretrained(".")` runs them.

| program | reads | differs from PyTorch by, at most |
| --- | --- | --- |
"""
DRAWING = """
## Draw images by the sampler `{sampler}`, without PyTorch

```python
import numpy as np
from onnxruntime import InferenceSession

chance = np.random.default_rng(0)
{load}{lines}
decoder = InferenceSession("decoder.onnx")
(images,) = decoder.run(None, {{"latents": latents{type}}})  # (16, C, H, W), 0 to 1
```
"""
WRITING = """
## Write a text, the likeliest token each time, without PyTorch

```python
{lines}```
"""


def page(
    name: str,
    to: str,
    programs: dict[str, Any],
    compared: dict[str, Any],
    recipes: dict[str, str],
    writing: str | None = None,
) -> str:
    """The page as Markdown.

    Args:
        name: of the model.
        to: the target.
        programs: by graph what was recorded.
        compared: by graph the differences; absent where they were not tested.
        recipes: of samplers, lines of NumPy that set `latents`.
        writing: lines that write a text.
    """
    rows = []
    for graph, program in programs.items():
        reads = ", ".join(f"`{each}`" for each in program.metadata.kwargs)
        far = compared.get(graph, {}).get("relative_difference", {})
        off = ", ".join(f"`{output}` {value:.1e}" for output, value in far.items())
        rows.append(f"| `{graph}` | {reads} | {off or 'not tested'} |\n")
    if "energy" in programs:
        rows.append(
            "\nThe score is a gradient of the energy, which no program computes: it is "
            "`torch.func.grad` of the model in PyTorch.\n"
        )
    parts = [HEAD.format(name=name, to=to), *rows]
    for sampler, lines in recipes.items():
        parts.append(
            DRAWING.format(
                sampler=sampler,
                load='samplers = np.load("samplers.npz")\n' if "samplers[" in lines else "",
                lines=lines,
                type="" if '"int64"' in lines else '.astype("float32")',
            )
        )
    if writing:
        parts.append(WRITING.format(lines=writing))
    return "".join(parts)
