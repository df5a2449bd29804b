"""Numbers as people say them.

>>> number_words(1250), house_number(1250), ordinal_words(21)
('one thousand two hundred fifty', 'twelve fifty', 'twenty first')
"""

from __future__ import annotations

_ONES = """
zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen fifteen sixteen
seventeen eighteen nineteen
"""
_TENS = """
zero ten twenty thirty forty fifty sixty seventy eighty ninety
"""
ONES: tuple[str, ...] = tuple(_ONES.split())
"""zero to nineteen."""
TENS: tuple[str, ...] = tuple(_TENS.split())
_ORDINALS = {
    "one": "first",
    "two": "second",
    "three": "third",
    "five": "fifth",
    "eight": "eighth",
    "nine": "ninth",
    "twelve": "twelfth",
}


def number_words(number: int) -> str:
    """0 to 999,999 in words, without "and". Raises ValueError outside."""
    if not 0 <= number < 1_000_000:
        raise ValueError(f"number {number}: 0 to 999,999 can be spoken")
    if number < 20:
        return ONES[number]
    if number < 100:
        tens, one = divmod(number, 10)
        return TENS[tens] + (f" {ONES[one]}" if one else "")
    size, name = (1000, "thousand") if number >= 1000 else (100, "hundred")
    many, rest = divmod(number, size)
    return f"{number_words(many)} {name}" + (f" {number_words(rest)}" if rest else "")


def ordinal_words(number: int) -> str:
    """1 → first, 21 → twenty first."""
    *head, last = number_words(number).split()
    if last in _ORDINALS:
        last = _ORDINALS[last]
    else:
        last = f"{last[:-1]}ieth" if last.endswith("y") else f"{last}th"
    return " ".join([*head, last])


def house_number(number: int) -> str:
    """As Americans say it: 1250 twelve fifty, 405 four oh five, 2000 two thousand."""
    head, tail = divmod(number, 100)
    if number < 100 or number >= 10_000 or head % 10 == 0 or (tail == 0 and head < 10):
        return number_words(number)
    if tail == 0:
        return f"{number_words(head)} hundred"
    return f"{number_words(head)} {'oh ' if tail < 10 else ''}{number_words(tail)}"
