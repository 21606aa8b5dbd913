"""What an answer means, how bad lines are found, how long to wait: all without a server."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from logger.delivery.backoff import JITTER, PAUSES, Backoff
from logger.delivery.bisect import MAX_FRUITLESS, send
from logger.influx.outcome import (
    DELIVERED,
    MAX_RETRY_AFTER_S,
    Outcome,
    OutcomeKind,
    classify,
    retry_after,
)

HTML = "<html><head><title>502 Bad Gateway</title></head><body>nginx</body></html>"


def influx(code: str, message: str) -> str:
    return json.dumps({"code": code, "message": message})


@pytest.mark.parametrize("status", range(200, 600))
def test_every_status_keeps_the_points_unless_it_is_an_acknowledgement(status: int) -> None:
    outcome = classify(status, {}, HTML, 0.0)
    match status:
        case 204:
            assert outcome == DELIVERED
        case 413:
            assert outcome.kind is OutcomeKind.TOO_LARGE
        case 400 | 422:
            assert (outcome.kind, outcome.sure) == (OutcomeKind.REJECTED, False)
        case 408 | 425 | 429:
            assert outcome.kind is OutcomeKind.BUSY
        case _ if status >= 500:
            assert outcome.kind is OutcomeKind.BUSY
        case _:
            assert outcome.kind is OutcomeKind.WRONG_TARGET
            assert outcome.hint


@pytest.mark.parametrize(
    ("status", "body", "sure", "dropped"),
    [
        (400, influx("invalid", "unable to parse 'm v=': missing field value"), True, None),
        (
            422,
            influx(
                "unprocessable entity",
                "failure writing points to database: partial write: field type conflict: input "
                'field "v" on measurement "m" is type string, already exists as type float '
                "dropped=3",
            ),
            True,
            3,
        ),
        (
            400,
            '{"error":"partial write: points beyond retention policy dropped=7"}',
            True,
            7,
        ),
        # 2.0 to 2.4 gave partial writes as internal errors
        (
            500,
            influx(
                "internal error",
                "unexpected error writing points to database: partial write: points beyond "
                "retention policy dropped=1",
            ),
            True,
            1,
        ),
        # lines that do not parse are not among the dropped ones: the figure means nothing
        (
            400,
            '{"error":"partial write: unable to parse \'m v=\': missing field value dropped=0"}',
            True,
            None,
        ),
        (400, influx("invalid", "organization name or ID required"), False, None),
        (400, HTML, False, None),
        (422, HTML, False, None),
    ],
)
def test_rejections_are_told_from_wrong_requests(
    status: int, body: str, sure: bool, dropped: int | None
) -> None:
    outcome = classify(status, {}, body, 0.0)
    assert (outcome.kind, outcome.sure, outcome.dropped) == (OutcomeKind.REJECTED, sure, dropped)


def test_texts_name_what_a_person_has_to_know() -> None:
    missing = classify(404, {}, influx("not found", 'bucket "energy" not found'), 0.0)
    assert 'bucket "energy" not found' in missing.text
    assert "create the bucket" in missing.hint
    assert "token" in classify(401, {}, "", 0.0).hint
    assert "write permission" in classify(403, {}, "", 0.0).hint
    assert "https://db/api" in classify(301, {"location": "https://db/api"}, "", 0.0).text
    assert classify(502, {}, HTML, 0.0).text == "answered 502: 502 Bad Gateway"
    assert len(classify(500, {}, "x" * 5000, 0.0).text) < 400


def test_retry_after_is_seconds_or_a_date() -> None:
    assert retry_after({"retry-after": " 12 "}, 0.0) == 12.0
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 1445412470.0) == 10.0
    assert retry_after({"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}, 2e9) == 0.0
    assert retry_after({"Retry-After": "999999"}, 0.0) == MAX_RETRY_AFTER_S
    assert retry_after({"Retry-After": "soon"}, 0.0) is None
    assert retry_after({}, 0.0) is None


class Server:
    """Takes good lines, refuses whole requests with a bad one, as InfluxDB 2 does."""

    def __init__(self, bad: set[str], quote: bool, sure: bool, most: int) -> None:
        self.bad, self.quote, self.sure, self.most = bad, quote, sure, most
        self.taken: list[str] = []
        self.requests = 0

    def write(self, lines: object) -> Outcome:
        assert isinstance(lines, list)
        self.requests += 1
        if len(lines) > self.most:
            return Outcome(OutcomeKind.TOO_LARGE, "413")
        bad = [line for line in lines if line in self.bad]
        if not bad:
            self.taken += lines
            return DELIVERED
        quoted = "".join(f"unable to parse '{line}': bad\n" for line in bad)
        return Outcome(OutcomeKind.REJECTED, quoted if self.quote else "bad", sure=self.sure)


@given(
    size=st.integers(1, 200),
    bad=st.sets(st.integers(0, 199), max_size=12),
    quote=st.booleans(),
    sure=st.booleans(),
    most=st.sampled_from([3, 50, 10**9]),
)
def test_bisection_takes_every_good_line_and_refuses_only_bad_ones(
    size: int, bad: set[int], quote: bool, sure: bool, most: int
) -> None:
    lines = [f"m v={number}" for number in range(size)]
    wrong = {number for number in bad if number < size}
    server = Server({lines[number] for number in wrong}, quote, sure, most)
    verdict = send(lines, server.write, lambda: False)
    if len(wrong) < size or sure:
        assert verdict.stopped is None
        assert set(verdict.refused) == wrong
        assert verdict.accepted == set(range(size)) - wrong
        assert sorted(server.taken) == sorted(lines[n] for n in verdict.accepted)
    else:  # all refused, and nobody said that the lines are at fault: nothing is decided
        assert verdict.stopped is not None
        assert verdict.stopped.kind is OutcomeKind.WRONG_TARGET
        assert not verdict.refused


def test_ten_bad_lines_among_ten_thousand_cost_few_requests() -> None:
    lines = [f"m v={number}" for number in range(10_000)]
    bad = {lines[number] for number in (0, 9_999, *range(500, 8_500, 1_000))}
    quoting = Server(bad, quote=True, sure=True, most=10**9)
    assert len(send(lines, quoting.write, lambda: False).refused) == 10
    assert quoting.requests == 12
    silent = Server(bad, quote=False, sure=True, most=10**9)
    assert len(send(lines, silent.write, lambda: False).refused) == 10
    assert silent.requests < 260


def test_a_server_that_refuses_everything_is_a_wrong_target() -> None:
    lines = [f"m v={number}" for number in range(10_000)]
    server = Server(set(lines), quote=False, sure=False, most=10**9)
    verdict = send(lines, server.write, lambda: False)
    assert verdict.stopped is not None
    assert verdict.stopped.kind is OutcomeKind.WRONG_TARGET
    assert not verdict.refused
    assert server.requests <= MAX_FRUITLESS + 2


def test_a_partial_write_that_dropped_all_lines_needs_no_bisection() -> None:
    answers = iter([Outcome(OutcomeKind.REJECTED, "beyond retention", sure=True, dropped=100)])
    verdict = send(["x"] * 100, lambda lines: next(answers), lambda: False)
    assert len(verdict.refused) == 100


def test_a_failure_in_between_leaves_the_rest_undecided() -> None:
    answers = iter(
        [
            Outcome(OutcomeKind.REJECTED, "bad", sure=True),
            DELIVERED,
            Outcome(OutcomeKind.UNREACHABLE, "gone"),
        ]
    )
    verdict = send(["a", "b", "c", "d"], lambda lines: next(answers), lambda: False)
    assert verdict.accepted == {0, 1}
    assert not verdict.refused
    assert verdict.stopped is not None


def test_pauses_double_up_to_a_bound_and_begin_anew() -> None:
    backoff = Backoff(lambda: 0.5)  # no jitter
    busy, gone = Outcome(OutcomeKind.BUSY), Outcome(OutcomeKind.UNREACHABLE)
    assert [backoff.after(busy) for _ in range(8)] == [0.5, 1, 2, 4, 8, 16, 30, 30]
    assert backoff.after(gone) == 0.25
    assert backoff.after(busy) == 0.5
    backoff.reset()
    assert backoff.after(busy) == 0.5


@given(st.sampled_from(list(PAUSES)), st.floats(0, 1), st.integers(1, 30))
def test_pauses_stay_within_their_bounds(kind: OutcomeKind, chance: float, attempts: int) -> None:
    backoff = Backoff(lambda: chance)
    first, longest = PAUSES[kind]
    for _ in range(attempts):
        pause = backoff.after(Outcome(kind))
        assert first * (1 - JITTER) <= pause <= longest * (1 + JITTER)
    if kind is OutcomeKind.UNREACHABLE:
        assert pause < 2  # dashboards are live within two seconds of the server's return


def test_retry_after_is_never_undercut() -> None:
    for backoff in (Backoff(lambda: 0.0), Backoff(lambda: 1.0)):
        assert backoff.after(Outcome(OutcomeKind.BUSY, retry_after_s=50.0)) >= 50


def test_a_line_with_an_open_quote_goes_alone() -> None:
    lines = ["m v=1", 'm s="open', "m v=2", 'm s="a \\" b"', 'm s="open', "m v=3"]
    sent: list[list[str]] = []

    def write(part: object) -> Outcome:
        assert isinstance(part, list)
        sent.append(part)
        bad = any(line.endswith("open") for line in part)
        return Outcome(OutcomeKind.REJECTED, "unbalanced quotes", sure=True) if bad else DELIVERED

    verdict = send(lines, write, lambda: False)
    assert sent == [["m v=1", "m v=2", 'm s="a \\" b"', "m v=3"], ['m s="open'], ['m s="open']]
    assert set(verdict.refused) == {1, 4}
