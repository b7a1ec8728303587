"""etcd's JSON gateway, and an etcd of one's own."""

import base64
import contextlib
import http.client
import json
import socket
import threading

from neutron_server import Process, free_port, wait_for

_MOST_OPERATIONS = 100  # of one transaction; etcd's own limit is 128


def _code(text):
    return base64.b64encode(text.encode()).decode()


def _text(item):
    return base64.b64decode(item).decode()


def _end(prefix):
    return prefix[:-1] + chr(ord(prefix[-1]) + 1)


class Etcd:

    def __init__(self, address='127.0.0.1', port=2379):
        self._address = (address, port)

    def _post(self, path, body):
        connection = http.client.HTTPConnection(*self._address, timeout=20)
        try:
            connection.request('POST', path, json.dumps(body))
            response = connection.getresponse()
            text = response.read()
            if response.status != 200:
                raise RuntimeError('etcd: %r' % text)
            return json.loads(text)
        finally:
            connection.close()

    def get(self, key, revision=0):
        """The value as text, None if there is none; now, or as it was. RuntimeError if that has been compacted."""
        items = self._post('/v3/kv/range', {'key': _code(key), 'revision': revision}).get('kvs', [])
        return _text(items[0]['value']) if items else None

    def keys(self, prefix):
        answer = self._post('/v3/kv/range', {'key': _code(prefix), 'range_end': _code(_end(prefix)), 'keys_only': True})
        return [_text(item['key']) for item in answer.get('kvs', [])]

    def all(self, prefix):
        """{key: value} of what begins so."""
        return self.snapshot(prefix)[0]

    def snapshot(self, prefix):
        """The same, and the revision at which that is so."""
        answer = self._post('/v3/kv/range', {'key': _code(prefix), 'range_end': _code(_end(prefix))})
        values = {_text(item['key']): _text(item.get('value', '')) for item in answer.get('kvs', [])}
        return values, int(answer['header']['revision'])

    def put(self, key, value):
        self._post('/v3/kv/put', {'key': _code(key), 'value': _code(value)})

    def delete(self, key):
        self._post('/v3/kv/deleterange', {'key': _code(key)})

    def write(self, changes):
        """{key: value, or None to delete it}."""
        operations = [{'request_delete_range': {'key': _code(key)}} if value is None else
                      {'request_put': {'key': _code(key), 'value': _code(value)}} for key, value in changes.items()]
        for first in range(0, len(operations), _MOST_OPERATIONS):
            self._post('/v3/kv/txn', {'success': operations[first:first + _MOST_OPERATIONS]})

    def watch(self, prefix, revision):
        """What changes below the prefix from the revision on."""
        return Watch(self._address, prefix, revision)


class Watch:
    """Iterates over lists of (key, value; None: deleted) until closed, by another thread."""

    def __init__(self, address, prefix, revision):
        self._address, self._prefix, self._next = address, prefix, revision
        self._closed = threading.Event()
        self._connection = None

    def close(self):
        self._closed.set()
        with contextlib.suppress(OSError, AttributeError):
            self._connection.sock.shutdown(socket.SHUT_RDWR)

    def __iter__(self):
        while not self._closed.is_set():
            try:
                yield from self._stream()
            except (OSError, ValueError, http.client.HTTPException):
                self._closed.wait(0.2)  # etcd is away, or the watch was closed

    def _stream(self):
        self._connection = http.client.HTTPConnection(*self._address)
        self._connection.request('POST', '/v3/watch', json.dumps({'create_request': {
            'key': _code(self._prefix), 'range_end': _code(_end(self._prefix)), 'start_revision': str(self._next)}}))
        with contextlib.closing(self._connection), self._connection.getresponse() as response:
            yield from self._read(response)

    def _read(self, response):
        while not self._closed.is_set():
            line = response.readline()
            if not line:
                return
            result = json.loads(line)['result']
            events = result.get('events', [])
            if events:
                yield [(_text(event['kv']['key']), None if event.get('type') == 'DELETE' else _text(event['kv'].get('value', '')))
                       for event in events]
                self._next = int(events[-1]['kv']['mod_revision']) + 1


class OwnEtcd(Etcd):
    """An etcd on loopback, in the network of the thread that makes it. It may be stopped and started again with its data."""

    def __init__(self, folder, port=None):
        self.port, self._peer, self._folder = port or free_port(), free_port(), folder
        super().__init__(port=self.port)
        self.start()

    def start(self):
        url, peer = ('http://127.0.0.1:%d' % port for port in (self.port, self._peer))
        self._process = Process(['etcd', '--data-dir', str(self._folder / 'etcd'), '--listen-client-urls', url, '--advertise-client-urls',
                                 url, '--listen-peer-urls', peer, '--initial-advertise-peer-urls', peer, '--initial-cluster',
                                 'default=' + peer, '--log-level', 'warn'], self._folder / 'etcd.log')
        wait_for('etcd', lambda: self._answers() or not self._process.running())
        if not self._process.running():
            raise RuntimeError('etcd does not start:\n' + self._process.log()[-2000:])

    def _answers(self):
        try:
            return self.get('/') is None
        except (OSError, RuntimeError):
            return False

    def stop(self):
        self._process.stop()
