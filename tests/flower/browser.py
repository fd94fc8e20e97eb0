"""Chromium without a screen: what a page holds once its scripts have run, and a picture of it."""

import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Final

#: Its names: Debian's, Ubuntu's, and that of Google's build.
NAMES: Final = ("chromium", "chromium-browser", "google-chrome")
_QUIET: Final = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--window-size=1100,1000",
    "--force-device-scale-factor=0.8",
    # The page's own clock: five seconds of its timers pass at once, whenever its requests are answered.
    "--virtual-time-budget=5000",
)


def installed() -> str | None:
    """Returns the program, None if there is none."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


class Browser:
    """A browser; each page is opened by a new process with a profile of its own.

    Args:
        program: `installed`.
        profiles: The folder that the profiles go to.
        pictures: The folder that the pictures go to.
    """

    def __init__(self, program: str, profiles: Path, pictures: Path) -> None:
        self._program = program
        self._profiles = profiles
        self._pictures = pictures

    def open(self, url: str, name: str | None = None) -> str:
        """Opens a page.

        Args:
            url: Its address.
            name: What its picture is called, without `.png`; None takes none.

        Returns:
            The document as the scripts have left it.
        """
        profile = tempfile.mkdtemp(dir=self._profiles)
        to_do = ["--dump-dom", *([f"--screenshot={self._pictures / name}.png"] if name else [])]
        line = [self._program, *_QUIET, f"--user-data-dir={profile}", *to_do, url]
        ended = subprocess.run(line, capture_output=True, timeout=60, check=True)
        return ended.stdout.decode()
