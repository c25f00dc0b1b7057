"""Calls of a library that may block forever: each runs on a separate thread, which is abandoned at the deadline."""

import threading
from collections.abc import Callable
from concurrent.futures import Future, wait
from typing import TypeVar

T = TypeVar("T")


def on_own_thread(name: str, call: Callable[[], T]) -> "Future[T]":
    """Start a call; what it gives or raises is the future's."""
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(call())
        except BaseException as error:
            future.set_exception(error)

    threading.Thread(target=run, name=name, daemon=True).start()
    return future


def end_within(timeout_s: float, name: str, action: Callable[[], object]) -> None:
    """Run an action and wait for its end, so long at the most; what it raises is nobody's concern."""
    wait([on_own_thread(name, action)], timeout_s)
