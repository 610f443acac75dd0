"""Parallel sentences without a download: dates, times, durations, numbers in words, measures, currencies, and lists of
countries and languages, written in two languages from Babel's CLDR data and num2words.

The same seed gives the same pairs. Languages: de, en, ja, ro, vi, and what else CLDR and num2words both speak.
"""

import datetime
from collections.abc import Callable
from random import Random
from typing import Literal

from babel import Locale, UnknownLocaleError
from babel.dates import format_date, format_interval, format_skeleton, format_time, format_timedelta
from babel.lists import format_list
from babel.numbers import format_currency, format_decimal, format_percent
from babel.units import format_compound_unit, format_unit
from num2words import num2words

from acprop.runs import require

Say = Callable[[Locale], str]  # one meaning, said in any language

UNITS = (
    "length-kilometer", "length-meter", "length-centimeter", "length-mile", "mass-kilogram", "mass-gram", "mass-tonne",
    "volume-liter", "volume-cubic-meter", "area-hectare", "area-square-kilometer", "temperature-celsius",
    "duration-hour", "duration-minute", "duration-second", "duration-day", "duration-week", "duration-year",
    "energy-kilowatt-hour", "power-watt", "digital-megabyte", "electric-volt", "frequency-hertz",
)  # fmt: skip
CURRENCIES = ("EUR", "USD", "JPY", "VND", "RON", "GBP", "CHF", "CAD", "CNY", "INR")


def pairs(source: str, target: str, count: int, seed: int) -> list[tuple[str, str]]:
    """`count` sentences in both languages, no source and no target twice (whatever their case).

    Raises:
        UsageError: for a language that CLDR or num2words does not speak.
    """
    locales = {name: _locale(name, argument) for argument, name in (("source", source), ("target", target))}
    random = Random(f"{seed}")  # a string: its hash is the same in every process
    meanings = _Meanings(locales[source], locales[target])
    found: list[tuple[str, str]] = []
    seen: set[tuple[str, str]] = set()
    while len(found) < count:
        say = meanings.sentence(random)
        texts = [" ".join(say(locales[name]).split()) for name in (source, target)]
        keys = {(name, text.lower()) for name, text in zip(("source", "target"), texts, strict=True)}
        if not keys & seen:
            seen |= keys
            found.append((texts[0], texts[1]))
    return found


def _locale(name: str, argument: str) -> Locale:
    try:
        locale = Locale.parse(name)
        num2words(1, lang=name)
    except (UnknownLocaleError, ValueError, NotImplementedError):
        require(False, argument, name, "choose a language of CLDR and num2words: de, en, ja, ro, vi, ...")
    return locale


class _Meanings:
    """Draws meanings that both languages have words for."""

    def __init__(self, *locales: Locale) -> None:
        def shared(table: str) -> list[str]:
            keys = set.intersection(*(set(getattr(locale, table)) for locale in locales))
            return sorted(key for key in keys if len(key) == 2 and key.isalpha())  # those of ISO 3166 and 639-1

        self.countries, self.languages = shared("territories"), shared("languages")
        # where CLDR has no word for a unit, Babel writes its key
        self.units = [u for u in UNITS if not any(u in format_unit(2, u, "long", locale=locale) for locale in locales)]
        self.kinds = (
            self.date, self.month, self.interval, self.time, self.duration, self.number, self.measure, self.speed,
            self.currency, self.share, self.country, self.language,
        )  # fmt: skip

    def sentence(self, random: Random) -> Say:
        """One to three phrases, joined as the languages join lists."""
        phrases = [random.choice(self.kinds)(random) for _ in range(random.choice((1, 2, 2, 3)))]
        style: Literal["standard", "or"] = random.choice(("standard", "or"))
        return lambda locale: format_list([say(locale) for say in phrases], style, locale)

    def date(self, random: Random) -> Say:
        day, style = _day(random), random.choice(("full", "long"))
        return lambda locale: format_date(day, style, locale)

    def month(self, random: Random) -> Say:
        day, skeleton = _day(random), random.choice(("yMMMM", "yQQQQ", "MMMMd"))
        return lambda locale: format_skeleton(skeleton, day, locale=locale)

    def interval(self, random: Random) -> Say:
        first = _day(random)
        last = first + datetime.timedelta(random.randrange(1, 400))
        return lambda locale: format_interval(first, last, "yMMMd", locale=locale)

    def time(self, random: Random) -> Say:
        moment, style = datetime.time(random.randrange(24), random.randrange(60)), random.choice(("short", "medium"))
        return lambda locale: format_time(moment, style, locale=locale)

    def duration(self, random: Random) -> Say:
        unit = random.choice(("minutes", "hours", "days", "weeks"))
        delta = datetime.timedelta(**{unit: random.randrange(1, 50)}) * random.choice((-1, 1))
        relative = random.random() < 0.5
        return lambda locale: format_timedelta(delta, add_direction=relative, locale=locale)

    def number(self, random: Random) -> Say:
        value = random.randrange(10 ** random.randrange(1, 5))
        return lambda locale: num2words(value, lang=locale.language)

    def measure(self, random: Random) -> Say:
        unit, value = random.choice(self.units), random.randrange(1, 400) / random.choice((1, 2))
        return lambda locale: format_unit(value, unit, "long", locale=locale)

    def speed(self, random: Random) -> Say:
        value, unit = random.randrange(1, 300), random.choice(("length-kilometer", "length-mile", "length-meter"))
        return lambda locale: format_compound_unit(value, unit, denominator_unit="duration-hour", locale=locale) or ""

    def currency(self, random: Random) -> Say:
        value, code = random.randrange(1, 1000), random.choice(CURRENCIES)
        return lambda locale: format_currency(value, code, locale=locale, format_type="name")

    def share(self, random: Random) -> Say:
        value = random.randrange(1, 1000) / 1000
        if random.random() < 0.5:
            return lambda locale: format_percent(value, "#,##0.#%", locale=locale)
        return lambda locale: format_decimal(value * 1000, locale=locale)

    def country(self, random: Random) -> Say:
        code = random.choice(self.countries)
        return lambda locale: locale.territories[code]

    def language(self, random: Random) -> Say:
        code = random.choice(self.languages)
        return lambda locale: locale.languages[code]


def _day(random: Random) -> datetime.date:
    return datetime.date(1950, 1, 1) + datetime.timedelta(random.randrange(36_525))
