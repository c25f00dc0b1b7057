"""Somebody who answers at an address, and is no broker."""

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress

from sensorstream.addresses import bracketed


@contextmanager
def serving(handle: Callable[[socket.socket], object], host: str = "127.0.0.1", port: int = 0) -> Iterator[str]:
    """The address of somebody who does this with each connection, and then closes it; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET

    def take(connection: socket.socket) -> None:
        with closing(connection), suppress(OSError):
            handle(connection)

    with socket.create_server((host, port), family=family) as listener:

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=take, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        try:
            yield bracketed(host, listener.getsockname()[1])
        finally:
            listener.shutdown(socket.SHUT_RDWR)  # to close it would not wake a thread that waits in accept
            thread.join(10)
