"""One reading of `SMSQ_REDIS_URL` for everybody: producers, the ledger, the result backend, Celery's broker, Flower.

``redis://[user:password@]host[:port][/db]``, ``rediss://…`` (TLS, verified), ``unix:///path?db=0``, and
``sentinel://[user:password@]host[:port],host[:port]…[/db]?master_name=…``. Options in the query: ``ssl_cert_reqs``
(``required`` or ``none``), ``ssl_ca_certs``, ``ssl_certfile``, ``ssl_keyfile``, ``sentinel_username``,
``sentinel_password``. User names and passwords are percent-encoded.
"""

import warnings
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from smsq.errors import ConfigurationError

_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile")
_SENTINEL_OPTIONS = ("master_name", "sentinel_username", "sentinel_password")
_OPTIONS = {
    "redis": (),
    "rediss": ("ssl_cert_reqs", *_TLS_OPTIONS),
    "unix": ("db",),
    "sentinel": _SENTINEL_OPTIONS,
}
_DEFAULT_PORT = {"redis": 6379, "rediss": 6379, "sentinel": 26379}


@dataclass(frozen=True, slots=True)
class Address:
    """Where Redis is and how to get in.

    Attributes:
        scheme: ``redis``, ``rediss``, ``unix`` or ``sentinel``.
        hosts: The server, or the sentinels, as (host, port).
        path: The socket's path, for ``unix``.
        db: The database's number.
        username: For the server, or None.
        password: For the server, or None.
        tls: redis-py's ``ssl_…`` arguments; empty without TLS.
        master_name: What the sentinels call the master.
        sentinel_auth: redis-py's ``username`` and ``password`` for the sentinels.
    """

    scheme: str
    hosts: tuple[tuple[str, int], ...] = ()
    path: str = ""
    db: int = 0
    username: str | None = field(default=None, repr=False)
    password: str | None = field(default=None, repr=False)
    tls: dict[str, Any] = field(default_factory=dict)
    master_name: str = ""
    sentinel_auth: dict[str, str] = field(default_factory=dict, repr=False)

    @classmethod
    def parse(cls, url: str) -> "Address":
        """Reads a URL.

        Raises:
            ConfigurationError: The URL is malformed; the text says how, without repeating the URL.
        """
        try:
            return _parse(url)
        except ValueError as error:
            raise ConfigurationError([f"SMSQ_REDIS_URL: {error}"]) from None

    def __str__(self) -> str:
        """The address without user name and password, for logs and errors."""
        where = self.path or ",".join(f"{host}:{port}" for host, port in self.hosts)
        return f"{self.scheme}://{where}/{self.db}"


def _parse(url: str) -> Address:
    scheme, separator, _ = url.partition("://")
    if not separator or scheme not in _OPTIONS:
        raise ValueError("must start with redis://, rediss://, unix:// or sentinel://")
    if "#" in url:
        raise ValueError("has a '#'; percent-encode special characters of the password (%23)")
    try:
        parts = urlsplit(url)
        options = dict(parse_qsl(parts.query, keep_blank_values=True, strict_parsing=bool(parts.query)))
    except ValueError:
        # The library's errors repeat what they were given, and that may be the password.
        raise ValueError("can't be read as a URL; percent-encode special characters of the password") from None
    if scheme != "unix" and "@" in parts.path + parts.query:
        raise ValueError("has its '@' after a '/' or '?'; percent-encode special characters of the password (%2F, %3F)")
    unknown = sorted(set(options) - set(_OPTIONS[scheme]))
    if unknown:
        raise ValueError(f"has unknown options: {', '.join(unknown)}")
    user, _, hosts = parts.netloc.rpartition("@")
    username, _, password = user.partition(":")
    login: dict[str, Any] = {"username": unquote(username) or None, "password": unquote(password) or None}
    if scheme == "unix":
        if not parts.path:
            raise ValueError("has no socket path")
        return Address(scheme, path=unquote(parts.path), db=_db(options.get("db", "")), **login)
    if scheme != "sentinel" and "," in hosts:
        raise ValueError("has several hosts; that is for sentinel://")
    address = Address(
        scheme,
        hosts=tuple(_host(each, _DEFAULT_PORT[scheme]) for each in hosts.split(",")),
        db=_db(parts.path.removeprefix("/")),
        tls=_tls(options) if scheme == "rediss" else {},
        master_name=options.get("master_name", ""),
        sentinel_auth={
            name: options[f"sentinel_{name}"] for name in ("username", "password") if f"sentinel_{name}" in options
        },
        **login,
    )
    if scheme == "sentinel" and not address.master_name:
        raise ValueError("needs ?master_name=… for sentinel://")
    return address


def _db(text: str) -> int:
    if text and not (text.isascii() and text.isdigit()):
        raise ValueError("must end in a database number; percent-encode special characters of the password (%2F)")
    return int(text or 0)


def _host(text: str, default_port: int) -> tuple[str, int]:
    parts = urlsplit("//" + text)
    if not parts.hostname:
        raise ValueError("has no host; percent-encode special characters of the password")
    try:
        return parts.hostname, parts.port or default_port
    except ValueError:
        raise ValueError("has a port that isn't a number; percent-encode special characters of the password") from None


def _tls(options: dict[str, str]) -> dict[str, Any]:
    required = options.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if required not in {"required", "none"}:
        raise ValueError("ssl_cert_reqs must be 'required' or 'none'")
    if required == "none":
        warnings.warn("SMSQ_REDIS_URL: the server's certificate isn't verified (ssl_cert_reqs=none)", stacklevel=4)
    given = {name: options[name] for name in _TLS_OPTIONS if name in options}
    return {"ssl_cert_reqs": required, "ssl_check_hostname": required == "required", **given}
