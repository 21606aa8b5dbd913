"""The checksum over a row's state. Pure.

`crc` covers what never changes of a row; its state and the time of it do, many rows at a
time, and SQLite has no checksums. So the seal is a sum that SQL can make as well:

    (crc + state * 2654435761 + changed_ms mod 2147483647) mod 2147483648

The first factor is odd and the second modulus a prime just below the third: one changed bit
in any of the three, or in the seal, never fits. It takes 4 bytes of a row.
"""

from __future__ import annotations

_STATE = 2_654_435_761
_PRIME = 2_147_483_647
_MASK = 2_147_483_647  # modulo 2**31


def seal(crc: int, state: int, changed_ms: int) -> int:
    """Return the seal of a row."""
    return crc + state * _STATE + changed_ms % _PRIME & _MASK


def sql(crc: str = "crc", state: str = "state", changed_ms: str = "changed_ms") -> str:
    """Return the same in SQL, of columns or of what they are set to."""
    return f"(({crc} + {state} * {_STATE} + {changed_ms} % {_PRIME}) & {_MASK})"
