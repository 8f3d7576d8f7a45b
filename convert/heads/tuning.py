"""From heads that were asked for to their steps, their class and their settings."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from convert.families.base import HEAD_OPTIONS
from convert.families.settings import parts_present
from convert.heads.fitting import Fit, check_settings, fit_all, is_exact
from convert.heads.kinds import EXACT, KINDS, NUMBER, OF_TWO_MAPS, TWO_MAPS, Kind
from convert.heads.labels import check_labels, check_rules, read_labels
from convert.heads.recorded import Recorded
from convert.heads.units import Unit, units
from convert.names.naming import Naming
from convert.weights.rows import CONDITION_LAYER
from convert.weights.steps import Step
from zoo.errors import UsageError
from zoo.heads import FINE_TUNED, HEADS

if TYPE_CHECKING:
    from convert.families.base import Family, Settings
    from convert.readers import Checkpoint

#: Settings of a head that are those of the conversion alone.
OURS = ("name", "reads")
#: What transformers calls the way labels are read.
PROBLEMS = {"softmax": "single_label_classification", "sigmoid": "multi_label_classification"}


@dataclass
class Tuned:
    """Heads of a conversion.

    Attributes:
        tables: settings by the name of the head, as configurations of genae have them.
        fits: where each lies in the file.
        notes: what was taken for granted.
    """

    tables: dict[str, dict[str, Any]]
    fits: list[Fit]
    notes: list[str] = field(default_factory=list)

    @property
    def sources(self) -> set[str]:
        """Stored names of all their tensors."""
        return {stored for one in self.fits for _, stored, _, _ in one.pairs}

    @property
    def reads_pooler(self) -> bool:
        """Whether one of them reads the pooler."""
        return any(table.get("pooling") == "pooler" for table in self.tables.values())

    def steps(self, result: Mapping[str, Any]) -> list[Step]:
        """What becomes of their tensors.

        Args:
            result: the `config.json`.
        """
        found = []
        for (name, table), one in zip(self.tables.items(), self.fits, strict=True):
            for row, stored, op, shape in one.pairs:
                target = f"heads.{name}.{row.target}"
                if not str(result["architectures"][0]).endswith(FINE_TUNED):
                    module = EXACT.get(table["kind"], {}).get(result["model_type"], "classifier")
                    place = row.target if row in TWO_MAPS else row.target.rpartition(".")[2]
                    target = f"{module}.{place}"
                found.append(Step((stored,), target, shape, op))
        return found

    def config(self, family: Family, settings: Settings) -> dict[str, Any]:
        """The `config.json` of the backbone with its heads.

        Args:
            family: of the backbone.
            settings: the resolved ones; notes, and tables of heads, are put into them.
        """
        notes = list(settings.notes)
        plain = family.config(settings)
        kinds = [table["kind"] for table in self.tables.values()]
        (first, *more), one = self.tables.values(), KINDS[kinds[0]]
        two_maps = any(row in TWO_MAPS for fit in self.fits for row, *_ in fit.pairs)
        if two_maps and (
            more or plain["model_type"] not in OF_TWO_MAPS or not _plain(first, "cls")
        ):
            raise UsageError(
                "a classifier of two maps with an activation between them converts to "
                "transformers' ELECTRA and RoFormer alone, with --head-option pooling=cls and "
                "activation=softmax or sigmoid; --head none converts the backbone without it"
            )
        if more:
            return _named(plain, "ForMultiTask") | {"heads": self._tables()}
        labels = labels_of(first, self.fits[0].sizes)
        own = plain["model_type"].startswith("genae_")
        if two_maps or (_plain(first) and not own and is_exact(kinds[0], plain["model_type"])):
            problem = (
                {} if kinds[0] != "classifier" else {"problem_type": PROBLEMS[first["activation"]]}
            )
            dropout = {"classifier_dropout": first["dropout"]} if first.get("dropout") else {}
            names = {} if kinds[0] == "span" else labels
            return _named(plain, one.ending) | names | problem | dropout
        ending = one.ending
        if ending in ("ForQuestionAnswering", "ForMultiTask"):
            return _named(plain, "ForMultiTask") | {"heads": self._tables()}
        if ending not in FINE_TUNED:
            settings.heads = self._tables()
            settings.notes[:] = notes
            plain = family.config(settings)
        table = {name: value for name, value in first.items() if name not in ("labels", *OURS)}
        return _named(plain, ending) | labels | {"heads": {next(iter(self.tables)): table}}

    def _tables(self) -> dict[str, dict[str, Any]]:
        """The tables, each with its labels."""
        return {
            name: {key: value for key, value in table.items() if key not in OURS}
            | _counted(table, one.sizes)
            if table["kind"] != "span"
            else {"kind": "span"}
            for (name, table), one in zip(self.tables.items(), self.fits, strict=True)
        }


def _counted(table: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, int]:
    """The number of labels, of a kind that has some, unless they are named."""
    return {"num_labels": sizes["labels"]} if "labels" in sizes and "labels" not in table else {}


def _plain(table: Mapping[str, Any], pooling: str = "pooler") -> bool:
    """Whether a table says no more than transformers' classes compute.

    Args:
        table: of the head.
        pooling: of the class.
    """
    return (
        table.get("pooling", pooling) == pooling
        and table.get("activation", "softmax")
        in (PROBLEMS if table["kind"] == "classifier" else ("softmax",))
        and not table.keys() - {"kind", "name", "pooling", "activation", "labels", "dropout"}
    )


def _named(config: dict[str, Any], ending: str) -> dict[str, Any]:
    """A configuration whose class has another head."""
    name = str(config["architectures"][0])
    stem = next(name.removesuffix(head) for head in HEADS if name.endswith(head))
    return config | {"architectures": [f"{stem}{ending}"]}


def labels_of(table: Mapping[str, Any], sizes: Mapping[str, int]) -> dict[str, Any]:
    """The names of labels as configurations have them.

    Args:
        table: of the head.
        sizes: of the head, "labels" among them.
    """
    names = table.get("labels") or [f"LABEL_{i}" for i in range(sizes.get("labels", 0))]
    return {
        "id2label": {str(i): name for i, name in enumerate(names)},
        "label2id": {name: i for i, name in enumerate(names)},
    }


def names_of_conditions(labels: Any, count: int | None) -> dict[str, Any]:
    """What a configuration says of the rows of a table of conditions; nothing without one.

    Args:
        labels: names of the rows, as `read_labels` takes them; None numbers them.
        count: how many there are.

    Raises:
        UsageError: there are more or fewer names.
    """
    if count is None:
        return {}
    names = None if labels is None else read_labels(labels)
    if names is not None:
        check_labels(names, count, "the table of conditions")
    return labels_of({"labels": names}, {"labels": count})


def tune(
    asked: Sequence[Mapping[str, Any]],
    left: Sequence[Unit],
    hidden: int,
    labels: Any = None,
    pooler: bool | None = False,
) -> Tuned:
    """The heads that were asked for, or that the file's architecture tells.

    Args:
        asked: a table for each, in the order of the file.
        left: the layers behind the backbone.
        hidden: its width.
        labels: names of the labels of the only head, as `read_labels` takes them.
        pooler: whether the file has a pooler; None where it has one that nothing need read.

    Raises:
        UsageError: they are not those of the file, or a setting is missing or wrong.
    """
    fits = fit_all(asked, left, hidden)
    names = _names(asked, fits)
    asked = _addressed(asked, names)
    if labels is not None and len(fits) > 1:
        raise UsageError(
            f"labels of {len(fits)} heads: give each its own in --heads FILE.toml, as labels = "
            "[...] in its table"
        )
    tables: dict[str, dict[str, Any]] = {}
    notes: list[str] = []
    missing: list[str] = []
    for name, table, one in zip(names, asked, fits, strict=True):
        kind = KINDS[one.kind]
        check_settings(kind, table)
        made = _settings(one, kind, table, pooler)
        if labels is not None:
            made["labels"] = labels
        if "labels" in made:
            made["labels"] = read_labels(made["labels"])
        if made.get("pooling") == "pooler" and pooler is False:
            raise UsageError("pooling=pooler: the file has no pooler; it can be cls or mean")
        if one.kind == "span":
            one.sizes["labels"] = 2
        if one.kind == "global_pointer":
            _divide(one, made)
        usual = {**kind.usual, **({"pooling": "pooler"} if pooler is None else {})}
        choices = {
            setting: tuple(one for one in words if one != "pooler" or pooler is not False)
            for setting, words in kind.asked.items()
        }
        if made.get("rope") and int(made.get("size", 0)) % 2:
            raise UsageError(f"rope turns pairs of columns: the size, {made['size']}, is not even")
        missing += _missing(name if len(fits) > 1 else "", choices, usual, made)
        if "labels" in one.sizes:
            count, where = one.sizes["labels"], f"{one.kind} {one.units[0].name}"
            check_rules(made, count, where)
            if "labels" in made:
                check_labels(made["labels"], count, where)
        if kind.assumed:
            notes.append(f"{one.kind}: {kind.assumed}")
        tables[name] = made
    if missing:
        seen = "; ".join(str(unit) for one in fits for unit in one.units)
        raise UsageError(
            f"no weights tell, and it changes numbers: {'; '.join(missing)}. Seen: {seen}"
        )
    return Tuned(tables, fits, notes)


def _settings(
    one: Fit, kind: Kind, table: Mapping[str, Any], pooler: bool | None
) -> dict[str, Any]:
    """What is given, what the file says, what shapes tell; the first that says it counts."""
    said: dict[str, Any] = {}
    for unit in one.units:
        said |= dict(unit.said)
    reads = said.pop("reads", "")
    told = {name: said[name] for name in (*kind.asked, "dropout") if name in said}
    if "pooling" in kind.asked and (reads == "pooler" or (not reads and pooler)):
        told["pooling"] = "pooler"
    if "hidden_dim" in one.sizes:
        told["hidden_dim"] = one.sizes["hidden_dim"]
    if "size" in one.sizes:
        told["size"] = one.sizes["size"]
    if "pointer" in str(one.pairs[0][0].layer) and not any(
        row.target.endswith("bias") for row, *_ in one.pairs
    ):
        told["bias"] = False
    if one.kind == "gplinker" and one.pairs[0][0].layer.startswith("global"):
        told["pointer"] = "global_pointer"
    return {"kind": one.kind} | told | {k: v for k, v in table.items() if v is not None}


def _divide(one: Fit, made: dict[str, Any]) -> None:
    """The number of types and the size of a pointer whose product the file has."""
    product = one.sizes["types times size"]
    types = made.pop("num_labels", None) or len(made.get("labels", ())) or None
    size = made.get("size")
    if size is None and types is None:
        return
    if size is not None and type(size) is not int:
        raise UsageError(f"size is {size!r}; give a whole number")
    types = types or product // (size or product)
    size = size or product // types
    if types * size != product:
        raise UsageError(
            f"{one.units[0]}: {2 * product} columns are not 2 for each of {types} types times a "
            f"size of {size}"
        )
    made["size"], one.sizes["labels"] = size, types


def _names(asked: Sequence[Mapping[str, Any]], fits: Sequence[Fit]) -> list[str]:
    """The name of each head: given, of its layer, or of its kind with a number."""
    names: list[str] = []
    for table, one in zip(asked, fits, strict=True):
        given = str(table.get("name") or "")
        name = given or one.units[0].own_name.replace(".", "_") or KINDS[one.kind].name
        if "." in name:
            raise UsageError(f"a head cannot be called {name!r}: give it a name without '.'")
        if given in names and given:
            raise UsageError(f"two heads are called {given!r}; give each a name of its own")
        numbered = (f"{name}_{i}" for i in range(2, len(names) + 3))
        names.append(name if name not in names else next(n for n in numbered if n not in names))
    return names


def _addressed(asked: Sequence[Mapping[str, Any]], names: Sequence[str]) -> list[dict[str, Any]]:
    """The tables with what NAME.KEY says of each."""
    found = []
    for table, name in zip(asked, names, strict=True):
        own = {key: value for key, value in table.items() if "." not in key}
        for key, value in table.items():
            head, dot, setting = key.partition(".")
            if dot and head not in names:
                raise UsageError(
                    f"{key}: no head is called {head!r}; there are {', '.join(names)}"
                )
            if dot and head == name:
                own[setting] = value
        found.append(own)
    return found


def _missing(
    name: str,
    asked: Mapping[str, Sequence[str]],
    usual: Mapping[str, Any],
    made: Mapping[str, Any],
) -> list[str]:
    """What has to be given, as options."""
    place = f"{name}." if name else ""
    found = []
    for setting in (one for one in asked if one not in made):
        words = ["another number" if one == NUMBER else one for one in asked[setting]]
        others = ", ".join(word for word in words if word != str(usual[setting]))
        found.append(f"--head-option {place}{setting}={usual[setting]} (or {others})")
    return found


def _without_heads(family: Family, given: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a conversion; `head=none` stands for every head that is not asked for."""
    left = HEAD_OPTIONS if given.get("head") == "none" else ()
    return {name: False for name in left if name in family.options} | dict(given)


def wanted(
    family: Family,
    naming: Naming,
    checkpoint: Checkpoint,
    recorded: Recorded | None,
    config: Mapping[str, Any],
    given: Mapping[str, Any],
) -> tuple[Tuned | None, dict[str, Any]]:
    """The heads of a conversion, where some are asked for or the file's architecture tells all.

    Args:
        family: of the checkpoint.
        naming: what its tensors are called.
        checkpoint: the files.
        recorded: the architecture that is in the file, if one is.
        config: the legacy configuration.
        given: options.

    Returns:
        The heads, and the options as they are with them.

    Raises:
        UsageError: as `tune`, or the family has no heads.
    """
    asked: Any = given.get("heads")
    if given.get("head") == "none" or (asked is None and recorded is None):
        if given.get("labels") is not None and f"{CONDITION_LAYER}#0" not in naming.names:
            raise UsageError("labels of which head? Give --head KIND as well")
        return None, _without_heads(family, given)
    left = units(family, naming, checkpoint, recorded, config)
    if asked is None:
        assert recorded is not None
        kinds = [recorded.kind(unit.name) for unit in left]
        kinds = [kind for kind, unit in zip(kinds, left, strict=True) if unit.base == "dense"]
        if not kinds or not all(kinds):
            return None, dict(given)
        asked = [{"kind": kind} for kind in kinds]
    if "stack" in family.options:
        raise UsageError(f"{family.title} has no heads of fine-tuning; leave --head out")
    hidden = config.get("hidden_size")
    shapes = naming.shapes(checkpoint)
    has_pooler = parts_present(family, naming.kind, shapes).get("pooler", False)
    pooler = None if has_pooler and naming.kind == "tensorflow" else has_pooler
    tuned = tune(asked, left, hidden if type(hidden) is int else 0, given.get("labels"), pooler)
    options = dict.fromkeys([name for name in HEAD_OPTIONS if name in family.options], False) | {
        name: value for name, value in given.items() if name not in HEAD_OPTIONS
    }
    if "with_pool" in family.options and not tuned.reads_pooler:
        options["with_pool"] = False
    return tuned, options
