"""Lists of messages, read to the end or not believed: everything that doesn't add up is a problem, never an absence."""

from typing import Any
from zoneinfo import ZoneInfo

import pytest

from smsq.gateway.lists import Campaign, Listing, dates, paging, read_campaign

from .asking import NUMBER

OTHER = "77010000002"


def item(number: int, to: object = OTHER, **more: object) -> dict[str, Any]:
    """Makes an item as the API writes it."""
    return {"id": str(number), "campaignId": str(number + 1000), "to": to, "from": "Brand", "text": "x", **more}


def page(total: object, *items: object) -> dict[str, Any]:
    """Makes a page."""
    return {"items": list(items), "totalItemCount": total}


def pages(*given: object) -> Listing:
    """Reads pages, as long as there is anything to be read."""
    listing = Listing([NUMBER])
    for each in given:
        assert not listing.over
        listing.add(each)
    return listing


def full(first: int) -> list[dict[str, Any]]:
    """Makes the items of a full page, newest first from the number given."""
    return [item(number) for number in range(first, first - 100, -1)]


def test_a_list_of_one_page_is_complete() -> None:
    """Items to the wanted number are kept, in order; counts come as strings or numbers."""
    listing = pages(page("3", item(3, NUMBER), item(2), item(1, NUMBER)))
    assert listing.complete
    assert [each.message_id for each in listing.to(NUMBER)] == [3, 1]
    assert pages(page(0)).complete


def test_all_pages_must_be_read() -> None:
    """F64: until as many messages were seen as there are."""
    listing = pages(page("250", *full(250)), page("250", *full(150)))
    assert (listing.over, listing.pages_left) == (False, 1)
    listing.add(page("250", *full(50)[:50]))
    assert (listing.complete, listing.pages_left) == (True, 0)


def test_a_page_that_shifts_repeats_items_and_hides_none() -> None:
    """Five new messages push five old ones to the next page, where they come again."""
    listing = pages(page("150", *full(150)), page("155", *full(55)[:55]))
    assert listing.complete


DAMAGED: dict[str, tuple[object, ...]] = {
    "null": (None,),
    "list": ([],),
    "no items": ({"totalItemCount": "0"},),
    "items not a list": ({"items": {}, "totalItemCount": "0"},),
    "no count": ({"items": []},),
    "odd count": (page("1.0", item(1)),),
    "negative count": (page(-1),),
    "true for a count": (page(True, item(1)),),
    "more than a page": (page("101", *full(200), item(99)),),
    "item null": (page("1", None),),
    "id missing": (page("1", {"to": NUMBER, "campaignId": "1"}),),
    "id odd": (page("1", item(1) | {"id": " 1 "}),),
    "id zero": (page("1", item(0)),),
    "number missing": (page("1", item(1, None)),),
    "number masked": (page("1", item(1, "7701****01")),),
    "campaign odd": (page("1", item(1, NUMBER) | {"campaignId": "x"}),),
    "fewer than it says": (page("2", item(1)),),
    "more than it says": (page("1", item(2), item(1)),),
    "twice the same": (page("2", item(1), item(1)),),
    "empty before its end": (page("150", *full(150)), page("150")),
    "a page again": (page("250", *full(250)), page("250", *full(250))),
    "shrinks": (page("250", *full(250)), page("249", *full(150))),
    "short pages": (page("120", *full(120)[:25]), page("120", *full(95)[:25])),
}


@pytest.mark.parametrize("given", DAMAGED.values(), ids=DAMAGED)
def test_a_list_that_doesnt_add_up_has_a_problem(given: tuple[object, ...]) -> None:
    """It is never complete, so nobody says "absent" because of it (F64, F67)."""
    listing = pages(*given)
    assert listing.problem
    assert not listing.complete


def test_a_list_that_grows_on_and_on_is_given_up() -> None:
    """Each page says that there are more; a real account doesn't send that fast."""
    listing = Listing([NUMBER])
    number = 10**9
    while not listing.over:
        assert listing.pages < 10
        listing.add(page(str(200 + 100 * listing.pages), *full(number)))
        number -= 100
    assert listing.problem == "the list doesn't end"


def test_a_damaged_item_doesnt_hide_the_others() -> None:
    """What is found is found; only the absence of the rest isn't proved."""
    listing = pages(page("2", None, item(1, NUMBER)))
    assert (len(listing.to(NUMBER)), listing.problem) == (1, "a message in the list can't be read")


@pytest.mark.parametrize("to", [NUMBER, int(NUMBER), f"+{NUMBER}", "+7 (701) 000-00-01"])
def test_a_number_is_compared_by_its_digits(to: object) -> None:
    """However the list writes it."""
    assert len(pages(page("1", item(1, to))).to(NUMBER)) == 1


@pytest.mark.parametrize("to", [f"{NUMBER}0", f"43{NUMBER}", NUMBER[1:], True, [NUMBER]])
def test_parts_of_a_number_arent_it(to: object) -> None:
    """F64: `criteria[to]` finds them too."""
    assert not pages(page("1", item(1, to))).to(NUMBER)


STATUSES = [
    ({"commonStatus": "MODERATION", "moderationStatus": "MODERATION"}, 1),
    ({"commonStatus": "DECLINED", "moderationStatus": "DECLINED"}, 1),
    ({"commonStatus": "READY_FOR_SEND", "moderationStatus": "MODERATION"}, 1),
    ({"commonStatus": "SENT", "moderationStatus": "AUTO_READY_FOR_SEND"}, 2),
    ({"commonStatus": "DONE"}, 2),
    ({"moderationStatus": "READY_FOR_SEND"}, 2),
    ({}, 1),
    ({"commonStatus": None, "moderationStatus": 5}, 1),
]


@pytest.mark.parametrize(("given", "status"), STATUSES)
def test_a_campaigns_status_is_that_of_the_call(given: dict[str, object], status: int) -> None:
    """2 only if it says that it doesn't wait: a message that may be declined must be looked after."""
    assert read_campaign(given).status == status


@pytest.mark.parametrize("given", [None, [], "x", {"name": None}, {"name": 5, "createTs": 7}])
def test_a_campaign_may_say_nothing(given: object) -> None:
    """It is undocumented in lists."""
    assert read_campaign(given) == Campaign(name=None, created=None, status=1)


def test_the_window_is_26_hours_wider_in_the_accounts_time() -> None:
    """F63, and both ends always: also where the clock of the zone changes in between."""
    noon = 1_772_020_800.0  # 2026-02-25 12:00:00 UTC
    assert dates(noon, noon + 60, ZoneInfo("Asia/Almaty")) == {
        "criteria[campaignCreateTsFrom]": "2026-02-24 15:00:00",
        "criteria[campaignCreateTsTo]": "2026-02-26 19:01:00",
    }
    change = 1_774_746_000.0  # 2026-03-29 01:00:00 UTC, when Kyiv goes from +2 to +3
    assert dates(change, change, ZoneInfo("Europe/Kyiv")) == {
        "criteria[campaignCreateTsFrom]": "2026-03-28 01:00:00",
        "criteria[campaignCreateTsTo]": "2026-03-30 06:00:00",
    }


def test_pages_are_the_largest_and_the_newest_come_first() -> None:
    """The contract's paging."""
    assert paging(2) == {
        "pagination[pageSize]": "100",
        "pagination[currentPage]": "2",
        "sort[campaignId]": "DESC",
    }
