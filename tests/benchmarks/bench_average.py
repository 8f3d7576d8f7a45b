"""What an average of the weights costs a training step of BERT-base.

A step is forward, backward, clipping and fused AdamW on 8 texts of 128 tokens; an update of the
average is timed apart in the same process. CPU time, rounds interleaved.
Run: python tests/benchmarks/bench_average.py [--rounds 3]
"""

import argparse

from side_by_side import describe_machine, interleave, median, print_table

BATCH, LENGTH, TOKENS = 8, 128, 21128


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()

    import torch
    from transformers import BertConfig, BertForSequenceClassification

    from zoo.training import EMA, LazyRows, Lookahead

    torch.manual_seed(0)
    model = BertForSequenceClassification(BertConfig(vocab_size=TOKENS)).train()
    ids = torch.randint(TOKENS, (BATCH, LENGTH))
    labels = torch.zeros(BATCH, dtype=torch.long)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-5, fused=True)
    average = EMA(model, decay=0.999)
    lookahead = Lookahead(num_steps=1)  # moves at every step, five times as often as usual
    lazy = LazyRows([model.get_input_embeddings().weight])

    def step() -> None:
        optimizer.zero_grad()
        model(input_ids=ids, labels=labels).loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()

    def around(thing) -> None:
        with torch.no_grad():
            thing.before_step(optimizer)
            thing.after_step(optimizer)

    arms = {
        "step": step,
        "update of the average": average.update,
        "lookahead, a k-th step": lambda: around(lookahead),
        "lazy rows of the tokens": lambda: around(lazy),
    }
    print(describe_machine())
    times = {name: median(values) for name, values in interleave(arms, options.rounds).items()}
    rows = [
        [name, f"{value:.1f}", f"{100 * value / times['step']:.2f}"]
        for name, value in times.items()
    ]
    title = f"BERT-base, {model.num_parameters() / 1e6:.0f} million parameters, {BATCH} x {LENGTH}"
    print_table(title, ["what", "CPU ms", "% of a step"], rows)


if __name__ == "__main__":
    main()
