"""Fixtures: the wheel, and the image that is made of it."""

from pathlib import Path

import pytest

from tests.packaging.environment import build_wheel
from tests.packaging.image import Image


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def image(tmp_path_factory: pytest.TempPathFactory, wheel: Path) -> Image:
    """The image, made as the Dockerfile says."""
    return Image(tmp_path_factory.mktemp("image"), wheel)
