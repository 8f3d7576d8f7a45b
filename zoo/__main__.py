"""`python -m zoo` is `genae`: what `torchrun` and `accelerate launch` start in every process."""

from zoo.cli import app

if __name__ == "__main__":
    app(prog_name="genae")
