"""Fine-tuning ways side by side: a small Chinese BERT on sentiment, three seeds each.

`genae/bert-poetry-zh` with a classification head, on the data set `zh_sentiment` (below GENAE_DATA
or ./data, or --data): the same batches, steps and linear schedule with a warm-up for every arm.
Each arm's learning rate is the one with the best validation accuracy of its first seed; the test
part has no say in it. Runs are processes of one thread, --jobs at once; finished ones are lines
of --output, so that the same call goes on where it was interrupted.
With the defaults about 40 runs of 300 steps, some 35 minutes on two cores.
Run: GENAE_DATA=FOLDER python tests/benchmarks/finetune_rates.py [--arms fgm r-drop] [--steps 300]
"""

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from side_by_side import ROOT, add_run, describe_machine, print_table, read_runs

MODEL, DATA = "genae/bert-poetry-zh", "zh_sentiment"
BATCH, LENGTH, DROPOUT, WARM_UP, WEIGHT_DECAY = 32, 48, 0.1, 0.1, 0.01
ENVIRONMENT = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "HF_HUB_OFFLINE": "1"}
RATES = (3e-4, 6e-4, 1.2e-3)
# Arguments of parameter_groups, and what the Trainer is given.
ARMS: dict[str, dict] = {
    "one rate": {},
    "layer decay 0.9": {"groups": {"layer_decay": 0.9}},
    "layer decay 0.8": {"groups": {"layer_decay": 0.8}},
    "frozen embeddings": {"groups": {"rules": [{"pattern": "*embeddings*", "freeze": True}]}},
    "fgm": {"objective": ("FGM", {"epsilon": 0.5})},
    "fgm 0.05": {"objective": ("FGM", {"epsilon": 0.05})},
    "r-drop": {"objective": ("RDrop", {"alpha": 4.0})},
    "ema": {"ema": {"decay": 0.99}},
}


def load(data: str | None):
    """The parts as lists of texts and labels, and which test texts are not in train."""
    import datasets

    from zoo.data.sources import locate

    table = datasets.load_dataset(str(data or locate(DATA)))
    parts = {
        name: ([text.strip() for text in rows["text"]], list(rows["label"]))
        for name, rows in table.items()
    }
    known = set(parts["train"][0])
    return parts, [text not in known for text in parts["test"][0]]


def run(options: argparse.Namespace) -> dict:
    """Train one arm with one rate and seed: accuracies in percent, CPU seconds of the training."""
    import datasets
    import torch
    import transformers
    from transformers import AutoModelForSequenceClassification, AutoTokenizer, TrainingArguments

    from zoo import training
    from zoo.registry import resolve

    transformers.logging.set_verbosity_error()
    transformers.logging.disable_progress_bar()
    datasets.disable_progress_bars()
    arm, (parts, unseen) = ARMS[options.arm], load(options.data)
    place = resolve(MODEL)
    tokenizer = AutoTokenizer.from_pretrained(place)

    def encode(part: str) -> list[dict]:
        texts, labels = parts[part]
        ids = tokenizer(texts, truncation=True, max_length=LENGTH, return_token_type_ids=False)
        return [
            {"input_ids": i, "labels": label}
            for i, label in zip(ids["input_ids"], labels, strict=True)
        ]

    transformers.set_seed(options.seed)
    model = AutoModelForSequenceClassification.from_pretrained(
        place,
        num_labels=2,
        hidden_dropout_prob=DROPOUT,
        attention_probs_dropout_prob=DROPOUT,
    )
    groups = training.parameter_groups(
        model, options.rate, weight_decay=WEIGHT_DECAY, **arm.get("groups", {})
    )
    name, settings = arm.get("objective", ("Objective", {}))
    with tempfile.TemporaryDirectory() as folder:
        trainer = training.TextTrainer(
            model=model,
            args=TrainingArguments(
                output_dir=folder,
                max_steps=options.steps,
                per_device_train_batch_size=BATCH,
                per_device_eval_batch_size=128,
                warmup_steps=round(WARM_UP * options.steps),
                lr_scheduler_type="linear",
                max_grad_norm=1.0,
                seed=options.seed,
                save_strategy="no",
                logging_strategy="no",
                report_to="none",
                disable_tqdm=True,
                use_cpu=True,
            ),
            train_dataset=encode("train"),
            data_collator=transformers.DataCollatorWithPadding(tokenizer),
            optimizers=(torch.optim.AdamW(groups, lr=options.rate), None),
            objective=getattr(training, name)(**settings),
            ema=training.EMA(model, **arm["ema"]) if "ema" in arm else None,
        )
        start = time.process_time()
        trainer.train()
        seconds = time.process_time() - start
        right = {
            part: trainer.predict(encode(part)).predictions.argmax(-1) == parts[part][1]
            for part in ("validation", "test")
        }
    return {
        "arm": options.arm,
        "rate": options.rate,
        "seed": options.seed,
        "steps": options.steps,
        "validation": 100 * float(right["validation"].mean()),
        "test": 100 * float(right["test"].mean()),
        "unseen": 100 * float(right["test"][unseen].mean()),
        "seconds": seconds,
    }


class Ledger:
    """Finished runs of one length."""

    def __init__(self, file: Path, steps: int) -> None:
        self.file, self.steps = file, steps
        self.runs = {
            (found["arm"], found["rate"], found["seed"]): found
            for found in read_runs(file)
            if found["steps"] == steps
        }

    def add(self, found: dict) -> None:
        """Write a run down."""
        self.runs[found["arm"], found["rate"], found["seed"]] = found
        add_run(self.file, found)

    def complete(self, wanted: list[tuple], options: argparse.Namespace) -> None:
        """Make the runs that are missing, several side by side."""
        missing = [key for key in wanted if key not in self.runs]

        def make(key: tuple) -> dict:
            arm, rate, seed = key
            command = [sys.executable, __file__, "--run", arm, "--rate", rate, "--seed", seed]
            command += ["--steps", self.steps, *(("--data", options.data) if options.data else ())]
            finished = subprocess.run(
                list(map(str, command)),
                env=os.environ | ENVIRONMENT,
                stdout=subprocess.PIPE,
                text=True,
                check=True,
                cwd=ROOT,
            )
            return json.loads(finished.stdout.splitlines()[-1])

        with ThreadPoolExecutor(options.jobs) as pool:
            for number, found in enumerate(pool.map(make, missing), 1):
                self.add(found)
                print(
                    f"{number}/{len(missing)}  {found['arm']}, rate {found['rate']:g}, seed "
                    f"{found['seed']}: validation {found['validation']:.1f} %, "
                    f"{found['seconds']:.0f} CPU seconds",
                    file=sys.stderr,
                )

    def best_rate(self, arm: str, rates: list[float]) -> float:
        """The rate of the best validation accuracy with the first seed."""
        return max(rates, key=lambda rate: self.runs[arm, rate, 0]["validation"])


def spread(values: list[float]) -> str:
    """Mean and standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):.2f} ± {deviation:.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--arms", nargs="+", default=list(ARMS), choices=list(ARMS))
    parser.add_argument("--rates", nargs="+", type=float, default=list(RATES))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--steps", type=int, default=300)
    parser.add_argument("--jobs", type=int, default=2, help="runs at once, of one thread each")
    parser.add_argument("--data", help="folder of the data set's Parquet files")
    parser.add_argument("--output", type=Path, default=Path("finetune_rates.jsonl"))
    parser.add_argument("--run", dest="arm", choices=list(ARMS), help=argparse.SUPPRESS)
    parser.add_argument("--rate", type=float, help=argparse.SUPPRESS)
    parser.add_argument("--seed", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.arm is not None:
        print(json.dumps(run(options)))
        return
    ledger = Ledger(options.output, options.steps)
    ledger.complete([(a, rate, 0) for rate in options.rates for a in options.arms], options)
    best = {arm: ledger.best_rate(arm, options.rates) for arm in options.arms}
    seeds = range(options.seeds)
    ledger.complete([(a, best[a], seed) for seed in seeds for a in options.arms], options)
    rows = []
    for arm in options.arms:
        runs = [ledger.runs[arm, best[arm], seed] for seed in seeds]
        columns = {name: [each[name] for each in runs] for name in runs[0]}
        rows.append(
            [arm, f"{best[arm]:g}"]
            + [spread(columns[name]) for name in ("validation", "test", "unseen")]
            + [f"{statistics.mean(columns['seconds']):.0f}"]
        )
    print(describe_machine())
    print_table(
        f"{MODEL} on {DATA}: {options.steps} steps of {BATCH} texts, {options.seeds} seeds",
        ["arm", "rate", "validation %", "test %", "of it, not in train %", "CPU s"],
        rows,
    )


if __name__ == "__main__":
    main()
