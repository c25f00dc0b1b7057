"""Run one command and print what it took, as JSON: ``python -S once.py COMMAND...``

A process of its own, and a small one: the peak memory that the kernel tells of a child begins with that of its parent.
"""

import json
import os
import subprocess
import sys
import time

began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
assert process.stderr is not None
said = process.stderr.read()
_, status, usage = os.wait4(process.pid, 0)
wall = time.perf_counter() - began
process.returncode = os.waitstatus_to_exitcode(status)
sys.stdout.write(
    json.dumps(
        {
            "code": process.returncode,
            "wall_s": wall,
            "cpu_s": usage.ru_utime + usage.ru_stime,
            "peak_bytes": usage.ru_maxrss * 1024,
            "said": said.decode(errors="replace"),
        }
    )
)
