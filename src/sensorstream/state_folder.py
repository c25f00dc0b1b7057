"""The folders for the state of clusters and workers, and for files that can be downloaded or created again."""

import os
from pathlib import Path


def state_folder() -> Path:
    """Where clusters are remembered: ``SENSORSTREAM_STATE_DIR``, or the user's state folder."""
    named = os.environ.get("SENSORSTREAM_STATE_DIR")
    if named:
        return Path(named).resolve()
    import platformdirs

    return Path(platformdirs.user_state_dir("sensorstream", appauthor=False)).resolve()


def cache_folder() -> Path:
    """What can be fetched or made again: ``SENSORSTREAM_CACHE_DIR``, or the user's cache folder."""
    named = os.environ.get("SENSORSTREAM_CACHE_DIR")
    if named:
        return Path(named).absolute()
    import platformdirs

    return Path(platformdirs.user_cache_dir("sensorstream", appauthor=False))
