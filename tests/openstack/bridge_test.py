#!/usr/bin/env python3
"""A real neutron-server with the shim, the real bridge and a real etcd: what Neutron's API does arrives in etcd, and what agents
write there arrives in Neutron. `PERCALE_BUILD=build/dev python3 tests/openstack/bridge_test.py`; Debian's neutron-server, MariaDB, etcd.
"""

import contextlib
import datetime
import http.client
import itertools
import json
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from etcd import OwnEtcd  # noqa: E402
from gate import Gate  # noqa: E402
from mirror import RESOURCES  # noqa: E402
from neutron_server import PROJECT, ROOT, Neutron, Process, Refused, wait_for  # noqa: E402

BUILD = pathlib.Path(os.environ.get('PERCALE_BUILD', ROOT / 'build/dev'))
HOST = 'cmp-1'
DEAD_HOST = 'cmp-0'
RESYNC_SECONDS = 3


class BridgeTest(unittest.TestCase):

    @classmethod
    def setUpClass(cls):
        cls.folder = pathlib.Path(tempfile.mkdtemp(prefix='percale-bridge'))
        cls.folder.chmod(0o755)
        cls.addClassCleanup(shutil.rmtree, cls.folder, True)
        cls.etcd = OwnEtcd(cls.folder)
        cls.addClassCleanup(cls.etcd.stop)
        cls.socket = cls.folder / 'bridge.sock'
        (cls.folder / 'bridge.conf').write_text('[calico]\netcd_port = %d\nresync_interval_secs = %d\n' % (cls.etcd.port, RESYNC_SECONDS))
        cls.bridge = cls.start_bridge()
        cls.addClassCleanup(lambda: cls.bridge.stop())
        cls.gate = Gate(cls.folder / 'gate.sock', cls.socket)
        cls.addClassCleanup(cls.gate.close)
        cls.neutron = Neutron(cls.folder / 'neutron', cls.folder / 'gate.sock', service_plugins='qos',
                              extension_drivers='port_security,dns')
        cls.addClassCleanup(cls.neutron.close)
        cls.neutron.migrate()
        cls.neutron.start()
        cls.etcd.put('/calico/felix/v2/no-region/host/%s/status' % HOST,
                     '{"time":"2026-01-31T09:00:00Z","uptime":1.5,"first_update":true}')
        wait_for('the agent', lambda: cls.neutron.get('agents')['agents'])
        cls.network = cls.neutron.create('network', name='net')
        cls.subnet = cls.neutron.create('subnet', network_id=cls.network['id'], ip_version=4, cidr='10.65.0.0/24')

    @classmethod
    def start_bridge(cls):
        return Process([str(BUILD / 'bin/percale-neutron'), '--config-file', str(cls.folder / 'bridge.conf'), '--socket', str(cls.socket)],
                       cls.folder / 'bridge.log')

    def port(self, **members):
        members = dict({'device_owner': 'compute:nova', 'device_id': 'vm-1', 'binding:host_id': HOST}, **members)
        made = self.neutron.create('port', network_id=self.network['id'], **members)
        self.addCleanup(self.drop, made['id'])
        return made

    def drop(self, port_id):
        try:
            self.neutron.delete('ports/' + port_id)
        except Refused:
            pass

    def endpoint(self, port, host=HOST, device='vm-1'):
        parts = [part.replace('-', '--') for part in (host, device, port['id'])]
        value = self.etcd.get('%sworkloadendpoints/openstack/%s-openstack-%s-%s' % (RESOURCES, *parts))
        return json.loads(value) if value else None

    def policy(self, group_id):
        value = self.etcd.get(RESOURCES + 'networkpolicies/openstack/ossg.default.' + group_id)
        return json.loads(value) if value else None

    def dry_run(self):
        done = subprocess.run([str(BUILD / 'bin/percalectl'), 'neutron', 'resync', '--socket', str(self.socket), '--dry-run'],
                              capture_output=True, text=True)
        self.assertEqual(done.returncode, 0, done.stdout + done.stderr)
        return json.loads(done.stdout)['differences']

    def test_agents_table(self):
        agents = self.neutron.get('agents')['agents']
        self.assertEqual([(a['agent_type'], a['host'], a['alive']) for a in agents],
                         [('Calico per-host agent (felix)', HOST, True)])

    def test_zy_a_restart_of_the_bridge_brings_no_dead_agent_back_to_life(self):
        self.bridge.stop()
        died = datetime.datetime.utcnow() - datetime.timedelta(seconds=80)
        self.etcd.put('/calico/felix/v2/no-region/host/%s/status' % DEAD_HOST,
                      '{"time":"%sZ","uptime":99.5,"first_update":false}' % died.isoformat(timespec='seconds'))
        type(self).bridge = self.start_bridge()
        # Were it as good as new it would live for 75 s.
        wait_for('the report', lambda: (DEAD_HOST, False) in [(a['host'], a['alive']) for a in self.neutron.get('agents')['agents']], 60)

    def test_port_from_creation_to_deletion(self):
        port = self.port()
        self.assertEqual(port['binding:vif_type'], 'tap')
        made = self.endpoint(port)
        self.assertEqual(made['spec']['ipNetworks'], [port['fixed_ips'][0]['ip_address'] + '/32'])
        self.assertEqual(made['spec']['ipv4Gateway'], '10.65.0.1')
        self.assertEqual(made['metadata']['labels']['projectcalico.org/openstack-network-name'], 'net')
        group = port['security_groups'][0]
        self.assertEqual(made['metadata']['labels']['sg.projectcalico.org/openstack-' + group], 'default')
        self.assertEqual(len(self.policy(group)['spec']['egress']), 2)
        self.neutron.update('port', port['id'], **{'binding:profile': {'anything': 'else'}})
        self.assertEqual(self.endpoint(port)['metadata']['uid'], made['metadata']['uid'], 'the endpoint was made anew')
        self.neutron.update('port', port['id'], device_id='vm-2')
        self.assertIsNone(self.endpoint(port))
        self.assertIsNotNone(self.endpoint(port, device='vm-2'))
        self.neutron.delete('ports/' + port['id'])
        self.assertIsNone(self.endpoint(port, device='vm-2'))
        self.assertEqual(self.dry_run(), [])

    def test_group_rules_rename_and_deletion(self):
        group = self.neutron.create('security_group', name='web')
        other = self.neutron.create('security_group', name='other')
        port = self.port(security_groups=[group['id']])
        rule = self.neutron.create('security_group_rule', security_group_id=group['id'], direction='ingress', ethertype='IPv4',
                                   protocol='tcp', port_range_min=80, port_range_max=81, remote_group_id=other['id'])
        self.assertIn({'action': 'Allow', 'ipVersion': 4, 'protocol': 6, 'destination': {'ports': ['80:81']},
                       'source': {'selector': 'has(sg.projectcalico.org/openstack-%s)' % other['id']}},
                      self.policy(group['id'])['spec']['ingress'])
        self.neutron.update('security_group', group['id'], name='renamed')
        self.assertEqual(self.endpoint(port)['metadata']['labels']['sg.projectcalico.org/openstack-' + group['id']], 'renamed')
        self.neutron.delete('security-groups/' + other['id'])
        self.assertIsNone(self.policy(other['id']))
        self.assertNotIn(other['id'], json.dumps(self.policy(group['id'])))
        with self.assertRaises(Refused):
            self.neutron.show('security_group_rule', rule['id'])
        self.assertEqual(self.dry_run(), [])

    def test_address_group(self):
        group = self.neutron.create('address_group', name='hosts', addresses=['10.1.0.0/16'])
        key = RESOURCES + 'networksets/openstack/osag.default.' + group['id']
        self.assertEqual(json.loads(self.etcd.get(key))['spec'], {'nets': ['10.1.0.0/16']})
        self.neutron.delete('address-groups/' + group['id'])
        self.assertEqual(self.etcd.all(key), {})

    def test_subnet(self):
        key = '/calico/dhcp/v2/no-region/subnet/'
        network = self.neutron.create('network', name='n2')
        subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.66.0.0/24',
                                     dns_nameservers=['8.8.8.8'])
        self.assertEqual(self.etcd.all(key + subnet['id']),
                         {key + subnet['id']: '{"network_id": "%s", "cidr": "10.66.0.0/24", "host_routes": [], "gateway_ip": '
                                              '"10.66.0.1", "dns_servers": ["8.8.8.8"]}' % network['id']})
        self.neutron.update('subnet', subnet['id'], enable_dhcp=False)
        self.assertEqual(self.etcd.all(key + subnet['id']), {})

    def test_network_rename_and_gateway_reach_the_endpoint(self):
        port = self.port()
        self.neutron.update('network', self.network['id'], name='new name')
        self.assertEqual(self.endpoint(port)['metadata']['labels']['projectcalico.org/openstack-network-name'], 'new_name')
        self.neutron.update('network', self.network['id'], name='net')
        self.neutron.update('network', self.network['id'], admin_state_up=False)
        self.assertIsNone(self.endpoint(port))
        self.neutron.update('network', self.network['id'], admin_state_up=True)
        self.assertIsNotNone(self.endpoint(port))

    def test_refusals_are_the_api_s_answers(self):
        policy = self.neutron.request('POST', 'qos/policies', {'policy': {'name': 'slow', 'tenant_id': PROJECT}})['policy']['id']
        port = self.port()
        for call, status, word in (
                (lambda: self.port(qos_policy_id=policy), 400, 'QoS'),
                (lambda: self.neutron.update('port', port['id'], qos_policy_id=policy), 400, 'QoS'),
                (lambda: self.neutron.create('network', name='slow', qos_policy_id=policy), 400, 'QoS'),
                (lambda: self.neutron.update('network', self.network['id'], qos_policy_id=policy), 400, 'QoS'),
                (lambda: self.port(extra_dhcp_opts=[{'opt_name': 'nonsense', 'opt_value': 'x'}]), 400, 'nonsense'),
                (lambda: self.port(**{'binding:vnic_type': 'direct'}), 400, 'VNIC'),
                (lambda: self.neutron.create('trunk', port_id=port['id']), 404, 'not be found'),
                (lambda: self.port(device_id='a/b'), 400, 'device_id'),
                (lambda: self.port(allowed_address_pairs=[{'ip_address': '10.0.0.0/8'}]), 400, 'addresses'),
                (lambda: self.neutron.create('security_group', name='x', stateful=False), 400, 'stateless')):
            with self.assertRaises(Refused) as refused:
                call()
            self.assertEqual(refused.exception.status, status, refused.exception.text)
            self.assertIn(word, refused.exception.text)
        self.assertEqual(self.dry_run(), [])

    def test_names_and_floating_ips_together(self):
        """With ML2's dns driver; upstream's plugin answers 500 to the creation of a floating IP then."""
        port = self.port(dns_name='web')
        self.assertEqual(self.endpoint(port)['metadata']['annotations']['openstack.projectcalico.org/fqdn'],
                         port['dns_assignment'][0]['fqdn'])
        outside = self.neutron.create('network', name='outside', **{'router:external': True})
        self.neutron.create('subnet', network_id=outside['id'], ip_version=4, cidr='192.0.2.0/24', enable_dhcp=False)
        router = self.neutron.create('router', name='r', external_gateway_info={'network_id': outside['id']})
        self.neutron.request('PUT', 'routers/%s/add_router_interface' % router['id'], {'subnet_id': self.subnet['id']})
        floating = self.neutron.create('floatingip', floating_network_id=outside['id'], port_id=port['id'])
        self.assertEqual(self.endpoint(port)['spec']['ipNATs'], [
            {'internalIP': port['fixed_ips'][0]['ip_address'], 'externalIP': floating['floating_ip_address']}])
        self.neutron.delete('floatingips/' + floating['id'])
        self.assertNotIn('ipNATs', self.endpoint(port)['spec'])
        self.neutron.request('PUT', 'routers/%s/remove_router_interface' % router['id'], {'subnet_id': self.subnet['id']})

    def test_dhcp_options_of_a_port(self):
        port = self.port(extra_dhcp_opts=[{'opt_name': 'bootfile-name', 'opt_value': 'pxelinux.0'}])
        annotation = 'openstack.projectcalico.org/dhcp-options'
        self.assertEqual(json.loads(self.endpoint(port)['metadata']['annotations'][annotation]),
                         [{'name': 'bootfile-name', 'value': 'pxelinux.0', 'ip_version': 4}])
        self.neutron.update('port', port['id'], extra_dhcp_opts=[{'opt_name': 'bootfile-name', 'opt_value': None}])
        self.assertNotIn(annotation, self.endpoint(port)['metadata']['annotations'])

    def test_curl_is_enough(self):
        def curl(*arguments):
            done = subprocess.run(['curl', '--silent', '--show-error', '--unix-socket', str(self.socket), *arguments], capture_output=True,
                                  text=True)
            self.assertEqual(done.returncode, 0, done.stderr)
            return done.stdout
        self.assertTrue(json.loads(curl('http://bridge/v1/status'))['ready'])
        self.assertTrue(json.loads(curl('--json', '{"dry_run": true}', 'http://bridge/v1/resync'))['ok'])
        self.assertEqual(json.loads(curl('http://bridge/v1/paint'))['error']['code'], 'not_found')
        self.assertIn('percale_neutron_leader 1', curl('http://bridge/metrics'))

    def test_zv_a_start_writes_felix_configuration(self):
        key = RESOURCES + 'felixconfigurations/default'
        for value, prefix in ((None, 'tap'), ('broken', 'tap'), ('{"metadata":{"name":"default"},"spec":{"interfacePrefix":"cali"}}',
                                                                  'cali,tap')):
            with self.subTest(value):
                self.bridge.stop(signal.SIGKILL)
                self.etcd.write({key: value})
                type(self).bridge = self.start_bridge()
                wait_for('a resync', lambda: (self.status().get('last_resync') or {}).get('ok'), 30)
                spec = json.loads(self.etcd.get(key))['spec']
                self.assertEqual((spec['interfacePrefix'], spec['endpointReportingEnabled']), (prefix, True))

    def status(self):
        done = subprocess.run([str(BUILD / 'bin/percalectl'), 'neutron', 'status', '--socket', str(self.socket)], capture_output=True,
                              text=True)
        return json.loads(done.stdout) if done.returncode == 0 else {}

    def test_status_in_both_directions(self):
        port = self.port()
        key = '/calico/felix/v2/no-region/host/%s/workload/openstack/openstack%%2fvm-1/endpoint/%s' % (HOST, port['id'])
        for agents, neutrons in (('up', 'ACTIVE'), ('down', 'DOWN'), ('up', 'ACTIVE')):
            self.etcd.put(key, '{"status":"%s"}' % agents)
            wait_for(neutrons, lambda: self.neutron.show('port', port['id'])['status'] == neutrons, 20)

    def test_resync_repairs_what_others_did(self):
        port = self.port()
        key = next(iter(self.etcd.all(RESOURCES + 'workloadendpoints/openstack/')))
        self.etcd.put(key, 'no JSON')
        self.etcd.put(RESOURCES + 'workloadendpoints/openstack/h-openstack-x-y', '{}')
        wait_for('repair', lambda: self.dry_run() == [] and 'no JSON' not in self.etcd.all(key).values(), 30)
        self.assertIsNotNone(self.endpoint(port))
        self.assertEqual(self.etcd.all(RESOURCES + 'workloadendpoints/openstack/h-openstack-x-y'), {})

    def test_whoever_looks_all_the_time_does_not_stop_resyncs(self):
        """Each dry run begins when the one before ends, so that one is always waiting when a periodic resync ends."""
        until = time.monotonic() + 2 * RESYNC_SECONDS

        def look():
            while time.monotonic() < until:
                self.dry_run()

        lookers = [threading.Thread(target=look) for _ in range(2)]
        for looker in lookers:
            looker.start()
        for looker in lookers:
            looker.join()
        stray = RESOURCES + 'workloadendpoints/openstack/h-openstack-x-y'
        self.etcd.put(stray, '{}')
        wait_for('a resync', lambda: not self.etcd.all(stray), 10 * RESYNC_SECONDS)

    def test_zx_neutron_is_killed_between_its_commit_and_the_bridge_s_write(self):
        group = self.neutron.create('security_group', name='late')['id']
        rules = len(self.policy(group)['spec']['ingress'])
        self.gate.hold('/v1/changed')
        dying = threading.Thread(target=self.lost, args=(lambda: self.neutron.create(
            'security_group_rule', security_group_id=group, direction='ingress', ethertype='IPv4', protocol='tcp'),))
        dying.start()
        self.gate.wait_held()
        self.assertEqual(self.neutron.database.sql(
            "select count(*) from securitygrouprules where security_group_id='%s' and direction='ingress'" % group, 'neutron').strip(), '1')
        self.neutron.stop(signal.SIGKILL)
        dying.join()
        self.gate.drop()
        self.assertEqual(len(self.policy(group)['spec']['ingress']), rules, 'written by somebody else')
        self.neutron.start()
        wait_for('repair', lambda: len(self.policy(group)['spec']['ingress']) == 1, 60)
        wait_for('no difference', lambda: self.dry_run() == [], 30)

    def lost(self, call):
        """A call that is never answered."""
        with contextlib.suppress(OSError, http.client.HTTPException):
            call()

    def test_zy_etcd_stops_while_the_api_is_used(self):
        """A call succeeds or fails; what failed is not in Neutron, what succeeded gets into etcd."""
        over = threading.Event()
        made, refused = {'security_group': [], 'port': []}, []

        def user(one):
            for number in itertools.count():
                if over.is_set():
                    return
                name = 'user%d-%d' % (one, number)
                try:
                    made['security_group'].append(self.neutron.create('security_group', name=name)['id'])
                    made['port'].append(self.port(device_id=name)['id'])
                    time.sleep(0.05)
                except Refused as error:
                    refused.append((error.status, name))

        users = [threading.Thread(target=user, args=(one,)) for one in range(3)]
        for one in users:
            one.start()
        time.sleep(1)
        self.etcd.stop()
        time.sleep(5)
        self.etcd.start()
        time.sleep(3)
        over.set()
        for one in users:
            one.join()
        print('%d groups and %d ports made, %d calls refused' % (len(made['security_group']), len(made['port']), len(refused)))
        self.assertEqual({status for status, _ in refused}, {503})
        there = {group['id'] for group in self.neutron.get('security-groups')['security_groups'] if group['name'].startswith('user')}
        self.assertEqual(there, set(made['security_group']))
        ports = {port['id'] for port in self.neutron.get('ports')['ports'] if port['device_id'].startswith('user')}
        self.assertEqual(ports, set(made['port']))
        wait_for('no difference', lambda: self.dry_run() == [], 60)
        stored = ' '.join(self.etcd.all(RESOURCES))
        for kind in made.values():
            for made_id in kind:
                self.assertTrue(made_id in stored or made_id.replace('-', '--') in stored, made_id)

    def test_zz_etcd_away(self):
        port = self.port()
        self.etcd.stop()
        with self.assertRaises(Refused) as refused:
            self.neutron.create('port', network_id=self.network['id'], device_owner='compute:nova', device_id='vm-9',
                                **{'binding:host_id': HOST})
        self.assertEqual(refused.exception.status, 503, refused.exception.text)
        self.neutron.delete('ports/' + port['id'])
        self.etcd.start()
        wait_for('repair', lambda: self.endpoint(port) is None, 40)
        wait_for('no difference', lambda: self.dry_run() == [], 40)


if __name__ == '__main__':
    unittest.main(verbosity=2)
