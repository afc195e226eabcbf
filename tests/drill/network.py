"""A cable between a client and a server that can be pulled: a TCP proxy on loopback."""

import contextlib
import socket
import threading
from types import TracebackType
from urllib.parse import urlsplit

_PIECE = 65_536


class Cable:
    """Forwards connections to a server; while it is pulled, open ones are cut and new ones end at once."""

    def __init__(self, url: str) -> None:
        address = urlsplit(url)
        self._server = (address.hostname, address.port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = address._replace(netloc=f"127.0.0.1:{self._listener.getsockname()[1]}").geturl()
        self._open: set[socket.socket] = set()
        self._lock = threading.Lock()
        self._pulled = False

    def __enter__(self) -> "Cable":
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.pull()
        self._listener.close()

    def pull(self) -> None:
        """Cut every connection, and refuse new ones."""
        with self._lock:
            self._pulled = True
            for end in self._open:
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)

    def plug(self) -> None:
        """Forward again."""
        with self._lock:
            self._pulled = False

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:  # closed
                return
            threading.Thread(target=self._connect, args=(client,), daemon=True).start()

    def _connect(self, client: socket.socket) -> None:
        with contextlib.ExitStack() as stack:
            stack.enter_context(client)
            with self._lock:
                if self._pulled:
                    return
            server = stack.enter_context(socket.create_connection(self._server))
            with self._lock:
                self._open |= {client, server}
            back = threading.Thread(target=_copy, args=(server, client), daemon=True)
            back.start()
            _copy(client, server)
            back.join()
            with self._lock:
                self._open -= {client, server}


def _copy(source: socket.socket, target: socket.socket) -> None:
    """Send on what comes, and the end of it."""
    with contextlib.suppress(OSError):
        while piece := source.recv(_PIECE):
            target.sendall(piece)
    with contextlib.suppress(OSError):
        target.shutdown(socket.SHUT_WR)
