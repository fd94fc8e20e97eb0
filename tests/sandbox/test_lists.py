"""The methods that ask, as unkind as the real ones: cut lists, parts of numbers, types, pages, times without offset."""

import re
from datetime import UTC, datetime, timedelta

import pytest

from tests.sandbox.calls import RECIPIENT, accepted, items, post, send
from tests.support.sandbox import Sandbox

DAY = 86_400
ALMATY = timedelta(hours=5)
LOCAL_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2} [0-9]{2}:[0-9]{2}:[0-9]{2}")


def window(*, days: float = 0.0, around: timedelta = timedelta(hours=26), offset: timedelta = ALMATY) -> dict[str, str]:
    """Returns both criteria of the creation time, around a moment some days from now, as local time."""
    moment = datetime.now(UTC) + offset + timedelta(days=days)
    return {
        "campaignCreateTsFrom": (moment - around).strftime("%Y-%m-%d %H:%M:%S"),
        "campaignCreateTsTo": (moment + around).strftime("%Y-%m-%d %H:%M:%S"),
    }


def test_an_item_has_the_documented_fields_and_its_campaign(sandbox: Sandbox) -> None:
    """Ids are strings, times are local and without offset, and the undocumented campaign is nested."""
    data = send(sandbox, sender="Brand", name="otp")["data"]
    [item] = items(sandbox)
    [campaign_created, status_updated] = item["campaign"].pop("createTs"), item.pop("statusUpdateTs")
    assert LOCAL_TIME.fullmatch(campaign_created)
    assert LOCAL_TIME.fullmatch(status_updated)
    assert LOCAL_TIME.fullmatch(item.pop("startSendTs"))
    assert item.pop("status") in {"NEW", "ACCEPTD"}
    assert item["campaign"].pop("commonStatus") in {"READY_FOR_SEND", "SENT"}
    assert item == {
        "id": data["messageId"],
        "campaignId": data["campaignId"],
        "to": RECIPIENT,
        "from": "Brand",
        "text": "Код: 4711",
        "segNum": "1",
        "campaign": {"id": data["campaignId"], "name": "otp", "moderationStatus": "AUTO_READY_FOR_SEND"},
    }


def test_the_total_is_a_string(sandbox: Sandbox) -> None:
    """As in live answers, of both lists, also when there is nothing."""
    for method in ("message/list", "campaign/list"):
        assert post(sandbox, method, {})["data"] == {"items": [], "totalItemCount": "0"}


def test_times_are_local_times_of_the_account(sandbox: Sandbox) -> None:
    """What is accepted now was created at this time of Almaty's, give or take this test's own minutes."""
    send(sandbox)
    [item] = items(sandbox)
    created = datetime.strptime(item["campaign"]["createTs"], "%Y-%m-%d %H:%M:%S").replace(tzinfo=UTC)
    assert abs(created - (datetime.now(UTC) + ALMATY)) < timedelta(minutes=5)
    assert accepted(sandbox, RECIPIENT)[0]["acceptedTs"] == item["campaign"]["createTs"]


def test_a_number_is_found_by_any_part_of_it(sandbox: Sandbox) -> None:
    """Longer foreign numbers that contain ours are found with ours."""
    for recipient in (RECIPIENT, f"49{RECIPIENT}", "77010000002"):
        send(sandbox, recipient)
    assert [item["to"] for item in items(sandbox, to=RECIPIENT)] == [RECIPIENT, f"49{RECIPIENT}"]
    assert len(items(sandbox, to="7701")) == 3
    assert items(sandbox, to="9999") == []


def test_undated_lists_begin_at_midnight_of_yesterday(sandbox: Sandbox) -> None:
    """Two days later the message is gone from the list, and there again when both dates are given."""
    send(sandbox)
    assert len(items(sandbox)) == 1
    sandbox.post("/sandbox/clock", advance=2 * DAY)
    only_from = {"campaignCreateTsFrom": window()["campaignCreateTsFrom"]}
    assert items(sandbox) == items(sandbox, to=RECIPIENT) == items(sandbox, **only_from) == []
    assert len(items(sandbox, **window())) == 1


def test_a_day_later_it_is_still_there(sandbox: Sandbox) -> None:
    """Yesterday counts from its first minute, so whatever time it is now."""
    send(sandbox)
    sandbox.post("/sandbox/clock", advance=DAY)
    assert len(items(sandbox)) == 1


def test_no_list_goes_back_further_than_90_days(sandbox: Sandbox) -> None:
    """With dates too."""
    send(sandbox)
    sandbox.post("/sandbox/clock", advance=89 * DAY)
    assert len(items(sandbox, **window())) == 1
    sandbox.post("/sandbox/clock", advance=2 * DAY)
    assert items(sandbox, **window()) == []


def test_dates_include_their_ends_and_exclude_what_lies_beyond(sandbox: Sandbox) -> None:
    """A window of the very second finds the message; one that ends before or begins after doesn't."""
    send(sandbox)
    created = items(sandbox)[0]["campaign"]["createTs"]
    assert len(items(sandbox, campaignCreateTsFrom=created, campaignCreateTsTo=created)) == 1
    assert items(sandbox, **window(days=-3)) == items(sandbox, **window(days=3)) == []
    assert len(items(sandbox, startSendTsFrom=created, startSendTsTo=created)) == 1


def test_a_window_in_the_wrong_zone_finds_nothing(sandbox: Sandbox) -> None:
    """Narrow windows in UTC miss the account's messages; 26 hours either side find them."""
    send(sandbox)
    assert items(sandbox, **window(offset=timedelta(0), around=timedelta(hours=1))) == []
    assert len(items(sandbox, **window(offset=timedelta(0)))) == 1


def test_pages_are_counted_from_0_and_oldest_come_first(sandbox: Sandbox) -> None:
    """Twenty-five a page unless asked otherwise; the total counts all pages; beyond the last is nothing."""
    sent = [send(sandbox)["data"]["messageId"] for _ in range(60)]

    def page(**parameters: str) -> tuple[list[str], str]:
        data = post(sandbox, "message/list", {"criteria[to]": RECIPIENT, **parameters})["data"]
        return [item["id"] for item in data["items"]], data["totalItemCount"]

    newest_first = {"sort[campaignId]": "DESC"}
    assert page() == (sent[:25], "60")
    assert page(**{"pagination[currentPage]": "2"}) == (sent[50:], "60")
    assert page(**newest_first, **{"pagination[pageSize]": "50"}) == (sent[:9:-1], "60")
    assert page(**newest_first, **{"pagination[pageSize]": "50", "pagination[currentPage]": "1"}) == (sent[9::-1], "60")
    assert page(**{"pagination[pageSize]": "100", "pagination[currentPage]": "1"}) == ([], "60")


def test_other_criteria_are_exact(sandbox: Sandbox) -> None:
    """Signature as it left, text as stored, status, and campaigns by id: as a list or separated by commas."""
    first = send(sandbox, text="one", sender="Brand")["data"]["campaignId"]
    second = send(sandbox, text="two", sender="Nobody")["data"]["campaignId"]
    sandbox.post("/sandbox/clock", advance=60)
    assert [item["text"] for item in items(sandbox, **{"from": "SharedName"})] == ["two"]
    assert items(sandbox, **{"from": "Nobody"}) == []
    assert [item["text"] for item in items(sandbox, text="one")] == ["one"]
    assert items(sandbox, text="on") == []
    assert len(items(sandbox, status="DELIVRD")) == 2
    assert items(sandbox, status="NEW") == []
    assert [item["text"] for item in items(sandbox, campaignIds=first)] == ["one"]
    assert len(items(sandbox, campaignIds=f"{first},{second}")) == 2
    listed = {"criteria[campaignIds][]": second, "criteria[campaignIds][1]": "5"}
    assert len(post(sandbox, "message/list", listed)["data"]["items"]) == 1


def test_of_more_than_100_campaigns_the_first_100_count(sandbox: Sandbox) -> None:
    """As the provider documents for its lists."""
    campaign = send(sandbox)["data"]["campaignId"]
    others = ",".join(map(str, range(1, 101)))
    assert items(sandbox, campaignIds=f"{others},{campaign}") == []
    assert len(items(sandbox, campaignIds=f"{campaign},{others}")) == 1


@pytest.mark.parametrize(
    ("parameters", "code"),
    [
        ({"criteria[name]": "x"}, 11),
        ({"criteria": "x"}, 11),
        ({"criteria[to][]": "7701"}, 11),
        ({"sort[id]": "DESC"}, 11),
        ({"pagination[pageSize]": "30"}, 12),
        ({"pagination[pageSize]": "1000"}, 12),
        ({"pagination[currentPage]": "-1"}, 12),
        ({"pagination[currentPage]": "1.0"}, 12),
        ({"sort[campaignId]": "desc"}, 12),
        ({"criteria[campaignIds]": "1,x"}, 12),
        ({"criteria[campaignCreateTsFrom]": "2026-01-01"}, 12),
        ({"criteria[campaignCreateTsTo]": "2026-02-30 10:00:00"}, 12),
    ],
)
def test_a_list_refuses_what_it_does_not_know(sandbox: Sandbox, parameters: dict[str, str], code: int) -> None:
    """Unknown parameters are code 11, impossible values code 12, both with null."""
    envelope = post(sandbox, "message/list", parameters)
    assert (envelope["code"], envelope["data"]) == (code, None)


def test_campaign_list_shows_mass_mailings_unless_asked(sandbox: Sandbox) -> None:
    """Ours are single messages: shown for type 1 only."""
    campaign = send(sandbox, name="otp")["data"]["campaignId"]
    assert items(sandbox, "campaign/list") == items(sandbox, "campaign/list", type="2") == []
    assert items(sandbox, "campaign/list", type="3") == []
    [item] = items(sandbox, "campaign/list", type="1")
    assert (item["id"], item["name"], item["type"]) == (campaign, "otp", "1")


def test_campaign_list_is_cut_and_searched_as_message_list_is(sandbox: Sandbox) -> None:
    """Parts of numbers, dates, ids, statuses, order and pages."""
    ids = [send(sandbox)["data"]["campaignId"] for _ in range(3)]

    def found(**criteria: str) -> list[str]:
        return [item["id"] for item in items(sandbox, "campaign/list", type="1", **criteria)]

    assert found(recipient="7701") == ids
    assert found(ids=f"{ids[0]},{ids[2]}") == [ids[0], ids[2]]
    assert found(id=ids[1]) == [ids[1]]
    assert found(id=ids[1], ids=ids[0]) == []
    for sort in ("sort[id]", "sort[createTs]"):
        newest_first = post(sandbox, "campaign/list", {"criteria[type]": "1", sort: "DESC"})["data"]["items"]
        assert [item["id"] for item in newest_first] == ids[::-1]
    dates = window()
    sandbox.post("/sandbox/clock", advance=2 * DAY)
    assert found() == []
    dated = {"createTsFrom": dates["campaignCreateTsFrom"], "createTsTo": dates["campaignCreateTsTo"]}
    assert found(**dated) == found(**dated, status="DONE") == ids
    assert post(sandbox, "campaign/list", {"criteria[type]": "4"})["code"] == 12
    assert post(sandbox, "campaign/list", {"criteria[name]": "otp"})["code"] == 11


def test_campaign_get_tells_all_of_one_campaign(sandbox: Sandbox) -> None:
    """Name, text, signature and parameters as stored; code 2 for a campaign that isn't there, 11 without an id."""
    data = send(sandbox, name="otp", sender="Nobody", validity="90", mclass="0")["data"]
    campaign = post(sandbox, "campaign/get", {"id": data["campaignId"]})["data"]
    expected = {"id": data["campaignId"], "name": "otp", "text": "Код: 4711", "from": "SharedName", "type": "1"}
    expected |= {"validity": "90", "mclass": "0", "moderationStatus": "AUTO_READY_FOR_SEND", "globalComment": None}
    assert expected.items() <= campaign.items()
    assert post(sandbox, "campaign/get", {"id": data["messageId"]})["code"] == 2
    assert post(sandbox, "campaign/get", {"id": "x"})["code"] == 12
    assert post(sandbox, "campaign/get", {})["code"] == 11


def test_a_campaign_without_a_name_has_null(sandbox: Sandbox) -> None:
    """Nothing is made up for it."""
    send(sandbox)
    assert items(sandbox)[0]["campaign"]["name"] is None


def test_sms_status_answers_for_up_to_100_known_messages(sandbox: Sandbox) -> None:
    """Ids in one string or as a list; unknown ones are left out; none is code 2, more than 100 code 12."""
    first, second = (send(sandbox)["data"]["messageId"] for _ in range(2))
    for form in (
        {"ids": f"{first},1,{second}"},
        {"ids[]": first, "ids[1]": second},
        {"ids[0]": first, "ids[7]": second},
    ):
        envelope = post(sandbox, "message/getSMSStatus", form)
        assert [item["id"] for item in envelope["data"]] == [first, second]
        assert set(envelope["data"][0]) == {"id", "status", "segNum", "startSendTs", "statusUpdateTs"}
    assert len(post(sandbox, "message/getSMSStatus", {"ids": ",".join([first] * 100)})["data"]) == 100
    assert post(sandbox, "message/getSMSStatus", {"ids": ",".join([first] * 101)})["code"] == 12
    assert post(sandbox, "message/getSMSStatus", {"ids": "x"})["code"] == 12
    assert post(sandbox, "message/getSMSStatus", {"ids": ""})["code"] == 2
    assert post(sandbox, "message/getSMSStatus", {})["code"] == 2
    assert post(sandbox, "message/getSMSStatus", {"id": first})["code"] == 11


def test_a_message_is_delivered_as_the_clock_goes_on(sandbox: Sandbox) -> None:
    """NEW at first, with the operator a second later, delivered after five; the campaign follows."""
    message = send(
        sandbox, deferredToTs=(datetime.now(UTC) + ALMATY + timedelta(hours=2)).strftime("%Y-%m-%d %H:%M:%S")
    )
    ids = {"ids": message["data"]["messageId"]}

    def status() -> tuple[str, str, str | None]:
        [delivery] = post(sandbox, "message/getSMSStatus", ids)["data"]
        campaign = post(sandbox, "campaign/get", {"id": message["data"]["campaignId"]})["data"]
        return delivery["status"], campaign["commonStatus"], delivery["startSendTs"]

    assert status() == ("NEW", "READY_FOR_SEND", None)
    sandbox.post("/sandbox/clock", advance=3600)
    assert status() == ("NEW", "READY_FOR_SEND", None)
    sandbox.post("/sandbox/clock", advance=3660)
    delivered, common, started = status()
    assert (delivered, common) == ("DELIVRD", "DONE")
    assert started


def test_the_balance_is_a_string_with_four_decimals(sandbox: Sandbox) -> None:
    """And the currency its ISO 4217 code."""
    assert post(sandbox, "user/getOwnBalance", {})["data"] == {"balance": "1000.0000", "currency": "KZT"}
    assert post(sandbox, "user/getOwnBalance", {"x": "1"})["code"] == 11
