"""When this program was built: no clock that shows less can be right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

PACKAGE = Path(__file__).parent.parent
_DAY = timedelta(days=1)


def built_ms(package: Path = PACKAGE) -> int:
    """Return the day of the build, 0:00 UTC, in milliseconds since 1970.

    A wheel has it in `build-date.txt` (hatch_build.py). A checkout was not built:
    there it is the day of the package's file. 0 when neither is known.
    """
    try:
        text = (package / "build-date.txt").read_text(encoding="ascii")
        day = datetime.strptime(text.strip(), "%Y-%m-%d").replace(tzinfo=UTC)
    except (OSError, ValueError):
        try:
            moment = datetime.fromtimestamp((package / "__init__.py").stat().st_mtime, UTC)
        except (OSError, ValueError, OverflowError):
            return 0
        day = moment - (moment - datetime(1970, 1, 1, tzinfo=UTC)) % _DAY
    return int(day.timestamp() * 1000)


BUILT_MS = built_ms()
