"""From a card to a folder: complete, repeatable, interruptible, never half-written."""

import json
import os
import re
import signal

import pytest
import torch
from safetensors.torch import load_file
from transformers import Trainer, TrainingArguments

import zoo
from zoo import plots, registry
from zoo.card import Card
from zoo.errors import (
    ConflictError,
    GenaeError,
    InterruptedRunError,
    NotFoundError,
    UsageError,
)
from zoo.models import AEModel, EAEModel, GenaeImageProcessor, VAEConfig, VAEModel
from zoo.training import fitting, run, train
from zoo.training.fitting import calibrate_batch_norm, fit_samplers
from zoo.training.images import SHOWN_SAMPLES
from zoo.training.trainer import ImageTrainer
from zoo.training.variants import with_data

MODELS = {"ae": AEModel, "vae": VAEModel, "eae": EAEModel}


def weights(folder):
    return load_file(folder / "model.safetensors")


def assert_equal(first, second):
    assert first.keys() == second.keys()
    assert not [name for name in first if not torch.equal(first[name], second[name])]


@pytest.mark.parametrize("architecture", MODELS)
def test_the_folder_is_a_model_with_all_that_belongs_to_it(card, tmp_path, architecture):
    folder = train(card(architecture), tmp_path / "out", quiet=True)
    assert {path.name for path in folder.iterdir()} == {
        "README.md",
        "card.toml",
        "config.json",
        "manifest.json",
        "model.safetensors",
        "preprocessor_config.json",
        "samples.png",
        "training.json",
        "training.png",
    }
    assert [path.name for path in tmp_path.iterdir()] == ["out"]
    model = MODELS[architecture].from_pretrained(folder)
    for sampler in ("prior", "gaussian", "mixture"):
        assert model.sample(3, sampler=sampler, seed=0).shape == (3, 1, 8, 8)
    assert registry.verify(folder).ok
    # A plain autoencoder's codes are shaped by nothing: its prior shows nothing of the data.
    drawn = model.sample(
        SHOWN_SAMPLES, sampler="mixture" if architecture == "ae" else "prior", seed=0
    )
    processor = GenaeImageProcessor.from_pretrained(folder)
    plots.save_grid(processor.crop_padding(drawn), tmp_path / "drawn.png", None)
    assert (tmp_path / "drawn.png").read_bytes() == (folder / "samples.png").read_bytes()


def interrupt_at(monkeypatch, step):
    """Send Ctrl-C while the given step is computed."""
    original = ImageTrainer.training_step

    def training_step(self, *args, **kwargs):
        if self.state.global_step == step:
            os.kill(os.getpid(), signal.SIGINT)
        return original(self, *args, **kwargs)

    monkeypatch.setattr(ImageTrainer, "training_step", training_step)


@pytest.mark.parametrize(
    ("architecture", "step"),  # in the middle of the second epoch and at its end
    [
        ("vae", 6),
        ("eae", 9),
        pytest.param("vae", 9, marks=pytest.mark.slow),
        pytest.param("eae", 6, marks=pytest.mark.slow),
    ],
)
def test_an_interrupted_and_resumed_run_equals_an_uninterrupted_one(
    card, tmp_path, monkeypatch, architecture, step
):
    made = card(architecture, extra="save_strategy = 'no'\n")
    whole = weights(train(made, tmp_path / "whole", quiet=True))
    with monkeypatch.context() as patch:
        interrupt_at(patch, step)
        with pytest.raises(InterruptedRunError, match=f"stopped at step {step + 1} of 15"):
            train(made, tmp_path / "cut", quiet=True)
    assert not (tmp_path / "cut").exists()
    with pytest.raises(ConflictError, match="continue it with --resume"):
        train(made, tmp_path / "cut", quiet=True)
    torch.manual_seed(99)  # whatever happened in between
    assert_equal(weights(train(made, tmp_path / "cut", resume=True, quiet=True)), whole)


def test_the_seed_names_the_weights(card, tmp_path):
    first = weights(train(card(), tmp_path / "a", quiet=True))
    assert_equal(first, weights(train(card(), tmp_path / "b", quiet=True)))
    other = weights(train(card(), tmp_path / "c", overrides=["seed=4"], quiet=True))
    assert not torch.equal(first["encoder.output.weight"], other["encoder.output.weight"])


def test_settings_change_the_run_and_the_card_that_goes_with_it(card, tmp_path):
    settings = ["latent_size=3", "train.num_train_epochs=1", 'data.binarization="none"']
    folder = train(card(), tmp_path / "out", overrides=settings, quiet=True)
    assert json.loads((folder / "config.json").read_text())["latent_size"] == 3
    copy = Card.load(folder)
    assert copy.train.arguments["num_train_epochs"] == 1
    assert copy.data.binarization == "none"


def test_a_card_with_settings_is_made_into_a_recipe_once(card, tmp_path, monkeypatch):
    made = card()
    built = []
    for kind in (VAEConfig, TrainingArguments, GenaeImageProcessor, Card):
        original = kind.__init__
        monkeypatch.setattr(
            kind,
            "__init__",
            lambda self, *a, _kind=kind, _made=original, **k: (
                built.append(_kind),
                _made(self, *a, **k),
            )[1],
        )
    train(made, tmp_path / "out", overrides=["max_steps=1"], quiet=True)
    assert sorted(kind.__name__ for kind in built) == [
        *["Card"] * 3,  # of the run, of the variant that it makes, and where its data lies
        "GenaeImageProcessor",
        "TrainingArguments",
        "VAEConfig",
    ]


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        (
            "learning_rat=1",
            "^--set learning_rat=1: nothing is called learning_rat. Nearest: train.learning_rate",
        ),
        ("config.latent_siz=1", "^--set .*: nothing is .*. Nearest: config.latent_size, "),
        ("latent_size=0", "^--set latent_size=0: .*latent_size must be at least 1 .* got 0"),
        ("latent_size=many", "latent_size"),
        ("cards.x=1", r"nothing is called cards.x. `genae train "),
        ("rates.layer_decya=0.9", "Nearest: train.rates.layer_decay, "),
        ("latent_size", "takes key=value"),
        ("per_device_train_batch_size=64", "40 images, fewer than one batch of 64"),
        ("image_size=16", "^--set image_size=16: .*image_size is 16; make them equal"),
        ("config.num_channels=3", "the config's num_channels is 3; make them equal"),
        ("processor.siz=3", "Nearest: processor.size, "),
        ("per_device_train_batch_size=0", "must be a number of at least 1, got 0"),
        ("per_device_train_batch_size=abc", "must be a number of at least 1, got 'abc'"),
        ("seed=-1", "must be a number of at least 0, got -1"),
        ("num_mixture_components=41", "fewer than the mixture's 41 components"),
        ("hidden_sizes=[0]", "hidden_sizes must be at least 1"),
        ("beta=inf", "beta must be at least 0 and finite"),
        ("train_split='test'", "test"),
        ("num_views=2", "VAEModel takes one view of each image"),
        ("augmentations=['flop']", "any of shift, crop, flip"),
    ],
)
def test_a_wrong_setting_is_one_line_and_leaves_nothing(card, tmp_path, setting, message):
    with pytest.raises(UsageError, match=message) as caught:
        train(card(), tmp_path / "out", overrides=[setting], quiet=True)
    assert "\n" not in str(caught.value)
    assert not list(tmp_path.iterdir())


def test_nothing_is_overwritten_and_nothing_resumed_from_nothing(card, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "thesis.txt").write_text("keep")
    with pytest.raises(ConflictError, match="exists already"):
        train(card(), tmp_path / "out", quiet=True)
    assert (tmp_path / "out" / "thesis.txt").read_text() == "keep"
    with pytest.raises(NotFoundError, match="nothing to resume"):
        train(card(), tmp_path / "new", resume=True, quiet=True)


def test_a_failing_export_leaves_no_folder_and_can_be_resumed(card, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr(run.manifest, "write", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(card(), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()
    assert train(card(), tmp_path / "out", resume=True, quiet=True).is_dir()


def test_a_checkpoint_cut_short_is_passed_over(card, tmp_path, monkeypatch):
    made = card(extra="save_total_limit = 5\n")
    whole = weights(train(made, tmp_path / "whole", quiet=True))
    interrupt_at(monkeypatch, 12)
    with pytest.raises(InterruptedRunError):
        train(made, tmp_path / "out", quiet=True)
    (tmp_path / "out.training" / "checkpoint-13" / "trainer_state.json").unlink()
    monkeypatch.undo()
    assert_equal(weights(train(made, tmp_path / "out", resume=True, quiet=True)), whole)


def test_a_small_last_batch_after_training_is_no_obstacle(card, tmp_path, monkeypatch):
    monkeypatch.setattr(fitting, "BATCH", 38)  # leaves 2 of 40, too few for 5 neighbours
    folder = train(card("eae"), tmp_path / "out", overrides=["num_neighbors=5"], quiet=True)
    assert folder.is_dir()


def test_a_diverged_run_says_so(card, tmp_path):
    with pytest.raises(GenaeError, match="training diverged"):
        train(card("ae"), tmp_path / "out", overrides=["learning_rate=1e30"], quiet=True)
    assert not (tmp_path / "out").exists()


def test_the_current_folder_can_be_the_output(card, tmp_path, monkeypatch):
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    train(card("ae"), ".", overrides=["max_steps=1"], quiet=True)
    assert (tmp_path / "here" / "model.safetensors").is_file()


def test_data_other_than_the_cards_is_noted(card, tmp_path, capsys):
    files = f'data.sha256={{ "00.png" = "{"0" * 64}" }}'
    train(card("ae"), tmp_path / "out", overrides=[files, "max_steps=1"], quiet=True)
    assert "00.png is not the file that genae/tiny-ae was trained on" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["eae-celeba", "vae-celeba"])
def test_the_celeba_recipes_train_on_faces(name, tmp_path):
    settings = [
        "dataset=examples-faces",
        "max_steps=2",
        "per_device_train_batch_size=4",
        "width_multiplier=0.02",
        "num_mixture_components=2",
        "use_cpu=true",
        "data.sha256={}",
    ]
    folder = train(
        registry.load_card(f"cards/{name}"), tmp_path / name, overrides=settings, quiet=True
    )
    model = zoo.from_pretrained(folder)
    assert model.sample(2, seed=0).shape == (2, 3, 64, 64)


OF_DIGITS = ("cvae-mnist", "vae-cluster-mnist", "vae-gumbel-mnist", "vae-vmf-mnist")


@pytest.mark.parametrize("name", OF_DIGITS)
def test_the_recipes_of_digits_take_their_first_steps(name, tmp_path):
    settings = ["dataset=examples-mnist", "max_steps=2", "per_device_train_batch_size=32"]
    card = registry.load_card(f"cards/{name}")
    folder = train(
        card, tmp_path / name, overrides=[*settings, "data.sha256={}", "use_cpu=true"], quiet=True
    )
    model = zoo.from_pretrained(folder)
    size = model.config.image_size
    assert model.sample(2, seed=0).shape == (2, 1, size, size)
    assert (folder / "samples.png").is_file()
    assert (folder / "model.safetensors").stat().st_size < 1e6
    if model.learns_labels:
        assert model.sample(3, seed=0, labels=[3, 1, 4]).shape == (3, 1, size, size)


def test_another_card_does_not_resume_a_run(card, tmp_path, monkeypatch):
    interrupt_at(monkeypatch, 2)
    with pytest.raises(InterruptedRunError):
        train(card(), tmp_path / "out", quiet=True)
    with pytest.raises(ConflictError, match="another card or other settings: id was"):
        train(card("ae"), tmp_path / "out", resume=True, quiet=True)


@pytest.mark.parametrize(
    ("start", "go_on", "said"),
    [
        ([], ["seed=9"], "train.seed was 3, now it is 9. Resume with --set train.seed=3, or"),
        (
            ["learning_rate=0.02", "data.binarization=none"],
            ["data.augmentations=['flip']"],
            "data.augmentations was not given",
        ),
        (["weight_decay=0.1"], [], "train.weight_decay was 0.1, now it is not given. Resume with "
                                   "--set train.weight_decay=0.1, or remove"),
        ([], ["weight_decay=0.1"], "weight_decay was not given, now it is 0.1. Resume without "
                                   "train.weight_decay, or remove"),
        (
            ["latent_size=3"],
            ["latent_size=4", "seed=8"],
            "config.latent_size was 3, now it is 4; train.seed was 3, now it is 8. Resume with "
            "--set config.latent_size=3 --set train.seed=3, or remove",
        ),
    ],
)  # fmt: skip
def test_resuming_says_which_setting_differs(card, tmp_path, monkeypatch, start, go_on, said):
    interrupt_at(monkeypatch, 0)
    with pytest.raises(InterruptedRunError):
        train(card(), tmp_path / "out", overrides=start, quiet=True)
    with pytest.raises(ConflictError, match=re.escape(said)):
        train(card(), tmp_path / "out", overrides=go_on, resume=True, quiet=True)
    monkeypatch.undo()
    settings = [*start, "seed=3"]  # the same value, given again, is no other setting
    assert train(card(), tmp_path / "out", overrides=settings, resume=True, quiet=True).is_dir()


def test_data_and_outputs_may_lie_at_home(card, tmp_path, monkeypatch, image_folder):
    monkeypatch.setenv("HOME", str(image_folder.parent))
    name = f"~/{image_folder.name}"
    folder = train(
        card(), tmp_path / "out", overrides=[f"data.dataset={name}", "max_steps=1"], quiet=True
    )
    assert Card.load(folder).data.dataset == name  # a card stays as it was written
    monkeypatch.setenv("HOME", str(tmp_path))
    assert train(card("ae"), "~/ae", overrides=["max_steps=1"], quiet=True) == tmp_path / "ae"
    assert (tmp_path / "ae/model.safetensors").is_file()
    assert registry.resolve("~/ae") == str(tmp_path / "ae")
    assert registry.load_card("~/ae").id == Card.load("~/ae/card.toml").id == "local/ae"


def test_logs_name_the_parts_of_the_loss(card, tmp_path, monkeypatch):
    logged = []
    original = ImageTrainer.log
    monkeypatch.setattr(
        ImageTrainer,
        "log",
        lambda self, logs, *rest: (original(self, logs, *rest), logged.append(logs))[0],
    )
    train(card(extra="logging_steps = 5\n"), tmp_path / "out", quiet=True)
    steps = [logs for logs in logged if "kl" in logs]
    assert len(steps) == 3
    for logs in steps:
        assert logs["loss"] == pytest.approx(logs["reconstruction_loss"] + logs["kl"], rel=1e-4)


def test_two_views_are_augmented_apart(card, tmp_path, monkeypatch):
    seen = []

    def forward(self, pixel_values, other_view=None, return_loss=True):
        seen.append((pixel_values, other_view))
        return original(self, pixel_values, return_loss)

    original = VAEModel.forward
    monkeypatch.setattr(VAEModel, "forward", forward)
    settings = ["num_train_epochs=1", 'data.augmentations=["flip"]', "data.num_views=2"]
    train(card(binarization="none"), tmp_path / "out", overrides=settings, quiet=True)
    first, other = next(views for views in seen if views[1] is not None)
    same = (first == other).flatten(1).all(1)
    mirrored = (first == other.flip(-1)).flatten(1).all(1)
    assert (same | mirrored).all()
    assert mirrored.any()


def test_without_a_gpu_a_graph_changes_nothing(card, tmp_path):
    whole = weights(train(card(), tmp_path / "a", quiet=True))
    folder = train(card(), tmp_path / "b", overrides=["cuda_graph=true"], quiet=True)
    assert_equal(weights(folder), whole)
    assert Card.load(folder).train.cuda_graph


def test_a_step_that_is_no_graph_is_refused_with_the_way_out(card, tmp_path, monkeypatch):
    def refuse(*_):
        raise RuntimeError("operation not permitted when stream is capturing\nmore")

    monkeypatch.setattr("zoo.training.trainer.CapturedStep", refuse)
    original = ImageTrainer.__init__

    def on_a_gpu(self, *args, **kwargs):
        original(self, *args, **kwargs)
        self.cuda_graph = True

    monkeypatch.setattr(ImageTrainer, "__init__", on_a_gpu)
    with pytest.raises(UsageError, match=r"VAEModel cannot be one graph \(operation.*false$"):
        train(card(), tmp_path / "out", quiet=True)
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_a_gradient_norm_is_logged_where_gradients_are_clipped(card, tmp_path, monkeypatch, clip):
    logged = []
    log = Trainer.log
    monkeypatch.setattr(
        Trainer, "log", lambda self, logs, *rest: [logged.append(logs), log(self, logs, *rest)]
    )
    extra = f"logging_steps = 5\nmax_grad_norm = {clip}\n"
    train(card(extra=extra), tmp_path / "out", quiet=True)
    norms = [logs["grad_norm"] for logs in logged if "grad_norm" in logs]
    assert len(norms) == (3 if clip else 0)
    assert all(norm > 0 for norm in norms)


@pytest.mark.gpu
@pytest.mark.parametrize("architecture", ["vae", "iwae", "infomax"])
def test_a_graph_learns_what_single_kernels_learn(tiny_config, architecture, tmp_path):
    """From the same weights and images, without noise: the same losses and weights."""
    from transformers import TrainingArguments

    from zoo import catalog
    from zoo.data.images import ImageDataset, Images
    from zoo.training.recipe import DEFAULTS

    config = tiny_config(architecture)
    shape = (64, config.num_channels, config.image_size, config.image_size)
    pixels = torch.randint(0, 256, shape, dtype=torch.uint8)
    found = []
    for graph in (False, True):
        torch.manual_seed(0)
        model = catalog.load(catalog.find(architecture).model)(config)
        arguments = TrainingArguments(
            output_dir=str(tmp_path), max_steps=8, per_device_train_batch_size=16, seed=1,
            **{**DEFAULTS, "save_strategy": "no", "logging_steps": 4},
        )  # fmt: skip
        trainer = ImageTrainer(
            model=model,
            args=arguments,
            train_dataset=ImageDataset(Images(pixels.cuda(), None, "x", "y")),
            binarization="threshold",
            cuda_graph=graph,
        )
        torch.cuda.manual_seed(0)
        trainer.train()
        assert (trainer._captured is not None) == graph
        found.append((model.cpu().state_dict(), trainer.state.log_history))
    for name, tensor in found[0][0].items():
        torch.testing.assert_close(found[1][0][name], tensor, atol=2e-3, rtol=2e-3)
    for one, two in zip(found[0][1], found[1][1], strict=True):
        for name in {"loss", "kl", "local_information"} & one.keys():
            assert two[name] == pytest.approx(one[name], rel=2e-2)


def test_calibration_gives_the_codes_of_the_train_set_mean_0_and_variance_1(tiny_config):
    model = EAEModel(tiny_config("eae"))
    pixels = torch.randint(0, 256, (700, 1, 16, 16), dtype=torch.uint8)
    calibrate_batch_norm(model, pixels)
    codes = model.encode(pixels.float() / 255)
    assert torch.allclose(codes.mean(0), torch.zeros(4), atol=1e-3)
    assert torch.allclose(codes.var(0), torch.ones(4), atol=1e-2)


def test_samplers_recover_a_planted_mixture(tiny_config):
    model = AEModel(tiny_config("ae"))
    centers = torch.tensor([[5.0, 0, 0, 0], [-5.0, 0, 0, 0]])
    codes = centers[torch.arange(2000) % 2] + 0.1 * torch.randn(2000, 4)
    fit_samplers(model, codes, ["gaussian", "mixture"], seed=0)
    mixture = model.samplers["mixture"]
    found = mixture.means[mixture.means[:, 0].argsort(descending=True)]
    assert torch.allclose(found, centers, atol=0.05)
    assert torch.allclose(mixture.weights, torch.tensor([0.5, 0.5]), atol=0.05)
    gaussian = model.samplers["gaussian"]
    covariance = gaussian.scale_tril @ gaussian.scale_tril.T
    assert torch.allclose(covariance, codes.T.cov(), rtol=1e-2, atol=1e-3)


def infomax(card):
    """A card of an encoder: no code samplers, no samples, stored in half precision."""
    text = card("ae", "none").text.replace('architecture = "ae"', 'architecture = "infomax"')
    text = text.replace('samplers = ["gaussian", "mixture"]', 'stored_as = "float16"')
    text = text.replace("num_mixture_components = 2", "feature_size = 4\nscore_size = 4")
    return Card.parse(text.replace("unconditional-image-generation", "image-feature-extraction"))


def test_half_precision_halves_the_file_and_loads_as_float32(card, tmp_path):
    folder = train(infomax(card), tmp_path / "half", quiet=True)
    stored = weights(folder)
    assert {t.dtype for t in stored.values()} == {torch.float16, torch.int64}
    assert not (folder / "samples.png").exists()
    assert registry.verify(folder).ok
    assert Card.load(folder).train.stored_as == "float16"
    model = zoo.from_pretrained(folder)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    assert_equal({n: t.float() for n, t in stored.items()},
                 {n: t.float() for n, t in model.state_dict().items()})  # fmt: skip
    whole = train(infomax(card), tmp_path / "whole", quiet=True, overrides=["stored_as=float32"])
    assert_equal({n: t.to(stored[n].dtype) for n, t in weights(whole).items()}, stored)


def test_weights_too_large_for_half_precision_are_refused_by_name():
    model = torch.nn.Linear(2, 2)
    torch.nn.init.constant_(model.bias, 1e5)
    with pytest.raises(GenaeError, match="bias has values beyond float16"):
        fitting.stored_weights(model, "float16")


def test_a_recipe_for_ones_own_images_is_called_after_their_folder(card):
    trained = card("ae")
    own = with_data(trained, "~/images/My Pets (2024)")
    assert own.id == "local/my-pets-2024"
    assert own.data.dataset.endswith("My Pets (2024)")
    assert (own.data.train_split, own.data.validation_split) == ("train", None)
    assert not own.results
    assert own.config == trained.config
    assert own.data.binarization == trained.data.binarization
