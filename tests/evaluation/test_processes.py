"""Several processes measure what one does, to the digit; the first speaks."""

import contextlib
import json
import signal
import threading
from datetime import timedelta
from types import SimpleNamespace

import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.evaluation import shared_law
from tests.launching import free_port, launched, started
from zoo import gathering, ranks
from zoo.cli import group
from zoo.errors import LeftError, UsageError
from zoo.evaluation import subject as subjects
from zoo.evaluation import texts


@contextlib.contextmanager
def side_by_side(number):
    """`together(work)`: what each of so many joined processes, here threads, makes."""
    own, barrier, told = threading.local(), threading.Barrier(number), {}

    def gathered(value):
        told[own.rank] = value
        barrier.wait(10)
        found = [told[rank] for rank in range(number)]
        barrier.wait(10)
        return found

    def together(work):
        made = {}

        def run(rank):
            own.rank = rank
            gathering._JOINED.set(True)
            made[rank] = work()

        threads = [threading.Thread(target=run, args=(rank,)) for rank in range(number)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return [made[rank] for rank in range(number)]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ranks, "count", lambda: number)
        patch.setattr(ranks, "rank", lambda: own.rank)
        patch.setattr(gathering, "_gathered", gathered)
        yield together


@settings(max_examples=20, deadline=None)
@given(number=st.integers(2, 5), items=st.lists(st.integers(), max_size=12))
def test_processes_share_items_and_all_know_everything_in_order(number, items):
    worked = []

    def work(item):
        worked.append(item)
        return [item, -item]

    with side_by_side(number) as together:
        assert (
            together(lambda: [*gathering.shared(iter(items), work)])
            == [[[item, -item] for item in items]] * number
        )
        assert sorted(worked) == sorted(items)  # each by one
        rows = together(lambda: gathering.shared_rows(items, lambda some: [2 * n for n in some]))
        assert rows == [[2 * item for item in items]] * number
        assert together(lambda: gathering.of_all(ranks.rank())) == [[*range(number)]] * number
        assert together(lambda: gathering.by_first(ranks.rank)) == [0] * number


def test_one_process_works_through_items_as_they_are_asked_for():
    asked = gathering.shared(iter(range(10)), lambda item: item)
    assert [next(asked), next(asked)] == [0, 1]
    assert gathering.of_all("it") == ["it"]
    assert gathering.by_first(lambda: "it") == "it"
    with gathering.joined():
        assert gathering.shared_rows([], list) == []


def test_random_numbers_of_a_batch_follow_from_its_place(subject):
    """So that a process that has not drawn those of the batches before draws the same."""
    one = subject("vae")
    drawn = [*one.shared(range(3), "noise", lambda _, numbers: numbers.initial_seed())]
    assert len({*drawn}) == 3
    assert [*one.shared("abc", "noise", lambda _, numbers: numbers.initial_seed())] == drawn
    assert drawn != [*one.shared(range(3), "other", lambda _, numbers: numbers.initial_seed())]


@pytest.fixture
def second(monkeypatch):
    """This process is the second of three, and waits for nobody."""
    for name, value in (("LOCAL_RANK", "1"), ("RANK", "1"), ("WORLD_SIZE", "3")):
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(group, "TURN", 0.0)


def test_a_verb_of_one_process_is_refused_with_its_own_command(second, run):
    done = run("list", "vae")
    assert (done.code, done.out) == (2, "")
    assert done.err == (
        "genae: process 1 of 3: list is done by one process, and this is one of 3; run it without "
        "their launcher: genae list vae (several do train, evaluate, encode, density)\n"
    )


@pytest.mark.parametrize("words", [("--help",), ("evaluate", "--help"), ("--version",), ()])
def test_help_is_printed_by_the_first_alone(second, run, monkeypatch, words):
    done = run(*words)
    assert (done.code, done.out, done.err) == (0, "", "")
    monkeypatch.setenv("RANK", "0")
    assert "genae" in run(*words).out


def test_who_comes_alone_does_not_wait_for_ever(monkeypatch):
    """As where another was killed before all had come, which no connection shows."""
    address = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": free_port()}
    for name, value in ({"LOCAL_RANK": "0", "RANK": "0", "WORLD_SIZE": "2"} | address).items():
        monkeypatch.setenv(name, value)
    monkeypatch.setattr(gathering, "MEETING", timedelta(seconds=0.2))
    with pytest.raises(LeftError, match="not all of 2 processes came"), gathering.joined():
        pass


def test_others_than_the_first_are_silent_until_they_fail(second, run):
    done = run("train", "genae/ae-examples", "--settings")
    assert (done.code, done.out, done.err) == (0, "", "")
    done = run("evaluate", "genae/no-such", "--json", "--metric", "nothing")
    assert (done.code, done.out) == (2, "")
    assert done.err.startswith("genae: process 1 of 3: no metric named 'nothing'")


def test_who_is_left_alone_speaks_after_the_one_that_has_ended(monkeypatch, capsys):
    slept = []
    monkeypatch.setattr(group, "time", SimpleNamespace(sleep=slept.append))
    call = group.calls.begin(as_json=False)
    assert group.report(LeftError("it has ended"), call) == 1
    assert slept == [2 * group.TURN]
    monkeypatch.setattr(ranks, "rank", lambda: 2)
    assert group.report(UsageError("wrong"), call) == 2
    assert group.report(KeyboardInterrupt(), call) == group.INTERRUPTED
    assert slept == [2 * group.TURN, group.TURN]
    assert capsys.readouterr().err == "genae: it has ended\ngenae: process 2 of 1: wrong\n"


#: Processes of which the second is killed when it is to tell the others what it has made.
DYING = """
import os, signal, sys
from zoo import gathering
from zoo.cli import app
gathered = gathering._gathered
def dying(value):
    if os.environ["RANK"] == "1":
        os.kill(os.getpid(), signal.SIGKILL)
    return gathered(value)
gathering._gathered = dying
app(sys.argv[1:], prog_name="genae")
"""


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize(
    "words",
    [
        "evaluate genae/eae-mnist --metric reconstruction_mse --data examples-mnist --split train",
        "density genae/vae-mnist --data examples-mnist --split train --number 2 --samples 1 "
        "--binarize threshold",
        "encode genae/eae-mnist examples-mnist -o vectors",
    ],
    ids=lambda words: words.split()[0],
)
def test_processes_that_no_launcher_ends_end_after_one_was_killed(tmp_path, words):
    (tmp_path / "run.py").write_text(DYING)
    words = words.replace("vectors", str(tmp_path / "vectors"))
    first, second, third = started(3, tmp_path / "run.py", *words.split())
    assert second == (-signal.SIGKILL, "")
    assert [first[0], third[0]] == [1, 1]
    for _, text in (first, third):
        assert "another process has ended before its part was done" in text
        assert "Traceback" not in text


@pytest.mark.slow
@pytest.mark.timeout(900)
@pytest.mark.parametrize("number", [2, 3])
def test_what_processes_measure_together_is_what_one_measures(monkeypatch, tmp_path, number):
    monkeypatch.setattr(subjects, "BATCH", shared_law.IMAGES)
    monkeypatch.setattr(texts, "BATCH", shared_law.TEXTS)
    lines = tmp_path / "t.txt"
    lines.write_text("".join(f"天气 好 a b {'c' * (n % 7)}\n" for n in range(30)))
    done = launched(number, "-m", "tests.evaluation.shared_law", lines, tmp_path)
    assert done.returncode == 0, done.stderr
    told = [json.loads((tmp_path / f"{rank}.json").read_text()) for rank in range(number)]
    assert told == [told[0]] * number
    assert told[0] == pytest.approx(shared_law.measured(str(lines)), rel=1e-9)


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_densities_of_processes_are_those_of_one_and_one_table(run, tmp_path):
    words = ["density", "genae/vae-mnist", "examples-mnist", "--binarize", "threshold"]
    words += ["--samples", "2", "--method", "annealed", "--temperatures", "2"]
    done = launched(2, "-m", "zoo", *words, "--parquet", tmp_path / "two.parquet", "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["summary"]["images"] == 64
    assert run(*words, "--parquet", tmp_path / "one.parquet", "-q").code == 0
    one, two = (pq.read_table(tmp_path / f"{name}.parquet") for name in ("one", "two"))
    assert two.equals(one)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["one.parquet", "two.parquet"]


@pytest.mark.slow
@pytest.mark.timeout(900)
def test_what_all_would_say_is_said_once(tmp_path):
    done = launched(2, "-m", "zoo", "density", "genae/vae-mnist", tmp_path / "none.png")
    assert done.returncode != 0
    assert done.stderr.count("genae: ") == 1, done.stderr
    assert "exitcode  : 3" in done.stderr
