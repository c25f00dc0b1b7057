"""What tests on the shared brokers begin with."""

import pytest

from sensorstream.config import Settings


@pytest.fixture
def settings(broker: tuple[str, ...]) -> Settings:
    """Settings that name the brokers of the whole run."""
    return Settings(bootstrap=broker)
