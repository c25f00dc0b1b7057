"""The program started warm: a process that has imported it forks one for each command.

Half a second of processor time goes into each start of the program, nearly all of it into imports, and the tests start
it many hundred times. What is forked here is a process of its own as any other, with its own arguments, environment,
folder, streams, signals and exit code; only its imports were done before, and what was imported is not taken apart at
its end. A start from cold is what ``PROGRAM`` of ``running.py`` makes, and what all are with
``SENSORSTREAM_TEST_COLD=1``.

Run as a program, with a path for its socket, this file is the process that forks. It ends when its stdin does.
"""

import atexit
import contextlib
import gc
import importlib
import io
import os
import pkgutil
import runpy
import select
import shlex
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NoReturn

BEFORE_PYTHON = ("PYTHON", "LC_", "LANG")
"""What Python reads of an environment while it starts: commands that need another one are started from cold."""
STREAMS = 3
SESSION = 2
"""Where it stands in a message whether a command begins a session of its own."""


# -- the side that asks ------------------------------------------------------------------------------------------------


class Warm:
    """The process that forks, as this one knows it. It is started when it is first needed."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process: subprocess.Popen[bytes] | None = None
        self._owner = 0
        self._folder = Path()
        self._before_python: dict[str, str] = {}

    @property
    def address(self) -> str:
        """The path of its socket; it listens there when this returns."""
        with self._lock:
            # A fork of this process has a copy of what is known here, and no process that it may wait for.
            if self._process is None or self._owner != os.getpid() or self._process.poll() is not None:
                self._start()
            return str(self._folder / "socket")

    def fits(self, environment: Mapping[str, str]) -> bool:
        """Whether what Python reads of an environment while it starts was the same when that process was started."""
        return bool(self.address) and before_python(environment) == self._before_python

    def _start(self) -> None:
        self._owner = os.getpid()
        # Not where pytest makes its folders: the path of a socket must be short.
        self._folder = Path(tempfile.mkdtemp(prefix="warm-"))
        self._before_python = before_python(os.environ)
        self._process = subprocess.Popen(
            [sys.executable, __file__, str(self._folder / "socket")],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert self._process.stdout.readline() == b"ready\n"
        atexit.register(self._end, self._process)

    @staticmethod
    def _end(process: "subprocess.Popen[bytes]") -> None:
        assert process.stdin is not None
        process.stdin.close()
        process.wait(60)


WARM = Warm()


def before_python(environment: Mapping[str, str]) -> dict[str, str]:
    return {key: value for key, value in environment.items() if key.startswith(BEFORE_PYTHON)}


def fits(environment: Mapping[str, str]) -> bool:
    """Whether a command with this environment may be forked; else it is started from cold."""
    wanted = hasattr(os, "fork") and not os.environ.get("SENSORSTREAM_TEST_COLD")
    return wanted and WARM.fits(environment)


def message(
    cwd: Path, arguments: Sequence[str], environment: Mapping[str, str], *, script: Path | None, session: bool
) -> bytes:
    """What is asked for: words with a NUL between them, which none can hold; no ``script`` is the program."""
    words = [str(cwd), str(script or ""), str(int(session)), str(len(arguments)), *arguments]
    return b"\0".join(map(os.fsencode, [*words, *(f"{key}={value}" for key, value in environment.items())]))


class Forked:
    """A command that was forked, used as a ``subprocess.Popen`` is; ``session``: it begins one of its own."""

    def __init__(
        self, arguments: Sequence[str], cwd: Path | None, environment: Mapping[str, str], *, session: bool = False
    ) -> None:
        self.args = ["sensorstream", *arguments]
        self.returncode: int | None = None
        asked = message(cwd or Path.cwd(), arguments, environment, script=None, session=session)
        out, err = os.pipe(), os.pipe()
        self.stdout, self.stderr = open(out[0], "rb"), open(err[0], "rb")  # noqa: PTH123, SIM115  # not by a path
        self._answers = socket.socket(socket.AF_UNIX)
        try:
            self._answers.connect(WARM.address)
            with Path(os.devnull).open("rb") as nothing:
                streams = [nothing.fileno(), out[1], err[1]]
                socket.send_fds(self._answers, [len(asked).to_bytes(4, "big")], streams)
                self._answers.sendall(asked)
        finally:
            os.close(out[1])
            os.close(err[1])
        # Unbuffered: a command may be over before its pid is read, and what is in a buffer, select does not see.
        self._told = self._answers.makefile("rb", buffering=0)
        self.pid = int(self._told.readline())

    def poll(self, within_s: float | None = 0) -> int | None:
        if self.returncode is None and select.select([self._answers], [], [], within_s)[0]:
            self.returncode = int(self._told.readline())
            self._told.close()
            self._answers.close()  # only now is it reaped: its pid is nobody else's before
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        code = self.poll(timeout)
        if code is None:
            raise subprocess.TimeoutExpired(self.args, timeout or 0)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def terminate(self) -> None:
        self.send_signal(signal.SIGTERM)

    def kill(self) -> None:
        self.send_signal(signal.SIGKILL)

    def communicate(self, timeout: float) -> tuple[bytes, bytes]:
        """Read all that it says, and wait for its end."""
        said = {self.stdout: b"", self.stderr: b""}
        deadline = time.monotonic() + timeout
        left = list(said)
        while left and (ready := select.select(left, [], [], max(0.0, deadline - time.monotonic()))[0]):
            for stream in ready:
                part = stream.read1()
                said[stream] += part
                if not part:
                    left.remove(stream)
        self.wait(max(0.0, deadline - time.monotonic()))
        return said[self.stdout], said[self.stderr]

    def close(self) -> None:
        self.stdout.close()
        self.stderr.close()


def text_of(said: bytes) -> str:
    """As a stream of text gives it."""
    return io.TextIOWrapper(io.BytesIO(said)).read()


def run(
    arguments: Sequence[str], cwd: Path | None, environment: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """Run a command of the program to its end, as ``subprocess.run`` does with its output captured as text."""
    forked = Forked(arguments, cwd, environment)
    try:
        out, err = forked.communicate(timeout)
    finally:
        forked.kill()
        code = forked.wait()
        forked.close()
    return subprocess.CompletedProcess(forked.args, code, text_of(out), text_of(err))


# socket, signal and json would take longer to import than all the rest of this takes.
PROXY = """#!{python} -IS
import _signal, _socket, os, sys
words = [os.getcwdb(), {script!r}, b"0", b"%d" % len(sys.argv[1:]), *map(os.fsencode, sys.argv[1:])]
asked = b"\\0".join([*words, *(b"%s=%s" % pair for pair in os.environb.items())])
answers = _socket.socket(_socket.AF_UNIX, _socket.SOCK_STREAM)
answers.connect({address!r})
streams = b"".join(number.to_bytes(4, sys.byteorder) for number in (0, 1, 2))
answers.sendmsg([len(asked).to_bytes(4, "big")], [(_socket.SOL_SOCKET, _socket.SCM_RIGHTS, streams)])
answers.sendall(asked)
told = os.fdopen(answers.detach(), "rb")
pid = int(told.readline())
for number in (_signal.SIGINT, _signal.SIGTERM):
    _signal.signal(number, lambda number, _: os.kill(pid, number))
code = int(told.readline() or b"1")
if code < 0:
    _signal.signal(-code, _signal.SIG_DFL)
    os.kill(os.getpid(), -code)
os._exit(code)
"""
"""A program that has a script run in a fork with its own arguments, streams, folder and environment."""


def write_program(path: Path, script: Path) -> None:
    """Write a program for a shell: it is ``script``, a file of Python."""
    if fits(os.environ):
        text = PROXY.format(python=sys.executable, script=os.fsencode(script), address=WARM.address)
    else:
        text = f'#!/bin/sh\nexec {shlex.quote(sys.executable)} {shlex.quote(str(script))} "$@"\n'
    path.write_text(text, encoding="utf-8")
    path.chmod(0o755)


# -- the side that forks -----------------------------------------------------------------------------------------------

LEFT_OUT = (
    "sensorstream.cli.worker",
    "sensorstream.monitor.screen",
    "sensorstream.sentiment.language_model",
    "sensorstream.sentiment.window",
    "sensorstream.testing",
)
"""Parts that import much for few commands, or start threads: a fork has only the thread that forks."""
AS_WELL = (
    "confluent_kafka",
    "kafka",
    "logging.handlers",
    "numpy",
    "pickle",
    "platformdirs",
    "rich.live",
    "rich.progress",
    "rich.table",
    "urllib.request",
    "vaderSentiment.vaderSentiment",
)
"""What functions of the program import that most commands call."""


def import_ahead() -> None:
    """Import the program, and parse a command line: what typer needs for that it imports at the first one."""
    from typer.main import get_command

    import sensorstream
    from sensorstream.cli.app import app

    os.environ["OPENBLAS_NUM_THREADS"] = "1"  # numpy starts no threads then

    for module in pkgutil.walk_packages(sensorstream.__path__, "sensorstream."):
        if not module.name.startswith(LEFT_OUT) and not module.name.endswith("__main__"):
            importlib.import_module(module.name)
    for name in AS_WELL:
        importlib.import_module(name)
    get_command(app).make_context("sensorstream", ["topics", "list"]).close()
    assert threading.active_count() == 1
    if sys.platform == "linux":
        assert len(list(Path("/proc/self/task").iterdir())) == 1  # threads of libraries in C, too
    assert "pandas" not in sys.modules


def serve(path: str) -> list[bytes]:
    """Fork a process for each command that is asked for; returns in each of these, with what it is to run."""
    listening = socket.socket(socket.AF_UNIX)
    listening.bind(path)
    listening.listen(64)
    ended, woken = os.pipe()
    os.set_blocking(ended, False)
    os.set_blocking(woken, False)
    interrupted = signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal's Ctrl-C is for those who use this
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    running: dict[int, socket.socket] = {}
    over: dict[int, int] = {}  # by connection: those who have ended, and whose pid must stay theirs for a while
    gc.freeze()  # what is here stays, and no collector of a fork writes to it
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        ready = select.select([0, listening.fileno(), ended, *over], [], [])[0]
        if 0 in ready:
            shutil.rmtree(Path(path).parent, ignore_errors=True)  # whoever has made it may have been killed
            sys.exit()
        for number in [number for number in over if number in ready]:
            os.close(number)
            os.waitpid(over.pop(number), 0)
        if ended in ready:
            os.read(ended, 4096)
            for pid in list(running):
                result = os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
                if result is not None:
                    code = result.si_status if result.si_code == os.CLD_EXITED else -result.si_status
                    connection = running.pop(pid)
                    with contextlib.suppress(OSError):  # whoever asked is gone
                        connection.sendall(b"%d\n" % code)
                    over[connection.detach()] = pid
        if listening.fileno() not in ready:
            continue
        connection = listening.accept()[0]
        asked, streams = received(connection)
        pid = os.fork()
        if pid:
            running[pid] = connection
            for stream in streams:
                os.close(stream)
            continue
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, interrupted)
        if asked[SESSION] == b"1":
            os.setsid()
        connection.sendall(b"%d\n" % os.getpid())
        for number, stream in enumerate(streams):
            os.dup2(stream, number)
        others = [listening.fileno(), connection.fileno(), ended, woken, *streams, *over]
        for number in (*others, *(one.fileno() for one in running.values())):
            os.close(number)
        for one in (listening, connection, *running.values()):
            one.detach()
        return asked


def received(connection: socket.socket) -> tuple[list[bytes], list[int]]:
    size, streams, _, _ = socket.recv_fds(connection, 4, STREAMS)
    left, parts = int.from_bytes(size, "big"), []
    while left:
        parts.append(connection.recv(left))
        left -= len(parts[-1])
    return b"".join(parts).split(b"\0"), streams


def become(asked: Sequence[bytes]) -> None:
    """Run the program, or a script, in this process as if Python had been started for it."""
    cwd, script, _, arguments, *words = map(os.fsdecode, asked)
    os.environ.clear()
    os.environ.update(dict(word.split("=", 1) for word in words[int(arguments) :]))
    os.chdir(cwd)
    time.tzset()
    tempfile.tempdir = None
    sys.path[0] = str(Path(script).parent) if script else cwd
    sys.argv = [script or "sensorstream", *words[: int(arguments)]]
    code = 0
    try:
        if script:
            runpy.run_path(script, run_name="__main__")
        else:
            runpy.run_module("sensorstream", run_name="__main__", alter_sys=True)
    except SystemExit as ended:
        if not isinstance(ended.code, int | None):
            raise
        code = ended.code or 0
    end(code)


def end(code: int) -> NoReturn:
    """End this process as Python does, but for taking apart what was imported.

    That writes to nearly every page which is shared until then, and takes longer than many a command.
    """
    threading._shutdown()  # type: ignore[attr-defined]
    atexit._run_exitfuncs()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    import_ahead()
    become(serve(sys.argv[1]))
