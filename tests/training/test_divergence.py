"""A training that diverged: one message, nothing published, finite checkpoints alone."""

import re

import pytest
import torch
from safetensors.torch import load_file, save_file

from zoo.card import Card
from zoo.errors import DivergedError, UsageError
from zoo.models import AEModel
from zoo.training import divergence, fitting, train
from zoo.training.trainer import ImageTrainer

LOWER = r"the training diverged: .*lower learning_rate than .*--set learning_rate=\S+"
SETTINGS = {
    "infomax": "feature_size = 4\nscore_size = 4",
    "iwae": "num_mixture_components = 2\nimportance_samples = 2",
    "classifier": "num_labels = 2\nfeature_size = 4",
}
TASKS = {"infomax": "image-feature-extraction", "classifier": "image-classification"}


@pytest.fixture
def any_card(card, tmp_path, image_folder):
    """`any_card(architecture)`: a card of it on noise in two class folders."""

    def make(architecture):
        text = card(architecture, "none").text
        text = text.replace("unconditional-image-generation", TASKS.get(architecture, "any"))
        text = text.replace('"any"', '"unconditional-image-generation"')
        text = text.replace("num_mixture_components = 2",
                            SETTINGS.get(architecture, "num_mixture_components = 2"))  # fmt: skip
        if architecture == "classifier":
            for number, file in enumerate(sorted(image_folder.iterdir())):
                place = tmp_path / "classes" / str(number % 2) / file.name
                place.parent.mkdir(parents=True, exist_ok=True)
                place.write_bytes(file.read_bytes())
            text = text.replace(str(image_folder), str(tmp_path / "classes"))
        if architecture in TASKS:
            text = text.replace('samplers = ["gaussian", "mixture"]\n', "")
            text = text.replace("latent_size = 2\n", "" if architecture == "classifier" else
                                "latent_size = 2\n")  # fmt: skip
        return Card.parse(text)

    return make


ARCHITECTURES = ["ae", "vae", "eae", "infomax", "iwae", "classifier"]


@pytest.mark.parametrize("settings", [(), ("bf16=true", "logging_steps=1")])
@pytest.mark.parametrize("architecture", ARCHITECTURES)
def test_every_architecture_that_diverges_says_so(any_card, tmp_path, architecture, settings):
    changes = ["learning_rate=1e30", "max_grad_norm=0.0", *settings]
    with pytest.raises(DivergedError, match=LOWER) as caught:
        train(any_card(architecture), tmp_path / "out", overrides=changes, quiet=True)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "out").exists()
    assert not (tmp_path / "out.training").exists()  # there was no finite checkpoint


@pytest.mark.parametrize("architecture", ["ae", "classifier"])
def test_the_advice_trains(any_card, tmp_path, architecture):
    made = any_card(architecture)
    with pytest.raises(DivergedError) as caught:
        train(made, tmp_path / "out", overrides=["learning_rate=1e30"], quiet=True)
    advised = re.findall(r"--set (\S+?)(?=[,\s]|$)", str(caught.value))
    folder = train(made, tmp_path / "out", overrides=advised, quiet=True)
    assert all(
        tensor.isfinite().all() for tensor in load_file(folder / "model.safetensors").values()
    )


def poison(monkeypatch, step, name):
    """Let a tensor of the model become infinite after a step, the loss staying as it is."""
    original = ImageTrainer.training_step

    def training_step(self, model, *args, **kwargs):
        loss = original(self, model, *args, **kwargs)
        if self.state.global_step == step - 1:
            model.state_dict()[name].view(-1)[0] = float("inf")
        return loss

    monkeypatch.setattr(ImageTrainer, "training_step", training_step)


@pytest.mark.parametrize(
    "name", ["decoder.convolutions.0.bias", "encoder.convolutions.1.running_var"]
)
def test_the_last_finite_checkpoint_is_kept(card, tmp_path, monkeypatch, name):
    """A last step alone is lost: its checkpoint would be the newest and replace the other."""
    with monkeypatch.context() as patch:
        poison(patch, 15, name)
        with pytest.raises(DivergedError, match=rf"{name} contains values") as caught:
            train(card(), tmp_path / "out", quiet=True)
    kept = tmp_path / "out.training" / "checkpoint-10"
    assert str(caught.value).endswith(f"the last finite checkpoint is kept: {kept}")
    assert [path.name for path in kept.parent.glob("checkpoint-*")] == [kept.name]
    assert divergence.is_finite(kept)
    assert not (tmp_path / "out").exists()
    assert train(card(), tmp_path / "out", resume=True, quiet=True).is_dir()


def test_a_run_without_checkpoints_is_checked_at_its_end(card, tmp_path, monkeypatch):
    poison(monkeypatch, 15, "encoder.convolutions.1.running_var")
    with pytest.raises(DivergedError, match=LOWER):
        train(card("ae", extra="save_strategy = 'no'\n"), tmp_path / "out", quiet=True)
    assert not list(tmp_path.iterdir())


def test_a_loss_that_is_not_finite_stops_at_the_next_log(card, tmp_path, monkeypatch):
    original = ImageTrainer.compute_loss
    steps = []

    def compute_loss(self, *args, **kwargs):
        steps.append(self.state.global_step)
        loss = original(self, *args, **kwargs)
        return loss.detach() * float("nan") + 0 * loss if len(steps) == 2 else loss

    monkeypatch.setattr(ImageTrainer, "compute_loss", compute_loss)
    with pytest.raises(DivergedError, match="the loss, at step 3, is nan"):
        train(card(), tmp_path / "out", overrides=["logging_steps=3"], quiet=True)
    assert len(steps) == 3


def test_no_run_goes_on_from_a_checkpoint_that_is_not_finite(card, tmp_path, monkeypatch):
    made = card(extra="save_total_limit = 5\n")
    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.images.ImageMaterial.finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(made, tmp_path / "out", quiet=True)
    work = tmp_path / "out.training"
    weights = work / "checkpoint-15" / "model.safetensors"
    tensors = load_file(weights)
    tensors["encoder.output.weight"][0, 0] = torch.nan
    save_file(tensors, weights, {"format": "pt"})
    started = []
    original = ImageTrainer.train
    monkeypatch.setattr(
        ImageTrainer,
        "train",
        lambda self, resume_from_checkpoint: (
            started.append(resume_from_checkpoint) or original(self, resume_from_checkpoint)
        ),
    )
    for file in ("checkpoint-5", "checkpoint-10"):
        assert divergence.is_finite(work / file)
    train(made, tmp_path / "out", resume=True, quiet=True)
    assert started == [str(work / "checkpoint-10")]


def test_there_may_be_no_checkpoint_to_go_on_from(card, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.images.ImageMaterial.finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(card(), tmp_path / "out", quiet=True)
    (weights,) = (tmp_path / "out.training").glob("checkpoint-*/model.safetensors")
    weights.write_bytes(weights.read_bytes()[:-8])
    with pytest.raises(DivergedError, match=r"no checkpoint in .*remove it and train again"):
        train(card(), tmp_path / "out", resume=True, quiet=True)


@pytest.mark.parametrize("name", ["gaussian", "mixture"])
def test_codes_to_which_nothing_fits_are_a_divergence(tiny_config, name):
    """scikit-learn's own words would speak of covariances."""
    codes = torch.ones(8, 4).cumsum(0) * 1e5
    with pytest.raises(DivergedError, match=f"codes reach 8e.05, to which no {name} can"):
        fitting.fit_samplers(AEModel(tiny_config("ae")), codes, [name], seed=0)


def test_moments_of_the_optimizer_count(tiny_config):
    model = AEModel(tiny_config("ae"))
    optimizer = torch.optim.Adam(model.parameters())
    sum(parameter.sum() for parameter in model.parameters()).backward()
    optimizer.step()
    divergence.check_optimizer(optimizer)
    next(iter(optimizer.state.values()))["exp_avg_sq"].fill_(torch.inf)
    with pytest.raises(DivergedError, match="the optimizer's exp_avg_sq"):
        divergence.check_optimizer(optimizer)


def test_what_a_model_computes_in_use_counts(tiny_config):
    model = AEModel(tiny_config("ae"))
    inputs = {"pixel_values": torch.rand(2, 1, 16, 16), "return_loss": False}
    divergence.check_outputs(model, inputs)
    with torch.no_grad():
        model.encoder.output.weight.fill_(3e38)
        model.encoder.output.bias.fill_(3e38)
    with pytest.raises(DivergedError, match=r"encoder\.output\.weight contains values up to 3e"):
        divergence.check_model(model)
    with pytest.raises(DivergedError, match="the model's"):
        divergence.check_outputs(model, inputs)


DENSE = ("network=dense", "hidden_sizes=[4]")


@pytest.mark.parametrize(
    ("architecture", "settings"),
    [*((each, ()) for each in ARCHITECTURES), *((each, DENSE) for each in ("ae", "vae", "eae"))],
)
def test_finite_numbers_that_are_absurd_are_not_published(
    any_card, tmp_path, architecture, settings
):
    """A loss through a sigmoid saturates and stays small; then the weights tell."""
    changes = ["learning_rate=1e3", "max_grad_norm=0.0", *settings]
    with pytest.raises(DivergedError, match=LOWER) as caught:
        train(any_card(architecture), tmp_path / "out", overrides=changes, quiet=True)
    assert re.search(r"values up to|the loss is \S+, before", str(caught.value))
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize(("before", "after"), [(44.1, 1500.0), (0.2, 90.0), (-300.0, 5000.0)])
def test_a_loss_may_grow_a_little(before, after):
    divergence.check_growth(before, after)
    with pytest.raises(DivergedError, match="before training"):
        divergence.check_growth(before, after * 100)


def test_a_run_that_learnt_nothing_is_told(card, tmp_path, capfd):
    settings = ["learning_rate=0.1", "max_grad_norm=0.0", "max_steps=1"]
    train(card("iwae", "none"), tmp_path / "out", overrides=["importance_samples=2", *settings])
    assert "before training: nothing was learnt; a lower learning_rate" in capfd.readouterr().err
    train(card("iwae", "none"), tmp_path / "two", overrides=settings, quiet=True)
    assert capfd.readouterr().err == ""  # no bar of what is saved either


@pytest.mark.parametrize(
    "settings",
    [["num_train_epochs=0"], ["learning_rate=nan"], ["learning_rate=inf"], ["max_steps=0",
     "num_train_epochs=0.0"]],
)  # fmt: skip
def test_what_trains_nothing_is_refused(card, tmp_path, settings):
    with pytest.raises(UsageError, match=r"trains nothing; set it|must be a number of at least"):
        train(card(), tmp_path / "out", overrides=settings, quiet=True)
    assert not list(tmp_path.glob("out*"))


DAMAGE = {
    "model.safetensors": None,
    "optimizer.pt": b"cut short",
    "scheduler.pt": b"",
    "trainer_state.json": b"{",
}


def test_no_run_goes_on_from_a_checkpoint_that_is_damaged(card, tmp_path, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("zoo.training.images.ImageMaterial.finish", lambda *_: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            train(card(), tmp_path / "out", quiet=True)
    (found,) = (tmp_path / "out.training").glob("checkpoint-*")
    assert divergence.is_finite(found)
    for name, content in DAMAGE.items():
        whole = (found / name).read_bytes()
        (found / name).unlink() if content is None else (found / name).write_bytes(content)
        assert not divergence.is_finite(found), name
        with pytest.raises(DivergedError, match=r"no checkpoint in .* can be read and is finite"):
            train(card(), tmp_path / "out", resume=True, quiet=True)
        (found / name).write_bytes(whole)
    assert train(card(), tmp_path / "out", resume=True, quiet=True).is_dir()
