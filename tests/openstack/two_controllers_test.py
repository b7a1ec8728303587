#!/usr/bin/env python3
"""Two real percale-neutron processes on one real etcd: whatever order the changes of one database arrive in, whichever bridge is
killed meanwhile, etcd ends equal to the database; and one of the two leads.

The database and the shims of both controllers are in this file, so that hundreds of runs fit into a minute; some calls also go
through two real neutron-servers on one MariaDB. By hand: `PERCALE_BUILD=build/release python3 tests/openstack/two_controllers_test.py
[--runs=N] [--seed=N]`. Without --runs, as many as go into a minute.
"""

import contextlib
import copy
import http.client
import json
import os
import pathlib
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from bridge_test import BUILD  # noqa: E402
from etcd import OwnEtcd  # noqa: E402
from mirror import RESOURCES  # noqa: E402
from neutron_server import Neutron, Process, Refused, wait_for  # noqa: E402

SECONDS = 60
RUNS = None
SEED = 1
CALLERS, CALLS = 4, 10  # a run: so many threads, each with so many API calls


class Database:
    """Neutron's, as far as endpoints, groups and subnets go. Nothing is ever used twice: ids, names, gateways."""

    TABLES = 'ports', 'networks', 'subnets', 'security_groups', 'address_groups', 'floatingips'

    def __init__(self):
        self._lock = threading.RLock()
        self._last = 0
        for table in self.TABLES:
            setattr(self, table, {})
        self.networks['net'] = {'id': 'net', 'name': 'net0', 'admin_state_up': True}
        self.subnets['sub'] = {'id': 'sub', 'network_id': 'net', 'cidr': '10.65.0.0/16', 'gateway_ip': '10.65.0.1',
                               'enable_dhcp': True, 'dns_nameservers': [], 'host_routes': [], 'revision_number': 1}
        self.floatingips['f'] = {'id': 'f', 'port_id': None, 'fixed_ip_address': '10.65.0.9', 'floating_ip_address': '192.0.2.1'}

    def number(self):
        self._last += 1
        return self._last

    def call(self, chance):
        """One API call. Returns what the shim tells the bridge after its commit: [(kind, id)]."""
        with self._lock:
            return chance.choices((self._port, self._delete_port, self._group, self._delete_group, self._address_group,
                                   self._network, self._subnet, self._floating), (8, 1, 4, 1, 1, 1, 1, 2))[0](chance)

    def _put(self, table, row):
        row['revision_number'] = table.get(row['id'], row).get('revision_number', 0) + 1
        table[row['id']] = row

    def _port(self, chance):
        groups = [group for group in self.security_groups if chance.random() < 0.5]
        if len(self.ports) < 4 and chance.random() < 0.4:
            row = {'id': 'p%d' % self.number(), 'project_id': 'project', 'network_id': 'net', 'device_owner': 'compute:nova',
                   'device_id': 'vm-1', 'mac_address': 'fa:16:3e:00:00:01', 'admin_state_up': True, 'status': 'DOWN',
                   'fixed_ips': [{'subnet_id': 'sub', 'ip_address': '10.65.0.9'}], 'allowed_address_pairs': [],
                   'port_security_enabled': True, 'binding:host_id': 'h1', 'binding:vif_type': 'tap',
                   'binding:vnic_type': 'normal', 'binding:profile': {}, 'security_groups': groups}
        elif self.ports:
            row = copy.deepcopy(chance.choice(list(self.ports.values())))
            row.update(chance.choice(({'security_groups': groups}, {'device_id': 'vm-%d' % chance.randrange(3)},
                                      {'binding:host_id': 'h%d' % chance.randrange(3), 'binding:vif_type': 'tap'},
                                      {'binding:host_id': '', 'binding:vif_type': 'unbound'},
                                      {'device_owner': chance.choice(('', 'compute:nova'))})))
        else:
            return []
        self._put(self.ports, row)
        return [('port', row['id'])]

    def _delete_port(self, chance):
        if not self.ports:
            return []
        port = chance.choice(list(self.ports))
        del self.ports[port]
        for row in self.floatingips.values():
            if row['port_id'] == port:
                row['port_id'] = None
        return [('port', port)]

    def _group(self, chance):
        if len(self.security_groups) < 4 and chance.random() < 0.4:
            row = {'id': 'g%d' % self.number(), 'stateful': True, 'security_group_rules': []}
        elif self.security_groups:
            row = copy.deepcopy(chance.choice(list(self.security_groups.values())))
        else:
            return []
        if chance.random() < 0.5 or 'name' not in row:
            row['name'] = 'name%d' % self.number()
        else:
            rules = row['security_group_rules']
            if rules and chance.random() < 0.5:
                rules.remove(chance.choice(rules))
            remote = chance.choice(list(self.security_groups))
            rules.append({'id': 'r%d' % self.number(), 'direction': 'ingress', 'ethertype': 'IPv4', 'remote_group_id': remote})
        self._put(self.security_groups, row)
        return [('security_group', row['id'])]

    def _delete_group(self, chance):
        free = [g for g in self.security_groups if not any(g in port['security_groups'] for port in self.ports.values())]
        if not free:
            return []
        group = chance.choice(free)
        del self.security_groups[group]
        for row in self.security_groups.values():  # the database's own cascade: no revision_number moves
            row['security_group_rules'] = [r for r in row['security_group_rules'] if r['remote_group_id'] != group]
        return [('security_group', group)]

    def _address_group(self, chance):
        if self.address_groups and chance.random() < 0.3:
            group = chance.choice(list(self.address_groups))
            del self.address_groups[group]
            return [('address_group', group)]
        group = chance.choice(list(self.address_groups)) if len(self.address_groups) == 2 else 'a%d' % self.number()
        self._put(self.address_groups, {'id': group, 'name': group, 'addresses': ['10.%d.0.0/16' % chance.randrange(200)]})
        return [('address_group', group)]

    def _network(self, chance):
        self._put(self.networks, {'id': 'net', 'name': 'net%d' % self.number(), 'admin_state_up': chance.random() < 0.8})
        return [('network', 'net')]

    def _subnet(self, chance):
        number = self.number()
        self._put(self.subnets, dict(self.subnets['sub'], gateway_ip='10.65.%d.%d' % divmod(number, 256),
                                     enable_dhcp=chance.random() < 0.7))
        return [('subnet', 'sub')]

    def _floating(self, chance):
        row = self.floatingips['f']
        before, after = row['port_id'], chance.choice([None] + list(self.ports))
        row['port_id'] = after
        return [('port', port) for port in {before, after} if port]

    def snapshot(self):
        """A database that stays as this one is now."""
        with self._lock:
            other = Database()
            for table in self.TABLES:
                setattr(other, table, copy.deepcopy(getattr(self, table)))
            return other

    def read(self, spec):
        """The ANSWER to a SPEC (docs/neutron-bridge.md)."""
        with self._lock:
            kind = spec['kind']
            table = getattr(self, kind)
            if 'ids' in spec:
                rows, more = [table[i] for i in spec['ids'] if i in table], False
            else:
                rows = [row for i, row in sorted(table.items()) if i > spec.get('after', '') and self._matches(row, spec)]
                limit = spec.get('limit', 500)
                rows, more = rows[:limit], len(rows) > limit
            answer = {kind: rows, 'more': more}
            if kind == 'ports':
                answer.update({other: list(getattr(self, other).values())
                               for other in ('networks', 'subnets', 'security_groups', 'floatingips')},
                              projects=[{'id': 'project', 'name': 'shop', 'parent_id': 'default'}])
            return copy.deepcopy(answer)

    @staticmethod
    def _matches(row, spec):
        for name, value in spec.get('filter', {}).items():
            if name == 'network_id' and row['network_id'] != value:
                return False
            if name == 'security_group_id' and value not in row['security_groups']:
                return False
            if name == 'subnet_id' and value not in [ip['subnet_id'] for ip in row['fixed_ips']]:
                return False
        return True

    def expected(self):
        """What etcd must hold, in the words of `abstract`: a second opinion beside the bridge's own."""
        wanted = {}
        network, subnet, floating = self.networks['net'], self.subnets['sub'], self.floatingips['f']
        for port in self.ports.values():
            if not (port['device_owner'] and port['binding:host_id'] and network['admin_state_up']):
                continue
            parts = [part.replace('-', '--') for part in (port['binding:host_id'], port['device_id'], port['id'])]
            wanted['workloadendpoints/%s-openstack-%s-%s' % tuple(parts)] = {
                'node': port['binding:host_id'], 'network': network['name'], 'gateway': subnet['gateway_ip'],
                'groups': {group: self.security_groups[group]['name'] for group in port['security_groups']},
                'nats': [floating['floating_ip_address']] if floating['port_id'] == port['id'] else []}
        for group in self.security_groups.values():
            wanted['networkpolicies/ossg.default.' + group['id']] = [
                'has(sg.projectcalico.org/openstack-%s)' % rule['remote_group_id'] for rule in group['security_group_rules']]
        for group in self.address_groups.values():
            wanted['networksets/osag.default.' + group['id']] = group['addresses']
        if subnet['enable_dhcp']:
            wanted['subnet/sub'] = subnet['gateway_ip']
        return wanted


def abstract(items):
    """etcd's content by the parts that Database.expected names."""
    label, found = 'sg.projectcalico.org/openstack-', {}
    for key, value in items.items():
        name = key.replace(RESOURCES, '').replace('/openstack/', '/').replace('/calico/dhcp/v2/no-region/', '')
        value = json.loads(value)
        spec = value.get('spec', {})
        if name.startswith('workloadendpoints/'):
            labels = value['metadata']['labels']
            found[name] = {'node': spec['node'], 'network': labels['projectcalico.org/openstack-network-name'],
                           'gateway': spec.get('ipv4Gateway'),
                           'groups': {k[len(label):]: v for k, v in labels.items() if k.startswith(label)},
                           'nats': [nat['externalIP'] for nat in spec.get('ipNATs', [])]}
        elif name.startswith('networkpolicies/ossg.'):
            found[name] = [rule['source']['selector'] for rule in spec['ingress']]
        elif name.startswith('networksets/'):
            found[name] = spec['nets']
        elif name.startswith('subnet/'):
            found[name] = value['gateway_ip']
    return found


class _Connection(http.client.HTTPConnection):
    def __init__(self, path):
        super().__init__('bridge', timeout=70)
        self._path = path

    def connect(self):
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class Controller:
    """A bridge process, its shim's hooks and its worker."""

    def __init__(self, folder, name, etcd_port, database, options=''):
        self.name, self.database = name, database
        self.socket, self.log = folder / (name + '.sock'), folder / (name + '.log')
        self.reported = []  # hosts that the worker was told of
        self._config = folder / (name + '.conf')
        self._config.write_text('[calico]\netcd_port = %d\nelector_name = %s\nresync_interval_secs = 0\n%s'
                                % (etcd_port, name, options))
        self._over = threading.Event()
        self.start()
        for _ in range(2 if database else 0):
            threading.Thread(target=self._work, daemon=True).start()

    def start(self):
        self.process = Process([str(BUILD / 'bin/percale-neutron'), '--config-file', str(self._config), '--socket',
                                str(self.socket)], self.log)

    def wait(self):
        wait_for(self.name, lambda: (self.status() or {}).get('ready'), 30)

    def kill(self):
        self.process.stop(signal.SIGKILL)

    def close(self):
        self._over.set()
        self.process.stop()

    def ask(self, method, path, body=None, connection=None):
        """The answer; OSError or HTTPException when the bridge is not there."""
        link = connection or _Connection(self.socket)
        try:
            link.request(method, path, None if body is None else json.dumps(body))
            text = link.getresponse().read()
            return json.loads(text) if text else None
        finally:
            if connection is None:
                link.close()

    def status(self):
        with contextlib.suppress(OSError, http.client.HTTPException):
            return self.ask('GET', '/v1/status')

    def hook(self, kind, object_id, chance, database=None):
        """As the shim. Returns whether the bridge has answered to the end."""
        database = database or self.database
        body = {'changed': [{'kind': kind, 'id': object_id}]}
        try:
            while True:
                answer = self.ask('POST', '/v1/changed', body)
                if answer['result'] != 'read':
                    return True
                time.sleep(chance.random() * 0.005)
                data = [database.read(spec) for spec in answer['read']]
                time.sleep(chance.random() * 0.005)
                body = dict(answer['continue'], data=data)
        except (OSError, http.client.HTTPException):
            return False

    def _work(self):
        link, body = _Connection(self.socket), {}
        while not self._over.is_set():
            try:
                call = self.ask('POST', '/v1/work', dict(body, worker=self.name), link)
            except (OSError, http.client.HTTPException):
                link.close()
                body = {}
                time.sleep(0.05)
                continue
            body = {}
            if call:
                if call['call'] == 'report_agent':
                    self.reported.append(call['host'])
                body = {'id': call['id'], 'result': self.database.read(call['spec']) if call['call'] == 'list' else {}}
        link.close()

    def resync(self, *options):
        """percalectl's result, as an operator gets it."""
        done = subprocess.run([str(BUILD / 'bin/percalectl'), 'neutron', 'resync', '--socket', str(self.socket), *options],
                              capture_output=True, text=True, timeout=120)
        if done.returncode:
            raise AssertionError('resync: %s%s' % (done.stdout, done.stderr))
        return json.loads(done.stdout)


class Base(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='percale-two'))
        cls.folder.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.etcd = OwnEtcd(cls.folder)
        cls.addClassCleanup(cls.etcd.stop)

    def below(self, prefix):
        return self.etcd.all(prefix)

    def agree(self, controllers):
        """No difference seen from either side. The watch of a bridge may be a moment behind."""
        for controller in controllers:
            with contextlib.suppress(TimeoutError):
                wait_for('nothing to do', lambda: controller.resync('--dry-run')['differences'] == [], 10)
            self.assertEqual(controller.resync('--dry-run')['differences'], [], controller.name)


class InterleavingTest(Base):
    """One database in this process, two bridges, many short runs."""

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        cls.database = Database()
        cls.controllers = [Controller(cls.folder, name, cls.etcd.port, cls.database) for name in ('c0', 'c1')]
        for controller in cls.controllers:
            cls.addClassCleanup(controller.close)
            controller.wait()

    def run_once(self, seed, read_early=False):
        """Returns whether a call or a bridge was lost, so that a resync had to help."""
        chance = random.Random(seed)
        lossy = not read_early and chance.random() < 0.5
        lost = []

        def caller(number):
            mine = random.Random(seed * 100 + number)
            for _ in range(CALLS):
                told_all = self.database.call(mine)
                database = self.database.snapshot() if read_early else self.database
                for told in told_all:
                    time.sleep(mine.random() * (0.1 if read_early else 0.01))
                    dies = lossy and mine.random() < 0.1  # between commit and hook
                    if dies or not mine.choice(self.controllers).hook(*told, mine, database):
                        lost.append(told)

        threads = [threading.Thread(target=caller, args=(number,)) for number in range(CALLERS)]
        for thread in threads:
            thread.start()
        if lossy:
            time.sleep(chance.random() * 0.2)
            victim = chance.choice(self.controllers)
            victim.kill()
            time.sleep(chance.random() * 0.1)
            victim.start()
        for thread in threads:
            thread.join()
        for controller in self.controllers:
            controller.wait()
            wait_for('repairs', lambda: controller.status()['dirty'] == 0, 30)
        if lossy:
            chance.choice(self.controllers).resync()
        return bool(lost)

    def compare(self):
        wanted = self.database.expected()
        # A rename that overlapped with a write on the other controller is looked for again after five seconds.
        with contextlib.suppress(TimeoutError):
            wait_for('equal', lambda: self.stored() == wanted, 8)
        self.assertEqual(self.stored(), wanted)

    def stored(self):
        return abstract(self.below(RESOURCES) | self.below('/calico/dhcp/v2/'))

    def test_etcd_ends_equal_to_the_database(self):
        deadline = time.monotonic() + SECONDS
        seed, helped = SEED, 0
        while (time.monotonic() < deadline) if RUNS is None else (seed < SEED + RUNS):
            with self.subTest(seed=seed):
                helped += self.run_once(seed)
                self.compare()
                self.agree(self.controllers)
            seed += 1
        print('%d runs, %d of them with something lost' % (seed - SEED, helped))
        self.assertGreater(helped, 0)

    def test_shims_that_bring_the_state_of_their_commit_are_found(self):
        """What the protocol is there for: the same runs fail when a hook does not read after the bridge has asked."""
        for seed in range(30):
            self.run_once(seed, read_early=True)
            try:
                self.compare()
            except AssertionError:
                break
        else:
            self.fail('30 runs, and nothing went wrong')
        self.controllers[0].resync()
        self.compare()

    def test_the_comparison_sees_a_difference(self):
        for told in self.database.call(random.Random(4)) or [('subnet', 'sub')]:
            self.controllers[0].hook(*told, random.Random(4))
        self.compare()
        group = {'id': 'seen', 'name': 'seen', 'stateful': True, 'security_group_rules': [], 'revision_number': 1}
        self.database.security_groups['seen'] = group
        try:
            self.assertNotEqual(self.stored(), self.database.expected())
            self.assertEqual([d['action'] for d in self.controllers[1].resync('--dry-run')['differences']], ['create'])
        finally:
            del self.database.security_groups['seen']


class ServersTest(Base):
    """Two real neutron-servers on one MariaDB, each with its own bridge; users who change the same ports and groups through both."""

    HOSTS = 'h0', 'h1'

    @classmethod
    def setUpClass(cls):
        super().setUpClass()
        # The workers are Neutron's own here; the controllers' in this file would answer from an empty database.
        cls.controllers = [Controller(cls.folder, name, cls.etcd.port, None) for name in ('c0', 'c1')]
        for controller in cls.controllers:
            cls.addClassCleanup(controller.close)
            controller.wait()
        cls.servers = [Neutron(cls.folder / 'n0', cls.controllers[0].socket)]
        cls.addClassCleanup(cls.servers[0].close)
        cls.servers[0].migrate()
        cls.servers.append(Neutron(cls.folder / 'n1', cls.controllers[1].socket, database=cls.servers[0].database))
        cls.addClassCleanup(cls.servers[1].close)
        for server in cls.servers:
            server.start()
        for host in cls.HOSTS:
            cls.etcd.put('/calico/felix/v2/no-region/host/%s/status' % host,
                            '{"time":"2026-01-31T09:00:00Z","uptime":1.5,"first_update":true}')
        wait_for('agents', lambda: len(cls.servers[1].get('agents')['agents']) == len(cls.HOSTS))
        network = cls.servers[0].create('network', name='net')
        cls.servers[0].create('subnet', network_id=network['id'], ip_version=4, cidr='10.65.0.0/24')
        cls.network = network['id']
        cls.groups = [cls.servers[i].create('security_group', name='g%d' % i)['id'] for i in range(2)]
        cls.ports = [cls.servers[i % 2].create('port', network_id=cls.network, device_owner='compute:nova', device_id='vm-1',
                                               **{'binding:host_id': 'h0'})['id'] for i in range(3)]

    def call(self, chance):
        neutron = chance.choice(self.servers)
        port, group = chance.choice(self.ports), chance.choice(self.groups)
        what = chance.randrange(7)
        if what < 4:
            neutron.update('port', port, **({'device_id': 'vm-%d' % chance.randrange(3)},
                                            {'binding:host_id': chance.choice(self.HOSTS)},
                                            {'security_groups': [g for g in self.groups if chance.random() < 0.5]},
                                            {'binding:profile': {'any': chance.randrange(9)}})[what])
        elif what == 4:
            neutron.update('security_group', group, name='name%d' % chance.randrange(1000))
        elif what == 5:
            neutron.create('security_group_rule', security_group_id=group, direction='ingress', ethertype='IPv4', protocol='tcp',
                           port_range_min=80, port_range_max=80 + chance.randrange(1000), remote_group_id=chance.choice(self.groups))
        else:
            neutron.update('network', self.network, name='net%d' % chance.randrange(1000))

    @contextlib.contextmanager
    def users(self, seed, number=3, calls=8):
        """So many users at once, each with so many calls; all are done at the end of the block."""
        refused = []

        def user(one):
            chance = random.Random(seed * 100 + one)
            for _ in range(calls):
                try:
                    self.call(chance)
                except Refused as error:  # two at once on one row, or no bridge to ask
                    refused.append(str(error))

        threads = [threading.Thread(target=user, args=(one,)) for one in range(number)]
        for thread in threads:
            thread.start()
        yield
        for thread in threads:
            thread.join()
        print('%d of %d calls were refused' % (len(refused), number * calls))

    def compare(self):
        ports = {port['id']: port for port in self.servers[0].get('ports')['ports']}
        names = {group['id']: group['name'] for group in self.servers[0].get('security-groups')['security_groups']}
        network = self.servers[0].show('network', self.network)['name']
        stored = {key.rsplit('/', 1)[1]: value for key, value in
                  abstract(self.below(RESOURCES + 'workloadendpoints/openstack/')).items()}
        wanted = {}
        for port in ports.values():
            parts = [part.replace('-', '--') for part in (port['binding:host_id'], port['device_id'], port['id'])]
            wanted['%s-openstack-%s-%s' % tuple(parts)] = {
                'node': port['binding:host_id'], 'network': network, 'gateway': '10.65.0.1', 'nats': [],
                'groups': {group: names[group] for group in port['security_groups']}}
        self.assertEqual(stored, wanted)
        rules = self.servers[0].get('security-group-rules')['security_group_rules']
        for group in self.groups:
            value = json.loads(self.etcd.get(RESOURCES + 'networkpolicies/openstack/ossg.default.' + group))
            self.assertEqual(len(value['spec']['ingress']),
                             len([r for r in rules if r['security_group_id'] == group and r['direction'] == 'ingress']))

    def test_1_hooks_alone_are_enough(self):
        with self.users(SEED):
            pass
        time.sleep(6)  # what overlapped with a rename has been looked for again
        self.compare()
        self.agree(self.controllers)

    def test_2_a_bridge_is_killed_meanwhile(self):
        with self.users(SEED + 1):
            time.sleep(1)
            self.controllers[0].kill()
            time.sleep(0.5)
            self.controllers[0].start()
        self.controllers[0].wait()
        wait_for('the worker', lambda: self.controllers[0].status()['workers'])
        self.controllers[0].resync()
        self.compare()
        self.agree(self.controllers)


class LeaderTest(Base):
    """Of two controllers with different host names. A leader that is killed is followed when its lease of 60 s ends, or at once by
    itself when it is started again.
    """

    def test_one_leads_and_the_other_follows(self):
        database = Database()
        first = Controller(self.folder, 'm0', self.etcd.port, database, 'etcd_compaction_period_mins = 1\n')
        self.addCleanup(first.close)
        wait_for('a leader', lambda: (first.status() or {}).get('leader'))
        second = Controller(self.folder, 'm1', self.etcd.port, database, 'etcd_compaction_period_mins = 1\n')
        self.addCleanup(second.close)
        second.wait()
        self.etcd.put('/calico/felix/v2/no-region/host/h1/status',
                         '{"time":"2026-01-31T09:00:00Z","uptime":1.5,"first_update":true}')
        wait_for('a report', lambda: first.reported)
        self.assertFalse(second.status()['leader'])
        self.assertEqual(second.reported, [])
        self.assertEqual(self.etcd.get('/calico/openstack/v2/no-region/neutron_election'), 'm0:%d' % first.process.pid)
        wait_for('compaction', lambda: self.etcd.get('/calico/compaction/v1/trigger') == str(first.process.pid))
        # Resyncs of its own: the leader's one at start, the follower none.
        wait_for('a resync', lambda: first.status()['last_resync'])
        self.assertIsNone(second.status()['last_resync'])

        first.kill()
        killed = time.monotonic()
        wait_for('the follower', lambda: second.status()['leader'], 75)
        print('the follower leads %.0f s after the kill' % (time.monotonic() - killed))
        wait_for('its resync', lambda: second.status()['last_resync'])
        wait_for('its report', lambda: second.reported)
        first.start()
        first.wait()
        self.assertFalse(first.status()['leader'])

        second.kill()
        second.start()  # the same host again: its own dead process is no obstacle
        wait_for('the leader itself', lambda: (second.status() or {}).get('leader') or first.status()['leader'], 30)
        second.wait()
        self.assertEqual([first.status()['leader'], second.status()['leader']].count(True), 1)
        leader, other = (first, second) if first.status()['leader'] else (second, first)
        leader.process.stop()  # in good order: at once
        wait_for('the other', lambda: other.status()['leader'], 5)


class CompactionTest(Base):
    """Of etcd's history. The first check has nothing to go by and only notes where etcd stands; the next one, when the trigger key has
    expired, drops what is older than that.
    """

    TRIGGER, LAST = '/calico/compaction/v1/trigger', '/calico/compaction/v1/last'

    def test_what_is_older_than_the_last_check_goes(self):
        controller = Controller(self.folder, 'm0', self.etcd.port, Database(), 'etcd_compaction_min_revisions = 10\n')
        self.addCleanup(controller.close)
        self.etcd.put('/test', 'old')
        wait_for('the first check', lambda: self.etcd.get(self.TRIGGER))
        self.assertEqual(self.etcd.get(self.LAST), '0')
        noted = self.etcd.snapshot('/test')[1]
        for number in range(30):
            self.etcd.put('/test', 'new %d' % number)
        self.assertEqual(self.etcd.get('/test', noted), 'old')

        controller.kill()
        self.etcd.delete(self.TRIGGER)  # what the end of its lease does within the hour
        controller.start()
        wait_for('the second check', lambda: self.etcd.get(self.LAST) != '0')
        compacted = int(self.etcd.get(self.LAST))
        self.assertLess(compacted, noted + 30)
        with self.assertRaisesRegex(RuntimeError, 'compacted'):
            self.etcd.get('/test', compacted - 1)
        self.assertEqual(self.etcd.get('/test', compacted), 'old')
        self.assertEqual(self.etcd.get('/test'), 'new 29')
        controller.wait()
        self.assertEqual(controller.resync('--dry-run')['differences'], [])


if __name__ == '__main__':
    for argument in list(sys.argv[1:]):
        if argument.startswith(('--runs=', '--seed=')):
            sys.argv.remove(argument)
            name, value = argument[2:].split('=')
            globals()[name.upper()] = int(value)
    unittest.main(verbosity=2)
