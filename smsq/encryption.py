"""Messages and numbers are encrypted while Redis has them, if `SMSQ_ENCRYPTION_KEY` is set.

AES-256-GCM, from the library `cryptography`. Each message is encrypted under a key of its own, derived from one of the
setting's and the job's id: no key is ever used for more than one job, and no record can be passed off as another's.

A sealed value begins with a head of fixed length::

    1 byte   1, the form's version: neither JSON nor a number begins so
    5 bytes  which key it was (a hash of it)
    9 bytes  the number's mark, a keyed hash: by it `smsq forget` finds a person's jobs

A message's goes on with 12 random bytes and what was encrypted. A number's goes on with that alone, under a key that is
derived from its mark and so encrypts nothing but this number; it is in base64, 64 characters at most. Whoever reads
Redis without the key sees which jobs have the same number, and how long texts are; nothing else of either.

The first key encrypts, each one decrypts, so that keys can be changed while jobs wait.
"""

import base64
import binascii
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from smsq.errors import InvalidSms
from smsq.extras import missing

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

#: What sealed values begin with, as bytes, and in base64.
SEALED: Final = b"\x01"
_SEALED_TEXT: Final = "A"
_VERSION_AND_KEY: Final = 6
_HEAD: Final = 15
#: Random bytes of a sealed message.
NONCE: Final = 12
_KEY_BYTES: Final = 32
_CONTENT: Final = 16
#: A number's key encrypts this number and no other, so that nothing is ever encrypted differently under one nonce.
_NO_NONCE: Final = bytes(NONCE)

#: As a job's error it stays below the 64 bytes above which Redis stores a record at twice its size.
NO_KEY: Final = "a worker lacks its key (SMSQ_ENCRYPTION_KEY)"
_DAMAGED: Final = "was changed since it was encrypted"
_FORM: Final = "must be keys of 32 bytes each in base64, with commas between them: openssl rand -base64 32 makes one"


class NoKey(Exception):  # noqa: N818 - what is missing, and nothing that went wrong
    """A sealed value's key isn't known here; another process may have it."""

    def __init__(self) -> None:
        super().__init__(NO_KEY)


@dataclass(frozen=True, slots=True)
class Marks:
    """By what a number is found in sealed values: a head for each key, as bytes and in base64."""

    heads: tuple[bytes, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The same, as sealed numbers begin."""
        return tuple(base64.b64encode(head).decode() for head in self.heads)


NO_MARKS: Final = Marks()


class _Key:
    """One key of the setting, and what is derived from it."""

    def __init__(self, secret: bytes, aead: "type[AESGCM]") -> None:
        self._secret = secret
        self._aead = aead
        identity = self._derive(b"identity", b"", _VERSION_AND_KEY - len(SEALED))
        self.head = SEALED + identity
        self.name = identity.hex()

    def _derive(self, purpose: bytes, data: bytes, size: int) -> bytes:
        # Keyed BLAKE2: unlike `hmac` it keeps the interpreter's lock, which `enqueue_many`'s threads would fight for.
        return hashlib.blake2b(data, key=self._secret, person=purpose, digest_size=size).digest()

    def head_of(self, number: bytes) -> bytes:
        return self.head + self._derive(b"number", number, _HEAD - _VERSION_AND_KEY)

    def of_job(self, job_id: str) -> "AESGCM":
        return self._aead(self._derive(b"message", job_id.encode(), _KEY_BYTES))

    def of_number(self, head: bytes) -> "AESGCM":
        return self._aead(self._derive(b"recipient", head, _KEY_BYTES))

    def content(self, message: bytes) -> str:
        return f"{self.name}.{self._derive(b'content', message, _CONTENT).hex()}"


class Cipher:
    """Seals and opens by the keys of `SMSQ_ENCRYPTION_KEY`.

    Args:
        keys: The keys of 32 bytes each; the first one encrypts.

    Raises:
        ValueError: The library isn't installed.
    """

    def __init__(self, keys: Sequence[bytes]) -> None:
        try:
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM
        except ImportError:
            raise ValueError(missing("cryptography", "encryption")) from None
        self._keys = [_Key(each, AESGCM) for each in keys]
        self._first = self._keys[0]
        self._by_head = {each.head: each for each in self._keys}

    @classmethod
    def parse(cls, setting: str) -> Self:
        """Reads the setting.

        Raises:
            ValueError: It isn't of its form, or the library isn't installed. The text never repeats a key.
        """
        return cls([_decoded(each.strip()) for each in setting.split(",")])

    def seal_message(self, message: str, job_id: str, number: str, nonce: bytes) -> bytes:
        """Encrypts a message.

        Args:
            message: As `message.dump` writes it.
            job_id: Its job.
            number: Its recipient.
            nonce: `NONCE` random bytes.

        Returns:
            What the record stores in its place.
        """
        head = self._first.head_of(number.encode())
        return head + nonce + self._first.of_job(job_id).encrypt(nonce, message.encode(), head)

    def open_message(self, sealed: bytes, job_id: str) -> bytes:
        """Decrypts what `seal_message` gave.

        Raises:
            NoKey: Its key isn't among these.
            InvalidSms: It was changed, or is another job's.
        """
        head, nonce = sealed[:_HEAD], sealed[_HEAD : _HEAD + NONCE]
        return _decrypted(self._key_of(head).of_job(job_id), nonce, sealed[_HEAD + NONCE :], head)

    def seal_number(self, number: str) -> str:
        """Encrypts a number, always to the same text under the same key."""
        head = self._first.head_of(number.encode())
        sealed = self._first.of_number(head).encrypt(_NO_NONCE, number.encode(), head)
        return base64.b64encode(head + sealed).decode()

    def open_number(self, sealed: str) -> str:
        """Decrypts what `seal_number` gave.

        Raises:
            NoKey: Its key isn't among these.
            InvalidSms: It was changed.
        """
        try:
            raw = base64.b64decode(sealed, validate=True)
        except binascii.Error:
            raise InvalidSms({"recipient": _DAMAGED}) from None
        head = raw[:_HEAD]
        return _decrypted(self._key_of(head).of_number(head), _NO_NONCE, raw[_HEAD:], head).decode()

    def marks(self, number: str) -> Marks:
        """Returns by what a number is found, under whichever of the keys."""
        return Marks(tuple(key.head_of(number.encode()) for key in self._keys))

    def contents(self, message: str) -> str:
        """Returns the hashes of a message, one for each key, with spaces between; the first is the one to store.

        The number can't be guessed from one of them without its key.
        """
        return " ".join(key.content(message.encode()) for key in self._keys)

    def _key_of(self, head: bytes) -> _Key:
        if key := self._by_head.get(head[:_VERSION_AND_KEY]):
            return key
        raise NoKey


def open_message(cipher: Cipher | None, stored: bytes, job_id: str) -> bytes:
    """Returns the message that a record stores, decrypted if it is sealed.

    Raises:
        NoKey: Its key isn't known here.
        InvalidSms: It was changed since it was sealed.
    """
    if not stored.startswith(SEALED):
        return stored
    if cipher is None:
        raise NoKey
    return cipher.open_message(stored, job_id)


def open_number(cipher: Cipher | None, stored: str) -> str:
    """Returns the number that a record stores, decrypted if it is sealed; raises as `open_message`."""
    if not stored.startswith(_SEALED_TEXT):
        return stored
    if cipher is None:
        raise NoKey
    return cipher.open_number(stored)


def _decrypted(key: "AESGCM", nonce: bytes, sealed: bytes, head: bytes) -> bytes:
    from cryptography.exceptions import InvalidTag

    try:
        return key.decrypt(nonce, sealed, head)
    except (InvalidTag, ValueError):  # a ValueError where it is too short to have been sealed
        raise InvalidSms({"sms": _DAMAGED}) from None


def _decoded(key: str) -> bytes:
    """A key of the setting. Both alphabets of base64 are taken: Fernet's keys are keys as well."""
    try:
        secret = base64.b64decode(key.replace("-", "+").replace("_", "/"), validate=True)
    except (binascii.Error, ValueError):
        secret = b""
    if len(secret) != _KEY_BYTES:
        raise ValueError(_FORM)
    return secret
