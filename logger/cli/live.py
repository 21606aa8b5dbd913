"""The live view of the demo and of a running logger: what the meters say now, and what
became of it."""

from __future__ import annotations

import threading
from collections.abc import Mapping
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.text import Text

from logger.cli.console import fitting, plain
from logger.cli.table import Table
from logger.domain import balance
from logger.domain.datamodel import FIELDS, SCALE
from logger.domain.quantity import POWER_TOTAL, TARIFF, Quantity
from logger.domain.wiring import NEUTRAL_PHASES
from logger.texts import printable

if TYPE_CHECKING:
    from logger.meter.reading import Reading
    from logger.models import Value

_PHASES = ("L1", "L2", "L3", "total")
_COLUMNS = (
    ("voltage", "V", 1),
    ("current", "A", 2),
    ("active_power", "kW", 3),
    ("reactive_power", "kvar", 3),
    ("apparent_power", "kVA", 3),
    ("power_factor", "", 2),
)

_MOST_LINES = 6  # buses that the view has room for


class LiveValues:
    """The latest values of every meter, kept by the worker threads, read by the view."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._values: dict[str, dict[Quantity, Value]] = {}
        self._roles: dict[str, str] = {}

    def take(self, reading: Reading) -> None:
        """Remember the values of `reading`."""
        with self._lock:
            self._roles[reading.meter] = reading.role
            self._values.setdefault(reading.meter, {}).update(reading.values)

    def show(self, state: Mapping[str, Any]) -> None:
        """Show what a running logger tells of its newest values, in the meters' units, and
        nothing else."""
        with self._lock:
            self._values.clear()
            for meter in state["latest"]["meters"]:
                self._roles[meter["name"]] = meter["role"]
                self._values[meter["name"]] = {
                    (one := Quantity.parse(name)): _as_sent(one, value)
                    for name, value in meter["values"].items()
                }

    def meters(self) -> dict[str, tuple[str, dict[Quantity, Value]]]:
        """Return role and values of each meter by name."""
        with self._lock:
            return {name: (self._roles[name], dict(v)) for name, v in self._values.items()}

    def power(self, role: str) -> Decimal | None:
        """Return the total active power in kW of all meters of `role`; None without any."""
        found = [
            value
            for meter_role, values in self.meters().values()
            if meter_role == role and isinstance(value := values.get(POWER_TOTAL), Decimal)
        ]
        return sum(found, Decimal(0)) if found else None


def _as_sent(quantity: Quantity, value: Any) -> Value:
    """Return a value in kW, kvar and kVA, as meters send it, where the data model has W."""
    if isinstance(value, str) or quantity.field not in FIELDS:
        return str(value)
    scale = next((SCALE[unit] for unit in FIELDS[quantity.field].units if unit in SCALE), 1)
    return int(value) if quantity == TARIFF else Decimal(str(value)) / scale


def view(
    latest: LiveValues, state: Mapping[str, Any], *, small: bool = False, narrow: bool = False
) -> RenderableType:
    """Return the whole picture: phases, flows, energy, line and buffer; when `small`, a line
    a meter, for a terminal of 80 by 24; when `narrow`, without rules between the columns, for
    one of 50."""
    return Group(
        _summary(latest, narrow) if small else phases(latest),
        _flows(latest),
        _energy(latest, ("total",) if small else ("T1", "T2", "total"), narrow),
        _line(state),
    )


def _table(title: str, narrow: bool) -> Table:
    if narrow:
        return Table(title=title, title_justify="left", box=None, padding=(0, 1, 0, 0))
    return Table(title=title, title_justify="left")


def _summary(latest: LiveValues, narrow: bool) -> RenderableType:
    """Return one line a meter: the three voltages, currents and the powers."""
    table = _table("Now", narrow)
    table.add_column("meter")
    for head in ("V L1", "V L2", "V L3", "A L1", "A L2", "A L3", "kW"):
        table.add_column(head, justify="right")
    for meter, (_, values) in sorted(latest.meters().items()):
        cells = [_number(values.get(Quantity("voltage", phase)), 1) for phase in NEUTRAL_PHASES]
        cells += [_number(values.get(Quantity("current", phase)), 2) for phase in NEUTRAL_PHASES]
        table.add_row(meter, *cells, _number(values.get(POWER_TOTAL), 3))
    return fitting(table)


def _number(value: object, digits: int) -> str:
    return f"{value:.{digits}f}" if isinstance(value, Decimal) else ""


def phases(latest: LiveValues) -> Table:
    """Return what each phase of each meter carries."""
    table = Table(title="Now", title_justify="left", expand=False)
    table.add_column("meter")
    table.add_column("phase")
    for name, unit, _ in _COLUMNS:
        table.add_column(f"{name.replace('_', ' ')} {unit}".strip(), justify="right")
    for meter, (role, values) in sorted(latest.meters().items()):
        for phase in _PHASES:
            cells = [_number(values.get(Quantity(n, phase)), digits) for n, _, digits in _COLUMNS]
            if not any(cells) and phase in ("L2", "L3"):
                continue  # a meter of one phase
            label = f"{meter} ({role})" if phase == "L1" else ""
            table.add_row(label, phase, *cells, end_section=phase == "total")
    return table


def _powers(latest: LiveValues) -> tuple[Decimal, Decimal | None, Decimal | None, Decimal] | None:
    """Return grid, production (None without PV), what goes into the battery (None without one)
    and load in kW: load = grid + production - battery; production is the PV's export. None
    where nobody knows the load."""
    grid, pv, charge = (latest.power(role) for role in balance.ROLES)
    if grid is None or (pv is None and charge is None):
        return None
    made = None if pv is None else -pv
    return grid, made, charge, grid + (made or Decimal(0)) - (charge or Decimal(0))


def _flows(latest: LiveValues) -> Panel:
    """Return grid, PV, battery and load."""
    powers = _powers(latest)
    if powers is None:
        return Panel(Text(_without_flows(latest)), title="Flows", title_align="left")
    grid, made, charge, load = powers
    direction = "drawn from the grid" if grid >= 0 else "fed into the grid"
    parts = [
        f"load [cyan]{load:.3f} kW[/]",
        f"[{'red' if grid >= 0 else 'green'}]{abs(grid):.3f} kW {direction}[/]",
    ]
    if made is not None:
        used = balance.self_consumed(max(made, Decimal(0)), balance.production(grid))
        parts = [f"PV [yellow]{made:.3f} kW[/]", *parts, f"PV used on site {used:.3f} kW"]
    if charge is not None:
        parts.append(f"{abs(charge):.3f} kW {'into' if charge >= 0 else 'out of'} the battery")
    # A line ends between two of them, not within one.
    shown = Columns([Text.from_markup(part) for part in parts], padding=(0, 3))
    return Panel(shown, title="Flows", title_align="left")


def _without_flows(latest: LiveValues) -> str:
    """Return the power of each meter, for a site of which nobody knows the load."""
    found = [
        f"{name} {values[POWER_TOTAL]:.3f} kW"
        for name, (_, values) in sorted(latest.meters().items())
        if isinstance(values.get(POWER_TOTAL), Decimal)
    ]
    return printable(", ".join(found)) or "waiting for the first round"


def by_phase(latest: LiveValues) -> str:
    """Return what each phase of the meters carries, in one line."""
    found = []
    for _, values in latest.meters().values():
        for phase in _PHASES:
            cells = [
                f"{_number(value, digits)} {unit}".strip()
                for name, unit, digits in _COLUMNS
                if (value := values.get(Quantity(name, phase))) is not None
            ]
            found += [f"{phase}: {', '.join(cells)}"] if cells else []
    return "; ".join(found)


def _energy(latest: LiveValues, tariffs: tuple[str, ...], narrow: bool) -> RenderableType:
    table = _table("Energy, kWh, as on the meters' displays", narrow)
    table.add_column("meter")
    for direction in ("import", "export"):
        for tariff in tariffs:
            table.add_column(f"{direction} {tariff}", justify="right")
    table.add_column("tariff now", justify="right")
    for meter, (_, values) in sorted(latest.meters().items()):
        cells = [
            _number(values.get(Quantity(f"active_{direction}", "total", tariff)), 2)
            for direction in ("import", "export")
            for tariff in tariffs
        ]
        now = values.get(TARIFF)
        table.add_row(meter, *cells, f"T{now}" if now else "")
    return fitting(table)


def _line(state: Mapping[str, Any]) -> Panel:
    lines = [
        f"bus {plain(bus['name'])}: busy {bus['busy']:.0%} (planned {bus['planned_load']:.0%}), "
        f"{bus['requests']} requests, {bus['silent'] + bus['garbled']} failed"
        for bus in state["buses"]
    ]
    lines = lines[:_MOST_LINES]
    buffer = state["buffer"]
    missed = sum(meter["missed"] for meter in state["meters"])
    lines.append(
        f"buffer: {buffer['waiting']} points kept, {buffer['file_size'] / 1024:.0f} KiB; "
        f"{state['readings']} readings, {missed} jobs missed"
    )
    lines += [f"[red]{plain(problem)}[/]" for problem in state["problems"]]
    return Panel("\n".join(lines), title="Line and buffer", title_align="left")


def one_line(latest: LiveValues, state: Mapping[str, Any]) -> str:
    """Return the picture in one line, for where there is no terminal."""
    flow = _without_flows(latest)
    if (powers := _powers(latest)) is not None:
        grid, made, charge, load = powers
        sun = "" if made is None else f"PV {made:.3f} kW, "
        kept = "" if charge is None else f"battery {charge:.3f} kW, "
        flow = f"grid {grid:.3f} kW, {sun}{kept}load {load:.3f} kW"
    bus = state["buses"][0]
    return (
        f"{flow}; {state['readings']} readings, line busy {bus['busy']:.0%}, "
        f"{state['buffer']['waiting']} points in the buffer"
    )
