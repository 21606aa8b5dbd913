"""Looks at every bus and meter of a configuration, as an installer does. Reads only."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from logger.bus import Bus, bus_of, busload
from logger.bus.faults import lacks_parity
from logger.bus.hints import no_answer
from logger.bus.mbus import MbusBus
from logger.bus.rivals import REMEDY
from logger.config import Bus as BusConfig
from logger.config import Config
from logger.config import Meter as MeterConfig
from logger.domain.errors import BusError, ModeError, PortError, SharedLineError, SilentError
from logger.domain.quantity import Quantity
from logger.domain.times import duration_text
from logger.mbus.frames import Place
from logger.meter import twins
from logger.meter.adapt import named
from logger.meter.identify import UNREADABLE, Found, identify
from logger.meter.modelcheck import wrong_model
from logger.meter.readers import reader_of
from logger.meter.state import StateStore
from logger.models import Job, Model, Register, Value
from logger.models.plan import probes
from logger.survey import modes, ports
from logger.survey.finding import Finding, fail, note, ok, warn
from logger.survey.judge import judge
from logger.survey.mbusscan import describe

_JOBS = (Job.IDENTITY, Job.FAST, Job.SLOW)
_TRIES = 3


def check_bus(
    config: Config, bus: BusConfig, models: Mapping[str, Model], states: StateStore
) -> Iterator[Finding]:
    """Yield what there is to say about the port of `bus` and each meter on it.

    `models` holds every known model by name; `states` what was last seen of the meters.
    """
    line = bus_of(bus)
    try:
        try:
            line.open()
        except PortError as err:
            yield _no_port(bus, err)
            return
        yield _port(bus)
        try:
            serials: dict[str, MeterConfig] = {}
            for meter in bus.meter:
                yield from _meter(config, line, meter, models, states, serials)
        except PortError as err:
            yield _no_port(bus, err)
            return
    finally:
        line.close()
    if line.stats.answered or line.stats.refused:
        heard = "the adapter echoes what is sent; it is skipped" if line.echo else "none"
        yield (note if line.echo else ok)(bus.name, "local echo", heard)
    yield from _rivals(bus, line)
    yield from _others(bus, line)
    yield from load(config, bus, models)


def _rivals(bus: BusConfig, line: Bus) -> Iterator[Finding]:
    """Say whether gateways ended each other's connection during this check."""
    if not (count := line.rivals.count):
        return
    text = f"a good connection ended for a newer one (from {line.rivals.hosts})"
    if count == 1:
        text += ": the gateway came again, or there are two of them"
        yield warn(bus.name, "gateways", text, f"if there are two: {REMEDY}")
    else:
        yield fail(bus.name, "gateways", f"{count} times {text}: there are two of them", REMEDY)


def _others(bus: BusConfig, line: Bus) -> Iterator[Finding]:
    """Say whether another master uses the line."""
    if isinstance(line, MbusBus):
        return
    frames = line.sharing.traffic.frames
    if line.shared:
        text = f"another master asks here, too ({frames} frames of it were heard)"
        if bus.shared:
            yield note(bus.name, "shared line", f"{text}, as configured")
        else:
            yield warn(
                bus.name, "shared line", text, "shared = true in its [[bus]], or stop the other"
            )
    elif bus.shared:
        yield note(bus.name, "shared line", "no other master was heard just now")


def _no_port(bus: BusConfig, err: PortError) -> Finding:
    hint = err.hint
    if ports.is_device(bus.port) and not Path(bus.port).exists():
        hint += f"; adapters here: {', '.join(ports.present()) or 'none'}"
    return fail(bus.name, "port", err.message.removeprefix(f"bus {bus.name}: "), hint)


def _port(bus: BusConfig) -> Finding:
    if not ports.is_device(bus.port):
        return ok(bus.name, "port", f"{bus.port} (a gateway)")
    if remedy := lacks_parity(bus):
        return fail(bus.name, "port", f"{bus.port} has no parity bit", remedy)
    lasting = ports.lasting_name(bus.port)
    if lasting == bus.port:
        return ok(bus.name, "port", bus.port)
    return warn(
        bus.name,
        "port",
        f"{bus.port} may be another adapter after replugging",
        f'port = "{lasting}"',
    )


def _meter(
    config: Config,
    line: Bus,
    meter: MeterConfig,
    models: Mapping[str, Model],
    states: StateStore,
    serials: dict[str, MeterConfig],
) -> Iterator[Finding]:
    known = list(models.values())
    if isinstance(line, MbusBus):
        try:
            telegram = line.request(Place(meter.address, meter.secondary or ""), meter.timeout)
        except PortError:
            raise
        except BusError as err:
            yield fail(meter.name, "answer", err.message, err.hint)
            return
        found: Found | None = describe(line.config, meter.address, telegram, known)
    else:
        try:
            found = identify(line, meter.address, known)
        except (SharedLineError, ModeError) as err:
            yield fail(meter.name, "answer", err.message, err.hint)
            return
    if found is None or found.note == UNREADABLE:
        if found is None and (other := modes.other_way(line.config, meter.address)):
            yield fail(line.config.name, "port", f"{line.config.port}: {other[0]}", other[1])
        yield _nobody(line, meter, models[meter.model])
        return
    yield from _identity(meter, found, models)
    yield from _serial(meter, found, states)
    first = serials.setdefault(found.serial or meter.name, meter)
    if first is not meter:
        text = f"that of {first.name} (address {first.address}), too: it is one meter"
        yield fail(meter.name, "serial number", text, twins.REMEDY)
    model = models[meter.model]
    own = meter.model.partition("+")[0]
    if found.model and found.model != own and not meter.accept_model:
        return  # read with the wrong table the rest would mean nothing
    values, failed, lacking = _values(line, meter, model)
    if failed is not None:
        yield fail(
            meter.name, "reading", str(failed), 'see "When it does not work" in the documents'
        )
    if lacking:
        names = named(lacking) if model.protocol == "modbus" else ", ".join(r.name for r in lacking)
        yield note(meter.name, "left out", f"the meter does not answer {names}")
    pv_on_site = any(one.role in ("pv", "battery") for bus in config.bus for one in bus.meter)
    yield from judge(line.config, meter, model, values, pv_on_site)


def _nobody(line: Bus, meter: MeterConfig, model: Model) -> Finding:
    """Say that nobody makes sense at the address of `meter`, and what came when asked again."""
    hint = f"inepro-logger scan shows who is there; {no_answer(line.config, meter.address)}"
    if isinstance(line, MbusBus) or not (blocks := probes(model)):
        return fail(meter.name, "answer", f"nobody answers at address {meter.address}", hint)
    try:
        line.read(meter.address, blocks[0], meter.timeout)
    except PortError:
        raise
    except BusError as err:
        if err.hint != no_answer(line.config, meter.address):
            return fail(meter.name, "answer", err.message, err.hint or hint)
    return fail(meter.name, "answer", f"nobody answers at address {meter.address}", hint)


def _identity(meter: MeterConfig, found: Found, models: Mapping[str, Model]) -> Iterator[Finding]:
    if not found.model:
        own = not models[meter.model].codes and not models[meter.model].answers
        if own:
            yield note(meter.name, "model", f"{meter.model}: a table of your own, not compared")
        else:
            yield fail(meter.name, "model", found.note, "a table of your own can be added")
    elif differing := wrong_model(found, meter.model.partition("+")[0]):
        yield (warn if meter.accept_model else fail)(meter.name, "model", *differing)
    else:
        yield ok(meter.name, "model", f"{found.sold_as}, firmware {found.software_version}")


def _serial(meter: MeterConfig, found: Found, states: StateStore) -> Iterator[Finding]:
    if not found.serial:
        return
    known = states.load(meter.name)
    if known is None or not known.serial:
        yield ok(meter.name, "serial number", f"{found.serial} (not logged before)")
    elif known.serial == found.serial:
        yield ok(meter.name, "serial number", f"{found.serial}, as before")
    else:
        yield warn(
            meter.name,
            "serial number",
            f"{found.serial}, it was {known.serial}",
            "if the meter was replaced all is well; else two meters changed places",
        )


def _values(
    line: Bus, meter: MeterConfig, model: Model
) -> tuple[Mapping[Quantity, Value], BusError | None, Sequence[Register]]:
    """Return the values of `meter`, why a planned block was not read, and what it lacks."""
    plain = meter.model_copy(update={"invert": False})
    reader = reader_of(line, plain, model, lambda: 0, foreign=True)
    values: dict[Quantity, Value] = {}
    failed: BusError | None = None
    for job in _JOBS:
        for _ in range(_TRIES):
            reading = reader.read(job, 0)
            values |= reading.values
            failed = reading.failures[-1].error if reading.failures else None
            if isinstance(failed, PortError):
                raise failed
            if failed is None or (isinstance(failed, SilentError) and reader.away):
                break
        if failed is not None:
            break
    return values, failed, [model.by_quantity[one] for one in reader.left_out]


def load(config: Config, bus: BusConfig, models: Mapping[str, Model]) -> Iterator[Finding]:
    """Yield how busy the line is with the configured intervals, and what would fit."""
    share = sum(busload.loads(config, bus, models).values())
    fastest = busload.fastest(config, bus, models)
    could = (
        f"; the fastest for power is {duration_text(round(fastest + 0.05, 1))}" if fastest else ""
    )
    text = f"busy {share:.0%} of the time{could}"
    if (reason := busload.problem(config, bus, models)) is not None:
        text = f"{reason}{could}"
        yield fail(bus.name, "bus load", text, "read less often, or use a second bus")
    else:
        yield ok(bus.name, "bus load", text)
