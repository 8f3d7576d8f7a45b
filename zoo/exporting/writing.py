"""The folder of an export to another runtime: programs, proof, page and companion files."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from torch import nn

from zoo.errors import UsageError
from zoo.exporting import generating, page, samplers
from zoo.exporting.graph import Graph
from zoo.exporting.graphs import graphs
from zoo.exporting.programs import runners, save, seconds, silently, write
from zoo.exporting.proof import check, compare
from zoo.exporting.targets import TARGETS, check_installed
from zoo.loading import model_at, tokenizer_at

#: Files of a model's folder that say what its inputs are made of.
COMPANIONS = (
    "preprocessor_config.json", "tokenizer.json", "tokenizer_config.json", "vocab.txt",
    "special_tokens_map.json",
)  # fmt: skip


def write_programs(
    name: str,
    place: str,
    made: Path,
    *,
    to: str,
    backbone: bool,
    int8: bool,
    told: Callable[[str], Any],
) -> dict[str, Any]:
    """Write the programs of a model and compare them.

    Args:
        name: of the model, for its page.
        place: its folder.
        made: the folder to write into.
        to: a key of `TARGETS`.
        backbone: without the model's head.
        int8: matrices of 8 bits.
        told: called with the name of each step as it begins.

    Returns:
        By graph the differences, and what 8 bits gain; empty where the target is not tested.

    Raises:
        UsageError: nothing of the model is a graph, or the exporter cannot take it.
        ToleranceError: a program gives something else than PyTorch.
        MissingDependencyError: as `programs.write`.
    """
    target = check_installed(to)
    network = model_at(place, dtype="float32").eval()
    network = network.base_model if backbone else network
    found = graphs(network, cached=target.caches)
    if not found:
        raise UsageError(f"{name} has nothing that a graph computes; run it in PyTorch")
    compared: dict[str, Any] = {}
    plain = _plain(found, made, told) if int8 else {}
    programs = {}
    for graph in found:
        told(f"tracing {graph.name}")
        programs[graph.name] = write(target, graph, int8)
    save(made, target, programs, network.config)
    running = runners(made) if target.tested else {}
    for graph in found:
        told(f"comparing {graph.name}")
        if graph.name in running:
            compared[graph.name] = compare(running[graph.name], graph)
            if int8:
                with silently():
                    after = seconds(running[graph.name], graph)
                size, before = plain[graph.name]
                compared[graph.name] |= {
                    "bytes": _bytes(made, graph), "bytes_of_32_bits": size, "seconds": after,
                    "seconds_of_32_bits": before, "times_as_fast": before / after,
                }  # fmt: skip
            else:
                check(graph.name, compared[graph.name])
    for file in COMPANIONS:
        if (Path(place) / file).is_file():
            shutil.copyfile(Path(place) / file, made / file)
    draws = isinstance(getattr(network, "samplers", None), nn.ModuleDict)
    arrays, lines = samplers.recipes(network) if draws else ({}, {})
    if arrays and to == "onnx":
        samplers.save(made / samplers.FILE, arrays)
    writing = _writing(network, place, name) if target.caches else None
    text = page.page(name, to, programs, compared, lines if to == "onnx" else {}, writing)
    (made / "README.md").write_text(text, encoding="utf-8", newline="\n")
    return compared


def _writing(network: Any, place: str, name: str) -> str | None:
    """Lines that write a text, of a model that writes and has a tokenizer."""
    if not (network.can_generate() and (Path(place) / "tokenizer.json").is_file()):
        return None
    return generating.recipe(network, tokenizer_at(place, name))


def _plain(
    found: list[Graph], made: Path, told: Callable[[str], Any]
) -> dict[str, tuple[int, float]]:
    """Bytes of each graph in ONNX with 32 bits, and seconds of a call."""
    target, folder, programs = TARGETS["onnx"], made / "plain", {}
    for graph in found:
        told(f"tracing {graph.name}")
        programs[graph.name] = write(target, graph, int8=False)
    save(folder, target, programs, None)
    running = runners(folder)
    with silently():
        measured = {
            graph.name: (_bytes(folder, graph), seconds(running[graph.name], graph))
            for graph in found
        }
    shutil.rmtree(folder)
    return measured


def _bytes(folder: Path, graph: Graph) -> int:
    """Size of a graph's files of ONNX."""
    return sum(path.stat().st_size for path in folder.glob(f"{graph.name}.onnx*"))
