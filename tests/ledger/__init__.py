"""The ledger: its scripts as a state machine, rule by rule, on a real server; and the connections that run them."""

import pytest

# What tests share asserts too, and must say what it saw.
pytest.register_assert_rewrite(
    *(
        f"tests.ledger.{module}"
        for module in (
            "actor", "agreement", "asking_machine", "asking_model", "calls", "machine", "model", "troubles",
            "worker_rules",
        )
    )
)  # fmt: skip
