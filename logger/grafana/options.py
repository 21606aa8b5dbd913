"""What dashboards and alert rules depend on: time zone, prices, limits, meters. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from logger import models
from logger.config import Config, Meter
from logger.config.alerts import Alerts
from logger.config.derive import Events, Prices
from logger.domain import balance
from logger.domain.datamodel import ROLES
from logger.domain.wiring import LINE_PHASES

# A reading so soon after a moment counts as the one at it, if slow jobs are not more often.
_SETTLE_S = 30.0
# So many meters have room in one chart and its legend.
_FEW = 6
# Heights in Grafana, pixels: of a table without rows and the gap below, of a row, of the grid.
_TABLE_PX, _ROW_PX, _GRID_PX = 92, 36, 38
# What a PRO380 measures.
_USUAL = frozenset(
    {
        "voltage", "current", "active_power", "reactive_power", "apparent_power",
        "power_factor", "frequency", "active", "active_import", "active_export",
        "reactive_import", "reactive_export", "day_counter", "tariff",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardOptions:
    """The figures behind every dashboard and rule, all from one configuration file.

    `zone` is the IANA time zone of the installation: days begin and end there. Without
    `prices` nothing shows money. `roles` and `wirings` are those of the meters, `fields`
    what their models measure, `by_role` what those of one role do: a panel is made for what
    is there. `flows` and `demand` say whether the site has them (`domain.balance`).
    `centres` are the cost centres, each with the names of its meters.
    `slow_s` is the shortest interval of a slow job, `slowest_s` the longest, `fast_s` the longest
    of a fast one, seconds; `meters` how many there are, and `first` the name of the one that a
    dashboard of one meter begins with.
    `by_tariff` says that some meter counts the energy of each tariff apart.
    `wirings_of` are the wirings of the meters of a role, where those of a role are asked for;
    `without_neutral` names the meters of three wires, whose L1 to L3 have no voltage of their
    own; `between_phases` says that some model measures voltages between phases, however wired.
    """

    site: str = "home"
    zone: str = "Europe/Amsterdam"
    prices: Prices = field(default_factory=Prices)
    events: Events = field(default_factory=Events)
    alerts: Alerts = field(default_factory=Alerts)
    roles: frozenset[str] = frozenset(ROLES)
    flows: bool = True
    demand: bool = True
    wirings: frozenset[str] = frozenset({"3P4W", "3P3W", "1P2W"})
    wirings_of: Mapping[str, frozenset[str]] = field(default_factory=dict)
    without_neutral: tuple[str, ...] = ()
    between_phases: bool = False
    fields: frozenset[str] = _USUAL
    by_role: Mapping[str, frozenset[str]] = field(
        default_factory=lambda: dict.fromkeys(ROLES, _USUAL)
    )
    slow_s: float = 60.0
    slowest_s: float = 60.0
    fast_s: float = 5.0
    meters: int = 4
    by_tariff: bool = True
    first: str = ""
    centres: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def money(self) -> str:
        """The unit of amounts of money, as Grafana names it."""
        return f"suffix:{self.prices.currency}"

    @property
    def priced(self) -> bool:
        """Whether there are prices."""
        return bool(self.prices.valid)

    @property
    def moving(self) -> bool:
        """Whether some prices are imported ones, of each quarter hour."""
        return any(price.moving for price in self.prices.valid)

    @property
    def crowded(self) -> bool:
        """Whether there are too many meters to show all of them in one chart."""
        return self.meters > _FEW

    @property
    def apart(self) -> bool:
        """Whether the phases of each meter need charts of their own: a colour is a phase, not
        a meter."""
        return self.meters > 1

    def rows(self, least: int, most: int, each: int = 1) -> int:
        """Return the height of a table with `each` rows for a meter, in units of the grid:
        from `least` to `most`, where it scrolls."""
        return table_height(each * self.meters, least, most)

    @property
    def settle(self) -> str:
        """How long after a moment a reading still counts as the one at it, in InfluxQL."""
        return f"{int(1000 * min(_SETTLE_S, self.slow_s / 2))}ms"

    def phase_voltages(self, role: str = "") -> bool:
        """Return whether a meter, or one of a role, measures voltages to neutral."""
        return self._voltages(role, "3P4W", "1P2W")

    def line_voltages(self, role: str = "") -> bool:
        """Return whether a meter without a neutral, or one of a role, measures voltages between
        phases."""
        return self._voltages(role, "3P3W")

    def _voltages(self, role: str, *wirings: str) -> bool:
        wired = self.wirings_of.get(role, self.wirings)
        return "voltage" in self.fields and not wired.isdisjoint(wirings)

    def has(self, *roles: str) -> bool:
        """Return whether there is a meter of each of these roles."""
        return self.roles >= set(roles)

    def measures(self, *names: str) -> bool:
        """Return whether some meter measures one of these fields."""
        return not self.fields.isdisjoint(names)

    def live(self, *roles: str, name: str = "active_power") -> bool:
        """Return whether there is a meter of each of these roles that measures `name`: some
        have counters only."""
        return self.has(*roles) and all(name in self.by_role.get(one, ()) for one in roles)

    @property
    def flow_powers(self) -> bool:
        """Whether `site` has powers: there are flows, of meters with more than counters."""
        beside = self.live("pv") if self.has("pv") else self.live("battery")
        return self.flows and self.live("grid") and beside


def dashboard_options(config: Config) -> DashboardOptions:
    """Return the options of a configuration, and of the models that it names.

    Raises ModelError for a model that is not there.
    """
    meters = [meter for bus in config.bus for meter in bus.meter]
    roles = [meter.role for meter in meters]
    tables = {meter.model: models.load(meter.model, config.models_dir) for meter in meters}
    one_phase = {name for name, table in tables.items() if table.one_phase}
    # Without a neutral only voltages between phases mean something, and not all meters have them.
    between = {
        name
        for name, table in tables.items()
        if any(one.field == "voltage" and one.phase in LINE_PHASES for one in table.registers)
    }

    def wired(meter: Meter) -> str:
        return "1P2W" if meter.model in one_phase else meter.wiring

    def judged(meters: Sequence[Meter]) -> frozenset[str]:
        """Return the wirings under which voltages of these meters mean something."""
        found = {(wired(meter), meter.model in between) for meter in meters}
        return frozenset(wiring for wiring, lines in found if wiring != "3P3W" or lines)

    return DashboardOptions(
        site=config.site.name,
        zone=config.site.timezone,
        prices=config.prices,
        events=config.events,
        alerts=config.alerts,
        roles=frozenset(roles),
        flows=balance.has_flows(roles),
        demand=balance.has_demand(roles),
        wirings=judged(meters),
        wirings_of={
            role: judged([meter for meter in meters if meter.role == role]) for role in ROLES
        },
        without_neutral=tuple(meter.name for meter in meters if wired(meter) == "3P3W"),
        between_phases=not between.isdisjoint(tables),
        fields=frozenset(one.field for table in tables.values() for one in table.registers),
        by_role={
            role: frozenset(
                register.field
                for meter in meters
                if meter.role == role
                for register in tables[meter.model].registers
            )
            for role in ROLES
        },
        meters=len(meters),
        by_tariff=any(
            register.field == "active_import" and register.tariff not in (None, "total")
            for table in tables.values()
            for register in table.registers
        ),
        first=next((meter.name for role in ROLES for meter in meters if meter.role == role), ""),
        centres={
            centre: tuple(meter.name for meter in meters if meter.cost_centre == centre)
            for centre in sorted({meter.cost_centre for meter in meters if meter.cost_centre})
        },
        slow_s=min(config.interval(meter, "slow") for meter in meters),
        slowest_s=max(config.interval(meter, "slow") for meter in meters),
        fast_s=max(config.interval(meter, "fast") for meter in meters),
    )


def table_height(rows: int, least: int, most: int) -> int:
    """Return the height of a table of so many rows, in units of the grid."""
    return max(least, min(most, -(-(_TABLE_PX + _ROW_PX * rows) // _GRID_PX)))
