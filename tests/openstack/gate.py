"""Stands between the shim and the bridge, and can hold requests back: what is between a commit and the bridge's write takes as long
as a test wants it to.
"""

import contextlib
import os
import socket
import threading


class Gate:
    """Listens at `path`, speaks with the bridge at `bridge`."""

    def __init__(self, path, bridge):
        self._bridge = str(bridge)
        self._held = None  # path of the requests that are held back
        self._news = threading.Condition()
        self.holding = 0
        self._listener = socket.socket(socket.AF_UNIX)
        self._listener.bind(str(path))
        os.chmod(path, 0o777)
        self._listener.listen(64)
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self):
        self._listener.close()

    def hold(self, path):
        with self._news:
            self._held = path

    def wait_held(self, seconds=30):
        with self._news:
            if not self._news.wait_for(lambda: self.holding, seconds):
                raise TimeoutError('no request for %s' % self._held)

    def drop(self):
        """What is held is lost, as its sender is; what comes from now on passes."""
        with self._news:
            self._held = None
            self._news.notify_all()

    def _accept(self):
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._serve, args=(client,), daemon=True).start()

    def _serve(self, client):
        with client, contextlib.suppress(OSError):
            first = client.recv(65536)
            if not first or self._is_held(first):
                return
            with socket.socket(socket.AF_UNIX) as bridge:
                bridge.connect(self._bridge)
                bridge.sendall(first)
                threading.Thread(target=self._pump, args=(client, bridge), daemon=True).start()
                self._pump(bridge, client)

    def _is_held(self, request):
        """Returns when it no longer is: whether it was."""
        with self._news:
            if not self._held or request.split(b' ', 2)[1].decode() != self._held:
                return False
            self.holding += 1
            self._news.notify_all()
            self._news.wait_for(lambda: not self._held)
            self.holding -= 1
            return True

    @staticmethod
    def _pump(source, sink):
        with contextlib.suppress(OSError):
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
