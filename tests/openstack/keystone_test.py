#!/usr/bin/env python3
"""Names of projects, asked with [keystone_authtoken]'s credentials of a Keystone that this test plays. Debian's Python, no root."""

import http.server
import json
import logging
import pathlib
import sys
import tempfile
import threading
import unittest

from oslo_config import cfg

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2] / 'python'))
from percale_neutron import keystone  # noqa: E402

PROJECTS = {'p1': {'id': 'p1', 'name': "Dan's shop", 'parent_id': 'default'}, 'p2': {'id': 'p2', 'name': 'top', 'parent_id': None}}


class FakeKeystone(http.server.BaseHTTPRequestHandler):
    asked, logins, broken = [], [], False

    def _answer(self, status, body, **headers):
        text = json.dumps(body).encode()
        self.send_response(status)
        for name, value in dict(headers, Content_Length=str(len(text)), Content_Type='application/json').items():
            self.send_header(name.replace('_', '-'), value)
        self.end_headers()
        self.wfile.write(text)

    def do_POST(self):
        self.logins.append((self.path, json.loads(self.rfile.read(int(self.headers['Content-Length'])))))
        self._answer(201, {'token': {'expires_at': '2099-01-01T00:00:00Z', 'issued_at': '2026-01-01T00:00:00Z', 'methods': ['password'],
                                     'user': {'id': 'u', 'name': 'neutron', 'domain': {'id': 'd', 'name': 'Default'}}, 'catalog': []}},
                     X_Subject_Token='the token')

    def do_GET(self):
        if not self.path.startswith('/v3/projects/'):
            return self._answer(200, {'version': {'id': 'v3.14', 'status': 'stable', 'links': [
                {'rel': 'self', 'href': 'http://127.0.0.1:%d/v3/' % self.server.server_port}]}})
        self.asked.append((self.path.rsplit('/', 1)[1], self.headers['X-Auth-Token']))
        project = PROJECTS.get(self.asked[-1][0])
        if self.broken:
            return self._answer(500, {})
        return self._answer(200, {'project': project}) if project else self._answer(404, {'error': {}})

    def log_message(self, *_):
        pass


class KeystoneTest(unittest.TestCase):

    def setUp(self):
        logging.disable(logging.CRITICAL)
        self.addCleanup(logging.disable, logging.NOTSET)
        self.server = http.server.ThreadingHTTPServer(('127.0.0.1', 0), FakeKeystone)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.addCleanup(self.server.server_close)
        self.addCleanup(self.server.shutdown)
        FakeKeystone.asked, FakeKeystone.logins, FakeKeystone.broken = [], [], False
        keystone._known.clear()
        keystone._session, keystone._asked_not_before = None, 0.0
        self.addCleanup(cfg.CONF.reset)

    def configure(self, end='', **members):
        """`end`: of auth_url."""
        options = dict({'auth_type': 'password', 'auth_url': 'http://127.0.0.1:%d%s' % (self.server.server_port, end),
                        'username': 'neutron', 'password': 'secret', 'project_name': 'service', 'user_domain_name': 'Default',
                        'project_domain_name': 'Default'}, **members)
        with tempfile.NamedTemporaryFile('w', suffix='.conf') as file:
            file.write('[keystone_authtoken]\n' + ''.join('%s = %s\n' % item for item in options.items() if item[1]))
            file.flush()
            cfg.CONF(['--config-file', file.name], project='percale')
            return keystone.projects(['p2', 'p1', 'gone', ''])

    def test_projects_are_asked_for_with_the_services_credentials(self):
        for end in ('', '/', '/v3', '/v3/'):
            with self.subTest(end):
                self.setUp()
                self.assertEqual(self.configure(end), [PROJECTS['p1'], PROJECTS['p2']])
                path, login = FakeKeystone.logins[0]
                self.assertEqual(path, '/v3/auth/tokens')
                user = login['auth']['identity']['password']['user']
                self.assertEqual((user['name'], user['password'], user['domain']), ('neutron', 'secret', {'name': 'Default'}))
                self.assertEqual(login['auth']['scope']['project']['name'], 'service')
                self.assertEqual({token for _, token in FakeKeystone.asked}, {'the token'})

    def test_names_are_remembered(self):
        self.configure()
        asked = len(FakeKeystone.asked)
        self.assertEqual(keystone.projects(['p1']), [PROJECTS['p1']])
        self.assertEqual(keystone.projects(['gone']), [])
        self.assertEqual(len(FakeKeystone.asked), asked)

    def test_a_keystone_that_fails_costs_the_names_only_and_is_left_alone(self):
        FakeKeystone.broken = True
        self.assertEqual(self.configure(), [])
        asked = len(FakeKeystone.asked)
        self.assertEqual(keystone.projects(['p1']), [])
        self.assertEqual(len(FakeKeystone.asked), asked)
        FakeKeystone.broken = False
        keystone._asked_not_before = 0.0  # half a minute later
        self.assertEqual(keystone.projects(['p1']), [PROJECTS['p1']])

    def test_no_keystone(self):
        self.assertEqual(self.configure(auth_type=''), [])
        self.assertEqual(FakeKeystone.logins, [])


if __name__ == '__main__':
    unittest.main(verbosity=2)
