"""A small OpenStack on this machine: a real neutron-server with the shim, the bridge, etcd, and the lab's hosts with their agents
and BIRDs. This file plays Nova: it plugs taps and starts guests.

Everything runs in the lab's namespaces (`percalectl lab up`); this process moves into that of the lab's etcd, where etcd, Neutron
and the bridge are on loopback. Guests are namespaces whose only configuration is what DHCP tells them.
"""

import base64
import contextlib
import ctypes
import http.client
import json
import os
import pathlib
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time

from neutron_server import ROOT, Neutron, Process, wait_for

CLONE_NEWNET = 0x40000000
_libc = ctypes.CDLL(None, use_errno=True)


def enter_network(path):
    """Moves the calling thread."""
    with open(path) as namespace:
        if _libc.setns(namespace.fileno(), CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'setns ' + path)


def run(*arguments, check=True, timeout=60):
    done = subprocess.run([str(a) for a in arguments], capture_output=True, text=True, timeout=timeout)
    if check and done.returncode:
        raise RuntimeError('%s: %s%s' % (' '.join(str(a) for a in arguments), done.stdout, done.stderr))
    return done


class Etcd:
    """etcd's JSON gateway."""

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

    @staticmethod
    def _code(text):
        return base64.b64encode(text.encode()).decode()

    def get(self, key):
        """The value as text, None if there is none."""
        items = self._post('/v3/kv/range', {'key': self._code(key)}).get('kvs', [])
        return base64.b64decode(items[0]['value']).decode() if items else None

    def keys(self, prefix):
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        answer = self._post('/v3/kv/range', {'key': self._code(prefix), 'range_end': self._code(end), 'keys_only': True})
        return [base64.b64decode(item['key']).decode() for item in answer.get('kvs', [])]

    def all(self, prefix):
        end = prefix[:-1] + chr(ord(prefix[-1]) + 1)
        answer = self._post('/v3/kv/range', {'key': self._code(prefix), 'range_end': self._code(end)})
        return {base64.b64decode(item['key']).decode(): base64.b64decode(item.get('value', '')).decode()
                for item in answer.get('kvs', [])}

    def put(self, key, value):
        self._post('/v3/kv/put', {'key': self._code(key), 'value': self._code(value)})


class Guest:
    """A machine: a namespace with one interface, and what it heard from DHCP."""

    def __init__(self, cloud, name, port, host):
        self.cloud, self.name, self.port, self.host = cloud, name, port, host
        self.namespace = '%s-%s' % (cloud.name, name)
        self.tap = 'tap' + port['id'][:11]
        self.lease = {}
        self._listeners = []
        self._alive = True

    @property
    def address(self):
        return next(ip['ip_address'] for ip in self.port['fixed_ips'] if ':' not in ip['ip_address'])

    def plug(self):
        """As Nova and libvirt do: a tap with the MAC address and the MTU that Neutron said."""
        run('ip', 'netns', 'add', self.namespace)
        mac = self.port['binding:vif_details']['mac_address']
        run('ip', '-n', self.namespace, 'link', 'add', 'eth0', 'address', self.port['mac_address'], 'type', 'veth', 'peer', 'name',
            self.tap, 'address', mac)
        run('ip', '-n', self.namespace, 'link', 'set', self.tap, 'netns', self.cloud.holder(self.host))
        self.cloud.on_host(self.host, 'ip', 'link', 'set', self.tap, 'up')
        for link in ('lo', 'eth0'):
            run('ip', '-n', self.namespace, 'link', 'set', link, 'up')

    def boot(self, tries=20):
        """DHCP, as a machine's init does; configures what it is told. Returns the lease by udhcpc's names."""
        told = self.cloud.folder / (self.name + '.lease')
        with contextlib.suppress(FileNotFoundError):
            told.unlink()
        os.environ['LEASE_FILE'] = str(told)
        run('ip', 'netns', 'exec', self.namespace, 'udhcpc', '-i', 'eth0', '-n', '-q', '-f', '-t', tries, '-T', '1', '-O', 'mtu',
            '-O', 'staticroutes', '-s', self.cloud.client_script, timeout=tries + 20)
        self.lease = dict(line.split('=', 1) for line in told.read_text().splitlines() if '=' in line)
        run('ip', '-n', self.namespace, 'address', 'add', '%s/%s' % (self.lease['ip'], self.lease['mask']), 'dev', 'eth0')
        run('ip', '-n', self.namespace, 'link', 'set', 'eth0', 'mtu', self.lease.get('mtu', '1500'))
        run('ip', '-n', self.namespace, 'route', 'add', 'default', 'via', self.lease['router'].split()[0], 'dev', 'eth0')
        self._listen()
        return self.lease

    def in_network(self, work):
        """work() on a thread inside the guest's network; its result or its exception."""
        box = {}

        def body():
            try:
                enter_network('/run/netns/' + self.namespace)
                box['result'] = work()
            except BaseException as error:  # handed over to the caller
                box['error'] = error

        thread = threading.Thread(target=body)
        thread.start()
        thread.join()
        if 'error' in box:
            raise box['error']
        return box['result']

    def _listen(self):
        def open_all():
            sockets = []
            for port in (22, 80, 81, 443, 5432):
                tcp = socket.socket(socket.AF_INET6)
                tcp.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
                tcp.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
                tcp.bind(('::', port))
                tcp.listen(16)
                sockets.append(tcp)
            for port in (53, 123):
                udp = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
                udp.bind(('0.0.0.0', port))
                sockets.append(udp)
            return sockets

        self._listeners = self.in_network(open_all)
        for listener in self._listeners:
            threading.Thread(target=self._answer, args=(listener,), daemon=True).start()

    def _answer(self, listener):
        while self._alive:
            try:
                if listener.type == socket.SOCK_DGRAM:
                    data, sender = listener.recvfrom(2048)
                    if sender:  # nobody, when the guest is being taken away
                        listener.sendto(data, sender)
                else:
                    connection, _ = listener.accept()
                    connection.sendall(connection.getsockname()[0].encode() + b'\n')
                    connection.close()
            except OSError:
                return

    def tcp(self, address, port, patience=1.0):
        def work():
            try:
                with socket.create_connection((address, port), timeout=patience) as connection:
                    return connection.recv(100) != b''
            except OSError:
                return False
        return self.in_network(work)

    def udp(self, address, port, patience=1.0):
        def work():
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
                probe.settimeout(patience / 2)
                for _ in range(2):
                    probe.sendto(b'?', (address, port))
                    with contextlib.suppress(OSError):
                        return probe.recv(10) == b'?'
            return False
        return self.in_network(work)

    def ping(self, address, patience=1):
        return run('ip', 'netns', 'exec', self.namespace, 'ping', '-n', '-c', 1, '-W', patience, address, check=False).returncode == 0

    def destroy(self):
        self._alive = False
        for listener in self._listeners:
            with contextlib.suppress(OSError):
                listener.shutdown(socket.SHUT_RDWR)
            listener.close()
        run('ip', 'netns', 'del', self.namespace, check=False)


class Cloud:
    """Everything but the guests. Needs root and the programs in `bin`."""

    def __init__(self, name='os%d' % (os.getpid() % 100000), bin_folder=None, bridge_environment=None):
        self.name = name
        self.bin = pathlib.Path(bin_folder or ROOT / 'build' / 'bin')
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='percale-openstack'))
        self.folder.chmod(0o755)
        self.socket = self.folder / 'bridge.sock'
        self.client_script = self.folder / 'client'
        self.client_script.write_text('#!/bin/sh\n[ "$1" = bound ] && env > "$LEASE_FILE"\nexit 0\n')
        self.client_script.chmod(0o755)
        self.guests = []
        self.bridge = None
        self.neutron = None
        self.etcd = Etcd()
        self._outside = os.open('/proc/self/ns/net', os.O_RDONLY)
        self._bridge_environment = bridge_environment or {}

    def up(self):
        self.lab('up', self.name, '--env', 'FELIX_METADATAADDR=127.0.0.1')
        enter_network('/proc/%d/ns/net' % self.holder('etcd'))
        wait_for('etcd', lambda: self.etcd.get('/') is None or True)
        self.neutron = Neutron(self.folder / 'neutron', self.socket, calico='etcd_host = 127.0.0.1\nresync_interval_secs = 0\n',
                               extension_drivers='port_security')
        self.neutron.migrate()
        self.start_bridge()
        self.neutron.start()
        wait_for('first resync', lambda: (self.bridge_status().get('last_resync') or {}).get('ok'), 60)
        wait_for('agents', lambda: sum(a['alive'] for a in self.neutron.get('agents')['agents']) >= 3, 60)
        return self

    def down(self):
        for guest in list(self.guests):
            guest.destroy()
        if self.neutron:
            self.neutron.close()
        if self.bridge:
            self.bridge.stop()
        if _libc.setns(self._outside, CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), 'setns')
        os.close(self._outside)
        self.lab('down', self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def lab(self, *arguments):
        return run(self.bin / 'percalectl', 'lab', *arguments, timeout=180)

    def holder(self, node):
        """Process number of a node's first process."""
        wanted = ['__holder', self.name, node]
        for entry in pathlib.Path('/proc').iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    arguments = (entry / 'cmdline').read_bytes().decode(errors='replace').split('\0')
                    if arguments[2:5] == wanted:
                        return int(entry.name)
        raise LookupError('no node %s' % node)

    def on_host(self, host, *arguments, check=True):
        return run(self.bin / 'percalectl', 'lab', 'exec', self.name, host, '--', *arguments, check=check)

    def start_bridge(self):
        self.bridge = Process([self.bin / 'percale-neutron', '--config-file', self.neutron.config, '--socket', self.socket],
                              self.folder / 'bridge.log', dict(self._bridge_environment))
        wait_for("the bridge's socket", lambda: self.socket.exists() or not self.bridge.running(), 30)
        if not self.bridge.running():
            raise RuntimeError('percale-neutron does not start:\n' + self.bridge.log()[-2000:])

    def ask_bridge(self, method, path, body=None):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(self.socket))
            connection = http.client.HTTPConnection('bridge', timeout=90)
            connection.sock = raw
            connection.request(method, path, None if body is None else json.dumps(body), {'Content-Type': 'application/json'})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None

    def bridge_status(self):
        try:
            return self.ask_bridge('GET', '/v1/status')[1]
        except OSError:
            return {}

    def resync(self, *options):
        done = run(self.bin / 'percalectl', 'neutron', 'resync', '--socket', self.socket, *options, check=False, timeout=120)
        return done.returncode, json.loads(done.stdout)

    # What Nova does.

    def machine(self, name, network, host, boot=True, **members):
        port = self.neutron.create('port', network_id=network['id'], device_id='vm-' + name, device_owner='compute:nova',
                                   **{'binding:host_id': host}, **members)
        guest = Guest(self, name, port, host)
        self.guests.append(guest)
        guest.plug()
        if boot:
            guest.boot()
        return guest

    def endpoint(self, port):
        """The stored endpoint of a port, parsed; None if there is none."""
        host, device = port['binding:host_id'], port['device_id']
        name = '-'.join(part.replace('-', '--') for part in (host, 'openstack', device, port['id']))
        value = self.etcd.get('/calico/resources/v3/projectcalico.org/workloadendpoints/openstack/' + name)
        return json.loads(value) if value else None

    def policy(self, group_id):
        value = self.etcd.get('/calico/resources/v3/projectcalico.org/networkpolicies/openstack/ossg.default.' + group_id)
        return json.loads(value) if value else None

    def subnet(self, subnet_id):
        value = self.etcd.get('/calico/dhcp/v2/no-region/subnet/' + subnet_id)
        return json.loads(value) if value else None
