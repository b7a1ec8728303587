"""A real Neutron with its own MariaDB in one directory, and a client for its REST API. No Keystone, no message bus.

Which release, and whether as one neutron-server or as an API and workers apart: release.py.
All listen on loopback or on Unix sockets only; stop() ends them, by pid.
"""

import http.client
import json
import os
import pathlib
import re
import shutil
import signal
import socket
import subprocess
import tempfile
import time

import release
from release import PYTHON, ROOT

PROJECT = '11111111111111111111111111111111'


class Refused(Exception):
    def __init__(self, status, text):
        super().__init__('%d %s' % (status, text))
        self.status = status
        self.text = text


def free_port():
    with socket.socket() as probe:
        probe.bind(('127.0.0.1', 0))
        return probe.getsockname()[1]


def wait_for(what, holds, seconds=60):
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        value = holds()
        if value:
            return value
        time.sleep(0.05)
    raise TimeoutError('%s: not within %d s' % (what, seconds))


def _spawn(arguments, log, environment=None):
    return subprocess.Popen(arguments, stdin=subprocess.DEVNULL, stdout=log, stderr=subprocess.STDOUT,
                            env=dict(os.environ, **(environment or {})), start_new_session=True)


class Process:
    """A program in a process group of its own."""

    def __init__(self, arguments, log_path, environment=None):
        self.log_path = log_path
        with open(log_path, 'ab') as log:
            self._process = _spawn(arguments, log, environment)

    @property
    def pid(self):
        return self._process.pid

    def running(self):
        return self._process.poll() is None

    def stop(self, number=signal.SIGTERM, patience=10):
        if self.running():
            os.killpg(self._process.pid, number)
            try:
                self._process.wait(patience)
            except subprocess.TimeoutExpired:
                pass
        try:
            os.killpg(self._process.pid, signal.SIGKILL)  # children that outlived their parent
        except ProcessLookupError:
            pass
        self._process.wait()

    def log(self):
        return pathlib.Path(self.log_path).read_text(errors='replace')


class Database:
    """MariaDB on a Unix socket; its data in memory, because making Neutron's tables is slow on a disk."""

    def __init__(self, folder):
        self.folder = pathlib.Path(folder)
        self.socket = str(self.folder / 'db.sock')
        self.process = None
        self._remove_leftovers()
        self._data = tempfile.mkdtemp(prefix='percale-db%d-' % os.getpid(), dir='/dev/shm')
        try:
            self._start(self._data)
        except BaseException:  # Ctrl-C, too: nobody else knows of it yet
            self.stop()
            raise

    def _start(self, data):
        subprocess.run(['mariadb-install-db', '--user=root', '--datadir=%s' % data, '--auth-root-authentication-method=normal',
                        '--skip-test-db'], check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # No power cut is part of any test: writing through to the disk would only be slow.
        self.process = Process(['mariadbd', '--no-defaults', '--user=root', '--datadir=%s' % data, '--socket=%s' % self.socket,
                                '--skip-networking', '--innodb-flush-log-at-trx-commit=0', '--innodb-buffer-pool-size=256M',
                                '--pid-file=%s' % (self.folder / 'db.pid')], self.folder / 'mariadb.log')
        wait_for('MariaDB', lambda: self._answers() or not self.process.running())
        if not self.process.running():
            raise RuntimeError('MariaDB does not start:\n' + self.process.log()[-2000:])
        self.sql('create database neutron')

    @staticmethod
    def _remove_leftovers():
        """Of tests that were killed: their memory would not come back before the next boot."""
        running = subprocess.run(['ps', '-eo', 'args', '-ww'], check=True, capture_output=True, text=True).stdout
        for folder in pathlib.Path('/dev/shm').glob('percale-db*'):
            maker = re.match(r'percale-db(\d+)-', folder.name)
            if maker and not os.path.exists('/proc/' + maker.group(1)) and str(folder) not in running:
                shutil.rmtree(folder, ignore_errors=True)

    def load(self, dump):
        with open(dump) as text:
            subprocess.run(['mariadb', '-S', self.socket, 'neutron'], check=True, stdin=text)

    def dump(self, path):
        partial = path.with_suffix('.partial')
        with open(partial, 'w') as text:
            subprocess.run(['mariadb-dump', '-S', self.socket, 'neutron'], check=True, stdout=text)
        partial.rename(path)

    def _answers(self):
        return subprocess.run(['mariadb', '-S', self.socket, '-e', 'select 1'], stdout=subprocess.DEVNULL,
                              stderr=subprocess.DEVNULL).returncode == 0

    def sql(self, text, database=None):
        return subprocess.run(['mariadb', '-S', self.socket, '-N', '-B'] + ([database] if database else []) + ['-e', text],
                              check=True, capture_output=True, text=True).stdout

    def url(self):
        return 'mysql+pymysql://root@localhost/neutron?unix_socket=%s&charset=utf8' % self.socket

    def stop(self):
        if self.process:
            self.process.stop()
        shutil.rmtree(self._data, ignore_errors=True)


CONFIG = """[DEFAULT]
auth_strategy = noauth
core_plugin = calico
service_plugins = {service_plugins}
transport_url = fake://
bind_host = 127.0.0.1
bind_port = {port}
api_workers = {api_workers}
rpc_workers = 0
state_path = {folder}/state
api_paste_config = {paste}
notify_nova_on_port_status_changes = false
notify_nova_on_port_data_changes = false
[oslo_policy]
policy_file = {folder}/policy.yaml
[oslo_concurrency]
lock_path = {folder}/state/lock
[database]
connection = {database}
[ml2]
extension_drivers = {extension_drivers}
[quotas]
quota_port = -1
quota_network = -1
quota_subnet = -1
quota_security_group = -1
quota_security_group_rule = -1
quota_floatingip = -1
[percale]
socket = {socket}
[calico]
{calico}
"""


class Neutron:
    def __init__(self, folder, socket_path, calico='', extension_drivers='port_security', api_workers=1, database=None,
                 service_plugins=''):
        self.folder = pathlib.Path(folder)
        self.folder.mkdir(parents=True, exist_ok=True)
        self.database = database or Database(self.folder)
        self._own_database = database is None
        self.release = release.chosen()
        self.port = free_port()
        self._api_workers = api_workers
        self.config = self.folder / 'neutron.conf'
        self.config.write_text(CONFIG.format(port=self.port, folder=self.folder, database=self.database.url(),
                                             socket=socket_path, calico=calico, extension_drivers=extension_drivers,
                                             api_workers=api_workers, paste=self.release.paste,
                                             service_plugins=service_plugins))
        # Nova's user has a role of its own in Keystone; here there is one user for everything.
        (self.folder / 'policy.yaml').write_text('"service_api": "role:service or role:admin"\n')
        # The API gets its configuration by name of a variable where a WSGI server runs it.
        self._environment = {'PYTHONPATH': str(self._install()), 'OS_NEUTRON_CONFIG_FILES': str(self.config)}
        self.processes = {}

    def _install(self):
        """The shim with its entry points, as an installation would leave it."""
        site = self.folder / 'site'
        shutil.copytree(ROOT / 'python', site, ignore=shutil.ignore_patterns('__pycache__', '*.egg-info'))
        subprocess.run([PYTHON, 'setup.py', '-q', 'egg_info'], cwd=site, check=True, stdout=subprocess.DEVNULL,
                       stderr=subprocess.DEVNULL)
        return site

    def migrate(self):
        """Makes the tables by Neutron's own migrations; what they made is kept for the next test with the same packages."""
        kept = self.release.schema()
        if kept.exists():
            self.database.load(kept)
            return
        done = subprocess.run([self.release.program('neutron-db-manage'), '--config-file', self.config, 'upgrade', 'head'],
                              capture_output=True, text=True, env=dict(os.environ, **self._environment))
        if done.returncode:
            raise RuntimeError('neutron-db-manage: ' + done.stderr[-2000:])
        self.database.dump(kept)

    def start(self):
        for name, arguments in self.release.processes(self.config, self.port, self._api_workers).items():
            self.processes[name] = Process(arguments, self.folder / (name + '.log'), self._environment)
        wait_for('Neutron', lambda: self._answers() or self._ended(), 90)
        for process in self._ended():
            raise RuntimeError('Neutron does not start: %s\n%s' % (process.log_path, process.log()[-3000:]))

    def _ended(self):
        return [process for process in self.processes.values() if not process.running()]

    def _answers(self):
        try:
            self.get('networks?limit=1')
            return True
        except (OSError, Refused):
            return False

    def stop(self, number=signal.SIGTERM):
        for process in self.processes.values():
            process.stop(number)

    def close(self):
        self.stop()
        if self._own_database:
            self.database.stop()

    # REST.

    def request(self, method, path, body=None, project=PROJECT, timeout=60):
        connection = http.client.HTTPConnection('127.0.0.1', self.port, timeout=timeout)
        try:
            connection.request(method, '/v2.0/' + path, None if body is None else json.dumps(body),
                               {'Content-Type': 'application/json', 'X-Project-Id': project, 'X-Roles': 'admin',
                                'X-User-Id': 'tests'})
            response = connection.getresponse()
            text = response.read().decode()
        finally:
            connection.close()
        if response.status >= 400:
            raise Refused(response.status, text)
        return json.loads(text) if text else None

    def get(self, path):
        return self.request('GET', path)

    def delete(self, path):
        return self.request('DELETE', path)

    def create(self, kind, **members):
        """kind: singular, e.g. 'port'; the object made. Without Keystone the body says whose it is."""
        members.setdefault('tenant_id', PROJECT)
        return self.request('POST', _plural(kind), {kind: members})[kind]

    def update(self, kind, object_id, **members):
        return self.request('PUT', '%s/%s' % (_plural(kind), object_id), {kind: members})[kind]

    def show(self, kind, object_id):
        return self.get('%s/%s' % (_plural(kind), object_id))[kind]


def _plural(kind):
    return kind.replace('_', '-') + 's'
