"""The sinks where the operating system lacks what Linux has."""

import subprocess
import sys
from pathlib import Path

PROGRAM = """
import os, sys
from pathlib import Path
del os.fdatasync
from sensorstream.records import ConsumedRecord
from sensorstream.sinks.checkpoint import Checkpoint
from sensorstream.sinks.csv_file import CsvFileSink
sink = CsvFileSink(Path(sys.argv[1]), Checkpoint("AIR", 0, "c", "t", "csv", raw=False, next_offset=0))
sink.open()
sink.start(0)
sink.write([ConsumedRecord("AIR", 0, 0, 0, None, b'{"a": 1}')])
sink.commit(1)
sink.close()
"""


def test_a_system_without_fdatasync_stores_all_the_same(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(tmp_path / "a.csv")],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "a.csv").read_text(encoding="utf-8") == "a\n1\n"
