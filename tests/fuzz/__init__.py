"""Fuzzing of everything that comes from outside: `python -m tests.fuzz --help`.

A target takes bytes and raises only when the program has a fault. The normal tests feed
each target for seconds (tests/test_fuzz.py); the command does it for as long as wanted,
guided by coverage where atheris is installed.
"""
