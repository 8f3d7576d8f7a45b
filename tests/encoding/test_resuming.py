"""Runs that end anywhere, and processes that share one: every row once, the same vectors."""

import contextlib
import itertools
import json
import multiprocessing
import os
import random
import shutil
import tempfile
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import filelock
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import zoo
from tests.encoding.conftest import TEXTS, skipped_in, table_of
from tests.launching import launched
from zoo import places
from zoo.ahead import ahead, batched, in_order
from zoo.encoding import run
from zoo.encoding.encoders import Batch, Skipped
from zoo.encoding.rows import Fault, Wanted
from zoo.errors import ConflictError, UsageError

BERT = "genae/tiny-bert"
ROWS, SIZE, FILES, BAD = 11, 4, 3, [5, 10]


class Counting:
    """An encoder whose vectors are numbers of rows."""

    reads, size, batch_size = "texts", 2, 3

    def settings(self):
        return {}

    def close(self):
        pass

    def batches(self, rows, skipped):
        for batch in batched(rows, self.batch_size):
            good = [row for row in reversed(batch) if not isinstance(row.content, Fault)]
            skipped += [
                Skipped(row.number, row.key, row.content.reason)
                for row in batch
                if isinstance(row.content, Fault)
            ]
            numbers = [row.number for row in good]
            yield Batch(numbers, [row.key for row in good], numbers)

    def vectors(self, inputs):
        return np.array([[row, -row] for row in inputs], np.float32).reshape(-1, 2)


class Killed(BaseException):
    """The end of a process, which nothing catches."""


@pytest.fixture(scope="module")
def counting(tmp_path_factory):
    """`counting(output)`: encode 11 rows, two of them bad, by numbers."""
    data = tmp_path_factory.mktemp("counted") / "t.jsonl"
    lines = [json.dumps({"text": str(n)}) if n not in BAD else "{" for n in range(ROWS)]
    data.write_text("\n".join(lines))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "open_encoder", lambda model, **options: Counting())
        found = run.locate(BERT)
        patch.setattr(run, "locate", lambda model: found)
        patch.setattr(run, "model_sum", lambda folder: "")
        patch.setattr(os, "fsync", lambda handle: None)  # of which a busy disk makes seconds
        yield lambda output: zoo.encode(BERT, data, output, rows_per_shard=SIZE)


def check_whole(out):
    table = table_of(out)
    rows = [row for row in range(ROWS) if row not in BAD]
    assert table["row"].to_pylist() == rows
    assert [one[0] for one in table["vector"].to_pylist()] == rows
    assert [one["row"] for one in skipped_in(out)] == BAD
    files = {path.relative_to(out).as_posix() for path in out.rglob("*") if path.is_file()}
    assert files == {
        "encoding.json", "skipped.jsonl", *(f"vectors/part-00000{n}.parquet" for n in range(FILES))
    }  # fmt: skip


def die_at(patch, last):
    """Die at a step of writing: before, in the middle of or after a file, after its renaming."""
    steps = itertools.count()
    write, replace = places.write_through, os.replace

    def step():
        if next(steps) == last:
            raise Killed

    def writing(path, content):
        step()
        write(path, content[: len(content) // 2])
        step()
        write(path, content)
        step()

    def replacing(old, new):
        replace(old, new)
        step()

    patch.setattr(places, "write_through", writing)
    patch.setattr(os, "replace", replacing)
    patch.setattr(os, "unlink", lambda path: None)  # the dead remove nothing


@settings(max_examples=10, deadline=None)
@given(kills=st.lists(st.integers(0, 25), max_size=4))
def test_a_run_that_dies_at_any_step_goes_on_and_loses_and_repeats_no_row(counting, kills):
    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        for last in kills:
            with pytest.MonkeyPatch.context() as patch, contextlib.suppress(Killed):
                die_at(patch, last)
                counting(out)
        counting(out)
        check_whole(out)


def test_dying_at_each_step_in_turn_ends_with_everything(counting, tmp_path):
    """A file more is there after each, as many steps as there are: no step is passed over."""
    out, deaths = tmp_path / "out", 0
    for last in itertools.count():
        with pytest.MonkeyPatch.context() as patch:
            die_at(patch, last)
            try:
                counting(tmp_path / f"out-{last}")
            except Killed:
                deaths += 1
            else:
                break
        counting(tmp_path / f"out-{last}")
        check_whole(tmp_path / f"out-{last}")
    assert deaths == 4 * (
        FILES + 3
    )  # the files, the list, the manifest at the beginning and at the end
    assert not out.exists()


@pytest.mark.parametrize("ranks", [2, 3, 8])
def test_any_number_of_processes_makes_the_same_files(counting, tmp_path, monkeypatch, ranks):
    counting(tmp_path / "one")
    monkeypatch.setenv("WORLD_SIZE", str(ranks))
    for rank in range(ranks):
        monkeypatch.setenv("RANK", str(rank))
        found = counting(tmp_path / "many")
        assert found.complete == (rank >= min(ranks, FILES) - 1), rank
    for file in (tmp_path / "one").rglob("*.*"):
        if file.is_file():
            other = tmp_path / "many" / file.relative_to(tmp_path / "one")
            assert file.read_bytes() == other.read_bytes(), file
    monkeypatch.setenv("RANK", str(ranks))
    with pytest.raises(UsageError, match="torchrun sets both"):
        counting(tmp_path / "more")


def test_a_run_of_many_processes_is_ended_by_one(counting, tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "3")
    monkeypatch.setenv("RANK", "1")
    assert counting(tmp_path / "out").made == SIZE
    monkeypatch.delenv("WORLD_SIZE")
    monkeypatch.delenv("RANK")
    found = counting(tmp_path / "out")
    assert found.complete
    assert found.made == ROWS - SIZE
    check_whole(tmp_path / "out")


def test_what_processes_that_were_killed_left_is_removed_at_the_end(
    counting, tmp_path, monkeypatch
):
    """And nothing of one that is still there, which its lock shows."""
    out = tmp_path / "out"
    with monkeypatch.context() as patch:
        patch.setenv("WORLD_SIZE", "2")
        assert not counting(out).complete
    own = "vectors/.part-000001.parquet.0"
    killed = [".1.lock", ".encoding.json.1", ".skipped.jsonl.1", "vectors/.part-000002.parquet.1"]
    others = [".2.lock", "vectors/.part-000002.parquet.2", ".of-the-user.1"]
    for name in (own, *killed, *others):
        (out / name).touch()
    with filelock.FileLock(out / ".2.lock"):
        assert counting(out).complete
        assert {name for name in (own, *killed, *others) if (out / name).exists()} == {*others}


def test_a_file_that_was_cut_or_is_of_another_place_is_made_anew(counting, tmp_path):
    out = tmp_path / "out"
    counting(out)
    manifest = json.loads((out / "encoding.json").read_text())
    begun = {name: manifest[name] for name in ("format", "settings", "size")}
    (out / "encoding.json").write_text(json.dumps(begun))
    files = sorted((out / "vectors").iterdir())
    files[0].write_bytes(files[0].read_bytes()[:-10])
    shutil.copy(files[2], files[1])
    files[2].write_bytes(b"")
    assert counting(out).made == ROWS
    check_whole(out)


def test_files_of_data_that_was_longer_are_told(counting, tmp_path):
    """Of what is streamed no fingerprint tells."""
    out = tmp_path / "out"
    counting(out)
    manifest = json.loads((out / "encoding.json").read_text())
    begun = {name: manifest[name] for name in ("format", "settings", "size")}
    (out / "encoding.json").write_text(json.dumps(begun))
    files = sorted((out / "vectors").iterdir())
    shutil.copy(files[-1], files[-1].with_name("part-000009.parquet"))
    with pytest.raises(ConflictError, match="other rows; choose another folder"):
        counting(out)


def _encode(data, output):
    from zoo.encoding.run import encode

    encode(BERT, data, output, rows_per_shard=64)


@pytest.mark.slow
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("wanted", [3, pytest.param(100, marks=pytest.mark.soak)])
def test_kills_at_random_moments_lose_and_repeat_no_row(wanted, tmp_path):
    """Of a real process, by SIGKILL, which no handler sees."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["zoo.encoding.run", "zoo.models"])
    data = tmp_path / "t.jsonl"
    draw = random.Random(0)
    count = 30 * wanted + 210
    lines = [json.dumps({"text": TEXTS[n % 7] + f" {n}"}) for n in range(count)]
    for row in (3, count // 4, count - 1):
        lines[row] = "{"
    data.write_text("\n".join(lines))
    start = time.monotonic()
    process = context.Process(target=_encode, args=(data, tmp_path / "whole"))
    process.start()
    process.join()
    seconds = time.monotonic() - start
    kills = rounds = 0
    while kills < wanted:
        out, rounds, done = tmp_path / f"out-{rounds}", rounds + 1, False
        while not done:
            process = context.Process(target=_encode, args=(data, out))
            process.start()
            process.join(draw.uniform(0, 1.5 * seconds))
            done = process.exitcode == 0
            assert process.exitcode in (None, 0)
            if not done:
                process.kill()
                process.join()
                kills += 1
        assert table_of(out).equals(table_of(tmp_path / "whole"))
        assert skipped_in(out) == skipped_in(tmp_path / "whole")


@given(
    spans=st.lists(st.integers(1, 5), max_size=12),
    blocks=st.lists(st.integers(0, 7), max_size=12),
)
def test_the_rows_of_blocks_are_those_that_are_wanted(spans, blocks):
    ends = list(itertools.accumulate(spans, initial=0))
    wanted = [range(a, b) for a, b in itertools.pairwise(ends)][::2]
    asked, found, first = Wanted(wanted), [], 0
    for size in blocks:
        found += [row for part in asked.within(first, first + size) for row in part]
        first += size
    assert found == [row for span in wanted for row in span if row < first]
    assert asked.over == all(span.stop <= first for span in wanted)


def test_work_ahead_comes_in_order_and_ends_with_those_who_wanted_it():
    assert list(ahead(range(100), 3)) == list(range(100))
    ended = threading.Event()

    def numbers():
        try:
            yield from itertools.count()
        finally:
            ended.set()

    with contextlib.closing(ahead(numbers(), 2)) as found:
        assert next(found) == 0
    assert ended.is_set()

    def failing():
        yield 1
        raise ValueError("in its turn")

    found = ahead(failing(), 5)
    assert next(found) == 1
    with pytest.raises(ValueError, match="in its turn"):
        next(found)
    with ThreadPoolExecutor(3) as pool:
        made = in_order(pool, lambda n: (time.sleep(0.001 * (n % 3)), n * n)[1], range(20), 5)
        assert list(made) == [(n, n * n) for n in range(20)]


#: A process that is killed while it writes its second file of vectors, at the first try.
DYING = """
import os, signal, sys
from zoo import places
from zoo.cli import app
write = places.write_through
def dying(path, content):
    write(path, content)
    if "part-000003" in path and os.environ["TORCHELASTIC_RESTART_COUNT"] == os.environ["DIES"]:
        os.kill(os.getpid(), signal.SIGKILL)
places.write_through = dying
app(sys.argv[1:], prog_name="genae")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("again", [2, 3, 1], ids=["restarted", "by more", "by one"])
def test_processes_of_which_one_is_killed_go_on_in_any_number(tmp_path, again):
    """To the byte as one process would have done it, with one answer, by the first."""
    data = tmp_path / "t.jsonl"
    lines = [json.dumps({"text": TEXTS[n % 7] + f" {n}"}) for n in range(100)]
    data.write_text("\n".join([*lines[:50], "{", *lines[50:]]))
    words = ["encode", BERT, data, "--shard-size", "16"]
    script = tmp_path / "dying.py"
    script.write_text(DYING)
    restarts = ["--max-restarts", "1"] if again == 2 else []
    done = launched(2, *restarts, script, *words, "-o", tmp_path / "many", settings={"DIES": "0"})
    if not restarts:
        assert done.returncode != 0
        assert not (tmp_path / "many/vectors/part-000003.parquet").exists()
        done = launched(again, "-m", "zoo", *words, "-o", tmp_path / "many")
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"{tmp_path}/many: 100 vectors of 24 numbers, 1 row skipped\n"
    assert done.stderr.count("row 50: is not JSON") == 1
    assert launched(1, "-m", "zoo", *words, "-o", tmp_path / "one").returncode == 0
    files = [
        {path.name: path.read_bytes() for path in (tmp_path / name).rglob("*.*")}
        for name in ("one", "many")
    ]
    assert len(files[0]) > 7
    assert files[0] == files[1]
