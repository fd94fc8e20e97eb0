"""SQLAlchemy: messages that belong to a transaction of a session.

::

    outbox = Outbox(Base.metadata, SmsQueue("redis://redis:6379/0"))    # a table beside yours, for Alembic too

    with Session.begin() as session:
        session.add(order)
        outbox.enqueue(session, Sms(recipient=order.phone, text="Accepted"))

Rolled back, nothing is sent. Committed, the queue gets it at once; `python -m smsq.contrib.sqlalchemy relay` does what
that missed.
"""

from smsq.extras import require

require(__name__, "sqlalchemy", "sqlalchemy")

from smsq.contrib.sqlalchemy.outbox import Outbox, OutboxMessage  # noqa: E402 - what is missing is said first

__all__ = ["Outbox", "OutboxMessage"]
