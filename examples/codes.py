"""The one-time codes that the examples send. A real application may keep them in its database instead.

`EXAMPLE_SECRET` is what they are made with: give it, if several processes serve the same users.
"""

import hmac
import os
import secrets

_SECRET = os.environ.get("EXAMPLE_SECRET", "").encode() or secrets.token_bytes(32)


def code_for(key: str, phone: str) -> str:
    """Returns the six digits for one request of a user.

    The same request gives the same code: it may be repeated, and an idempotency key stands for one content.

    Args:
        key: The request's idempotency key.
        phone: Who asked for a code.
    """
    request = f"{key}\n{phone}".encode(errors="replace")  # it isn't checked yet: JSON may have what UTF-8 hasn't
    number = int.from_bytes(hmac.digest(_SECRET, request, "sha256")[:8])
    return f"{number % 1_000_000:06}"
