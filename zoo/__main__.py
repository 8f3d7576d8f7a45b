"""`python -m zoo` is `genae`: what `torchrun` and `accelerate launch` start in every process."""

import os

from zoo.cli import app

if __name__ == "__main__":
    # torch warns of a setting of the Trainer's, once in every process.
    os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
    app(prog_name="genae")
