"""APScheduler without what this logger never asks of it. The only importer of APScheduler.

As it is loaded it looks through every installed distribution for plugins, four times, and
loads asyncio and multiprocessing for pools that no job here uses: together that takes longer
than all the rest of it.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from types import ModuleType
from typing import Any

from apscheduler.executors.base import BaseExecutor
from apscheduler.triggers.base import BaseTrigger

__all__ = ["BackgroundScheduler", "BaseExecutor", "BaseTrigger"]


class _Nobody(BaseExecutor):  # type: ignore[misc]  # APScheduler has no types
    """Stands where a pool of threads would, for jobs that name no worker: there are none."""

    def _do_submit_job(self, job: Any, run_times: Any) -> None:
        raise NotImplementedError(f"{job} at {run_times}: no worker does it")


def _module(name: str, **what: object) -> ModuleType:
    made = ModuleType(name)
    vars(made).update(what)
    return made


@contextmanager
def _without_pools_and_plugins() -> Iterator[None]:
    """Let what is loaded meanwhile find no plugins, and stand-ins for what is not loaded yet."""
    plugins, metadata = importlib.metadata.entry_points, vars(importlib.metadata)
    stand_ins = [
        _module("asyncio", iscoroutinefunction=inspect.iscoroutinefunction),
        _module("apscheduler.executors.pool", ThreadPoolExecutor=_Nobody),
    ]
    placed = [one.__name__ for one in stand_ins if one.__name__ not in sys.modules]
    sys.modules.update({one.__name__: one for one in stand_ins if one.__name__ in placed})
    metadata["entry_points"] = lambda **_: ()
    try:
        yield
    finally:  # who wants them gets them
        metadata["entry_points"] = plugins
        for name in placed:
            del sys.modules[name]


with _without_pools_and_plugins():
    BackgroundScheduler = importlib.import_module(
        "apscheduler.schedulers.background"
    ).BackgroundScheduler
