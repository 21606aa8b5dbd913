"""InfluxDB as a source of reports: InfluxQL over HTTP (1.8, 2.x and 3 know it).

The only module that asks InfluxDB; the client library for delivery speaks Flux only.
"""

from __future__ import annotations

import contextlib
import json
import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any
from urllib.parse import urlencode

from logger.domain.datamodel import MEASUREMENTS
from logger.domain.errors import HttpError, ReportError
from logger.domain.field import FieldType
from logger.domain.timespan import TimeSpan, merged
from logger.influx.bounded import Patience
from logger.influx.http import Http, authorization
from logger.influx.redirect import advice
from logger.points.line import FieldValue, Point
from logger.report.source import Bands, Table, Tags, Tally
from logger.report.windows import ROUNDING, extremes
from logger.texts import mask

_BATCH = 200  # statements in one request
# A long answer may take long, if only it comes: at this many bytes a second, and up to
# this many. InfluxDB sends it in lines of at most 10,000 points.
_RATE, _ANSWER_BYTES = 10_000.0, 1024**3
_LINE_BYTES, _REFUSAL_BYTES = 64 * 1024**2, 64 * 1024
# What to ask of all quality windows: their number and extremes, see `_seen`.
_COUNT = 'count("mean")'
_MEANS = f'{_COUNT}, min("mean"), max("mean")'
_ALL_OF = {"quality_voltage": f'{_MEANS}, min("min"), max("max")', "quality_frequency": _MEANS}
_BY = '"meter", "role", "phase"'
_NONE = (0,)

# The tags of a series, and the values of one statement by span and series.
_Series = tuple[tuple[str, str], ...]
_Found = Mapping[tuple[TimeSpan, _Series], Sequence[Any]]


class InfluxSource:
    """The points in one bucket (or database) of InfluxDB, for one site."""

    shared = True

    def __init__(
        self, url: str, database: str, token: str, site: str, timeout_s: float = 30.0
    ) -> None:
        self._url = f"{url.rstrip('/')}/query"
        self._database, self._site = database, site
        self._headers = authorization(token)
        self._patience = Patience(timeout_s, _ANSWER_BYTES, _RATE)

    def read(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Point]:
        """Yield the points; see `Source`. Raises ReportError when it cannot be asked."""
        known = MEASUREMENTS[measurement].fields
        with self._understood():
            for series in self._series(measurement, spans, tags, fields):
                columns = series["columns"]
                own = {key: value for key, value in series.get("tags", {}).items() if value}
                kinds = [known[name].kind if name in known else FieldType.TEXT for name in columns]
                for row in series["values"]:
                    values: dict[str, FieldValue] = {
                        name: float(value) if kind is FieldType.FLOAT else value
                        for name, kind, value in zip(columns, kinds, row, strict=True)
                        if value is not None and name != "time"
                    }
                    yield Point(measurement, own, values, int(row[0]))

    def tables(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Table]:
        """Yield the points; see `Source`. Raises ReportError when it cannot be asked."""
        known = MEASUREMENTS[measurement].fields
        with self._understood():
            for series in self._series(measurement, spans, tags, fields):
                own = {key: value for key, value in series.get("tags", {}).items() if value}
                rows = zip(*series["values"], strict=True)
                found = dict(zip(series["columns"], map(list, rows), strict=True))
                times = list(map(int, found.pop("time")))
                for name, values in found.items():
                    if name in known and known[name].kind is FieldType.FLOAT:
                        found[name] = [None if v is None else float(v) for v in values]
                yield Table(own, times, found)

    def _series(
        self, measurement: str, spans: Sequence[TimeSpan], tags: Tags, fields: Sequence[str]
    ) -> Iterator[Mapping[str, Any]]:
        """Yield the parts of an answer, each of one series, as InfluxDB writes them."""
        chosen = ", ".join(_name(field) for field in fields or MEASUREMENTS[measurement].fields)
        statements = (
            _select(chosen, measurement, self._where(span, tags), "*") for span in merged(spans)
        )
        for _, series in self._ask(statements):
            yield series

    def tally(
        self,
        measurement: str,
        spans: Sequence[TimeSpan],
        tags: Tags,
        bands: Bands,
        without: Sequence[str] = (),
    ) -> list[Tally]:
        """Return the tallies; see `Source`. Raises ReportError when it cannot be asked."""
        others = "".join(f' AND "meter" <> {_text(name)}' for name in without)
        found: list[Tally] = []
        for phases, own in bands.items():
            chosen = tags if phases == ("",) else {**tags, "phase": phases}
            wheres = {span: self._where(span, chosen) + others for span in sorted(spans)}
            with self._understood():
                found += self._tallies(measurement, wheres, own)
        return found

    def _tallies(
        self, measurement: str, wheres: Mapping[TimeSpan, str], bands: Sequence[tuple[float, float]]
    ) -> list[Tally]:
        asked = self._counts(measurement, _ALL_OF[measurement], wheres)
        # Where none has a mean there is no window.
        found = {key: (got[0], *_seen(*got[1:])) for key, got in asked.items() if got[0]}
        valid = {span: f'{wheres[span]} AND "valid" = true' for span in _spans(found)}
        counted = self._counts(measurement, _COUNT, valid)
        within = [self._within(measurement, band, valid, found, counted) for band in bands]
        return [
            Tally(
                span, {**dict(series), "site": self._site}, int(got[0]),
                int(counted.get((span, series), _NONE)[0]),
                tuple(int(each.get((span, series), _NONE)[0]) for each in within),
                *got[1:],
            )
            for (span, series), got in sorted(found.items())
        ]  # fmt: skip

    def _within(
        self,
        measurement: str,
        band: tuple[float, float],
        valid: Mapping[TimeSpan, str],
        found: _Found,
        counted: _Found,
    ) -> _Found:
        """Return how many valid windows have a mean within `band`.

        Filtering by the mean takes the server long. It is spared where the extremes are
        inside: then so are all means, which differ from them by rounding at most.
        """
        low, high = band[0] + ROUNDING, band[1] - ROUNDING
        open_to = {key: got for key, got in found.items() if got[1] < low or got[2] > high}
        limits = f'"mean" >= {band[0]!r} AND "mean" <= {band[1]!r}'
        wheres = {span: f"{valid[span]} AND {limits}" for span in _spans(open_to)}
        asked = self._counts(measurement, _COUNT, wheres)
        return {**counted, **dict.fromkeys(open_to, _NONE), **asked}

    def _counts(self, measurement: str, what: str, wheres: Mapping[TimeSpan, str]) -> _Found:
        """Return the values of each span and series, without their time."""
        spans = list(wheres)
        statements = (_select(what, measurement, where, _BY) for where in wheres.values())
        found: dict[tuple[TimeSpan, _Series], Sequence[Any]] = {}
        for number, series in self._ask(statements):
            own = {key: value for key, value in series.get("tags", {}).items() if value}
            found[spans[number], tuple(sorted(own.items()))] = series["values"][0][1:]
        return found

    @contextlib.contextmanager
    def _understood(self) -> Iterator[None]:
        """Turn what an answer of an unknown shape leads to into a ReportError."""
        try:
            yield
        except (LookupError, TypeError, ValueError, AttributeError, OverflowError) as err:
            raise ReportError(f"{self._url}: not an answer of InfluxDB: {err!r}") from err

    def _where(self, span: TimeSpan, tags: Tags) -> str:
        parts = [f"time >= {span[0]}ms AND time < {span[1]}ms", f'"site" = {_text(self._site)}']
        for name, values in tags.items():
            any_of = " OR ".join(f"{_name(name)} = {_text(value)}" for value in values)
            parts.append(f"({any_of})")
        return " AND ".join(parts)

    def _ask(self, statements: Iterable[str]) -> Iterator[tuple[int, Mapping[str, Any]]]:
        """Yield the number of the statement and each of its series."""
        batch: list[str] = []
        first = 0
        for statement in statements:
            batch.append(statement)
            if len(batch) == _BATCH:
                yield from self._post(batch, first)
                first += len(batch)
                batch = []
        if batch:
            yield from self._post(batch, first)

    def _post(self, batch: list[str], first: int) -> Iterator[tuple[int, Mapping[str, Any]]]:
        for answer in self._send(";".join(batch)):
            for result in answer.get("results", ()):
                if "error" in result:
                    told = str(result["error"])
                    hint = _NOT_FOUND if "database not found" in told else ""
                    raise ReportError(f"{self._url}: {told}", hint)
                for series in result.get("series", ()):
                    yield first + int(result.get("statement_id", 0)), series

    def _send(self, query: str) -> Iterator[Mapping[str, Any]]:
        fields = {"q": query, "db": self._database, "epoch": "ms", "chunked": "true"}
        form = {"Content-Type": "application/x-www-form-urlencoded"}
        try:
            # Of its own: another answer may still be read when this one is asked for.
            with (
                contextlib.closing(Http()) as http,
                http.stream(
                    "POST",
                    self._url,
                    self._patience,
                    body=urlencode(fields).encode(),
                    headers={**self._headers, **form},
                ) as stream,
            ):
                if stream.status != 200:
                    answer = stream.answer(_REFUSAL_BYTES)
                    raise ReportError(*self._refusal(answer.status, answer.headers, answer.data))
                for line in stream.lines(_LINE_BYTES):
                    if line.strip():
                        yield json.loads(line)
        except HttpError as err:
            raise ReportError(
                f"{self._url}: InfluxDB cannot be reached: {err}",
                "is it running, and is influxdb.url right? --from-buffer reads the buffer",
            ) from err
        except (ValueError, RecursionError) as err:
            raise ReportError(f"{self._url}: not an answer of InfluxDB: {err}") from err

    def _refusal(self, status: int, headers: Mapping[str, str], body: bytes) -> tuple[str, str]:
        """Return what an answer other than 200 means, and what to try."""
        where = next((headers[name] for name in headers if name.lower() == "location"), "")
        where = mask(where)
        if 300 <= status < 400:
            return f"{self._url}: answer {status}, redirects to {where or 'nowhere'}", advice(where)
        text = mask(body.decode("utf-8", errors="replace")).strip()
        try:
            parsed = json.loads(text)
            text = parsed.get("message") or parsed.get("error") or text
        except (ValueError, AttributeError, RecursionError):
            pass  # a proxy's page: shown as it came
        text = f"{self._url}: answer {status} for database {self._database!r}: {text[:200]}"
        return text, _HINTS.get(status, "")


_MAY_NOT_READ = (
    "the token may not read here: put one that may into the variable INFLUXDB_READ_TOKEN"
)
# InfluxDB 2 says so to a token that may not read, too.
_NOT_FOUND = (
    "is there such a bucket, and may the token read it? One that may goes into the variable "
    "INFLUXDB_READ_TOKEN; --from-buffer reads the buffer"
)
_HINTS = {
    401: _MAY_NOT_READ,
    403: _MAY_NOT_READ,
    404: "no such database: InfluxDB 2 needs a DBRP mapping when bucket and name differ",
}


def _seen(
    low_mean: float, high_mean: float, low: float | None = None, high: float | None = None
) -> tuple[float, float]:
    """Return the lowest and highest seen, of what InfluxDB says of all windows."""
    lows = math.inf if low is None else float(low), float(low_mean)
    highs = -math.inf if high is None else float(high), float(high_mean)
    return extremes(lows, highs)


def _spans(found: _Found) -> list[TimeSpan]:
    return sorted({span for span, _ in found})


def _select(what: str, measurement: str, where: str, by: str) -> str:
    # Names and values are escaped by _name and _text; InfluxQL has no bound identifiers.
    return f"SELECT {what} FROM {_name(measurement)} WHERE {where} GROUP BY {by}"  # noqa: S608


def _name(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _text(text: str) -> str:
    escaped = text.replace("\\", "\\\\").replace("'", "\\'")
    return f"'{escaped}'"
