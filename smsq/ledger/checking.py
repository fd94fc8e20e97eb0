"""What health checks ask the ledger."""

import json
from collections.abc import Mapping
from typing import Any

from smsq.scripts import Call, script, text


def health(late: int) -> Call[Mapping[str, Any]]:
    """Reads what `health.lua` says of workers and of what is late.

    Args:
        late: Milliseconds by which an entry of `due` must be late to be counted.
    """

    def parse(answer: bytes) -> Mapping[str, Any]:
        return dict(json.loads(text(answer)))

    return Call(script("health"), [late], parse)
