"""From the JSON of Keras 1 to 3 to the normal form; nothing that it names is looked up or run."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from convert.layers.dialects import plain_class, plain_options, plain_value
from convert.layers.form import INPUT, MODELS, Architecture, Call, Layer, Reference
from convert.layers.text import Source, major
from zoo.errors import IntegrityError, UsageError

MAX_LAYERS = 20_000
MAX_DEPTH = 16  # models in models, wrappers in wrappers
MAX_NESTING = 8  # lists in lists of tensors
MAX_CALLS = 1000  # of one layer

#: Where Keras's own classes live; a class of another module has the module in its kind.
HOMES = ("keras", "tf_keras", "tensorflow.keras", "tensorflow.python.keras")
ANONYMOUS = (None, "builtins", "__main__")
OPERATIONS = ("keras.ops", "keras.src.ops")

#: Layers of tf.keras that stand for a function, and the option that names it.
FUNCTIONS = ("TFOpLambda", "SlicingOpLambda")
NODE = "TensorFlowOpLayer"  # of TensorFlow 2.0 to 2.3
CODE = "Lambda"

#: Arguments of a call that say nothing about inference.
SILENT = ("training", "mask", "name")
WRAPPED = ("layer", "backward_layer")

#: What stands for a tensor in the first place of an operation's call, where that is a number.
CONSTANT = ["_CONSTANT_VALUE", -1]


class _Reader:
    """Reads one architecture, and counts its layers."""

    def __init__(self, source: Source) -> None:
        self.place, self.keras, self.layers = source.place, major(source), 0

    def wrong(self, words: str) -> IntegrityError:
        return IntegrityError(f"{self.place}: {words}; save the model again")

    def table(self, value: Any, what: str) -> Mapping[str, Any]:
        if not isinstance(value, Mapping):
            raise self.wrong(f"{what} is a {type(value).__name__}, not an object")
        return value

    def items(self, value: Any, what: str) -> list[Any]:
        if not isinstance(value, list):
            raise self.wrong(f"{what} is a {type(value).__name__}, not a list")
        return value

    def text(self, value: Any, what: str) -> str:
        if not isinstance(value, str) or not value:
            raise self.wrong(f"{what} is {value!r:.60}, not a name")
        return value

    def model(self, table: Mapping[str, Any], depth: int = 0) -> Architecture:
        kind = self.text(table.get("class_name"), "class_name of the model")
        config = table.get("config")
        if kind not in MODELS:
            raise UsageError(
                f"{self.place}: the model is of the class {kind}, which is a program of its own: "
                "no architecture is in the file. Save a Sequential or Functional model of it, or "
                "give its JSON with --config FILE; weights of known families convert with --family"
            )
        if kind == "Sequential":
            return self.sequential(config, depth)
        config = self.table(config, f"config of the {kind}")
        if "layers" not in config:
            raise UsageError(
                f"{self.place}: the model is a program of its own (a subclass of Model): no "
                "architecture is in the file; give its JSON with --config FILE"
            )
        name = self.text(config.get("name", "model"), "name of the model")
        layers = [
            self.layer(self.table(one, f"a layer of {name}"), name, depth)
            for one in self.items(config["layers"], f"layers of {name}")
        ]
        inputs = list(self.references(config.get("input_layers"), f"input_layers of {name}"))
        outputs = list(self.references(config.get("output_layers"), f"output_layers of {name}"))
        if not outputs:
            raise self.wrong(f"model {name!r} has no output")
        if (
            self.keras == 3
        ):  # whose outputs count the making of a graph as a call, and nothing else
            graphs = {one.name for one in layers if one.model is not None and not one.model.chain}
            outputs = [replace(one, call=max(0, one.call - 1)) if one.layer in graphs else one
                       for one in outputs]  # fmt: skip
        return self.checked(Architecture(name, layers, inputs, outputs, self.keras))

    def sequential(self, config: Any, depth: int) -> Architecture:
        """A chain of layers; an input is put before it where the file has none."""
        whole = config if isinstance(config, Mapping) else {"layers": config}
        name = self.text(whole.get("name", "sequential"), "name of the model")
        found = [
            self.layer(self.table(one, f"a layer of {name}"), name, depth)
            for one in self.items(whole.get("layers"), f"layers of {name}")
        ]
        if not found:
            raise self.wrong(f"model {name!r} has no layer")
        if found[0].kind != INPUT:
            shape = _first_shape(found[0], whole)
            given = {"batch_input_shape": shape, "dtype": found[0].options.get("dtype")}
            names = {layer.name for layer in found}
            free = next(each for i in range(len(names) + 1) if (each := f"input_{i}") not in names)
            found.insert(0, Layer(free, INPUT, given))
        before = Reference(found[0].name)
        inputs = [before]
        for layer in found[1:]:
            layer.calls = [Call((before,))]
            before = Reference(layer.name)
        return self.checked(Architecture(name, found, inputs, [before], self.keras, chain=True))

    def layer(self, table: Mapping[str, Any], model: str, depth: int) -> Layer:
        """One layer with its calls, whatever class it has."""
        self.layers += 1
        if self.layers > MAX_LAYERS:
            raise self.wrong(f"more than {MAX_LAYERS} layers")
        if depth > MAX_DEPTH:
            raise self.wrong(f"models nested more than {MAX_DEPTH} deep")
        kind = self.kind(table, model)
        config = table.get("config")
        named = config if isinstance(config, Mapping) else {}
        name = self.text(table.get("name") or named.get("name"), f"name of a {kind} in {model}")
        layer = Layer(name, kind, frozen=named.get("trainable") is False)
        if kind in MODELS:
            layer.model = self.model(table, depth + 1)
        elif kind == CODE:  # whose options are a program
            function = named.get("function")
            if isinstance(function, Mapping) and function.get("class_name") == "function":
                function = function.get("config")
            layer.options = {"function": function} if isinstance(function, str) else {}
            if isinstance(given := named.get("arguments"), Mapping) and given:
                layer.options["arguments"] = {k: plain_value(one) for k, one in given.items()}
        else:
            plain = {key: plain_value(value) for key, value in named.items()}
            layer.options = plain_options(kind, plain)
            for key in WRAPPED:
                if isinstance(one := named.get(key), Mapping):
                    layer.inner[key] = self.layer(one, name, depth + 1)
                    layer.options.pop(key, None)
        what = f"inbound_nodes of {name}"
        nodes = self.items(table.get("inbound_nodes") or [], what)
        if len(nodes) > MAX_CALLS:
            raise self.wrong(f"layer {name!r} is called {len(nodes)} times")
        layer.calls = [self.call(node, what) for node in nodes]
        return layer

    def kind(self, table: Mapping[str, Any], model: str) -> str:
        """The class; of an operation its function, of a stranger the module as well."""
        kind = self.text(table.get("class_name"), f"class_name of a layer of {model}")
        module, registered = table.get("module"), table.get("registered_name")
        config = table.get("config")
        if kind in FUNCTIONS and isinstance(config, Mapping):
            return f"tf.{self.text(config.get('function'), f'function of a {kind}')}"
        if kind == NODE and isinstance(config, Mapping):
            node = config.get("node_def")
            word = node.get("op") if isinstance(node, Mapping) else None
            return f"op.{word}" if isinstance(word, str) else kind
        if isinstance(registered, str) and ">" in registered:
            return registered
        if isinstance(module, str) and _within(module, OPERATIONS):
            return f"ops.{kind}"
        if module in ANONYMOUS or (isinstance(module, str) and _within(module, HOMES)):
            return plain_class(kind, config if isinstance(config, Mapping) else {})
        return f"{module}.{kind}"

    def call(self, node: Any, what: str) -> Call:
        """One entry of `inbound_nodes`, in any of its three forms."""
        if isinstance(node, Mapping):
            return self.call3(node, what)
        node = self.items(node, what)
        words = [node] if node and isinstance(node[0], str) else node
        inputs: list[Reference] = []
        roles: dict[str, tuple[Reference, ...]] = {}
        arguments: dict[str, Any] = {}
        for word in words:
            word = self.items(word, what)
            if word[:2] == CONSTANT and len(word) > 2:
                arguments["0"] = word[2]
            else:
                inputs.append(self.reference(word, what))
            given = word[3] if len(word) > 3 else {}
            for key, value in self.table(given, what).items():
                if _is_reference(value):
                    roles[key] = (self.reference(value, what),)
                elif key not in SILENT:
                    arguments[key] = value
        return Call(tuple(inputs), roles, arguments)

    def call3(self, node: Mapping[str, Any], what: str) -> Call:
        inputs: list[Reference] = []
        roles: dict[str, tuple[Reference, ...]] = {}
        arguments: dict[str, Any] = {}
        for place, value in enumerate(self.items(node.get("args", []), what)):
            found = list(self.references(value, what))
            inputs += found
            if not found:
                arguments[str(place)] = value
        for key, value in self.table(node.get("kwargs") or {}, what).items():
            if found := list(self.references(value, what)):
                roles[key] = tuple(found)
            elif key not in SILENT and value is not None:
                arguments[key] = value
        return Call(tuple(inputs), roles, arguments)

    def references(self, value: Any, what: str, depth: int = 0) -> Iterator[Reference]:
        """Every tensor in a structure: a triple, lists of them, a table by its sorted keys."""
        if depth > MAX_NESTING:
            raise self.wrong(f"{what} is nested more than {MAX_NESTING} deep")
        if _is_reference(value):
            yield self.reference(value, what)
        elif isinstance(value, Mapping):
            config = value.get("config")
            if value.get("class_name") == "__keras_tensor__" and isinstance(config, Mapping):
                yield self.reference(config.get("keras_history"), what)
            elif "class_name" not in value:
                for key in sorted(value):
                    yield from self.references(value[key], what, depth + 1)
        elif isinstance(value, list):
            for one in value:
                yield from self.references(one, what, depth + 1)

    def reference(self, value: Any, what: str) -> Reference:
        if not _is_reference(value) or min(value[1], value[2]) < 0:
            raise self.wrong(f"{what} contains {value!r:.60}, which names no tensor")
        return Reference(value[0], value[1], value[2])

    def checked(self, model: Architecture) -> Architecture:
        """The model, if its layers have names of their own and read from one another."""
        layers: dict[str, Layer] = {}
        for layer in model.layers:
            if layer.name in layers:
                raise self.wrong(f"model {model.name!r} has two layers named {layer.name!r}")
            layers[layer.name] = layer
        readers = [(layer.name, call) for layer in model.layers for call in layer.calls]
        used = [(name, one) for name, call in readers for one in call.all]
        used += [("the model", one) for one in (*model.inputs, *model.outputs)]
        for name, one in used:
            if one.layer not in layers:
                raise self.wrong(f"{name!r} reads from {one.layer!r}, which is no layer of it")
        _find_first(layers, [one for _, one in used], self.keras)
        for name, one in used:
            there = layers[one.layer]
            if not 0 <= one.call - there.first < max(1, len(there.calls)):
                raise self.wrong(
                    f"{name!r} reads from call {one.call} of {one.layer!r}, which has "
                    f"{len(there.calls)}"
                )
        _check_order(model, self)
        return model


def parse(source: Source) -> Architecture:
    """The architecture that a JSON describes.

    Layers of classes that nobody knows are taken along under their names: what can be done with
    them is not decided here. The code of a Lambda is left out.

    Args:
        source: what `text.find` found.

    Raises:
        IntegrityError: it is damaged: wrong types, references that lead nowhere or in a circle,
            more layers or deeper than any model has.
        UsageError: a subclassed model, of which no file has an architecture.
    """
    reader = _Reader(source)
    table = source.table
    if "class_name" not in table and isinstance(table.get("model_config"), Mapping):
        table = table["model_config"]
    if "class_name" not in table:
        raise IntegrityError(
            f"{source.place}: not the JSON of a Keras model, which has class_name and config"
        )
    return reader.model(table)


def _is_reference(value: Any) -> bool:
    return (
        isinstance(value, list)
        and 3 <= len(value) <= 4
        and isinstance(value[0], str)
        and type(value[1]) is int
        and type(value[2]) is int
    )


def _within(module: str, homes: tuple[str, ...]) -> bool:
    return any(module == home or module.startswith(f"{home}.") for home in homes)


def _first_shape(layer: Layer, whole: Mapping[str, Any]) -> Any:
    """The shape that goes into a chain without an input: of its first layer, or as built."""
    if (shape := layer.options.get("batch_input_shape")) is not None:
        return shape
    if isinstance(shape := layer.options.get("input_shape"), list):
        return [None, *shape]
    return whole.get("build_input_shape")


def _find_first(layers: Mapping[str, Layer], used: list[Reference], keras: int) -> None:
    """Find which layers that are models have their first call numbered 1.

    Before Keras 3 those of a model that was made with inputs are: its making was call 0.
    """
    numbers: dict[str, set[int]] = {}
    for one in used:
        numbers.setdefault(one.layer, set()).add(one.call)
    for name, seen in numbers.items():
        layer = layers[name]
        if layer.model is not None and layer.calls:
            beyond = max(seen) >= len(layer.calls)
            layer.first = int(beyond or (0 not in seen and keras < 3))


def _check_order(model: Architecture, reader: _Reader) -> None:
    """Raise where calls wait for each other in a circle."""
    done = {(layer.name, place) for layer, place in model.order()}
    left = [
        layer.name
        for layer in model.layers
        for place in range(len(layer.calls))
        if (layer.name, place) not in done
    ]
    if left:
        names = ", ".join(map(repr, left[:3]))
        raise reader.wrong(f"layers of {model.name!r} read from one another in a circle: {names}")
