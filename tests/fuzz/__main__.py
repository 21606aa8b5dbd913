"""`python -m tests.fuzz [TARGET ...] --minutes N`: fuzz for as long as wanted.

With atheris the search is guided by coverage, one process a target; without it, input is
changed at random. Input that breaks a target is written to a file and ends the run.
`python -m tests.fuzz mbus --frames N` looks at so many damaged M-Bus telegrams instead,
some ten thousand a second.
"""

from __future__ import annotations

import argparse
import hashlib
import random
import subprocess
import sys
import tempfile
import time
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path


def _guided(name: str, seconds: int) -> None:
    """Let atheris look for input that breaks a target; it ends the process."""
    atheris = import_module("atheris")  # optional, and without types

    # What is imported before this is not seen; so nothing of the program is, above.
    with atheris.instrument_imports(include=["logger", "tomllib", "minimalmodbus"]):
        from tests.fuzz.mutate import mutated
        from tests.fuzz.seeds import seeds
        from tests.fuzz.targets import TARGETS, quietly

    corpus = Path(tempfile.mkdtemp(prefix=f"corpus-{name}-"))
    for data in seeds(name):
        if len(data) < 100_000:
            (corpus / hashlib.sha256(data).hexdigest()[:16]).write_bytes(data)
    target = TARGETS[name]

    def custom(data: bytes, size: int, seed: int) -> bytes:
        dice = random.Random(seed)
        changed = mutated(data, dice) if dice.random() < 0.5 else atheris.Mutate(data, size)
        return bytes(changed[:size])

    options = [f"-max_total_time={seconds}", "-max_len=20000", "-timeout=30", "-verbosity=0"]
    options += [f"-artifact_prefix=fuzz-{name}-", "-print_final_stats=1", str(corpus)]
    atheris.Setup(["fuzz", *options], target, custom_mutator=custom)
    with quietly():
        atheris.Fuzz()


def _random(name: str, seconds: float, seed: int) -> int:
    """Change good input at random; return how often."""
    from tests.fuzz.mutate import mutated
    from tests.fuzz.seeds import seeds
    from tests.fuzz.targets import TARGETS, quietly

    dice = random.Random(seed)
    until, count = time.monotonic() + seconds, 0
    with quietly():
        for data in seeds(name):
            TARGETS[name](data)
        while time.monotonic() < until:
            data = mutated(dice.choice(seeds(name)), dice)
            try:
                TARGETS[name](data)
            except BaseException:
                file = Path(f"fuzz-{name}-{hashlib.sha256(data).hexdigest()[:12]}")
                file.write_bytes(data)
                print(f"{name}: broken by {file} ({len(data)} bytes), seed {seed}")
                raise
            count += 1
    return count


def _telegrams(count: int, seed: int) -> None:
    from tests.fuzz.seeds import seeds
    from tests.fuzz.telegrams import campaign

    print(f"mbus: {campaign(seeds('mbus'), count, seed, _tell)}, seed {seed}")


def _tell(text: str) -> None:
    print(f"mbus: {text}", flush=True)


def main() -> int:
    """Fuzz the targets, one after the other; the exit code is 1 when one broke."""
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("targets", nargs="*")
    parser.add_argument("--minutes", type=float, default=1.0, help="for each target")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(10**6))
    parser.add_argument("--random", action="store_true", help="without atheris")
    parser.add_argument("--frames", type=int, help="so many damaged telegrams; for mbus alone")
    parser.add_argument("--guided", help=argparse.SUPPRESS)
    options = parser.parse_args()
    seconds = 60 * options.minutes
    if options.guided:
        _guided(options.guided, int(seconds))
        return 0
    if options.frames is not None:
        if options.targets != ["mbus"]:
            parser.error("--frames is for the target mbus alone")
        _telegrams(options.frames, options.seed)
        return 0
    from tests.fuzz.targets import TARGETS

    broken = 0
    for name in options.targets or TARGETS:
        if options.random or find_spec("atheris") is None:
            print(f"{name}: {_random(name, seconds, options.seed)} inputs, seed {options.seed}")
            continue
        minutes = str(options.minutes)
        arguments = ["-m", "tests.fuzz", "--guided", name, "--minutes", minutes]
        done = subprocess.run(
            [sys.executable, *arguments], capture_output=True, text=True, check=False
        )
        tail = [text for text in done.stderr.splitlines() if "number_of_executed" in text]
        print(f"{name}: {'broken' if done.returncode else 'whole'} {' '.join(tail)}", flush=True)
        if done.returncode:
            broken += 1
            print(done.stdout[-2000:], done.stderr[-4000:])
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
