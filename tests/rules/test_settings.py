"""What every setting of a kind has in common, whoever adds the next one."""

from typing import get_args

import pytest
from pydantic import SecretStr

from config.settings import WorkerSettings
from smsq import ConfigurationError
from smsq.settings import variable

FIELDS = WorkerSettings.model_fields
SECRETS = [name for name, field in FIELDS.items() if SecretStr in (field.annotation, *get_args(field.annotation))]
#: The README's table writes their default as none.
OPTIONAL = [name for name, field in FIELDS.items() if field.default is None or name in SECRETS]


@pytest.mark.parametrize("name", OPTIONAL)
@pytest.mark.parametrize("written", ["none", " None "])
def test_none_can_be_written_where_the_table_writes_it(
    name: str, written: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is the default."""
    monkeypatch.setenv(variable(WorkerSettings, name), written)
    assert getattr(WorkerSettings.load(), name) == FIELDS[name].default


def test_what_has_another_default_is_not_none(monkeypatch: pytest.MonkeyPatch) -> None:
    """A lease of none would be no lease."""
    monkeypatch.setenv("SMSQ_LEASE", "none")
    with pytest.raises(ConfigurationError, match=r"^SMSQ_LEASE: "):
        WorkerSettings.load()


@pytest.mark.parametrize("name", [name for name in SECRETS if FIELDS[name].default is None])
@pytest.mark.parametrize("as_secret", [False, True], ids=["environment", "code"])
def test_a_secret_of_spaces_is_refused(name: str, as_secret: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was meant to be one: as none, nothing would be encrypted, or reported, and nobody would hear of it."""
    given: dict[str, SecretStr] = {}
    if as_secret:
        given[variable(WorkerSettings, name) if FIELDS[name].validation_alias else name] = SecretStr(" \t")
    else:
        monkeypatch.setenv(variable(WorkerSettings, name), " \t")
    with pytest.raises(ConfigurationError) as raised:
        WorkerSettings.load(**given)
    assert raised.value.problems == [f"{variable(WorkerSettings, name)}: is blank: leave it out, or write none"]
