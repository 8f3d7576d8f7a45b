# Every target sets up what it needs: a virtual environment in .venv, made once and kept.
#   make demo    a tour of the zoo, images in out/
#   make test    the tests (MARKS="not hub and not gpu" includes the slow ones, TESTS=tests/models picks a folder,
#                JOBS=8 runs so many side by side)
#   make lint    ruff and mypy
#   make bench   side-by-side benchmarks
#   make readme  what follows from the cards: their READMEs and manifests, the tables of models
#   make clean   removes .venv, out/ and everything built

PYTHON ?= python3
VENV ?= .venv
OUT ?= out
MARKS ?= not slow and not hub and not gpu
TESTS ?=
JOBS ?= 2

python := $(VENV)/bin/python
genae := $(VENV)/bin/genae
poetry := cards/examples/bert-poetry
lines := '床前明月[MASK]，疑是地上霜。' '白日依山盡，黃河[MASK]海流。' '[MASK]眠不覺曉，處處聞啼鳥。' '舉頭望明[MASK]，低頭思故鄉。'
# Progress bars on a terminal, errors alone in a log.
pip_output := $(shell [ -t 2 ] || echo --quiet --quiet)
pip := $(python) -m pip install $(pip_output) --disable-pip-version-check -c constraints.txt

.PHONY: help demo test lint bench readme clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   //p' Makefile

demo: $(VENV)/demo.done
	@mkdir -p $(OUT)
	@echo; echo "==> 1/9 The zoo"
	@$(genae) list --quiet
	@echo; echo "==> 2/9 A page on which models run: samples, walks, a digit that you draw (half a minute)"
	@$(genae) gallery -o $(OUT)/gallery.html --quiet
	@echo; echo "==> 3/9 New digits and clothes, decoded from noise (a few seconds each)"
	@$(genae) sample genae/eae-mnist -n 64 --seed 0 -o $(OUT)/eae-mnist.png --quiet
	@$(genae) sample genae/eae-fashion-mnist -n 64 --seed 0 -o $(OUT)/eae-fashion-mnist.png --quiet
	@echo; echo "==> 4/9 Example digits, encoded and decoded again"
	@$(genae) reconstruct genae/eae-mnist examples-mnist -o $(OUT)/reconstruct.png --quiet
	@echo; echo "==> 5/9 From one digit to another through their codes"
	@$(genae) interpolate genae/eae-mnist cards/examples/mnist/000[0-9]-*.png -o $(OUT)/interpolate.png --quiet
	@echo; echo "==> 6/9 Training an autoencoder on the examples (about a minute)"
	@rm -rf $(OUT)/ae-examples $(OUT)/ae-examples.training
	@$(genae) train cards/ae-examples --output $(OUT)/ae-examples
	@echo; echo "==> 7/9 Measuring it against what its card states"
	@$(genae) evaluate $(OUT)/ae-examples
	@echo; echo "==> 8/9 A legacy BERT of classical poems: from its TensorFlow checkpoint, with proof"
	@rm -rf $(OUT)/bert-poetry
	@$(genae) convert $(poetry) $(OUT)/bert-poetry --verify $(poetry)/reference.npz --quiet
	@echo; echo "==> 9/9 What it puts into famous lines"
	@$(genae) fill-mask $(OUT)/bert-poetry $(lines) --quiet
	@echo
	@echo "Done. Open this page in a browser; its models run there:"
	@echo "  $(OUT)/gallery.html"
	@echo "and these images:"
	@ls $(OUT)/*.png $(OUT)/ae-examples/*.png | sed 's/^/  /'
	@echo "Next, after '. $(VENV)/bin/activate':"
	@echo "  genae sample genae/vae-mnist -n 64 -o $(OUT)/vae-mnist.png    another model of the zoo"
	@echo "  genae info genae/eae-mnist                               what it is and how it measures"
	@echo "  genae reconstruct genae/eae-mnist MY_IMAGE.png -o $(OUT)/mine.png"
	@echo "  README.md tells the rest, README.zh-CN.md in Chinese."

test: $(VENV)/test.done
	@echo "==> Testing (a few minutes on two cores)"
	@OMP_NUM_THREADS=$${OMP_NUM_THREADS:-1} $(python) -m pytest -q -n $(JOBS) --dist worksteal -m "$(MARKS)" $(TESTS)

lint: $(VENV)/test.done
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy

bench: $(VENV)/test.done
	@for script in tests/benchmarks/bench_*.py; do echo "==> $$script"; $(python) $$script || exit 1; done

readme: $(VENV)/demo.done
	@$(python) -m zoo.cli.readme

clean:
	rm -rf $(VENV) $(OUT) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find zoo convert cards tests -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/venv.done:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "genae needs Python 3.11 or newer; $(PYTHON) is $$($(PYTHON) --version 2>&1). Try: make PYTHON=python3.11 demo"; exit 6; }
	@echo "==> Making a virtual environment in $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@touch $@

$(VENV)/demo.done: $(VENV)/venv.done pyproject.toml constraints.txt
	@echo "==> Installing PyTorch, transformers and genae into $(VENV) (2 to 5 minutes, most of it downloads)"
	@$(pip) -e .
	@touch $@

$(VENV)/test.done: $(VENV)/demo.done
	@echo "==> Installing the test tools (half a minute)"
	@$(pip) -e '.[test]'
	@touch $@
