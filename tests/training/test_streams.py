"""Streams: shuffled and shared, and gone on with from any position as if never left."""

import itertools
import json

import datasets
import pytest

from zoo.data.text.packing import Packer
from zoo.errors import UsageError
from zoo.training import streams
from zoo.training.streams import Endless
from zoo.training.text_streams import TextExamples

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
    for taken in (0, 1, 7, 8, 29, 31, 50):  # of several epochs
        before = stream(Counted(), packed=packed, rank=count - 1, count=count)
        assert batches(before, taken) == whole[:taken]
        state = json.loads(json.dumps(before.state_dict()))
        after = stream(Counted(), packed=packed, rank=count - 1, count=count)
        after.load_state_dict(state)
        assert batches(after, 70 - taken) == whole[taken:], taken


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
