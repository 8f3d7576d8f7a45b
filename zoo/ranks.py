"""Which of several processes this one is, as their launcher says."""

import os


def count() -> int:
    """Number of processes that work together, as the launcher says; 1 without one."""
    if "LOCAL_RANK" not in os.environ:
        return 1
    return max(1, int(os.environ.get("WORLD_SIZE") or 1))


def rank() -> int:
    """Which of them this is, from 0."""
    return int(os.environ.get("RANK") or 0) if count() > 1 else 0


def place() -> int:
    """Which of those on this machine it is, from 0."""
    return int(os.environ.get("LOCAL_RANK") or 0) if count() > 1 else 0


def cores() -> int:
    """Number of processor cores for this one: its part of those that it may use."""
    known = getattr(os, "sched_getaffinity", None)  # not on every system
    number = len(known(0)) if known else os.cpu_count() or 1
    beside = int(os.environ.get("LOCAL_WORLD_SIZE") or 1) if count() > 1 else 1
    return max(1, number // max(1, beside))


def is_first() -> bool:
    """Whether this process writes and speaks for all."""
    return rank() == 0


def restarts() -> int:
    """How often the launcher has started the processes again, after one had died."""
    return int(os.environ.get("TORCHELASTIC_RESTART_COUNT") or 0) if count() > 1 else 0
