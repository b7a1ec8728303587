"""HTTP with JSON over the bridge's Unix socket. Blocking, one connection per call, safe to use from any thread."""

import http.client
import json
import socket

from percale_neutron import compat

_STATUS_OF_UNREACHABLE = 503


class BridgeError(Exception):
    """The bridge's answer was an error, or there was none.

    `status` is what the API's caller should get; `unavailable` says that nothing was decided.
    """

    def __init__(self, status, message):
        super().__init__(message)
        self.status = status
        self.message = message

    @property
    def unavailable(self):
        return self.status >= 500


class _Connection(http.client.HTTPConnection):
    def __init__(self, path, timeout):
        super().__init__('bridge', timeout=timeout)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


class Client:
    def __init__(self, path, timeout):
        self._path = path
        self._timeout = timeout

    def post(self, path, body, timeout=None):
        """The answer's JSON; None for "no content". Raises BridgeError."""
        connection = _Connection(self._path, timeout or self._timeout)
        try:
            connection.request('POST', path, json.dumps(body, default=str), {'Content-Type': 'application/json'})
            response = connection.getresponse()
            text = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise BridgeError(_STATUS_OF_UNREACHABLE,
                              'percale-neutron does not answer on %s (%s); is the service running?' % (self._path, error))
        finally:
            connection.close()
        if response.status == 204:
            return None
        try:
            answer = json.loads(text)
        except ValueError:
            raise BridgeError(502, 'percale-neutron answered on %s with something that is not JSON' % self._path)
        if response.status >= 400:
            raise BridgeError(response.status, _message(answer))
        return answer

    def check(self, operation, kind, obj, original=None, network=None):
        """For the time before the commit: raises what the API's caller is to be told."""
        body = {'operation': operation, 'kind': kind, 'object': obj, 'original': original}
        if network is not None:
            body['network'] = network
        try:
            self.post('/v1/check', body)
        except BridgeError as error:
            raise compat.api_error(error.status, error.message)

    def changed(self, what, read):
        """For the time after the commit. `what`: [{kind, id}]; `read` answers a SPEC from the database.

        Returns the result; raises BridgeError if the bridge must repair by itself later.
        """
        body = {'changed': what}
        while True:
            answer = self.post('/v1/changed', body)
            if answer.get('result') != 'read':
                return answer
            body = dict(answer['continue'], data=[read(spec) for spec in answer['read']])


def _message(answer):
    error = answer.get('error') if isinstance(answer, dict) else None
    return error.get('message', 'refused') if isinstance(error, dict) else 'refused'
