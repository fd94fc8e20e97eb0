"""Which texts may be what became of ours, by the figures in them (F70)."""

import time
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from smsq.gateway.lists import Campaign, Item
from smsq.gateway.matching import Question, compare, has_token

from .asking import NUMBER, ZONE

SAME = [
    ("Код «4711»", 'Код  "4711" '),
    ("e\u0301te\u0301 1", "\u00e9t\u00e9 1"),
    ("a\nb", "a\r\nb"),
    ("it’s 5", "it's 5"),
]
NEAR = [
    ("Код 4711 🎉", "Код 4711"),
    ("Сәлем, кодыңыз 4711", "Salem, kodynyz 4711"),
    ("Заказ 5: https://a.example/77", "Заказ 5: https://s.example/x9"),
    ("Заказ 5: www.shop24.kz/77", "Заказ 5: s.example/x9"),
    ("Ваш код 4711, никому его не говорите до 10:00", "Ваш код 4711, никому"),
    ("Ваш заказ готов", "Ваш заказ отправлен"),
    ("Код ٤٧١١", "Код 4711"),
    ("Привет 1", ""),
]
OTHER = [
    ("Код 4711", "Код 4712"),
    ("Код 4711", "Код 471 1 и 5"),
    ("Сумма 1 500 тг", "Сумма 1 600 тг"),
    ("Код 4711", "Ваш заказ готов"),
]


def verdict(ours: str, theirs: str, *, created: str = "", zone: ZoneInfo = ZONE) -> str:
    """Compares a job without a token with a message to its number."""
    now = time.time()
    created = created or datetime.now(zone).strftime("%Y-%m-%d %H:%M:%S")
    asked = Question("a" * 20, NUMBER, ours, None, "", now)
    item = Item(1, 2, theirs, "Brand", Campaign("", created, 2))
    found, near = compare(asked, [item], zone=zone, now=now)
    return "ours" if found else "near" if near else "other"


@pytest.mark.parametrize(("ours", "theirs"), SAME)
def test_changes_in_silence_dont_matter(ours: str, theirs: str) -> None:
    """Composition, quotes, white space."""
    assert verdict(ours, theirs) == "ours"


@pytest.mark.parametrize(("ours", "theirs"), NEAR)
def test_other_changes_leave_it_open(ours: str, theirs: str) -> None:
    """Dropped signs, other letters, other links, a cut end; and whatever has the same figures, or none."""
    assert verdict(ours, theirs) == "near"


@pytest.mark.parametrize(("ours", "theirs"), OTHER)
def test_other_figures_are_another_message(ours: str, theirs: str) -> None:
    """Nobody changes these on the way: codes, sums and times tell messages of one kind apart."""
    assert verdict(ours, theirs) == "other"


@pytest.mark.parametrize("created", ["x", "2026-02-30 10:00:00", "9999-12-31 23:59:59", "2001-01-01 00:00:00"])
def test_a_time_that_doesnt_fit_leaves_it_open(created: str) -> None:
    """Unreadable, or outside the span in which a call could act."""
    assert verdict("Код 4711", "Код 4711", created=created) == "near"


@pytest.mark.parametrize(("minutes", "expected"), [(-14, "ours"), (-16, "near"), (14, "ours"), (16, "near")])
def test_clocks_may_differ_a_little(minutes: int, expected: str) -> None:
    """A quarter of an hour either way."""
    created = (datetime.now(UTC) + timedelta(minutes=minutes)).astimezone(ZONE).strftime("%Y-%m-%d %H:%M:%S")
    assert verdict("Код 4711", "Код 4711", created=created) == expected


@pytest.mark.parametrize("moment", ["2026-10-25 00:30:00", "2026-10-25 01:30:00"])
def test_an_hour_that_comes_twice_counts_as_either(moment: str) -> None:
    """Kyiv's clock goes back at 01:00 UTC; both half past three local are meant."""
    at = datetime.fromisoformat(moment).replace(tzinfo=UTC).timestamp()
    asked = Question("a" * 20, NUMBER, "x 1", None, "", at)
    item = Item(1, 2, "x 1", "", Campaign("", "2026-10-25 03:30:00", 2))
    assert compare(asked, [item], zone=ZoneInfo("Europe/Kyiv"), now=at).ours == [item]


@pytest.mark.parametrize("name", ["", " ", "otp ", None])
def test_no_name_has_no_token(name: str | None) -> None:
    """Names without a token are nobody's, also where tokens are switched off."""
    assert not has_token(name, "")
