"""Benchmarks are run by hand; a timed test fails on a busy machine and proves nothing."""

collect_ignore_glob = ["*.py"]
