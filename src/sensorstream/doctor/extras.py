"""The optional extras: what each is for, and which are installed."""

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Final

from sensorstream.doctor.results import Check


@dataclass(frozen=True, slots=True)
class Extra:
    """An extra: what it is for, and the module by which each of its packages is known."""

    name: str
    purpose: str
    modules: Mapping[str, str]


EXTRAS: Final = (
    Extra("fast", "the faster client, librdkafka", {"confluent-kafka": "confluent_kafka"}),
    Extra("codecs", "snappy and zstd with kafka-python", {"python-snappy": "snappy", "zstandard": "zstandard"}),
    Extra("files", "sources compressed with zstd", {"backports.zstd": "backports.zstd"}),
    Extra("avro", "Avro and JSON Schema", {"fastavro": "fastavro", "jsonschema": "jsonschema"}),
    Extra("storage", "Parquet, and query", {"duckdb": "duckdb", "pyarrow": "pyarrow"}),
    Extra("ml", "training of scorers", {"scikit-learn": "sklearn"}),
    Extra("onnx", "ONNX scorers", {"onnxruntime": "onnxruntime", "tokenizers": "tokenizers"}),
    Extra("secure", "cluster up --secure, and the keyring", {"cryptography": "cryptography", "keyring": "keyring"}),
    Extra(
        "monitor",
        "the screen and the page of monitor, latencies, metrics",
        {
            "hdrhistogram": "hdrh",
            "prometheus-client": "prometheus_client",
            "starlette": "starlette",
            "textual": "textual",
            "uvicorn": "uvicorn",
        },
    ),
    Extra("plot", "plots and reports", {"matplotlib": "matplotlib", "plotext": "plotext"}),
)


def installed(module: str) -> bool:
    """Whether a module is there; it is not imported."""
    try:
        return find_spec(module) is not None
    except ModuleNotFoundError:  # the package that it is in is missing
        return module == "backports.zstd" and sys.version_info >= (3, 14)  # Python has it itself
    except ValueError:
        return False


def check_extras() -> list[Check]:
    """Which extras are there. One that is missing is nobody's fault; one of which a part is missing is told."""
    missing = [
        (extra, [package for package, module in extra.modules.items() if not installed(module)]) for extra in EXTRAS
    ]
    there = [extra.name for extra, packages in missing if not packages]
    absent = [extra for extra, packages in missing if len(packages) == len(extra.modules)]
    checks = [
        Check(
            "machine",
            "extras",
            extra.name,
            "warning",
            f"{', '.join(packages)} missing, needed for {extra.purpose}",
            f"pip install 'sensorstream[{extra.name}]'",
        )
        for extra, packages in missing
        if packages and extra not in absent
    ]
    found = f"installed: {', '.join(there) or 'none'}"
    advice = None
    if absent:
        found += "; not installed: " + ", ".join(f"{extra.name} ({extra.purpose})" for extra in absent)
        names = ",".join(extra.name for extra in absent)
        advice = f"if you need them: pip install 'sensorstream[{names}]'"
    return [Check("machine", "extras", None, "ok", found, advice), *checks]
