"""Is token-to-token attention needed? Forms of a Synthesizer's attention, trained side by side.

Three tables: masked characters of classical Chinese for every form, mixtures, transformers' FNet
and a mean; then the next character, and translation into English, for four of them. Within a table
all have the same steps, batches, masks, width, optimizer and learning rate, and the biases of
their heads begin with the frequencies of tokens. Texts of `chinese-classics` are packed into
blocks, as FNet has no mask. Needs this data set and `tatoeba-zh-en` in GENAE_DATA or ./data.

A run is a process of one thread, --jobs at once. A finished one is a line of JSON in --output, so
that the same call goes on where it was interrupted; a run that needs more CPU minutes than
--minutes is given up and reported. With the defaults 38 runs, of translation about three minutes
of one core each, of the others one to two.
Run: GENAE_DATA=FOLDER python tests/benchmarks/synthesizers.py [--tasks masked-lm] [--arms mean]
"""

import argparse
import json
import math
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from side_by_side import ROOT, PeakMemory, add_run, describe_machine, read_runs

ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
WARM_UP, WEIGHT_DECAY, MAX_NORM = 0.1, 0.01, 1.0
WIDTH = {
    "hidden_size": 128, "num_hidden_layers": 2, "intermediate_size": 512,
    "hidden_dropout_prob": 0.0,
}  # fmt: skip
FNET = "FNet"
FORMS = (
    "dot_product", "dense", "random", "fixed_random", "factorized_dense", "factorized_random",
    "random+dot_product", "dense+dot_product", FNET, "mean",
)  # fmt: skip
FEW = ("dot_product", "random", "random+dot_product", "factorized_dense")
SPEED_ROUNDS = 9


@dataclass(frozen=True)
class Setting:
    """What is equal for all forms of a table.

    Attributes:
        title: of the table.
        data: a data set of `zoo.data`.
        columns: its columns.
        tokenizer: kind and size.
        length: of a text, in tokens; `max_position_embeddings`.
        batch: texts a step.
        steps: of the training.
        rate: the highest learning rate.
        forms: that are compared.
        seeds: how many.
        head: of the model.
    """

    title: str
    data: str
    columns: tuple[str, ...]
    tokenizer: tuple[str, int]
    length: int
    batch: int
    steps: int
    rate: float
    forms: tuple[str, ...]
    seeds: int
    head: str


SETTINGS = {
    "masked-lm": Setting(
        "Masked characters of chinese-classics", "chinese-classics", ("text",),
        ("characters", 4000), 64, 32, 600, 2e-3, FORMS, 3, "ForMaskedLM",
    ),
    "causal-lm": Setting(
        "Next characters of chinese-classics", "chinese-classics", ("text",),
        ("characters", 4000), 64, 32, 300, 2e-3, FEW, 1, "ForCausalLM",
    ),
    "seq2seq": Setting(
        "Translation of tatoeba-zh-en into English", "tatoeba-zh-en", ("text", "english"),
        ("wordpiece", 6000), 32, 64, 800, 2e-3, FEW, 1, "ForConditionalGeneration",
    ),
}  # fmt: skip


@dataclass(frozen=True)
class Material:
    """Tokens of a task.

    Attributes:
        tokenizer: trained from the train split.
        collator: makes batches.
        train: rows.
        test: rows.
        sources: the texts that are translated, if they are.
        references: what they should become.
    """

    tokenizer: Any
    collator: Any
    train: Any
    test: Any
    sources: list[str]
    references: list[str]


def load(name: str) -> Material:
    """Blocks of one length, or pairs; rows are cached by `datasets`."""
    from zoo.data.text import TASKS, TextOptions, Texts, load_texts, train_tokenizer

    setting, task = SETTINGS[name], TASKS[name]
    texts = {
        split: load_texts(setting.data, split, setting.columns, quiet=True)
        for split in ("train", "test")
    }
    kind, size = setting.tokenizer
    tokenizer = train_tokenizer(
        Texts(texts["train"], setting.columns), kind, size, template=task.template
    )
    options = TextOptions(
        columns=setting.columns, max_length=setting.length, packing=name != "seq2seq"
    )
    rows = {split: task.prepare(table, tokenizer, options) for split, table in texts.items()}
    pairs = [list(texts["test"][column]) for column in setting.columns]
    return Material(
        tokenizer, task.collator(tokenizer, options), rows["train"], rows["test"],
        pairs[0], pairs[-1],
    )  # fmt: skip


def make(name: str, form: str, material: Material, seed: int) -> Any:
    """A fresh model."""
    import transformers

    import zoo

    setting, tokenizer = SETTINGS[name], material.tokenizer
    shared = WIDTH | {
        "vocab_size": len(tokenizer), "max_position_embeddings": setting.length,
        "pad_token_id": tokenizer.pad_token_id, "bos_token_id": tokenizer.bos_token_id,
        "eos_token_id": tokenizer.eos_token_id,
    }  # fmt: skip
    transformers.set_seed(seed)
    if form == FNET:
        return transformers.FNetForMaskedLM(
            transformers.FNetConfig(**shared, hidden_act="gelu", type_vocab_size=1)
        )
    config = zoo.SynthesizerConfig(
        **shared, attention=form, num_attention_heads=4, attention_probs_dropout_prob=0.0,
        random_seed=seed,
    )  # fmt: skip
    return getattr(zoo, f"Synthesizer{setting.head}")(config)


def batches(material: Material, setting: Setting, seed: int) -> Iterator[dict[str, Any]]:
    """Batches without end; the same, with the same masks, for every form."""
    import torch

    generator = torch.Generator().manual_seed(seed)
    while True:
        order = torch.randperm(len(material.train), generator=generator)
        for chosen in order.split(setting.batch):
            if len(chosen) == setting.batch:
                rows = material.train.__getitems__(chosen.tolist())
                yield material.collator.finish(material.collator.pad(rows), generator)


def predict(model: Any, batch: dict[str, Any], name: str) -> tuple[Any, Any]:
    """Scores of the tokens that are asked for, `(n, V)`, and these, `(n,)`.

    The head sees no others: of masked texts it would else take as long as the layers.
    """
    inputs, labels = dict(batch), batch["labels"]
    del inputs["labels"]
    asked = labels >= 0
    if name == "causal-lm":
        labels = labels.roll(-1, 1)
        asked = asked.roll(-1, 1)
        asked[:, -1] = False
    if name == "seq2seq":
        inputs["decoder_input_ids"] = model.prepare_decoder_input_ids_from_labels(labels)
    if hasattr(model, "fnet"):  # it takes no mask, and needs none here: blocks have one length
        del inputs["attention_mask"]
    head = model.get_output_embeddings()
    with head.register_forward_pre_hook(lambda _, given: (given[0][asked],)):
        return model(**inputs).logits, labels[asked]


def train(model: Any, name: str, material: Material, options: argparse.Namespace) -> dict:
    """Train in place: tokens a CPU second, the peak of memory, CPU seconds."""
    import torch
    import transformers

    from zoo.data.text import token_frequencies
    from zoo.training import parameter_groups
    from zoo.training.predictions import begin_with

    setting = SETTINGS[name]
    rate = options.rate or setting.rate
    groups = parameter_groups(model, rate, weight_decay=WEIGHT_DECAY)
    optimizer = torch.optim.AdamW(groups, lr=rate, betas=(0.9, 0.98))
    schedule = transformers.get_cosine_schedule_with_warmup(
        optimizer, round(WARM_UP * options.steps), options.steps
    )
    begin_with(model, token_frequencies(name, material.train, material.tokenizer))
    model.train()
    tokens, seconds = 0, 0.0
    source = batches(material, setting, options.seed)
    with PeakMemory() as memory:
        for _ in range(options.steps):
            batch = next(source)
            start = time.process_time()
            torch.nn.functional.cross_entropy(*predict(model, batch, name)).backward()
            torch.nn.utils.clip_grad_norm_(model.parameters(), MAX_NORM)
            optimizer.step()
            schedule.step()
            optimizer.zero_grad()
            seconds += time.process_time() - start
            tokens += read(batch)
            if seconds > 60 * options.minutes:
                raise SystemExit(
                    f"{name}, {options.form}: more than {options.minutes:g} CPU minutes; give "
                    "more --minutes, or fewer --steps"
                )
    return {"training": tokens / seconds, "megabytes": memory.megabytes, "seconds": seconds}


def read(batch: dict[str, Any]) -> int:
    """The tokens that a model reads, padding left out, those of a decoder included."""
    count = int(batch["attention_mask"].sum())
    if batch["labels"].shape != batch["input_ids"].shape:
        count += int((batch["labels"] >= 0).sum())
    return count


def evaluate(model: Any, name: str, material: Material, count: int) -> dict:
    """Loss and accuracy on texts of the test split, beside the frequencies of tokens alone."""
    import torch

    from zoo.data.text import token_frequencies

    floor = token_frequencies(name, material.train, material.tokenizer).log()
    generator = torch.Generator().manual_seed(0)
    rows = material.test.select(range(min(count, len(material.test))))
    model.eval()
    nats, right, tokens, unigram = 0.0, 0, 0, 0.0
    passes = []
    with torch.no_grad():
        for start in range(0, len(rows), 64):
            chosen = rows.__getitems__(list(range(start, min(start + 64, len(rows)))))
            batch = material.collator.finish(material.collator.pad(chosen), generator)
            passes.append(batch)
            logits, wanted = predict(model, batch, name)
            scores = logits.log_softmax(-1)
            nats -= scores.gather(1, wanted[:, None]).sum().item()
            right += int((scores.argmax(-1) == wanted).sum())
            unigram -= floor[wanted].sum().item()
            tokens += len(wanted)
        batch = passes[0]
        times = []
        for _ in range(SPEED_ROUNDS):
            start = time.process_time()
            predict(model, batch, name)
            times.append(time.process_time() - start)
    return {
        "loss": nats / tokens,
        "perplexity": math.exp(nats / tokens),
        "accuracy": 100 * right / tokens,
        "inference": read(batch) / statistics.median(times),
        "unigram": math.exp(unigram / tokens),
        "predicted": tokens,
    }


def translate(model: Any, material: Material, count: int) -> dict:
    """BLEU and chrF of greedy translations, if sacrebleu is there."""
    import torch

    try:
        from sacrebleu import BLEU, CHRF
    except ImportError:
        return {}
    model.eval()
    made: list[str] = []
    length = model.config.max_position_embeddings
    for start in range(0, min(count, len(material.sources)), 64):
        texts = material.sources[start : min(start + 64, count)]
        inputs = material.tokenizer(
            texts, return_tensors="pt", padding=True, truncation=True, max_length=length
        )
        with torch.no_grad():
            ids = model.generate(**inputs, max_length=length, do_sample=False)
        made += material.tokenizer.batch_decode(ids, skip_special_tokens=True)
    wanted = [material.references[: len(made)]]
    return {
        "bleu": BLEU().corpus_score(made, wanted).score,
        "chrf": CHRF().corpus_score(made, wanted).score,
        "examples": made[:3],
    }


def run(options: argparse.Namespace) -> dict:
    """One training and what it came to."""
    import datasets
    import transformers

    datasets.disable_progress_bars()
    transformers.logging.set_verbosity_error()
    name = options.task
    material = load(name)
    model = make(name, options.form, material, options.seed)
    found = {
        "task": name, "form": options.form, "seed": options.seed, "steps": options.steps,
        "parameters": sum(p.numel() for p in model.parameters() if p.requires_grad),
    }  # fmt: skip
    found |= train(model, name, material, options)
    found |= evaluate(model, name, material, options.texts)
    if name == "seq2seq":
        found |= translate(model, material, options.texts)
    return found


class Ledger:
    """Finished runs."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self.runs = {self.key(found): found for found in read_runs(file)}

    @staticmethod
    def key(found: dict) -> tuple:
        """What tells runs apart."""
        return found["task"], found["form"], found["seed"], found["steps"]

    def add(self, found: dict) -> None:
        """Write a run down."""
        self.runs[self.key(found)] = found
        add_run(self.file, found)

    def complete(self, wanted: list[tuple], options: argparse.Namespace) -> None:
        """Make the runs that are missing, several side by side; say what failed, and go on."""
        missing = [key for key in wanted if key not in self.runs]

        def make(key: tuple) -> dict | None:
            task, form, seed, steps = key
            command = [sys.executable, __file__, "--run", form, "--tasks", task, "--seed", seed]
            command += ["--steps", steps, "--minutes", options.minutes, "--texts", options.texts]
            command += ["--rate", options.rate] if options.rate else []
            finished = subprocess.run(
                list(map(str, command)), env=os.environ | ENVIRONMENT, capture_output=True,
                text=True, check=False, cwd=ROOT,
            )  # fmt: skip
            if finished.returncode:
                reason = (finished.stderr.strip().splitlines() or ["no reason given"])[-1]
                print(f"{task}, {form}, seed {seed} failed: {reason}", file=sys.stderr)
                return None
            return json.loads(finished.stdout.splitlines()[-1])

        with ThreadPoolExecutor(options.jobs) as pool:
            for number, found in enumerate(pool.map(make, missing), 1):
                if found is not None:
                    self.add(found)
                    print(
                        f"{number}/{len(missing)}  {found['task']}, {found['form']}, seed "
                        f"{found['seed']}: perplexity {found['perplexity']:.1f}, "
                        f"{found['seconds']:.0f} CPU seconds",
                        file=sys.stderr,
                    )


def spread(digits: int) -> Callable[[list[float]], str]:
    """Mean and, of several, standard deviation."""

    def show(values: list[float]) -> str:
        mean = f"{statistics.mean(values):,.{digits}f}"
        return f"{mean} ± {statistics.stdev(values):,.{digits}f}" if len(values) > 1 else mean

    return show


COLUMNS: dict[str, tuple[str, Callable[[list[float]], str]]] = {
    "parameters": ("parameters", lambda values: f"{values[0]:,}"),
    "loss": ("loss", spread(3)),
    "perplexity": ("perplexity", spread(1)),
    "accuracy": ("right %", spread(1)),
    "bleu": ("BLEU", spread(1)),
    "chrf": ("chrF", spread(1)),
    "training": ("tokens a CPU s, training", lambda values: f"{statistics.median(values):,.0f}"),
    "inference": ("inference", lambda values: f"{statistics.median(values):,.0f}"),
    "megabytes": ("peak MB", lambda values: f"{statistics.median(values):,.0f}"),
}


def print_markdown(task: str, ledger: Ledger, steps: int, seeds: int, forms: list[str]) -> None:
    """The table of a task, as far as its runs are finished."""
    setting = SETTINGS[task]
    found = {
        form: [
            ledger.runs[task, form, seed, steps]
            for seed in range(seeds)
            if (task, form, seed, steps) in ledger.runs
        ]
        for form in forms
    }
    found = {form: runs for form, runs in found.items() if runs}
    if not found:
        return
    columns = [name for name in COLUMNS if any(name in runs[0] for runs in found.values())]
    unigram = statistics.mean(run["unigram"] for runs in found.values() for run in runs)
    print(
        f"\n{setting.title}: {steps} steps of {setting.batch} texts of up to {setting.length} "
        f"tokens, width {WIDTH['hidden_size']}, {WIDTH['num_hidden_layers']} layers; frequencies "
        f"of tokens alone have a perplexity of {unigram:.1f}\n"
    )
    print("| attention | seeds | " + " | ".join(COLUMNS[name][0] for name in columns) + " |")
    print("| --- |" + " --: |" * (len(columns) + 1))
    for form, runs in found.items():
        cells = [COLUMNS[name][1]([run[name] for run in runs]) for name in columns]
        print(f"| `{form}` | {len(runs)} | " + " | ".join(cells) + " |")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--tasks", nargs="+", default=list(SETTINGS), choices=list(SETTINGS))
    parser.add_argument("--arms", nargs="+", default=list(FORMS), choices=list(FORMS))
    parser.add_argument("--seeds", type=int, help="how many, if other than the task's")
    parser.add_argument("--steps", type=int, help="of each run, if other than the task's")
    parser.add_argument("--minutes", type=float, default=6.0, help="of one core, a run at most")
    parser.add_argument("--texts", type=int, default=1024, help="of the test split, at most")
    parser.add_argument("--rate", type=float, help="the highest learning rate")
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, of one thread each")
    parser.add_argument("--output", type=Path, default=Path("synthesizers.jsonl"))
    parser.add_argument("--run", dest="form", choices=list(FORMS), help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, default=0, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.form is not None:
        (options.task,) = options.tasks
        print(json.dumps(run(options), ensure_ascii=False))
        return
    ledger = Ledger(options.output)
    print(describe_machine())
    for task in options.tasks:
        setting = SETTINGS[task]
        steps, seeds = options.steps or setting.steps, options.seeds or setting.seeds
        forms = [form for form in setting.forms if form in options.arms]
        wanted = [(task, form, seed, steps) for seed in range(seeds) for form in forms]
        ledger.complete(wanted, options)
        print_markdown(task, ledger, steps, seeds, forms)


if __name__ == "__main__":
    main()
