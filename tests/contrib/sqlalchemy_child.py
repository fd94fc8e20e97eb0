"""A web process on SQLAlchemy that is killed at one step: `python -m tests.contrib.sqlalchemy_child STEP RECIPIENT`.

DATABASE_URL names the database; with ASYNC, the session is async.
"""

import asyncio
import os
import sys

from sqlalchemy import MetaData, create_engine, event
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine
from sqlalchemy.orm import Session

from smsq import Sms, SmsQueue
from smsq.contrib.sqlalchemy import Outbox
from tests.contrib import steps
from tests.contrib.databases import with_savepoints

OUTBOX = Outbox(MetaData(), SmsQueue.from_env)


def _listen(session: Session, wanted: str) -> None:
    @event.listens_for(session, "after_commit")
    def stop(its: Session) -> None:
        if not its.in_nested_transaction():
            steps.stop_here(steps.AFTER_COMMIT, wanted)


def main(wanted: str, recipient: str) -> None:
    """Promises one message."""
    with Session(with_savepoints(create_engine(os.environ["DATABASE_URL"]))) as session:
        _listen(session, wanted)
        with session.begin_nested() as savepoint:
            message = OUTBOX.enqueue(session, Sms(recipient=recipient, text="text"), lane="urgent")
            if wanted == steps.SAVEPOINT_ROLLED_BACK:
                savepoint.rollback()
        print(message.id, flush=True)
        steps.stop_here(steps.BEFORE_COMMIT, wanted)
        if wanted != steps.ROLLED_BACK:
            session.commit()


async def amain(wanted: str, recipient: str) -> None:
    """Does the same with an async session."""
    engine = create_async_engine(os.environ["DATABASE_URL"])
    with_savepoints(engine.sync_engine)
    async with AsyncSession(engine) as session:
        _listen(session.sync_session, wanted)
        async with session.begin_nested() as savepoint:
            message = await OUTBOX.aenqueue(session, Sms(recipient=recipient, text="text"), lane="urgent")
            if wanted == steps.SAVEPOINT_ROLLED_BACK:
                await savepoint.rollback()
        print(message.id, flush=True)
        steps.stop_here(steps.BEFORE_COMMIT, wanted)
        if wanted != steps.ROLLED_BACK:
            await session.commit()


if __name__ == "__main__":
    steps.stop_after_handing_over(sys.argv[1])
    if os.environ.get("ASYNC"):
        asyncio.run(amain(*sys.argv[1:]))
    else:
        main(*sys.argv[1:])
