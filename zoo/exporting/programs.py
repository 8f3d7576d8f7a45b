"""Programs of other runtimes, written and read by transformers' exporters."""

import contextlib
import io
import logging
import time
import warnings
from collections.abc import Iterator
from pathlib import Path
from textwrap import shorten
from typing import Any

from torch.export import ExportedProgram

from zoo.errors import MissingDependencyError, UsageError
from zoo.exporting.graph import Graph
from zoo.exporting.targets import Target
from zoo.loading import quietly

#: What is traced: three cases of eight tokens. One of anything would be taken for a fixed size.
TRACED = (3, 8)
#: Operations whose weights become 8-bit: those of dense layers and of tables.
QUANTIZED = ["MatMul", "Gemm", "Gather"]
MEASURED, REPEATS = (4, 64), 20


@contextlib.contextmanager
def silently() -> Iterator[None]:
    """Without the notes of tracers, which print, warn and log of their own insides."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with quietly(), warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)


def write(target: Target, graph: Graph, int8: bool) -> Any:
    """The program of a graph and what is recorded of it, an `ExportedComponent`.

    Args:
        target: the runtime.
        graph: of the model.
        int8: quantise matrices to 8 bits; of ONNX alone.

    Raises:
        MissingDependencyError: the exporter needs another version of a package.
        UsageError: the exporter cannot trace the model, or there is nothing to quantise.
    """
    from transformers.exporters.auto import EXPORT_BACKENDS, get_exporter_class

    settings: Any = EXPORT_BACKENDS[target.backend].config
    try:
        with silently():
            exporter: Any = get_exporter_class(target.backend)()
            config = settings(dynamic_shapes=graph.dynamic_shapes())
            length = min(TRACED[1], graph.max_length or TRACED[1])
            inputs = graph.examples(TRACED[0], length)
            made = exporter.export(graph.module, inputs, config).components["model"]
            if isinstance(made.program, ExportedProgram):
                _drop_unread(made.program)
            return _quantized(made, graph.name) if int8 else made
    except ImportError as error:
        raise MissingDependencyError(f"{target.backend}: {_reason(error)}") from error
    except (RuntimeError, ValueError, TypeError, AssertionError) as error:
        raise UsageError(
            f"{target.backend} cannot take the {graph.name} of this model: {_reason(error)}; run "
            "it in PyTorch"
        ) from error


def _drop_unread(program: ExportedProgram) -> None:
    """Leave out the weights that a graph does not read, which are those of other graphs.

    `torch.export` writes all of a module's into each of its programs.
    """
    signature, nodes = program.graph_signature, program.graph.nodes
    unread = {node.name: node for node in nodes if node.op == "placeholder" and not node.users}
    weights = {**signature.inputs_to_parameters, **signature.inputs_to_buffers}
    for name in unread.keys() & weights.keys():
        program.graph.erase_node(unread[name])
        program.state_dict.pop(weights[name], None)
    signature.input_specs = [
        spec
        for spec in signature.input_specs
        if not (spec.arg.name in unread and spec.arg.name in weights)
    ]
    program.graph_module.recompile()


def _reason(error: Exception) -> str:
    """What a tracer says, in a line."""
    return shorten(str(error), 300, placeholder=" ...")


def _quantized(component: Any, name: str) -> Any:
    """An ONNX program with matrices of 8 bits; activations follow where it runs."""
    from transformers.exporters.configs import ExportFormat
    from transformers.exporters.quantizers.quantizer_onnxruntime import (
        OnnxRuntimeDynamicConfig,
        OnnxRuntimeQuantizer,
    )

    nodes = {node.op_type for node in component.program.graph}
    if not nodes & set(QUANTIZED):
        raise UsageError(f"--int8: the {name} of this model has no matrices to quantise")
    settings = OnnxRuntimeDynamicConfig(op_types_to_quantize=QUANTIZED)
    component.program = OnnxRuntimeQuantizer(settings).quantize(
        component.program, {}, ExportFormat.ONNX
    )
    return component


def save(made: Path, target: Target, programs: dict[str, Any], config: Any) -> None:
    """Write programs, `export.json` and the model's configuration into a folder."""
    from transformers.exporters.base import ExportedModel

    with silently():
        ExportedModel(programs, target.backend, config=config).save_pretrained(made)


def runners(folder: Path) -> dict[str, Any]:
    """What runs the programs of a folder on the CPU, as its files have them, by name."""
    from transformers.exporters.base import ExportedModel

    with silently():
        found: dict[str, Any] = ExportedModel.from_pretrained(folder, device="cpu").runners
        return found


def seconds(call: Any, graph: Graph) -> float:
    """The shortest time of a call with a batch of texts or images."""
    batch, length = MEASURED
    inputs = graph.examples(batch, min(length, graph.max_length or length))
    times = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        call(**inputs)
        times.append(time.perf_counter() - start)
    return min(times)
