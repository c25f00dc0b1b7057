"""The live screen ends with exit code 5 when a condition holds; here one that holds where nobody answers."""

import fcntl
import os
import pty
import struct
import subprocess
import sys
import termios
import threading

from sensorstream.errors import ExitCode


def test_the_screen_ends_when_a_condition_holds() -> None:
    ours, its = pty.openpty()
    fcntl.ioctl(its, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    command = [sys.executable, "-m", "sensorstream", "monitor", "--fail-if", "brokers < 1", "-b", "127.0.0.1:1"]
    shown: list[bytes] = []
    process = subprocess.Popen(
        command, stdin=its, stdout=its, stderr=its, env={**os.environ, "TERM": "xterm-256color"}, start_new_session=True
    )
    os.close(its)

    def read() -> None:
        try:
            while part := os.read(ours, 4096):
                shown.append(part)
        except OSError:
            pass  # the other end is closed

    reading = threading.Thread(target=read, daemon=True)
    reading.start()
    try:
        assert process.wait(120) == ExitCode.THRESHOLD, b"".join(shown)[-2000:]
        reading.join(10)
        last = b"".join(shown).decode("utf-8", "replace")
        assert "--fail-if 'brokers < 1' holds: brokers < 1: 0" in last
        assert "Traceback" not in last
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()
        os.close(ours)
