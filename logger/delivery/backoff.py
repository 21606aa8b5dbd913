"""How long to wait before the next attempt. Pure: chance is an argument."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from logger.influx.outcome import Outcome, OutcomeKind

# First and longest pause in seconds. A refused connection costs next to nothing, and
# dashboards should be live soon after the server's return: within two seconds.
PAUSES: Mapping[OutcomeKind, tuple[float, float]] = {
    OutcomeKind.UNREACHABLE: (0.25, 1.2),
    OutcomeKind.TIMEOUT: (1.0, 30.0),
    OutcomeKind.BUSY: (0.5, 30.0),
    OutcomeKind.WRONG_TARGET: (1.0, 30.0),
}
JITTER = 0.25  # share by which a pause is longer or shorter


class Backoff:
    """Pauses that double, and begin anew when the server fails in another way."""

    def __init__(self, chance: Callable[[], float]) -> None:
        self._chance = chance  # a number from 0 to 1
        self._kind: OutcomeKind | None = None
        self._pause_s = 0.0

    def after(self, outcome: Outcome) -> float:
        """Return the pause in seconds after an attempt that failed."""
        first, longest = PAUSES.get(outcome.kind, PAUSES[OutcomeKind.BUSY])
        same = outcome.kind is self._kind
        self._kind = outcome.kind
        self._pause_s = min(2 * self._pause_s, longest) if same else first
        pause = self._pause_s * (1 + JITTER * (2 * self._chance() - 1))
        if outcome.retry_after_s is not None:  # never earlier than the server asked
            return max(pause, outcome.retry_after_s * (1 + JITTER * self._chance() / 5))
        return pause

    def reset(self) -> None:
        """An attempt went well."""
        self._kind = None
