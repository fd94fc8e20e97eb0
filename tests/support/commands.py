"""Celery's command line as processes: `celery -A worker …`, as an operator types it."""

import subprocess
import sys
from collections.abc import Iterable, Mapping
from pathlib import Path

ROOT = Path(__file__).parents[2]


def start_celery(env: Mapping[str, str], *arguments: str) -> "subprocess.Popen[str]":
    """Starts a command.

    Args:
        env: Its whole environment (`tests.support.worker.environment`).
        arguments: What follows `celery -A worker`.

    Returns:
        The running process, with its output in pipes.
    """
    return subprocess.Popen(
        [sys.executable, "-m", "celery", "-A", "worker", *arguments],
        cwd=ROOT,
        env=dict(env),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: "subprocess.Popen[str]", timeout: float = 60.0) -> "subprocess.CompletedProcess[str]":
    """Waits for a command's end and returns its exit code and output; one that doesn't end is killed.

    Args:
        process: What `start_celery` returned.
        timeout: Seconds to wait at most.
    """
    try:
        out, err = process.communicate(timeout=timeout)
    except subprocess.TimeoutExpired:
        process.kill()
        out, err = process.communicate()
        raise AssertionError(f"the command did not end:\n{out[-2000:]}\n{err[-2000:]}") from None
    return subprocess.CompletedProcess(process.args, process.returncode, out, err)


def celery(env: Mapping[str, str], *arguments: str) -> "subprocess.CompletedProcess[str]":
    """Runs a command to its end."""
    return finish(start_celery(env, *arguments))


def celery_all(
    env: Mapping[str, str], commands: Iterable[tuple[Iterable[str], Mapping[str, str]]]
) -> list["subprocess.CompletedProcess[str]"]:
    """Runs commands beside each other, each with its own arguments and variables on top of the environment."""
    processes = [start_celery({**env, **more}, *arguments) for arguments, more in commands]
    return [finish(process) for process in processes]
