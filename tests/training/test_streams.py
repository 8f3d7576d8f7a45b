"""Streams: shuffled and shared, and gone on with from any position as if never left."""

import io
import itertools
import json
import os
import signal
import threading
import time
from types import SimpleNamespace

import datasets
import fsspec
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from datasets.packaged_modules.parquet.parquet import Parquet
from PIL import Image
from safetensors.torch import load_file

from tests.launching import launched
from tests.training.conftest import CARD
from tests.training.text_cards import text_card, write_rows
from zoo.card import Card
from zoo.data.text.loading import load_texts
from zoo.data.text.packing import Packer
from zoo.errors import IntegrityError, InterruptedRunError, NotFoundError, UsageError
from zoo.training import streams, train
from zoo.training.image_examples import ImageExamples
from zoo.training.recipes import build_recipe
from zoo.training.streaming import _Ahead, position_file
from zoo.training.streams import Endless
from zoo.training.text_streams import TextExamples
from zoo.training.trainer import ImageTrainer

PARTS, ROWS = 6, 20  # of a source
BUFFERED, READ = 30, 7


class Counted:
    """A source of texts by number that counts the rows it was asked for."""

    def __init__(self, parts=PARTS):
        self.read, self.texts = 0, parts * ROWS
        self.rows = datasets.IterableDataset.from_generator(
            self.made, gen_kwargs={"parts": [*range(parts)]}
        )

    def made(self, parts):
        for part in parts:
            for row in range(ROWS):
                self.read += 1
                yield {"text": part * ROWS + row}


def encode(batch, numbers):
    return {"input_ids": [[number, number + 1000] for number in batch["text"]]}


@pytest.fixture(autouse=True)
def _small(monkeypatch):
    monkeypatch.setattr(streams, "READ", READ)
    monkeypatch.setattr(TextExamples, "buffered", BUFFERED)
    monkeypatch.setattr(ImageExamples, "buffered", BUFFERED)


def stream(source, *, packed=False, seed=5, rank=0, count=1):
    packer = (lambda: Packer(7, 9, ([8], []))) if packed else None
    made = TextExamples(encode, packer, lambda rows: [tuple(row["input_ids"]) for row in rows])
    return Endless(source.rows, made, 4, seed=seed, rank=rank, count=count)


def batches(endless, number):
    """The next batches of a stream, each taken as soon as it is drawn."""
    found = []
    for batch in itertools.islice(endless, endless.taken + number):
        if batch:
            found.append(batch)
            endless.take(1)
    return found


def texts(found):
    return [ids[0] for batch in found for ids in batch]


@pytest.mark.parametrize("packed", [False, True], ids=["each text", "packed"])
@pytest.mark.parametrize("count", [1, 2, 4], ids=["alone", "parts shared", "rows shared"])
def test_what_follows_a_position_is_what_followed_it_before(packed, count):
    """4 processes do not divide 6 parts: each reads every row, and takes its own."""
    whole = batches(stream(Counted(), packed=packed, rank=count - 1, count=count), 70)
    for taken in (0, 7, 8, 31, 50):  # of several epochs
        before = stream(Counted(), packed=packed, rank=count - 1, count=count)
        assert batches(before, taken) == whole[:taken]
        state = json.loads(json.dumps(before.state_dict()))
        after = stream(Counted(), packed=packed, rank=count - 1, count=count)
        after.load_state_dict(state)
        assert batches(after, 70 - taken) == whole[taken:], taken


def test_what_is_made_ahead_does_not_count_as_taken():
    whole, plain, source = batches(stream(Counted()), 70), stream(Counted()), Counted()
    for taken in (7, 37):  # before the end of a buffer, of the first epoch and the second
        before, state = stream(source), plain.state_dict()
        before.load_state_dict(state)
        made = _Ahead(before)
        drawn = filter(None, made)
        for number in range(plain.taken, taken):
            assert next(drawn) == whole[number]
            before.take(1)
        deadline = time.monotonic() + 60
        while len(before._starts) < 2 and time.monotonic() < deadline:
            time.sleep(0.001)
        assert before._starts[-1].given > taken * 4
        batches(plain, taken - plain.taken)
        assert before.state_dict() == plain.state_dict()
        made.close()
        assert not [each for each in threading.enumerate() if each.name.endswith("(work)")]


def test_to_go_on_reads_a_buffer_and_the_beginning_of_a_part():
    source = Counted(parts=50)
    before = stream(source)
    batches(before, 220)  # of 250
    state, source = before.state_dict(), Counted(parts=50)
    after = stream(source)
    after.load_state_dict(state)
    batches(after, 1)
    assert source.read <= BUFFERED + READ + ROWS
    assert source.texts == 1000


def test_of_a_table_nothing_before_the_row_group_is_read_again(tmp_path, monkeypatch):
    texts = [f"{row}" for row in range(400)]
    pq.write_table(pa.table({"text": texts}), tmp_path / "t.parquet", row_group_size=ROWS)
    read, tables = [], Parquet._generate_tables

    def counted(self, *args, **kwargs):
        for key, table in tables(self, *args, **kwargs):
            read.append(len(table))
            yield key, table

    monkeypatch.setattr(Parquet, "_generate_tables", counted)
    source = SimpleNamespace(
        rows=load_texts(tmp_path / "t.parquet", "train", ["text"], streaming=True)
    )
    assert source.rows.num_shards == 20
    monkeypatch.setattr(f"{__name__}.encode", lambda batch, _: {"input_ids": batch["text"]})
    whole, before = batches(stream(source), 90), stream(source)
    batches(before, 80)
    after = stream(source)
    after.load_state_dict(before.state_dict())
    read.clear()
    assert batches(after, 10) == whole[80:]
    assert sum(read) <= 2 * (BUFFERED + READ + ROWS)  # the next buffer, too


@pytest.mark.parametrize("count", [2, 3, 5])
def test_processes_share_the_rows_of_each_epoch(count):
    source = Counted()
    shares = [stream(source, rank=rank, count=count) for rank in range(count)]
    found = [texts(batches(share, source.texts // count // 4)) for share in shares]
    assert sorted(itertools.chain(*found)) == [*range(source.texts)]


def test_epochs_have_other_orders_and_seeds_too():
    source = Counted()
    first, second = (batches(stream(source, seed=seed), 60) for seed in (1, 2))
    one, other = texts(first[:30]), texts(first[30:])
    assert sorted(one) == sorted(other) == [*range(source.texts)]
    assert one != other
    assert one != sorted(one)
    assert first[:30] != second[:30]


def test_a_stream_of_nothing_ends_with_a_message():
    nothing = datasets.IterableDataset.from_generator(lambda: iter(()))
    endless = Endless(nothing, TextExamples(encode, None, list), 4, seed=0, name="data set x")
    with pytest.raises(UsageError, match="data set x: nothing is left to learn from"):
        next(iter(endless))


@pytest.fixture(scope="module")
def table(tmp_path_factory):
    """40 images and a file that is none, in row groups of 9."""
    numbers, cells = np.random.default_rng(0), [{"bytes": b"none", "path": "bad.png"}]
    for number in range(40):
        buffer = io.BytesIO()
        noise = numbers.integers(0, 256, (8, 8), dtype=np.uint8)
        Image.fromarray(noise).save(buffer, "PNG")
        cells.append({"bytes": buffer.getvalue(), "path": f"{number}.png"})
    file = tmp_path_factory.mktemp("table") / "images.parquet"
    columns = {"image": cells, "label": [*range(len(cells))]}
    pq.write_table(pa.table(columns), file, row_group_size=9)
    return file


def image_card(dataset):
    text = CARD.format(name="x", architecture="vae", folder=dataset, binarization="stochastic")
    text = text.replace("[train]", "streaming = true\n[train]").replace('"mixture"', "")
    return Card.parse(text.replace("num_train_epochs = 3", "max_steps = 7"))


def test_a_folder_a_table_and_an_address_are_the_same_images(table, image_folder):
    files = fsspec.filesystem("memory")
    for file in image_folder.iterdir():
        files.pipe_file(f"/streamed/{file.name}", file.read_bytes())
    files.pipe_file("/tables/train.parquet", table.read_bytes())
    found = []
    for dataset in (table, "memory://tables", image_folder, "memory://streamed"):
        material = build_recipe(image_card(dataset)).load(quiet=True)
        assert len(material.images) == 40
        found.append({bytes(each.numpy()) for each in material.images.pixels})
        batch = next(iter(material.stream))
        assert batch["pixels"].shape == (8, 1, 8, 8)
        assert {bytes(each.numpy()) for each in batch["pixels"]} < found[-1]
        assert ("labels" in batch) == ("table" in str(dataset))
    assert len(found[0]) == 40
    assert all(each == found[0] for each in found)


@pytest.mark.slow
def test_a_streamed_run_that_was_interrupted_equals_a_whole_one(
    table, tmp_path, monkeypatch, capsys
):
    card = image_card(table)
    whole = train(card, tmp_path / "whole")
    assert capsys.readouterr().err.count("left out: data set") == 1
    step, sent = ImageTrainer.training_step, []

    def interrupted(self, *args, **kwargs):
        if self.state.global_step == 5 and not sent:
            sent.append(os.kill(os.getpid(), signal.SIGINT))
        return step(self, *args, **kwargs)

    monkeypatch.setattr(ImageTrainer, "training_step", interrupted)
    with pytest.raises(InterruptedRunError):
        train(card, tmp_path / "cut", quiet=True)
    position = position_file(tmp_path / "cut.training/checkpoint-6")
    content = position.read_bytes()
    position.write_bytes(b"{}")
    with pytest.raises(IntegrityError, match="where the stream goes on, is missing or damaged"):
        train(card, tmp_path / "cut", resume=True, quiet=True)
    position.write_bytes(content)
    cut = train(card, tmp_path / "cut", resume=True, quiet=True)
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, cut))
    assert not [name for name in one if not torch.equal(one[name], other[name])]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (["max_steps=-1"], "a stream has no length, so .train. needs max_steps"),
        (["dataloader_num_workers=2"], "change it with --set dataloader_num_workers=0"),
        (["train_split=train[:9]"], "is cut, and a stream has whole ones alone"),
        (["train_split=dev"], "has no split 'validation', only train"),
        (["data.dataset=gaussians-2d"], "data set gaussians-2d has points"),
        (["data.dataset=stacked-mnist"], "is drawn, not read; leave streaming out"),
        (["data.dataset=memory://nothing"], "there is no such file or folder"),
        (["data.dataset=nowhere://x"], "is no address that fsspec knows"),
    ],
)
def test_what_a_stream_cannot_do_is_said(table, tmp_path, changes, message):
    with pytest.raises((UsageError, NotFoundError), match=message):
        train(image_card(table), tmp_path / "out", overrides=changes, quiet=True)
    assert not [*tmp_path.iterdir()]


#: A process that kills itself, and with it the run, behind a step.
KILLED = """
import os, signal, sys
from zoo.cli import app
from zoo.training.processes import RankCallback
def kill(self, args, state, control, **kwargs):
    if state.global_step == 7 and os.environ.get("RANK", "0") == sys.argv[1]:
        os.kill(os.getpid(), signal.SIGKILL)
RankCallback.on_step_end = kill
app(sys.argv[2:], prog_name="genae")
"""


@pytest.mark.slow
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("count", [1, 2], ids=["one process", "two processes"])
@pytest.mark.parametrize("kind", ["texts", "images"])
def test_a_run_killed_in_the_middle_goes_on_as_if_it_had_not_been(table, tmp_path, kind, count):
    if kind == "images":
        card = image_card(table)
    else:
        data = write_rows(tmp_path / "rows.jsonl")
        card = text_card(data, data="streaming = true")
    (tmp_path / "card").mkdir()
    (tmp_path / "card/card.toml").write_text(card.text)
    (tmp_path / "killed.py").write_text(KILLED)
    words = ["train", tmp_path / "card", "--set", "max_steps=11", "--set", "save_steps=3"]
    words += ["--set", "save_strategy=steps", "--output"]
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    assert launched(count, "-m", "zoo", *words, whole).returncode == 0
    killed = launched(count, tmp_path / "killed.py", count - 1, *words, cut)
    assert killed.returncode != 0
    assert not cut.exists()
    done = launched(count, "-m", "zoo", *words, cut, "--resume")
    assert done.returncode == 0, done.stderr
    one, other = (load_file(folder / "model.safetensors") for folder in (whole, cut))
    assert not [name for name in one if not torch.equal(one[name], other[name])]
