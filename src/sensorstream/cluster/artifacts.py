"""Station 5: the jars of Apache Kafka, pinned by SHA-256, fetched once and verified before every use.

``pins/V.json`` in this package lists the class path of Kafka V as Maven coordinates with size and SHA-256 (made
by ``tools/pin_kafka.py``), so nothing is resolved at run time: each jar is fetched by its coordinate and must be
the pinned one. Jars are shared by all versions and clusters, in the user's cache folder.
"""

import hashlib
import json
import os
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from sensorstream.errors import ArtifactError, Interrupted, UsageError
from sensorstream.events import Listener, Notice, ignore
from sensorstream.state_folder import cache_folder
from sensorstream.wording import counted

DEFAULT_VERSION: Final = "4.4.0"
PINS: Final = Path(__file__).parent / "pins"
_DOWNLOADS: Final = 6
_TRIES: Final = 3
_TELL_EVERY_S: Final = 2.0
_STAMPS: Final = "verified.json"


@dataclass(frozen=True, slots=True)
class Jar:
    """One pinned file: ``group:artifact:version``, its SHA-256 in hexadecimal and its size in bytes.

    ``classifier`` and ``ending`` are Maven's, for what is no plain jar.
    """

    coordinate: str
    sha256: str
    size: int
    classifier: str = ""
    ending: str = "jar"

    @property
    def file_name(self) -> str:
        """The name in the cache; the group is part of it, as two groups may use one artifact name."""
        group, artifact, version = self.coordinate.split(":")
        return f"{group}.{artifact}-{version}{self.classifier and '-'}{self.classifier}.{self.ending}"


def version_key(version: str) -> tuple[int, ...]:
    """A version as numbers, for comparing: ``3.9.1`` is (3, 9, 1)."""
    return tuple(int(part) for part in version.split("."))


def pinned_versions() -> tuple[str, ...]:
    """The Kafka versions this package knows, oldest first."""
    return tuple(sorted((path.stem for path in PINS.glob("*.json")), key=version_key))


def choose_version(asked: str | None) -> str:
    """The pinned version that ``asked`` means: a full one, or ``3.9`` for its newest pinned patch; None: the default.

    Raises UsageError that lists the pinned versions.
    """
    if asked is None:
        return DEFAULT_VERSION
    known = pinned_versions()
    fitting = [version for version in known if version == asked or version.startswith(f"{asked}.")]
    if not fitting:
        raise UsageError(f"Kafka {asked} is not pinned here", hint=f"pinned are: {', '.join(known)}")
    return fitting[-1]


def pinned_jars(version: str) -> tuple[Jar, ...]:
    """The class path of a pinned version, in order."""
    pins = json.loads((PINS / f"{version}.json").read_text(encoding="utf-8"))
    return tuple(Jar(**jar) for jar in pins["jars"])


def fetch(
    version: str,
    *,
    offline: bool = False,
    listener: Listener = ignore,
    stop: threading.Event | None = None,
) -> tuple[Path, ...]:
    """The verified jars of a pinned Kafka version, in class path order; fetches those that are not in the cache.

    A jar that is not the pinned one (damaged, cut short) is fetched again. Several processes may do this at
    once: a jar is fetched into a private folder, verified there and renamed into place.
    Raises ArtifactError naming the jar that is missing or wrong, Interrupted when ``stop`` was set.
    """
    return fetch_files(
        pinned_jars(version),
        f"Kafka {version}",
        f"sensorstream cluster up --kafka-version {version}",
        offline=offline,
        listener=listener,
        stop=stop,
    )


def fetch_files(
    jars: Sequence[Jar],
    what: str,
    command: str,
    *,
    offline: bool = False,
    listener: Listener = ignore,
    stop: threading.Event | None = None,
) -> tuple[Path, ...]:
    """The same for any pinned files, those of ``what``; ``command`` would fetch them. Raises as :func:`fetch`."""
    folder = cache_folder() / "jars"
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise ArtifactError(
            f"the cache folder {folder} can't be made: {error.strerror}",
            hint="set SENSORSTREAM_CACHE_DIR to a folder that can be written",
        ) from error
    stamps = _Stamps(folder)
    wanted: list[Jar] = []
    for jar in jars:
        path = folder / jar.file_name
        if stamps.holds(jar, path):
            continue
        if path.exists():
            if _sha256(path) == jar.sha256:
                stamps.add(jar, path)
                continue
            listener(Notice(f"{jar.file_name} in the cache is damaged", "warning"))
            if not offline:
                path.unlink(missing_ok=True)
        wanted.append(jar)
    if wanted and offline:
        names = ", ".join(jar.file_name for jar in wanted[:2])
        noun = "jars" if all(jar.ending == "jar" for jar in jars) else "files"
        more = f" and {len(wanted) - 2} more" if len(wanted) > 2 else ""
        raise ArtifactError(
            f"--offline, and {len(wanted)} of the {len(jars)} {noun} of {what} are missing or damaged "
            f"in {folder}: {names}{more}",
            hint=f"run once with a network: {command}",
        )
    if wanted:
        _download(what, wanted, folder, listener, stop or threading.Event())
        for jar in wanted:
            stamps.add(jar, folder / jar.file_name)
    stamps.save()
    return tuple(folder / jar.file_name for jar in jars)


@dataclass(frozen=True, slots=True)
class Cached:
    """What is in the cache: the versions of Kafka that are there whole, and the names of damaged files."""

    versions: tuple[str, ...]
    damaged: tuple[str, ...]


def look_at_cache() -> Cached:
    """Look at the pinned files in the cache; nothing is fetched, mended or made."""
    folder = cache_folder() / "jars"
    stamps = _Stamps(folder)
    state: dict[str, bool | None] = {}

    def is_whole(jar: Jar) -> bool | None:
        path = folder / jar.file_name
        if not path.is_file():
            return None
        try:
            return stamps.holds(jar, path) or (path.stat().st_size == jar.size and _sha256(path) == jar.sha256)
        except OSError:
            return False

    whole = []
    for version in pinned_versions():
        jars = pinned_jars(version)
        for jar in jars:
            if jar.file_name not in state:
                state[jar.file_name] = is_whole(jar)
        if all(state[jar.file_name] for jar in jars):
            whole.append(version)
    return Cached(tuple(whole), tuple(name for name, good in sorted(state.items()) if good is False))


def _download(what: str, jars: list[Jar], folder: Path, listener: Listener, stop: threading.Event) -> None:
    counter = _Counter(what, sum(jar.size for jar in jars), listener)
    listener(Notice(f"downloading {what}: {counted(len(jars), 'file')}, {counter.total / 1e6:.0f} MB"))
    cancel = threading.Event()
    # Workers stop at the next chunk once `cancel` is set; a KeyboardInterrupt sets it on the way out as well.
    with _system_trust(), ThreadPoolExecutor(_DOWNLOADS, thread_name_prefix="download") as pool:
        try:
            tasks = [pool.submit(_download_one, jar, folder, counter, (stop, cancel)) for jar in jars]
            for task in as_completed(tasks):
                task.result()
        except BaseException:
            cancel.set()
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    counter.finish()


@contextmanager
def _system_trust() -> Iterator[None]:
    """Trust the certificates that the machine trusts, a company's proxy's among them, as pip does."""
    import truststore

    truststore.inject_into_ssl()
    try:
        yield
    finally:
        truststore.extract_from_ssl()


def _download_one(jar: Jar, folder: Path, counter: "_Counter", stops: tuple[threading.Event, threading.Event]) -> None:
    from jgo.maven import MavenContext
    from jgo.maven._resolver import PythonResolver

    @contextmanager
    def progress(_name: str, _total: int) -> Iterator[Any]:
        counted = 0

        def update(size: int) -> None:
            nonlocal counted
            if any(stop.is_set() for stop in stops):
                raise Interrupted("stopped while downloading", hint="what has been fetched is kept")
            counted += size
            counter.add(size)

        try:
            yield update
        except BaseException:
            counter.add(-counted)
            raise

    group, artifact, number = jar.coordinate.split(":")
    fault: Exception | None = None
    for _ in range(_TRIES):
        if any(stop.is_set() for stop in stops):
            raise Interrupted("stopped while downloading", hint="what has been fetched is kept")
        with tempfile.TemporaryDirectory(prefix=".incoming-", dir=folder) as incoming:
            context = MavenContext(PythonResolver(progress_callback=progress), repo_cache=Path(incoming), timeout=20)
            try:
                got = Path(
                    context.project(group, artifact).at_version(number).artifact(jar.classifier, jar.ending).resolve()
                )
            except (OSError, RuntimeError) as error:  # requests' errors are OSErrors
                fault = error
                continue
            if got.stat().st_size == jar.size and _sha256(got) == jar.sha256:
                got.replace(folder / jar.file_name)
                return
            counter.add(-got.stat().st_size)
            fault = None
    if fault is None:
        raise ArtifactError(
            f"{jar.coordinate} does not have the pinned SHA-256 {jar.sha256[:12]}…, though fetched {_TRIES} times",
            hint="something between here and the repository changes the file; it was not used",
        )
    raise ArtifactError(
        f"{jar.coordinate} can't be downloaded: {_cause(fault)}",
        hint="check the network (HTTPS_PROXY is honoured) and run the same command again; finished downloads are kept",
    ) from fault


def _cause(error: BaseException) -> str:
    """The innermost reason of a failed download, in one short line, without the address it was asked of."""
    while error.__cause__ is not None or error.__context__ is not None:
        error = error.__cause__ or error.__context__ or error
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    text = str(error).split(" in remote repositories ")[0].strip() or type(error).__name__
    return " ".join(text.split())[:160]


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


class _Counter:
    """Adds up the bytes of all downloads and says every few seconds how far they are."""

    def __init__(self, what: str, total: int, listener: Listener) -> None:
        self.total = total
        self._what = what
        self._listener = listener
        self._lock = threading.Lock()
        self._done = 0
        self._began = self._told = time.monotonic()

    def add(self, size: int) -> None:
        with self._lock:
            self._done += size
            now = time.monotonic()
            if now - self._told < _TELL_EVERY_S:
                return
            self._told = now
            rate = self._done / (now - self._began)
        self._listener(
            Notice(
                f"{self._what}: {self._done / 1e6:.0f} of {self.total / 1e6:.0f} MB downloaded, {rate / 1e6:.1f} MB/s"
            )
        )

    def finish(self) -> None:
        seconds = time.monotonic() - self._began
        self._listener(Notice(f"{self._what}: {self.total / 1e6:.0f} MB downloaded and verified in {seconds:.0f} s"))


class _Stamps:
    """Which jars were verified, by size and modification time: hashing 45 MB at each start would cost 0.1 s.

    A stamp holds for exactly the file that was hashed; any rewriting of it changes size or time.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / _STAMPS
        self._changed = False
        try:
            stamps = json.loads(self._path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            stamps = {}
        self._stamps: dict[str, Any] = stamps if isinstance(stamps, dict) else {}

    def holds(self, jar: Jar, path: Path) -> bool:
        try:
            stat = path.stat()
        except OSError:
            return False
        return self._stamps.get(jar.file_name) == [jar.sha256, stat.st_size, stat.st_mtime_ns]

    def add(self, jar: Jar, path: Path) -> None:
        stat = path.stat()
        self._stamps[jar.file_name] = [jar.sha256, stat.st_size, stat.st_mtime_ns]
        self._changed = True

    def save(self) -> None:
        """Losing a stamp to another process costs a hash, nothing else."""
        if self._changed:
            temporary = self._path.with_name(f"{_STAMPS}.{os.getpid()}")
            temporary.write_text(json.dumps(self._stamps), encoding="utf-8")
            temporary.replace(self._path)
