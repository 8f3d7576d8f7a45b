"""FSDP2: a model of which every process keeps a part, cut by torch's `fully_shard`.

The Trainer and accelerate train it; `fsdp = true` in [train], or `accelerate launch --use_fsdp`,
asks for it. Here stand what does not go with it, what is cut on its own, and how the model becomes
whole again. accelerate would cut a model by itself, but on a GPU alone, and not one whose head has
a bias under two names, as BERT's; it leaves one that is cut already as it is.
"""

import copy
import os
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from accelerate.state import PartialState
from accelerate.utils import DistributedType, FullyShardedDataParallelPlugin
from torch import nn
from transformers import TrainingArguments

from zoo.card import Card
from zoo.errors import ConflictError, UsageError
from zoo.ranks import count, is_first

from .around.ema import EMA
from .optimizing import OptimizingTrainer

#: What `accelerate launch --use_fsdp` sets.
LAUNCHED = "ACCELERATE_USE_FSDP"
#: Of the objectives, those that need no whole matrix of embeddings.
WITHOUT_EMBEDDINGS = ("r-drop",)
#: The weights of a checkpoint of a cut model, beside the whole ones.
WEIGHTS_FILE = "pytorch_model_fsdp.bin"


def is_asked(options: Mapping[str, Any]) -> bool:
    """Whether the training arguments of a card, or the launcher, ask for it."""
    return bool(options.get("fsdp")) or os.environ.get(LAUNCHED, "").lower() == "true"


def prepare(card: Card, *, of_texts: bool) -> None:
    """Refuse what does not go with it, and set what its libraries read from the environment.

    Args:
        card: with [train].
        of_texts: whether it trains a model of texts.

    Raises:
        UsageError: naming the setting.
    """
    options, objective = card.train.arguments, card.train.adversarial
    if not is_asked(options):
        return
    where = f"{card.path}: [train] fsdp"
    if count() == 1:
        raise UsageError(
            f"{where} spreads a model over several processes, and this is one; start it with "
            "`torchrun --nproc-per-node N -m zoo train`, or leave fsdp out"
        )
    if not of_texts:
        raise UsageError(
            f"{where} is for large models of texts: those of images are small, and parts of them "
            "learn while they compute; leave fsdp out, and each process has the whole model"
        )
    if objective is not None and objective.get("kind") not in WITHOUT_EMBEDDINGS:
        raise UsageError(
            f"{where}: [train.adversarial] {objective.get('kind')} moves the whole matrix of "
            "embeddings, of which each process has a part; leave one of the two out"
        )
    # Every process makes the same model: the first need not send its own to the others.
    os.environ["FSDP_CPU_RAM_EFFICIENT_LOADING"] = "false"
    os.environ.setdefault("FSDP_STATE_DICT_TYPE", "FULL_STATE_DICT")


def check(arguments: TrainingArguments, where: str) -> None:
    """Refuse settings of FSDP that would not give a model, or with which a run does not resume.

    Args:
        arguments: of the Trainer.
        where: begins the message.

    Raises:
        UsageError: naming the setting.
    """
    told = arguments.fsdp_plugin_args
    if told is None and not is_asked({}):
        return
    version = (told or {}).get("fsdp_version", os.environ.get("FSDP_VERSION", "1"))
    if int(version) != 2:
        raise UsageError(
            f"{where}: [train] fsdp is FSDP2, version {version} is outdated; set version = 2 in "
            "fsdp_config, or give --fsdp_version 2 to accelerate launch"
        )
    from torch.distributed.fsdp import CPUOffloadPolicy

    plugin = FullyShardedDataParallelPlugin(**(told or {}))
    if "FULL_STATE_DICT" not in str(plugin.state_dict_type):
        raise UsageError(
            f"{where}: [train] fsdp: a checkpoint in shards contains a pickle, which is never "
            "read; set state_dict_type to FULL_STATE_DICT"
        )
    if isinstance(plugin.cpu_offload, CPUOffloadPolicy):
        raise UsageError(
            f"{where}: [train] fsdp: parts that wait in the CPU's memory could not be gathered to "
            "be checked and saved; set cpu_offload, or fsdp_offload_params, to false"
        )
    if plugin.activation_checkpointing:
        raise UsageError(
            f"{where}: [train] fsdp: activation_checkpointing of fsdp_config is that of [train] "
            "here; set activation_checkpointing = true there"
        )


def check_checkpoint(folder: Path, options: Mapping[str, Any]) -> None:
    """Refuse to resume with FSDP what was written without, or the other way round.

    Raises:
        ConflictError: naming the next step.
    """
    written, asked = (folder / WEIGHTS_FILE).is_file(), is_asked(options)
    if written != asked:
        raise ConflictError(
            f"{folder} was written {'with' if written else 'without'} fsdp, and this run is "
            f"{'with' if asked else 'without'}; resume it as it was started, or remove "
            f"{folder.parent} to start anew"
        )


def shard(trainer: OptimizingTrainer) -> Callable[[], tuple[Any, EMA | None]]:
    """Cut the model of a Trainer, if that is asked for, so that each process keeps a part.

    Each layer is gathered when it computes, and what is left from the first to the last.

    Returns:
        What gives the trained model and its average, whole on the first process. The others help,
        and keep their parts: all have to call it.
    """
    model: Any = trainer.model
    told = trainer.args.fsdp_plugin_args
    if told is None and not is_asked({}):
        return lambda: (model, trainer.ema)
    from torch.distributed.device_mesh import init_device_mesh
    from torch.distributed.fsdp import MixedPrecisionPolicy

    state = trainer.accelerator.state
    if state.distributed_type is not DistributedType.FSDP:  # on the CPU
        plugin = FullyShardedDataParallelPlugin(**(told or {}))
        if state.mixed_precision != "no":
            plugin.set_mixed_precision(state.mixed_precision)
        state.fsdp_plugin = plugin
        for each in (state, PartialState()):
            each.distributed_type = DistributedType.FSDP
        trainer.is_fsdp_enabled = True
    plugin = state.fsdp_plugin
    plugin.auto_wrap_policy = None
    empty = emptied(model) if is_first() else model
    # Outputs of some heads are views, of which nothing here is changed in place.
    warnings.filterwarnings("ignore", "FSDP2-wrapped module .* returned a view", UserWarning)
    cut(
        model,
        init_device_mesh(trainer.args.device.type, (trainer.args.world_size,)),
        again=plugin.reshard_after_forward,
        mp_policy=plugin.mixed_precision_policy or MixedPrecisionPolicy(),
    )

    def whole() -> tuple[Any, EMA | None]:
        weights = trainer.accelerator.get_state_dict(trainer.model)
        if is_first():
            empty.load_state_dict(weights)
        return empty, trainer.ema and trainer.ema.moved_to(empty)

    return whole


def cut(model: nn.Module, mesh: Any, *, again: bool = True, **settings: Any) -> None:
    """Leave each process a part of a model, cut along the first axis of every tensor.

    Args:
        model: changed in place.
        mesh: of all processes.
        again: whether a layer is given up after its forward pass, and gathered again for backward.
        **settings: of `fully_shard`.
    """
    from torch.distributed.fsdp import fully_shard

    for layer in layers(model):
        tables = [each for each in layer.modules() if isinstance(each, nn.Embedding)]
        for each in (*tables, layer):  # a T5's positions are looked up before its first layer
            fully_shard(each, mesh=mesh, reshard_after_forward=again, **settings)
    fully_shard(model, mesh=mesh, **settings)


def layers(module: nn.Module) -> Iterator[nn.Module]:
    """What stands in the outermost lists of modules of a network: its layers, in their order."""
    for child in module.children():
        if isinstance(child, nn.ModuleList):
            yield from child
        else:
            yield from layers(child)


def emptied(model: nn.Module) -> nn.Module:
    """A copy of a model whose parameters are still to be filled: until then they take no memory.

    Those that are one in the model are one in the copy.
    """
    empty = {
        id(each): nn.Parameter(torch.empty_like(each), each.requires_grad)
        for each in model.parameters()
    }
    return copy.deepcopy(model, empty)
