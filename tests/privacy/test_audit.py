"""Nothing personal and nothing secret is anywhere but in a job's record: every path, every source, at DEBUG."""

import base64
import html
import json
from collections.abc import Callable
from urllib.parse import quote

import pytest

from tests.privacy.everything import Run
from tests.privacy.markers import API_KEY, ENCRYPTION_KEY, NEVER_SEALED, Markers


@pytest.mark.parametrize("which", ["run", "run_with_everything_on"])
def test_nothing_personal_is_heard_anywhere(request: pytest.FixtureRequest, which: str) -> None:
    """F59: no number, text, name, idempotency key or key, in no spelling; nor by Sentry, a collector, or an outbox."""
    run: Run = request.getfixturevalue(which)
    assert not run.leaks(), "\n".join(f"{where}: {sorted(what)}" for where, what in run.leaks().items())


def test_an_encrypted_redis_holds_nothing_personal(run: Run, run_with_everything_on: Run) -> None:
    """While jobs wait, are being sent, are asked about, and afterwards; without encryption, it is all there."""
    found = [run_with_everything_on.markers.within(each) for each in run_with_everything_on.stored]
    plain_by_right = tuple(f" of {name}" for name in NEVER_SEALED)
    assert not {what for each in found for what in each if not what.endswith(plain_by_right)}
    assert all(run_with_everything_on.jobs["sent"].encode() in each for each in run_with_everything_on.stored[1:])
    plain = set().union(*map(run.markers.within, run.stored))
    assert {"number of sent", "text of sent", "text of hang", "number of cancelled"} <= plain


@pytest.mark.parametrize(
    "spell",
    [
        str,
        quote,
        json.dumps,
        html.escape,
        ascii,
        lambda word: json.dumps(json.dumps(word)),
        lambda word: base64.b64encode(b"x" + word.encode()).decode(),
    ],
)
def test_the_audit_finds_what_is_there(spell: Callable[[str], str]) -> None:
    """It would be worth nothing otherwise."""
    markers = Markers()
    mark = markers.make("here", "77014381799")
    assert not markers.within('{"recipient": "7701*****99", "at": 1700000000000}')
    assert markers.within(f"a {spell(mark.number)} b") == {"number of here"}
    assert markers.within(f"a {spell('+7 (701) 438-17-99')} b") == {"number of here"} or spell not in (str, json.dumps)
    assert markers.within(f"a {spell(mark.text)} b") == {"text of here"}
    assert markers.within(f"a {spell(mark.name)} b") == {"name of here"}
    assert markers.within(f"a {spell(mark.once)} b") == {"idempotency key of here"}
    assert markers.within(f"a {API_KEY} b") == {"the API key"}
    assert markers.within(f"a {ENCRYPTION_KEY} b") == {"the encryption key"}
