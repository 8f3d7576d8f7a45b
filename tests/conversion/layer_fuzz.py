"""Damaged Keras models by chance: bytes of files, and the JSON of architectures as a structure."""

import copy
import json
import random
import resource
import shutil
import time
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py

import convert
from tests.conversion.keras_files import KERAS
from tests.conversion.test_damaged_files import damaged
from zoo.errors import GenaeError

#: What may stand where something else should.
JUNK: tuple[Any, ...] = (
    None, True, False, 0, 1, -1, 2, 3, 2**31, 2**63, 10**30, -(2**70), 0.5, 1e308,
    float("nan"), float("inf"), "", "x", "relu", "dense", "channels_first", "same", "\ud800",
    "é/日本\u202e", "a" * 3000, [], {}, [[]], [0], [None], [None, 4], [None, 2**31, 2**31],
    [1] * 500, [[["x", 0, 0, {}]]],
    {"class_name": "__tuple__", "items": [1, 2]}, {"class_name": "Dense"}, {"class_name": []},
    {"class_name": "__keras_tensor__", "config": {"keras_history": ["x", 0, 0]}},
    {"class_name": "Lambda", "config": {"function": ["4wEAAAA=", None, None]}},
)  # fmt: skip
WORDS = (
    "Dense", "Conv2D", "Conv2DTranspose", "LSTM", "GRU", "Embedding", "BatchNormalization",
    "Reshape", "Flatten", "Concatenate", "Dot", "MultiHeadAttention", "Bidirectional",
    "TimeDistributed", "InputLayer", "Functional", "Sequential", "Model", "Lambda", "TFOpLambda",
    "Normalization", "SpectralNormalization", "ZeroPadding2D", "UpSampling2D", "Permute",
    "RepeatVector", "Masking",
)  # fmt: skip
MAX_DEEP = 3000
MAX_VALUES = 20_000  # of a structure that is changed further

Path_ = tuple[Any, ...]


def places(value: Any, path: Path_ = ()) -> list[Path_]:
    """Where the values of a structure are."""
    found = [path] if path else []
    if isinstance(value, dict | list):
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        for key, one in pairs:
            found += places(one, (*path, key))
    return found


def at(table: Any, path: Path_) -> Any:
    """The value at a place."""
    for key in path:
        table = table[key]
    return table


def _replace(table: Any, path: Path_, chance: random.Random) -> None:
    at(table, path[:-1])[path[-1]] = copy.deepcopy(chance.choice(JUNK))


def _other_class(table: Any, path: Path_, chance: random.Random) -> None:
    at(table, path[:-1])[path[-1]] = chance.choice(WORDS)


def _remove(table: Any, path: Path_, chance: random.Random) -> None:
    del at(table, path[:-1])[path[-1]]


def _repeat(table: Any, path: Path_, chance: random.Random) -> None:
    inside = at(table, path[:-1])
    if isinstance(inside, list):
        inside[path[-1] : path[-1]] = [inside[path[-1]]] * chance.choice((1, 3, 200))


def _move(table: Any, path: Path_, chance: random.Random) -> None:
    source = copy.deepcopy(at(table, chance.choice(places(table))))
    at(table, path[:-1])[path[-1]] = source


def _rename(table: Any, path: Path_, chance: random.Random) -> None:
    inside = at(table, path[:-1])
    if isinstance(inside, dict):
        inside[chance.choice((*inside, "layers", "axis", "units", "é", ""))] = inside.pop(path[-1])


def _number(table: Any, path: Path_, chance: random.Random) -> None:
    value = at(table, path)
    if type(value) in (int, float):
        others = (-value, value + 1, value - 1, value * 1000, value * 2**40, float(value))
        at(table, path[:-1])[path[-1]] = chance.choice(others)


def _deepen(table: Any, path: Path_, chance: random.Random) -> None:
    value = at(table, path)
    for _ in range(chance.choice((1, 2, 20, 60))):
        value = [value] if chance.random() < 0.8 else {"class_name": "Model", "config": value}
    at(table, path[:-1])[path[-1]] = value


CHANGES: tuple[Callable[[Any, Path_, random.Random], None], ...] = (
    _replace, _replace, _other_class, _remove, _repeat, _move, _rename, _number, _number, _deepen,
)  # fmt: skip


def mutated(table: Any, chance: random.Random, *, texts: bool = True) -> str:
    """A JSON of which some values are something else, as text.

    Args:
        table: the sound one.
        chance: decides.
        texts: whether the text may be no JSON any more, or have a million values.
    """
    table = copy.deepcopy(table)
    for _ in range(chance.randint(1, 4)):
        there = places(table)
        if not there or len(there) > MAX_VALUES:
            break
        chance.choice(CHANGES)(table, chance.choice(there), chance)
    text = json.dumps(table)
    if not texts:
        return text
    if chance.random() < 0.02:
        place = chance.randrange(len(text))
        what = chance.choice(("[" * MAX_DEEP, '{"a":' * MAX_DEEP, "1e999", "9" * 5000, "NaN", ","))
        text = text[:place] + what + text[place:]
    if chance.random() < 0.003:
        text = text.replace("[", "[" + "0," * 10**6, 1)
    return text


def _architecture(path: Path) -> dict[str, Any]:
    if path.suffix == ".keras":
        with zipfile.ZipFile(path) as archive:
            return dict(json.loads(archive.read("config.json")))
    with h5py.File(path) as file:
        return dict(json.loads(file.attrs["model_config"]))


MODELS = (
    "nested_two_deep", "shared_model", "lstm_options", "mha", "conv2dt_outpad", "names", "tf_ops",
    "keras3_ops",
)  # fmt: skip


class Maker:
    """Makes damaged files of one kind, each turn another."""

    def __init__(self, kind: str, folder: Path, chance: random.Random) -> None:
        self.folder, self.chance = folder, chance
        self.make: Callable[[Path], Path] = getattr(self, f"_{kind}")
        end = ".keras" if kind == "keras" else ".h5"
        found = [KERAS / name / f"model{end}" for name in MODELS]
        self.sources = [path for path in found if path.is_file()]
        self.tables = {path: _architecture(path) for path in self.sources}
        self.contents = {path: path.read_bytes() for path in self.sources}

    def __call__(self) -> tuple[Path, Path | None]:
        """The file to open, and the JSON given with it."""
        source = self.chance.choice(self.sources)
        made = self.make(source)
        return (source, made) if made.suffix == ".json" else (made, None)

    def _h5(self, source: Path) -> Path:
        """Bytes of the file, or its JSON, or its tree."""
        path = self.folder / "model.h5"
        content = self.contents[source]
        turn = self.chance.random()
        if turn < 0.5:
            path.write_bytes(damaged(content, self.chance))
            return path
        path.write_bytes(content)
        with h5py.File(path, "r+") as file:
            if turn < 0.75:
                # The text stands in the header of an object, which has 64 KiB.
                text = mutated(self.tables[source], self.chance)[:60_000]
                file.attrs["model_config"] = text.encode()
            else:
                self._change_tree(file)
        return path

    def _change_tree(self, file: Any) -> None:
        names: list[str] = []
        file.visit(names.append)
        for number in range(self.chance.randint(1, 3)):
            name = self.chance.choice(names)
            if name not in file:
                continue
            change = self.chance.randrange(6)
            if change == 0:
                del file[name]
            elif change == 1:
                file.move(name, f"moved_{number}")
            elif change == 2:
                del file[name]
                shape = self.chance.choice(((), (0,), (2**20, 2**20), (3, 3)))
                file.create_dataset(name, shape, "f4")
            elif change == 3:
                file[f"again_{number}"] = file[name]
            elif change == 4:
                attributes = file[name].attrs
                for key in attributes:
                    attributes[key] = [b"x", b"x"] if self.chance.random() < 0.5 else 3.0
            else:
                file[f"link_{number}"] = h5py.SoftLink("/")

    def _keras(self, source: Path) -> Path:
        path = self.folder / "model.keras"
        if self.chance.random() < 0.5:
            path.write_bytes(damaged(self.contents[source], self.chance))
            return path
        with zipfile.ZipFile(source) as old, zipfile.ZipFile(path, "w") as new:
            for name in old.namelist():
                content = old.read(name)
                if name == "config.json" and self.chance.random() < 0.8:
                    content = mutated(self.tables[source], self.chance).encode(
                        "utf-8", "surrogatepass"
                    )
                elif self.chance.random() < 0.3:
                    content = damaged(content, self.chance)
                new.writestr(name, content)
        return path

    def _json(self, source: Path) -> Path:
        path = self.folder / "model.json"
        if self.chance.random() < 0.1:
            path.write_bytes(damaged(json.dumps(self.tables[source]).encode(), self.chance))
        else:
            text = mutated(self.tables[source], self.chance)
            path.write_bytes(text.encode("utf-8", "surrogatepass"))
        return path


class Record:
    """What a run of the fuzzer met."""

    def __init__(self) -> None:
        self.counts: dict[str, int] = {}
        self.slowest, self.memory = 0.0, 0

    def add(self, found: str, seconds: float, memory: int) -> None:
        """Note one file: what was said of it, seconds of the processor's time, bytes in all."""
        self.counts[found] = self.counts.get(found, 0) + 1
        self.slowest, self.memory = max(self.slowest, seconds), max(self.memory, memory)

    def __str__(self) -> str:
        counts = ", ".join(f"{name} {count}" for name, count in sorted(self.counts.items()))
        return f"{counts}; slowest {self.slowest:.3f} s; {self.memory / 1e6:.0f} MB more at most"


def fuzz(kind: str, folder: Path, count: int, seed: int) -> Record:
    """Inspect and convert damaged models: only errors of ours, none slow, none with much memory.

    A conversion that ends in an error leaves nothing.
    """
    chance = random.Random(seed)
    make, record = Maker(kind, folder, chance), Record()
    out = folder / "out"
    verbs = (lambda *given: convert.convert_checkpoint(*given[:1], out, config=given[1]),
             lambda *given: convert.inspect(given[0], config=given[1]))  # fmt: skip
    for verb in verbs:  # what they import is no cost of a file
        verb(make.sources[0], None)
    shutil.rmtree(out)
    held = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for turn in range(count):
        source, config = make()
        allowed = 2 * (source.stat().st_size + (config.stat().st_size if config else 0)) + 200e6
        start = time.process_time()
        refusal = None
        try:
            verbs[turn % 2](source, config)
        except GenaeError as error:
            refusal = error
        took = time.process_time() - start
        found = "read" if refusal is None else type(refusal).__name__
        if refusal is not None:
            assert str(refusal), (kind, seed, turn)
            assert not out.exists(), (kind, seed, turn)
        grown = 1024 * (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - held)
        record.add(found, took, grown)
        assert took < 1, (kind, seed, turn, took)
        assert grown < allowed, (kind, seed, turn, grown)
        shutil.rmtree(out, ignore_errors=True)
    return record
