"""Measures what the documentation promises: `python -m tests.benchmark --help`.

Every figure comes with its raw materials and, where it is a rate, with a ratio to
something measured in the same run. Loggers, lines and servers are processes of their
own, so that none of them pays for another.
"""
