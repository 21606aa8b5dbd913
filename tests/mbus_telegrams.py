"""The example telegrams of the manuals, typed from them, and frames around records."""

from __future__ import annotations

from logger.mbus.frames import CI_VARIABLE, RSP_UD, long

# PRO380 manual 2.18-6, appendix A2.2, page 24: header and nine records.
PRO380_HEADER = bytes.fromhex("00000000 CD25 01 02 02 00 0000")
PRO380_RECORDS = bytes.fromhex(
    "0C04 14486001  8C1004 23803500  8C2004 91672401"
    "1C04 46136900  9C1004 56341200  9C2004 90785600"
    "2C04 68349100  AC1004 67452300  AC2004 01896700"
)
# By record: what the manual prints beside it, kWh.
PRO380_KWH = {
    "active/total/total": "16048.14",
    "active/total/T1": "3580.23",
    "active/total/T2": "12467.91",
    "active_import/total/total": "6913.46",
    "active_import/total/T1": "1234.56",
    "active_import/total/T2": "5678.90",
    "active_export/total/total": "9134.68",
    "active_export/total/T1": "2345.67",
    "active_export/total/T2": "6789.01",
}
# Ambition manual 1.05, appendix A1.2 (page 22): header, then the records in its order.
AMBITION_HEADER = bytes.fromhex("46020219 CD25 01 02 04 00 0000")
_COUNT, _VOLT, _AMP = "15CD5B07", "E459", "1B8701"
_WATT, _LESS = "87D612", "7929ED"
AMBITION_ROWS = (
    ("04 03", _COUNT, "active_import/total/total", "123456.789"),
    ("8410 03", _COUNT, "active_import/total/T1", "123456.789"),
    ("8420 03", _COUNT, "active_import/total/T2", "123456.789"),
    ("8430 03", _COUNT, "active_import/total/T3", "123456.789"),
    ("848010 03", _COUNT, "active_import/total/T4", "123456.789"),
    ("04 833C", _COUNT, "active_export/total/total", "123456.789"),
    ("8410 833C", _COUNT, "active_export/total/T1", "123456.789"),
    ("8420 833C", _COUNT, "active_export/total/T2", "123456.789"),
    ("8430 833C", _COUNT, "active_export/total/T3", "123456.789"),
    ("848010 833C", _COUNT, "active_export/total/T4", "123456.789"),
    ("04 83FC10", _COUNT, "day_counter/total/total", "123456.789"),
    ("04 FB8273", _COUNT, "reactive_import/total/total", "123456.789"),
    ("04 FB82F33C", _COUNT, "reactive_export/total/total", "123456.789"),
    ("02 FDC7FC01", _VOLT, "voltage/L1", "230.12"),
    ("02 FDC7FC02", _VOLT, "voltage/L2", "230.12"),
    ("02 FDC7FC03", _VOLT, "voltage/L3", "230.12"),
    ("03 FDD9FC01", _AMP, "current/L1", "100.123"),
    ("03 FDD9FC02", _AMP, "current/L2", "100.123"),
    ("03 FDD9FC03", _AMP, "current/L3", "100.123"),
    ("03 2B", _WATT, "active_power/total", "1234.567"),
    ("03 ABFC01", _WATT, "active_power/L1", "1234.567"),
    ("03 ABFC02", _WATT, "active_power/L2", "1234.567"),
    ("03 ABFC03", _LESS, "active_power/L3", "-1234.567"),
    ("03 FB14", _WATT, "reactive_power/total", "1234.567"),
    ("03 FB94FC01", _WATT, "reactive_power/L1", "1234.567"),
    ("03 FB94FC02", _WATT, "reactive_power/L2", "1234.567"),
    ("03 FB94FC03", _WATT, "reactive_power/L3", "1234.567"),
    ("03 FB34", _WATT, "apparent_power/total", "1234.567"),
    ("0A FD3A", "0001", "power_factor/total", "1.00"),
    ("03 FB2C", "37C700", "frequency/total", "50.999"),
    ("09 7C0154", "01", "tariff", "1"),
    ("0B FD3A", "059599", "ct_ratio", "99950005"),
)
AMBITION_RECORDS = bytes.fromhex("".join(header + data for header, data, _, _ in AMBITION_ROWS))


def answer(data: bytes, address: int = 0) -> bytes:
    """Return the answer of the meter at `address` that carries header and records."""
    return long(RSP_UD, address, CI_VARIABLE, data)


PRO380 = answer(PRO380_HEADER + PRO380_RECORDS)
AMBITION = answer(AMBITION_HEADER + AMBITION_RECORDS)
