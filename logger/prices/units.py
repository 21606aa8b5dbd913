"""Units of prices, and numbers with a decimal point or comma. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation

# A hundredth of a currency, as it is written, and whose it is; "" where nearly all have one.
_HUNDREDTHS = {
    "ct": "", "cent": "", "cents": "", "c": "", "eurct": "EUR", "€ct": "EUR", "p": "GBP",
    "pence": "GBP", "øre": "NOK DKK", "öre": "SEK", "ore": "NOK DKK SEK", "gr": "PLN",
    "rp": "CHF", "rappen": "CHF",
}  # fmt: skip
_SIGNS = {
    "€": "EUR", "$": "USD CAD AUD NZD MXN ARS CLP COP SGD HKD TWD", "us$": "USD", "a$": "AUD",
    "c$": "CAD", "ca$": "CAD", "nz$": "NZD", "r$": "BRL", "£": "GBP", "¥": "JPY CNY",
    "₹": "INR", "₺": "TRY", "₴": "UAH", "₩": "KRW", "kr": "NOK SEK DKK ISK", "zł": "PLN",
    "kč": "CZK", "ft": "HUF", "лв": "BGN", "": "",
}  # fmt: skip
_UNIT = re.compile(
    r"(?P<money>[^\s/_\[\]()\d]*)[\s_]*(?:/|per|_)[\s_]*(?P<energy>[MkG]?Wh)", re.IGNORECASE
)
# Columns of Energi Data Service (Denmark): a currency, per MWh.
_NAME = re.compile(r"(?:spot|dayahead)price(?P<currency>[a-z]{3})", re.IGNORECASE)
_KWH = {"mwh": Decimal(1000), "kwh": Decimal(1), "gwh": Decimal(1_000_000)}
_NOTHING = frozenset({"", "-", "–", "n/a", "n/e", "na", "nan", "null", "none"})
_MOST = Decimal(1_000_000)
_BLANKS = re.compile("[\\s\u00a0\u202f']")


@dataclass(frozen=True, slots=True)
class Unit:
    """A price in it, times `factor`, is one of a kWh; of `currencies` it is one, of any where
    none is named."""

    text: str
    currencies: tuple[str, ...]
    factor: Decimal


def unit_in(text: str) -> Unit | None:
    """Return the unit that a text names, such as "Price [EUR/MWh]" or "ct/kWh"."""
    found = _UNIT.search(text)
    if found is None:
        name = _NAME.fullmatch(text.strip())
        if name is None:
            return None
        currency = name["currency"].upper()
        return Unit(f"{currency}/MWh", (currency,), 1 / _KWH["mwh"])
    money = found["money"].strip()
    factor = 1 / _KWH[found["energy"].lower()]
    word = money.lower()
    if word in _HUNDREDTHS:
        return Unit(found[0], tuple(_HUNDREDTHS[word].split()), factor / 100)
    if word in _SIGNS:
        return Unit(found[0], tuple(_SIGNS[word].split()), factor)
    return Unit(found[0], (money.upper(),) if len(money) == 3 else (), factor)


def given(text: str) -> Unit:
    """Return the unit that a person wrote: "EUR/MWh", "ct/kWh", "/kWh". Raises ValueError."""
    unit = unit_in(text)
    if unit is None:
        raise ValueError(f"{text!r} is no unit: write EUR/MWh, ct/kWh or EUR/kWh")
    return unit


def nothing(value: object) -> bool:
    """Whether a cell says that there is no price."""
    return value is None or str(value).strip().lower() in _NOTHING


def decimal_comma(texts: Iterable[str], delimiter: str) -> bool:
    """Return whether the numbers of a file have a decimal comma: as most of them tell.

    Raises ValueError if that cannot be told: "1,234" between commas may be either.
    """
    seen = [_BLANKS.sub("", text) for text in texts]
    points, commas = (
        sum(bool(re.search(rf"\{mark}\d*$", one)) and not _grouped(one, mark) for one in seen)
        for mark in ".,"
    )
    if points or commas:
        return commas > points or (commas == points and delimiter != ",")
    undecided = next((one for one in seen if "," in one), None)
    if undecided is None or any("." in one for one in seen):
        return False
    if delimiter != ",":
        return True
    raise ValueError(
        f"{undecided!r}: is the comma decimal, or does it part thousands? "
        "Write the numbers with a point"
    )


def _grouped(text: str, mark: str) -> bool:
    """Whether a number may have thousands parted by this mark, and nothing else."""
    return re.fullmatch(rf"[-+]?[1-9]\d{{0,2}}(?:\{mark}\d{{3}})+", text) is not None


def number(text: str, *, comma: bool) -> Decimal:
    """Return a number, exactly as written. Raises ValueError."""
    word = _BLANKS.sub("", text).replace("−", "-")
    point, parting = (",", ".") if comma else (".", ",")
    if parting in word:
        whole = re.escape(parting), re.escape(point)
        if not re.fullmatch(rf"[-+]?\d{{1,3}}(?:{whole[0]}\d{{3}})+(?:{whole[1]}\d+)?", word):
            raise ValueError(f"{text!r}: other numbers of the file have a decimal {point!r}")
        word = word.replace(parting, "")
    word = word.replace(point, ".")
    try:
        found = Decimal(word)
    except InvalidOperation:
        raise ValueError(f"{text!r} is no number") from None
    if not found.is_finite() or abs(found) > _MOST:
        raise ValueError(f"{text!r} is no price")
    return found or Decimal(0)  # "-0.00" is 0
