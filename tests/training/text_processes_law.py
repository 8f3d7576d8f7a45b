"""What one process trains of texts with a whole batch, and each of several with its part of it."""

import atexit
import functools
import json
import shutil
import tempfile
from dataclasses import replace
from pathlib import Path

import torch
from transformers import TrainerCallback

from tests.tiny import TINY
from tests.training.text_cards import rows, text_card
from zoo import catalog
from zoo.data.text import TASKS
from zoo.training.adversarial.objectives import OBJECTIVES
from zoo.training.callbacks import without_default_output
from zoo.training.class_weights import class_weights
from zoo.training.recipes import build_recipe
from zoo.training.settings import with_settings
from zoo.training.text_settings import head_class, text_config
from zoo.training.tokenizers import fit_inputs, token_ids

#: Architecture, task and kind of the head: all that the catalog and the table of tasks have.
HEADS = [
    (entry.name, task.name, kind)
    for entry in catalog.TEXTS
    for task in TASKS.values()
    for kind, head in task.heads.items()
    if head_class(entry, head.ending) is not None
    and (kind or task.usual == {})  # the same class, without a table
    and not (kind == "classifier" and not entry.own)
]
ACCUMULATED, WEIGHED = "accumulated", "class_weights"
#: Settings of [train] by name, besides the objectives'.
MORE = {
    "": "",
    ACCUMULATED: "gradient_accumulation_steps = 2",
    WEIGHED: 'class_weights = "balanced"\ngradient_accumulation_steps = 2',
    **{name: f'[train.adversarial]\nkind = "{name}"' for name in OBJECTIVES},
}
OF_ONE = [one for one in HEADS if one[0] == "genae_bert"]
#: Of one architecture every head with more in the step, and of others what they alone have.
STEPS = [
    *((*one, ACCUMULATED) for one in OF_ONE),
    *(("gpt2", "causal-lm", "", more) for more in (ACCUMULATED, "r-drop", "gradient-penalty")),
    *(("t5", "seq2seq", "", more) for more in (ACCUMULATED, "pgd")),
    *(("genae_bert", "masked-lm", "", name) for name in OBJECTIVES),
    *(
        ("genae_bert", "tags", kind, name)
        for kind in ("crf", "memm")
        for name in ("fgm", "r-drop")
    ),
    ("genae_bert", "classification", "", "virtual"),
    ("genae_bert", "pairs", "vectors", "fgm"),
    ("genae_bert", "classification", "", WEIGHED),
    ("bert", "tags", "token_classifier", WEIGHED),
]
CASES = [*((*one, "") for one in HEADS), *STEPS]
#: Each architecture with the first of its heads, each head behind one of them, and each step.
FIRST = {one[0]: one for one in reversed(HEADS)}
EACH_ONCE = [*((*one, "") for one in dict.fromkeys([*FIRST.values(), *OF_ONE])), *STEPS]
#: Those that four processes compute as well.
FEW = [
    *((*one, "") for one in OF_ONE),
    ("genae_bert", "masked-lm", "", ACCUMULATED),
    ("genae_bert", "masked-lm", "", "virtual"),
    ("genae_bert", "pairs", "vectors", ACCUMULATED),
]
#: What the data and its tokenizer say.
SAID = ("vocab_size", "pad_token_id", "bos_token_id", "eos_token_id", "decoder_start_token_id")
TRAIN = """
optim = "sgd"
lr_scheduler_type = "constant"
logging_steps = 1
logging_strategy = "steps"
"""


@functools.cache
def folder():
    """Where nothing stays."""
    made = Path(tempfile.mkdtemp())
    atexit.register(shutil.rmtree, made)
    return made


@functools.cache
def texts():
    """Rows whose texts, and what is asked of them, are of several lengths."""
    file = folder() / "rows.jsonl"
    made = (row | {"target": row["sentence2"]} for row in rows())
    file.write_text("".join(f"{json.dumps(row)}\n" for row in made), encoding="utf-8")
    return file


def card_of(architecture, task, kind, more=""):
    sizes = next(iter(TINY[architecture].values()))
    lines = [f"{key} = {json.dumps(value)}" for key, value in sizes.items() if key not in SAID]
    if kind:
        lines += ["[config.heads.it]", f'kind = "{kind}"']
    return text_card(
        texts(), task, architecture=architecture, config="\n".join(lines),
        train=TRAIN + MORE[more],
    )  # fmt: skip


@functools.cache
def material_of(task, kind):
    """Tokens and tokenizer, the same for all architectures."""
    usual = {"causal-lm": "genae_gpt", "seq2seq": "synthesizer"}.get(task, "genae_bert")
    return build_recipe(card_of(usual, task, kind), folder()).load(quiet=True)


class First(TrainerCallback):
    """Keeps the gradients of the first step."""

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        if not state.global_step:
            named = dict(model.named_parameters())
            self.found = {name: p.grad.clone() for name, p in named.items() if p.grad is not None}


def course(architecture, task, kind, more="", steps=20, batch=8):
    """Losses, first gradients, and parameters and buffers after 20 steps of the Trainer."""
    base, card = material_of(task, kind), card_of(architecture, task, kind, more)
    card = with_settings(card, [f"max_steps={steps}", f"per_device_train_batch_size={batch}"])
    recipe = build_recipe(card, folder())
    tokenizer, options = base.recipe.tokenizer, base.recipe.options
    fit_inputs(tokenizer, recipe.entry.reads_mask)
    ids = token_ids(tokenizer)
    config = text_config(card, recipe.task, len(tokenizer), ids, options.labels)
    for name in vars(config):
        if "drop" in name:
            setattr(config, name, 0.0)
    recipe = replace(recipe, config=config, options=options, tokenizer=tokenizer)
    weights = class_weights(card, options.labels, base.rows)
    material = replace(base, recipe=recipe, class_weights=weights)
    torch.manual_seed(0)
    model = recipe.make_model().double()
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):  # some classes do not ask their configuration
            module.p = 0.0
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.1 * torch.randn_like(parameter))
    trainer, first = material.trainer(model, rates=recipe.rates), First()
    without_default_output(trainer)
    trainer.add_callback(first)
    trainer.train()
    losses = [line["loss"] for line in trainer.state.log_history if "loss" in line]
    return {
        "losses": torch.tensor(losses),
        "first": first.found,
        "last": {name: value.clone() for name, value in model.state_dict().items()},
    }
