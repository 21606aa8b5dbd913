"""Answers of servers word by word, and what is asked of a server about bad lines."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence

import pytest

from logger.delivery.backoff import Backoff
from logger.delivery.bisect import MAX_FRUITLESS, SendResult, closed, send
from logger.influx.outcome import (
    DELIVERED,
    Outcome,
    OutcomeKind,
    classify,
    error_message,
    retry_after,
)

DATE = "Wed, 21 Oct 2015 07:28:00 GMT"
DATE_S = 1445412480.0


def influx(message: str) -> str:
    return json.dumps({"code": "invalid", "message": message})


# What InfluxDB 1.8 and 2.7 say of lines that they do not take.
LINE_FAULTS = [
    "partial write: points beyond retention policy dropped=1",
    "partial write: max-series-per-database limit exceeded: (1000000) dropped=3",
    "unable to parse 'm v=': missing field value",
    'field type conflict: input field "v" on measurement "m" is type string',
    "points beyond retention policy dropped=1",
    "partial write: max-values-per-tag limit exceeded (100000/100000): measurement dropped=1",
    "max-values-per-tag limit exceeded (100000/100000)",
    "max key length exceeded: 70000 > 65535",
    "invalid field format",
    "missing fields",
    "time outside range -9223372036854775806 - 9223372036854775806",
]


@pytest.mark.parametrize("message", LINE_FAULTS)
@pytest.mark.parametrize("status", [400, 422, 500, 503])
def test_these_texts_name_a_bad_line_whatever_the_status(status: int, message: str) -> None:
    outcome = classify(status, {}, influx(message), 0.0)
    assert (outcome.kind, outcome.sure) == (OutcomeKind.REJECTED, True)
    assert outcome.text == f"{status} {message}"


@pytest.mark.parametrize(
    "message",
    [
        "organization name or ID required",
        "timeout",
        "engine: cache-max-memory-size exceeded: (1/1)",
    ],
)
def test_other_texts_say_nothing_of_lines(message: str) -> None:
    assert not classify(400, {}, influx(message), 0.0).sure
    assert classify(500, {}, influx(message), 0.0).kind is OutcomeKind.BUSY
    assert classify(401, {}, influx("unable to parse 'm v='"), 0.0).kind is OutcomeKind.WRONG_TARGET
    assert classify(499, {}, influx("unable to parse 'm v='"), 0.0).kind is OutcomeKind.WRONG_TARGET


def test_422_with_a_message_of_the_database_is_about_lines_and_400_needs_the_words() -> None:
    message = influx("failure writing points to database: tag value too long")
    assert classify(422, {}, message, 0.0).sure
    assert not classify(400, {}, message, 0.0).sure
    for body in ("", "<html>unprocessable</html>", '{"detail": "no"}', '["unprocessable"]'):
        outcome = classify(422, {}, body, 0.0)
        assert (outcome.kind, outcome.sure) == (OutcomeKind.REJECTED, False)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        ('{"message": "a", "error": "b"}', "a"),
        ('{"message": "", "error": "b"}', "b"),
        ('{"message": 7, "error": "b"}', "b"),
        ('{"error": ["b"]}', None),
        ("[1]", None),
        ("{", None),
        ("[" * 100_000, None),
    ],
)
def test_a_message_is_a_text_in_a_json_object(body: str, message: str | None) -> None:
    assert error_message(body) == message


@pytest.mark.parametrize("given", ["3600", "3601", "999999", "9" * 400])
def test_no_server_makes_the_logger_wait_for_longer_than_an_hour(given: str) -> None:
    outcome = classify(503, {"Retry-After": given}, "", 0.0)
    assert outcome.retry_after_s == 3600
    assert Backoff(lambda: 0.0).after(outcome) == 3600
    assert Backoff(lambda: 1.0).after(outcome) == pytest.approx(3780)  # spread over 5 %


def test_a_date_to_retry_after_is_bounded_as_seconds_are() -> None:
    headers = {"Retry-After": DATE}
    assert retry_after(headers, DATE_S - 3599) == 3599
    assert retry_after(headers, DATE_S - 4000) == 3600
    assert retry_after(headers, DATE_S + 10) == 0
    assert retry_after({"Retry-After": "-5"}, 0.0) is None
    assert retry_after({"Retry-After": "\N{SUPERSCRIPT TWO}"}, 0.0) is None
    assert retry_after({"Retry-After": "Wed, 21 Oct 99999 07:28:00 GMT"}, 0.0) is None


@pytest.mark.parametrize("status", [401, 408, 425, 429, 500, 599])
def test_a_pause_is_taken_from_every_answer_that_names_one(status: int) -> None:
    headers = {"Age": "1", "retry-AFTER": "7", "Via": "2"}
    assert classify(status, headers, "", 0.0).retry_after_s == 7


@pytest.mark.parametrize(
    ("status", "kind", "words"),
    [
        (299, OutcomeKind.WRONG_TARGET, "acknowledges with 204"),
        (200, OutcomeKind.WRONG_TARGET, "acknowledges with 204"),
        (300, OutcomeKind.WRONG_TARGET, "own address"),
        (399, OutcomeKind.WRONG_TARGET, "own address"),
        (402, OutcomeKind.WRONG_TARGET, "an InfluxDB 2 API is expected"),
        (404, OutcomeKind.WRONG_TARGET, "create the bucket"),
        (413, OutcomeKind.TOO_LARGE, "body limit"),
        (400, OutcomeKind.REJECTED, "url, org and bucket"),
    ],
)
def test_each_answer_says_what_to_try(status: int, kind: OutcomeKind, words: str) -> None:
    outcome = classify(status, {}, "", 0.0)
    assert outcome.kind is kind
    assert words in outcome.hint


def test_an_answer_is_shown_in_the_words_of_the_server() -> None:
    page = "<html><head><TITLE>\n Not\n here </TITLE></head><body>ignored</body></html>"
    for status in (400, 404, 503):
        assert classify(status, {}, page, 0.0).text == f"answered {status}: Not here"
        assert (
            classify(status, {}, "<b>gone</b>\n\naway", 0.0).text == f"answered {status}: gone away"
        )
        assert classify(status, {}, " ", 0.0).text == f"answered {status}: no text"
        assert classify(status, {}, influx("why"), 0.0).text == f"{status} why"
        assert classify(status, {}, "x" * 300, 0.0).text == f"answered {status}: " + "x" * 300
        long = classify(status, {}, "x" * 301, 0.0).text
        assert long == f"answered {status}: " + "x" * 300 + "..."
    assert classify(302, {"LOCATION": "https://db"}, "", 0.0).text == "302: redirects to https://db"
    assert classify(302, {}, "", 0.0).text == "302: redirects to nowhere"
    assert classify(413, {}, page, 0.0).text == "answered 413"


@pytest.mark.parametrize(
    ("message", "dropped"),
    [
        ("partial write: points beyond retention policy dropped=12", 12),
        ("partial write: points beyond retention policy dropped=1", 1),
        ("partial write: points beyond retention policy dropped=0", None),
        ("partial write: points beyond retention policy", None),
        ("partial write: unable to parse 'm v=': missing field value dropped=3", None),
        ("field type conflict dropped=3", None),
    ],
)
def test_how_many_lines_were_left_out_is_known_only_from_a_partial_write(
    message: str, dropped: int | None
) -> None:
    assert classify(400, {}, influx(message), 0.0).dropped == dropped


LINES = [f"m v={number}" for number in range(8)]
BAD = Outcome(OutcomeKind.REJECTED, "bad", sure=True)
VAGUE = Outcome(OutcomeKind.REJECTED, "answered 400: bad request")
TOO_LARGE = Outcome(OutcomeKind.TOO_LARGE, "answered 413")


class Script:
    """Answers by what is asked, and keeps the numbers of the lines of each request."""

    def __init__(
        self, answer: Callable[[list[int]], Outcome], lines: Sequence[str] = LINES
    ) -> None:
        self.answer, self.lines = answer, list(lines)
        self.asked: list[list[int]] = []

    def __call__(self, part: Sequence[str]) -> Outcome:
        self.asked.append([self.lines.index(line) for line in part])
        return self.answer(self.asked[-1])

    def send(self, stop_after: int | None = None) -> SendResult:
        return send(
            self.lines, self, lambda: stop_after is not None and len(self.asked) >= stop_after
        )


def test_halves_are_asked_in_order_until_the_bad_line_is_alone() -> None:
    script = Script(lambda part: BAD if 5 in part else DELIVERED)
    verdict = script.send()
    assert script.asked == [
        list(range(8)), [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [4], [5], [6, 7],
    ]  # fmt: skip
    assert (set(verdict.refused), verdict.stopped) == ({5}, None)


def test_the_lines_that_a_server_quotes_are_asked_alone_after_the_others() -> None:
    quoting = Outcome(
        OutcomeKind.REJECTED, "400 unable to parse 'm v=2': x\nunable to parse 'm v=6'", sure=True
    )
    script = Script(lambda part: quoting if {2, 6} & set(part) else DELIVERED)
    verdict = script.send()
    assert script.asked == [list(range(8)), [0, 1, 3, 4, 5, 7], [6], [2]]
    assert verdict.refused == {2: quoting.text, 6: quoting.text}


@pytest.mark.parametrize(
    "text",
    [
        "unable to parse 'm v=99'",  # none of these lines
        "".join(f"unable to parse '{line}' " for line in LINES),  # all of them
        "these are wrong: 'm v=2'",  # not the words of a parser
    ],
)
def test_without_a_helpful_quote_lines_are_halved(text: str) -> None:
    outcome = Outcome(OutcomeKind.REJECTED, text, sure=True)
    script = Script(lambda part: outcome if 2 in part else DELIVERED)
    assert set(script.send().refused) == {2}
    assert script.asked[1] == [0, 1, 2, 3]


def test_too_large_is_halved_and_the_smallest_is_told() -> None:
    script = Script(lambda part: TOO_LARGE if len(part) > 2 else DELIVERED)
    verdict = script.send()
    assert (verdict.too_large, len(verdict.accepted), verdict.refused) == (4, 8, {})
    assert verdict.stopped is None


def test_a_line_that_is_too_large_alone_is_refused_when_others_are_taken() -> None:
    script = Script(lambda part: TOO_LARGE if 3 in part else DELIVERED)
    verdict = script.send()
    assert verdict.refused == {3: "answered 413: a line of 5 bytes is too large alone"}
    assert verdict.accepted == set(range(8)) - {3}
    assert verdict.stopped is None
    assert verdict.too_large is None  # their number was not too large
    alone = Script(lambda part: TOO_LARGE, LINES[:1]).send()
    assert alone.stopped == Outcome(OutcomeKind.WRONG_TARGET, TOO_LARGE.text)


def test_where_all_lines_are_refused_one_that_was_taken_before_is_asked() -> None:
    asked: list[list[str]] = []
    answers = [VAGUE]

    def write(lines: Sequence[str]) -> Outcome:
        asked.append(list(lines))
        return DELIVERED if lines == ["known v=1"] else answers[-1]

    for refusal in (TOO_LARGE, VAGUE):
        answers.append(refusal)
        asked.clear()
        verdict = send(["bad v=1"], write, lambda: False, "known v=1")
        assert (set(verdict.refused), verdict.stopped) == ({0}, None)
        assert asked == [["bad v=1"], ["known v=1"], ["bad v=1"]]
    verdict = send(LINES, lambda lines: TOO_LARGE, lambda: False, "known v=1")
    assert verdict.refused == {}
    assert verdict.stopped is not None
    many = [f"bad v={number}" for number in range(200)]
    assert set(send(many, write, lambda: False, "known v=1").refused) == set(range(200))


def test_a_partial_write_of_a_part_is_not_one_of_all() -> None:
    """`dropped` counts: only where it is all lines of the request are they all bad."""
    partial = Outcome(OutcomeKind.REJECTED, "partial write: dropped=2", sure=True, dropped=2)
    script = Script(lambda part: partial if {4, 5} & set(part) else DELIVERED)
    verdict = script.send()
    assert script.asked == [list(range(8)), [0, 1, 2, 3], [4, 5, 6, 7], [4, 5], [6, 7]]
    assert set(verdict.refused) == {4, 5}


def test_a_stop_ends_it_between_two_requests() -> None:
    script = Script(lambda part: BAD if 5 in part else DELIVERED)
    verdict = script.send(stop_after=3)
    assert len(script.asked) == 3
    assert (verdict.accepted, verdict.refused, verdict.stopped) == ({0, 1, 2, 3}, {}, None)
    assert Script(lambda part: DELIVERED).send(stop_after=0) == SendResult()


def test_a_stop_ends_the_second_questions_too() -> None:
    script = Script(lambda part: VAGUE if {2, 5} & set(part) else DELIVERED)
    assert set(script.send().refused) == {2, 5}
    once = len(script.asked)
    assert script.asked[-2:] == [[2], [5]]
    script.asked.clear()
    verdict = script.send(stop_after=once - 1)
    assert set(verdict.refused) == {2}
    assert 5 not in verdict.accepted


def test_after_a_failure_no_second_question_is_asked() -> None:
    gone = Outcome(OutcomeKind.UNREACHABLE, "gone")
    script = Script(lambda part: gone if 7 in part and len(part) < 8 else DELIVERED)
    script.answer = lambda part: gone if part[0] >= 4 else VAGUE if 0 in part else DELIVERED
    verdict = script.send()
    assert verdict.stopped == gone
    assert script.asked.count([0]) == 1
    assert verdict.refused == {}


def test_a_server_that_takes_nothing_is_a_wrong_target_in_its_own_words() -> None:
    one = Script(lambda part: VAGUE, LINES[:1]).send()
    assert one.stopped == Outcome(OutcomeKind.WRONG_TARGET, VAGUE.text)
    lines = [f"m v={number}" for number in range(200)]
    script = Script(lambda part: VAGUE, lines)
    verdict = script.send()
    assert verdict.stopped == Outcome(OutcomeKind.WRONG_TARGET, VAGUE.text)
    assert (verdict.refused, verdict.accepted) == ({}, set())
    # it gives up on a request of several lines
    assert MAX_FRUITLESS < len(script.asked) <= MAX_FRUITLESS + 8
    assert len(script.asked[-1]) > 1


def test_a_server_that_took_one_line_or_names_faults_is_asked_to_the_end() -> None:
    lines = [f"m v={number}" for number in range(200)]
    took = Script(lambda part: DELIVERED if part == [0] else VAGUE, lines)
    assert set(took.send().refused) == set(range(1, 200))
    named = Script(lambda part: BAD, lines)
    verdict = named.send()
    assert set(verdict.refused) == set(range(200))
    assert verdict.stopped is None


def test_lines_with_an_open_quote_go_last_and_one_by_one() -> None:
    lines = ['a s="x', "b v=1", 'c s="y" ', 'd s="z']
    script = Script(lambda part: DELIVERED, lines)
    assert script.send().accepted == {0, 1, 2, 3}
    assert script.asked == [[1, 2], [0], [3]]
    odd = Script(lambda part: DELIVERED, [lines[0], lines[3]])
    assert odd.send().accepted == {0, 1}
    assert odd.asked == [[0], [1]]


@pytest.mark.parametrize(
    ("line", "whole"),
    [
        ("m v=1", True),
        ('m s="a"', True),
        ('m s="a', False),
        (r'm s="a\"', False),
        (r'm s="a\\"', True),
        (r'm s="a\\\""', True),
        ('m s="a",t="b', False),
        ('m s="a",t="b"', True),
    ],
)
def test_a_quote_is_closed_by_one_that_is_not_escaped(line: str, whole: bool) -> None:
    assert closed(line) is whole


def test_one_line_that_the_server_quotes_is_asked_for_alone_at_once() -> None:
    lines = [f"power,meter=a voltage={number} {number}" for number in range(64)]
    asked: list[int] = []

    def write(part: Sequence[str]) -> Outcome:
        asked.append(len(part))
        if lines[40] in part:
            return Outcome(OutcomeKind.REJECTED, f"400 unable to parse '{lines[40]}'", sure=True)
        return Outcome(OutcomeKind.DELIVERED)

    found = send(lines, write, lambda: False)
    assert (set(found.refused), len(found.accepted)) == ({40}, 63)
    assert sorted(asked) == [1, 63, 64]
