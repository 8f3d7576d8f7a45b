"""Which parameters an operation is for: globs of their names, and what is known of the names."""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase

from torch import nn

from zoo.errors import UsageError
from zoo.hints import did_you_mean

Patterns = str | Sequence[str] | None

#: What wrappers put before or into the names of a model's parameters.
WRAPPERS = ("_orig_mod.", "_checkpoint_wrapped_module.", "_fsdp_wrapped_module.")
#: Names by which an embedding is known where there is no model to ask.
EMBEDDING = re.compile(r"embed|(^|\.)(wte|wpe|shared)\.", re.IGNORECASE)


@dataclass(frozen=True)
class Names:
    """The names of all parameters, with or without a gradient.

    Attributes:
        names: one for each parameter.
        given: whether they are the model's; else they are numbers, which no pattern matches.
        embeddings: names of the weights of embeddings.
    """

    names: tuple[str, ...]
    given: bool = True
    embeddings: frozenset[str] = frozenset()


def unwrapped(model: nn.Module) -> nn.Module:
    """The model inside DistributedDataParallel or DataParallel."""
    wrappers = (nn.parallel.DistributedDataParallel, nn.DataParallel)
    return model.module if isinstance(model, wrappers) else model


def plain(name: str) -> str:
    """A parameter's name without what `torch.compile` and checkpointing put into it."""
    for wrapper in WRAPPERS:
        name = name.replace(wrapper, "")
    return name


def named_parameters(model: nn.Module) -> list[tuple[str, nn.Parameter]]:
    """A model's parameters by name, tied ones once, without what wrappers add to the names."""
    return [(plain(name), each) for name, each in unwrapped(model).named_parameters()]


def embeddings(model: nn.Module) -> frozenset[str]:
    """Names of the weights of a model's embeddings."""
    kinds = (nn.Embedding, nn.EmbeddingBag)
    tables = {id(m.weight) for m in unwrapped(model).modules() if isinstance(m, kinds)}
    return frozenset(name for name, each in named_parameters(model) if id(each) in tables)


def as_tuple(owner: str, field: str, patterns: Patterns) -> tuple[str, ...]:
    """Patterns, one or several, as a tuple.

    Raises:
        UsageError: something else than text, or nothing.
    """
    if patterns is None:
        return ()
    several = (patterns,) if isinstance(patterns, str) else patterns
    right = isinstance(several, Sequence) and all(isinstance(p, str) and p for p in several)
    if not right or not several:
        raise UsageError(
            f"{owner}: {field} must be a pattern of parameter names such as '*attention*', or a "
            f"list of them, got {patterns!r}"
        )
    return tuple(several)


def choose(owner: str, names: Names, only: Sequence[str], exclude: Sequence[str]) -> frozenset:
    """The names that match one of `only` (or all, if empty) and none of `exclude`.

    Raises:
        UsageError: there are no names, a pattern matches none of them, or nothing is left.
    """
    if (only or exclude) and not names.given:
        raise UsageError(
            f"{owner}: {(only or exclude)[0]!r} is a pattern of names, and this optimizer was "
            "given parameters without names; make it with model.named_parameters(), or pass "
            "model= to attach"
        )
    for pattern in (*only, *exclude):
        if not any(fnmatchcase(name, pattern) for name in names.names):
            raise UsageError(
                f"{owner}: {pattern!r} matches no parameter. "
                f"{did_you_mean(pattern.strip('*'), names.names[:20])} "
                "Patterns are globs of whole names, such as '*attention*' or 'encoder.*'"
            )
    chosen = frozenset(
        name
        for name in names.names
        if (not only or any(fnmatchcase(name, pattern) for pattern in only))
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    )
    if not chosen and names.names:
        raise UsageError(f"{owner}: exclude leaves nothing of what only={list(only)} names")
    return chosen
