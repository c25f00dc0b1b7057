"""Waiting is never silent: within five seconds, a waiting client reports what it waits for, and why.

A :class:`Waiting` looks from a thread of its own at how far a job is. When nothing has moved for a while it asks the
client for the causes and tells them; again when they change, or after a while; and it tells when things move again.
Neither the question nor the telling can hold up the work.
"""

import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Self

from sensorstream.clients.causes import Cause, NoBroker, Waited, words
from sensorstream.clients.reachable import silent
from sensorstream.errors import (
    BrokerError,
    ClusterUnreachable,
    CredentialsRefused,
    DeliveryError,
    Fenced,
    RecordTooLarge,
)
from sensorstream.events import Listener, Notice

AFTER_S: Final = 2.5
"""So long nothing has to move until it is asked why; with the answer, a notice comes within five seconds."""
ASK_EVERY_S: Final = 3.0
"""How often it is asked again while nothing moves."""
ASK_SELDOM_S: Final = 30.0
"""How often it is asked again where nothing may move for good reasons, after ``_OFTEN`` answers without a cause."""
TELL_EVERY_S: Final = 30.0
"""How often the same cause is told."""
_OFTEN: Final = 3
_CAME_OF_WAITING: Final = (ClusterUnreachable, BrokerError, DeliveryError)
_CAME_OTHERWISE: Final = (CredentialsRefused, Fenced, RecordTooLarge)
_LOOK_S: Final = 0.25


@dataclass(frozen=True, slots=True)
class Open:
    """Something that is waited for.

    ``what`` names it for people (``acknowledgements of AIR``), ``mark`` is how far it is: any value that changes when
    it moves. ``surely`` False: nothing may be wrong while it does not move, as when a topic has no new records; it is
    told of when a cause is found only. ``key`` tells things of one name apart.
    """

    what: str
    mark: object
    waited: Waited = field(default_factory=Waited)
    surely: bool = True
    key: object = None


def connecting(bootstrap: Sequence[str], listener: Listener) -> "Waiting":
    """Tells who does not answer while a client looks for its first broker among these addresses."""

    def ask(_: Waited) -> Sequence[Cause]:
        deaf = silent(bootstrap)
        return [NoBroker(tuple(deaf.items()))] if len(deaf) == len(set(bootstrap)) else []

    return Waiting(ask, lambda: [Open("a broker", None)], listener)


class Waiting:
    """Tells ``listener`` what a job waits for, while inside its ``with`` block.

    ``ask`` gives the causes (a client's :meth:`~sensorstream.clients.base.Client.causes`), bounded in time; ``look``
    gives what is open now, and is called on another thread. An error that leaves the block has the causes in its
    message.
    """

    def __init__(
        self,
        ask: Callable[[Waited], Sequence[Cause]],
        look: Callable[[], Iterable[Open]],
        listener: Listener,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._ask = ask
        self._look = look
        self._listener = listener
        self._clock = clock
        self._moved: dict[object, tuple[object, float]] = {}
        self._causes: tuple[Cause, ...] = ()
        self._asked_at: float | None = None
        self._asking = False
        self._fruitless = 0
        self._told: tuple[str, str] | None = None
        self._told_at = 0.0
        self._since = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._watch, name="sensorstream-waiting", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
        if error is not None:
            self.explain(error)
        elif self._told is not None:
            # What was waited for has come just now, and the job has ended with it.
            left = {(thing.what, thing.key): thing.mark for thing in self._look()}
            if not any(key in left and left[key] == mark for key, (mark, _) in self._moved.items()):
                self._tell_moving(self._clock())

    def close(self) -> None:
        """Tell nothing any more, and end the thread, unless it is just asking: that ends by itself."""
        self._end.set()
        if self._thread.ident is not None and not self._asking:
            self._thread.join(1.0)

    @property
    def why(self) -> str:
        """Why nothing moves now, in words; empty where it moves or the cause is not known."""
        return words(self._causes)

    def explain(self, error: BaseException) -> BaseException:
        """The error itself, with the causes added to its message where it came of waiting."""
        if not isinstance(error, _CAME_OF_WAITING) or isinstance(error, _CAME_OTHERWISE):
            return error
        known = error.message.startswith("no broker")  # it says who does not answer
        why = words([cause for cause in self._causes if not (known and isinstance(cause, NoBroker))])
        if why and why not in error.message:
            error.message = f"{error.message}: {why}"
        return error

    def _watch(self) -> None:
        while not self._end.wait(_LOOK_S):
            self.turn()

    def turn(self) -> None:
        """Look once, and tell what there is to tell; called by the thread."""
        now = self._clock()
        things = {(thing.what, thing.key): thing for thing in self._look()}
        for key in self._moved.keys() - things.keys():
            del self._moved[key]
        for key, thing in things.items():
            if key not in self._moved or self._moved[key][0] != thing.mark:
                self._moved[key] = (thing.mark, now)
        stuck = [thing for key, thing in things.items() if now - self._moved[key][1] >= AFTER_S]
        if not stuck:
            self._tell_moving(now)
            self._causes, self._asked_at, self._fruitless = (), None, 0
            return
        surely = any(thing.surely for thing in stuck)
        every_s = ASK_EVERY_S if surely or self._causes or self._fruitless < _OFTEN else ASK_SELDOM_S
        if self._asked_at is not None and now - self._asked_at < every_s:
            return
        waited = stuck[0].waited
        for thing in stuck[1:]:
            waited = waited.and_also(thing.waited)
        self._asking = True
        try:
            found = tuple(self._ask(waited))
        finally:
            self._asking = False
        self._asked_at = self._clock()
        if self._end.is_set():
            return
        self._causes, self._fruitless = found, 0 if found else self._fruitless + 1
        if found or surely:
            self._since = min(self._moved[thing.what, thing.key][1] for thing in stuck)
            names = dict.fromkeys(thing.what for thing in stuck if found or thing.surely)
            self._tell(list(names), words(found), self._asked_at)
        else:
            self._tell_moving(now)

    def _tell(self, names: Sequence[str], why: str, now: float) -> None:
        what = " and of ".join([names[0], *(name.removeprefix("acknowledgements of ") for name in names[1:])])
        if self._told == (what, why) and now - self._told_at < TELL_EVERY_S:
            return
        self._told, self._told_at = (what, why), now
        cause = why or "the brokers that answer see no cause"
        level: Literal["info", "warning"] = "warning" if why else "info"
        self._listener(Notice(f"waiting for {what}, for {now - self._since:.0f} s now: {cause}", level))

    def _tell_moving(self, now: float) -> None:
        if self._told is not None:
            waited_for, self._told = self._told[0], None
            self._listener(Notice(f"continuing: the wait for {waited_for} is over, after {now - self._since:.0f} s"))
