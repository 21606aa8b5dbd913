"""Commands whose modules are imported when they are called, and what `--help` says of each."""

from __future__ import annotations

import gc
import importlib
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from inspect import cleandoc
from types import ModuleType
from typing import TYPE_CHECKING, Any

import typer
from typer.core import TyperGroup
from typer.main import get_command

if TYPE_CHECKING:
    from typer._click import Command, Context, HelpFormatter

# Where each command is defined, below `logger.cli`, and the first paragraph of its help.
COMMANDS: dict[str, tuple[str, str]] = {
    "demo": ("demo.demo", "Show virtual meters, logged by the real pipeline. Ctrl-C ends it."),
    "init": (
        "init.init",
        "Write .env (random secrets, mode 600) and config/local.toml. Overwrites nothing.",
    ),
    "scan": ("scan.scan", "Find the meters on a line and say what they are. It only reads."),
    "check": (
        "check.check",
        (
            "Check the whole installation: buses, meters, wiring, InfluxDB, MQTT, HTTP, sharing, "
            "clock, disk."
        ),
    ),
    "run": (
        "run.run",
        (
            "Read the meters and keep what they say, or deliver it with [influxdb], until SIGTERM, "
            "SIGHUP or Ctrl-C."
        ),
    ),
    "status": (
        "status.status",
        "Show what the running logger is doing; exit code 0 when all is well, 1 when not.",
    ),
    "live": ("watching.live", "Show what the running logger reads now. Ctrl-C ends it."),
    "read": (
        "read.read",
        "Read every register of one meter once and show it as the meter sends it.",
    ),
    "models": ("models.models", "List the models of meters, or print the register table of one."),
    "events": (
        "events.events",
        "List events: outages, voltage, frequency, counters, clock, settings.",
    ),
    "grafana": (
        "grafana.grafana",
        "Write Grafana's data sources, dashboards, alert rules and contact points.",
    ),
    "share": (
        "share.share",
        "Print sections for other programs that read the meters through the logger.",
    ),
    "simulate": (
        "simulate.simulate",
        "Serve virtual meters of one site: grid, PV, battery and loads agree with each other.",
    ),
    "simulate-past": (
        "past.simulate_past",
        "Fill the buffer of CONFIG with the past of virtual meters, then serve them.",
    ),
    "settings": ("settings.app", "Show and change the settings of a meter."),
    "buffer": (
        "buffer.app",
        "Look into the buffer, deliver it, export it. Safe beside a running logger.",
    ),
    "report": ("report.app", "Energy, demand, quality, statements over days, weeks, months."),
    "prices": ("prices.app", "Prices of each hour or quarter hour: import them, look at them."),
    "config": ("configuration.app", "The configuration file."),
}


class _Loaded(Mapping[str, Any]):
    """The commands by name; each is imported when it is first asked for."""

    def __init__(self, there: Mapping[str, Command]) -> None:
        self._made: dict[str, Command] = dict(there)

    def __getitem__(self, name: str) -> Command:
        if name not in self._made:
            self._made[name] = _load(name)
        return self._made[name]

    def __iter__(self) -> Iterator[str]:
        yield from COMMANDS
        yield from (name for name in self._made if name not in COMMANDS)

    def __len__(self) -> int:
        return len(COMMANDS.keys() | self._made.keys())


class Group(TyperGroup):
    """A group of commands whose help says of each the first paragraph of its own, uncut."""

    def format_commands(self, _ctx: Context, formatter: HelpFormatter) -> None:
        """Write the list of the commands."""
        with formatter.section("Commands"):
            formatter.write_dl([(name, self.says(name)) for name in self.commands])

    def says(self, name: str) -> str:
        """Return the first paragraph of a command's help, in one line."""
        text = cleandoc(self.commands[name].help or "")
        return " ".join(text.split("\n\n")[0].split())


def group(text: str) -> typer.Typer:
    """Return a group for commands; `text` is what its help says."""
    return typer.Typer(help=text, no_args_is_help=True, rich_markup_mode=None, cls=Group)


class OnDemand(Group):
    """The group of all commands. None is imported to list them."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self.commands: Any = _Loaded(self.commands)

    def invoke(self, ctx: Context) -> Any:
        """Run the command; Ctrl-C at a question ends it as it does everywhere else."""
        try:
            return super().invoke(ctx)
        except typer.Abort as end:
            if not isinstance(end.__context__, KeyboardInterrupt):
                raise
            typer.echo(err=True)
            raise KeyboardInterrupt from None

    def says(self, name: str) -> str:
        """Return what COMMANDS says, for what it has."""
        return COMMANDS[name][1] if name in COMMANDS else super().says(name)


@contextmanager
def loading() -> Iterator[None]:
    """Keep the garbage collector from going through all that is loaded meanwhile: it stays."""
    gc.disable()
    try:
        yield
    finally:
        gc.enable()


def preload(words: Iterable[str]) -> None:
    """Import the module of the command that a command line calls, if it calls one."""
    called = next((word for word in words if not word.startswith("-")), "")
    if called in COMMANDS:
        _module(called)


def _module(name: str) -> ModuleType:
    return importlib.import_module(f"logger.cli.{COMMANDS[name][0].partition('.')[0]}")


def _load(name: str) -> Command:
    """Raises KeyError for a name that no command has."""
    found = getattr(_module(name), COMMANDS[name][0].partition(".")[2])
    above = typer.Typer(rich_markup_mode=None, add_completion=False)
    above.callback()(_above)  # keeps it a group, though it has one command
    if isinstance(found, typer.Typer):
        above.add_typer(found, name=name)
    else:
        above.command(name)(found)
    built: Any = get_command(above)
    made: Command = built.commands[name]
    return made


def _above() -> None:
    """Stands for the group of all commands while one of them is built."""
