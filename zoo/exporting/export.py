"""A model out to another runtime: written, run again, compared, and only then kept."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from zoo.exporting.targets import SENTENCES, TARGETS, TOLERANCE, check_options
from zoo.hints import literal, python
from zoo.registry import resolve
from zoo.staging import check_new_folder, new_folder

PROOF = "parity.json"
#: Lines of Python that load what was written, `{}` in place of its folder.
RUNNING = (
    "from transformers.exporters import ExportedModel",
    "import zoo.models",
    "print(ExportedModel.from_pretrained({}))",
)
LOADING = dict.fromkeys(TARGETS, RUNNING) | {
    SENTENCES: (
        "import zoo.models",
        "from sentence_transformers import SentenceTransformer",
        "print(SentenceTransformer({}))",
    )
}
BACKBONE = (
    "import zoo.models",
    "from transformers import AutoModel",
    "print(type(AutoModel.from_pretrained({})))",
)


@dataclass
class Exported:
    """What was written.

    Attributes:
        folder: it all, complete.
        to: the target.
        parity: by graph how far its outputs are from PyTorch's; see `parity.json`.
        files: their names and sizes in bytes.
    """

    folder: str
    to: str
    parity: dict[str, Any]
    files: dict[str, int] = field(default_factory=dict)

    @property
    def next_step(self) -> str:
        """The command that loads it, in any folder."""
        plain = self.to == SENTENCES and "modules.json" not in self.files
        place = literal(Path(self.folder).expanduser().absolute())
        return python(*(line.format(place) for line in (BACKBONE if plain else LOADING[self.to])))


def export(
    model: str | os.PathLike[str],
    out: str | os.PathLike[str],
    *,
    to: str,
    pooling: str | None = None,
    backbone: bool = False,
    int8: bool = False,
    with_code: bool = False,
    progress: Callable[[str], Any] | None = None,
) -> Exported:
    """Write a model for another runtime, and keep it only if it gives what PyTorch gives.

    Every program is run on the CPU with seeded inputs of several sizes, and compared: its outputs
    are at most 1e-4 away, relative to the largest number of each, or nothing is written.
    `parity.json` has the differences, `README.md` what the programs read and how images are drawn.

    Args:
        model: an id or a folder.
        out: the new folder; it may exist if it is empty.
        to: "onnx", "torch" (a program of `torch.export`), "sentence-transformers"; "executorch"
            and "openvino" are written by transformers' exporters and not tested here.
        pooling: of sentence-transformers, as of `zoo.embed`, or "mean"; None is the model's own.
        backbone: without the model's head; to sentence-transformers, a plain encoder.
        int8: of ONNX, matrices of 8 bits; the difference is stated and not bounded.
        with_code: of sentence-transformers, add the modelling files of genae's own classes.
        progress: called with the name of each step as it begins.

    Returns:
        What was written and how far it is from PyTorch.

    Raises:
        UsageError: there is no such target, an option is another's, or the exporter cannot take
            the model, as a score, which is a gradient.
        ToleranceError: a program gives something else than PyTorch.
        NotFoundError: there is no such model.
        ConflictError: `out` exists.
        MissingDependencyError: a package of the target is not installed.
    """
    told: Callable[[str], Any] = progress or (lambda step: None)
    check_options(to, pooling=pooling, int8=int8, with_code=with_code)
    check_new_folder(Path(os.path.expanduser(out)))
    name, place = os.fspath(model), resolve(model)
    with new_folder(out) as made:
        if to == SENTENCES:
            from zoo.exporting.sentences import write_sentences

            told("writing")
            compared: dict[str, Any] = {
                "model": write_sentences(
                    place, made, pooling=pooling, backbone=backbone, with_code=with_code
                )
            }
        else:
            from zoo.exporting.writing import write_programs

            compared = write_programs(
                name, place, made, to=to, backbone=backbone, int8=int8, told=told
            )
        parity = {"to": to, "tolerance": TOLERANCE, "graphs": compared}
        if any(compared.values()):
            text = json.dumps(parity, indent=2) + "\n"
            (made / PROOF).write_text(text, encoding="utf-8")
        files = {
            path.relative_to(made).as_posix(): path.stat().st_size
            for path in sorted(made.rglob("*"))
            if path.is_file()
        }
    return Exported(os.fspath(out), to, compared, files)
