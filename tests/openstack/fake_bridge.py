"""A stand-in for percale-neutron: answers by the protocol of docs/neutron-bridge.md and remembers what it was asked.

Everything it reads from Neutron it keeps; what it should refuse is put into `refuse` by the test.
"""

import http.server
import json
import os
import socketserver
import threading


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    request_queue_size = 64

    def handle_error(self, request, client_address):
        pass  # a client that went away


class FakeBridge:
    def __init__(self, path):
        self.checks = []      # bodies of /v1/check
        self.changes = []     # [{kind, id}] in order
        self.answers = []     # (SPEC, ANSWER) of /v1/changed
        self.results = {}     # id of a call -> its result, from /v1/work
        self.refuse = {}      # kind -> (status, message)
        self.calls = []       # to be given to a worker
        self._lock = threading.Condition()
        self._path = path
        if os.path.exists(path):
            os.unlink(path)
        bridge = self

        class Handler(http.server.BaseHTTPRequestHandler):
            protocol_version = 'HTTP/1.1'

            def do_POST(self):
                body = json.loads(self.rfile.read(int(self.headers['Content-Length'])))
                status, answer = bridge.answer(self.path, body)
                text = b'' if answer is None else json.dumps(answer).encode()
                self.send_response(status)
                self.send_header('Content-Length', str(len(text)))
                self.end_headers()
                self.wfile.write(text)

            def address_string(self):
                return 'unix'

            def log_message(self, *_):
                pass

        self._server = _Server(path, Handler)
        os.chmod(path, 0o666)
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self):
        self._server.shutdown()
        self._server.server_close()
        os.unlink(self._path)

    def answer(self, path, body):
        with self._lock:
            return {'/v1/check': self._check, '/v1/changed': self._changed, '/v1/work': self._work}[path](body)

    def _check(self, body):
        self.checks.append(body)
        if body['kind'] in self.refuse:
            status, message = self.refuse[body['kind']]
            return status, {'error': {'code': 'invalid', 'message': message}}
        return 200, {}

    def _changed(self, body):
        if 'data' in body:
            self.answers += list(zip(body['specs'], body['data']))
            return 200, {'result': 'done'}
        self.changes += body['changed']
        plural = {'port': 'ports', 'subnet': 'subnets', 'security_group': 'security_groups', 'address_group': 'address_groups'}
        specs = [{'kind': plural[c['kind']], 'ids': [c['id']]} for c in body['changed'] if c['kind'] in plural]
        if not specs:
            return 200, {'result': 'done'}
        return 200, {'result': 'read', 'read': specs, 'continue': {'changed': body['changed'], 'specs': specs}}

    def _work(self, body):
        if 'id' in body:
            self.results[body['id']] = body
            self._lock.notify_all()
        self._lock.wait_for(lambda: self.calls, timeout=1)
        return (200, self.calls.pop(0)) if self.calls else (204, None)

    def ask(self, call, timeout=20):
        """Gives a call to Neutron's worker and waits for its result."""
        with self._lock:
            call = dict(call, id=len(self.results) + len(self.calls) + 1)
            self.calls.append(call)
            self._lock.notify_all()
            if not self._lock.wait_for(lambda: call['id'] in self.results, timeout=timeout):
                raise TimeoutError('no worker has answered %s' % call)
            return self.results[call['id']]
