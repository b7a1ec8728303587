#!/usr/bin/env python3
"""OpenStack end to end: what Neutron's REST API is told, what etcd then holds, and what packets between guests then do.

`python3 tests/openstack/cloud_test.py [--bin FOLDER] [TEST…]`, as root; needs the release build, Debian's neutron-server, MariaDB
and udhcpc.
"""

import pathlib
import sys
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cloud import Cloud  # noqa: E402
from neutron_server import Refused, wait_for  # noqa: E402

HOSTS = ('host-a', 'host-b')
SETTINGS = {'bin': None}


def soon(holds, seconds=10):
    """Whether it holds within the time."""
    try:
        return wait_for('it', holds, seconds)
    except TimeoutError:
        return False


class CloudTest(unittest.TestCase):
    """One cloud for all tests; each makes its own groups and machines and leaves the others' alone."""

    @classmethod
    def setUpClass(cls):
        cls.cloud = Cloud(bin_folder=SETTINGS['bin'])
        cls.addClassCleanup(cls.cloud.down)
        cls.cloud.up()
        cls.neutron = cls.cloud.neutron
        cls.network = cls.neutron.create('network', name='net one')
        cls.subnet = cls.neutron.create('subnet', network_id=cls.network['id'], ip_version=4, cidr='10.77.0.0/24',
                                        dns_nameservers=['192.0.2.53'])
        cls.subnet6 = cls.neutron.create('subnet', network_id=cls.network['id'], ip_version=6, cidr='fd00:77::/64',
                                         ipv6_ra_mode='dhcpv6-stateful', ipv6_address_mode='dhcpv6-stateful')
        cls.open_group = cls.neutron.create('security_group', name='open')
        for ethertype in ('IPv4', 'IPv6'):
            cls.rule(cls.open_group, direction='ingress', ethertype=ethertype)
        cls.client = cls.cloud.machine('client', cls.network, HOSTS[0], security_groups=[cls.open_group['id']])

    @classmethod
    def rule(cls, group, **members):
        members.setdefault('ethertype', 'IPv4')
        return cls.neutron.create('security_group_rule', security_group_id=group['id'], **members)

    def rules(self, group, direction='ingress'):
        return self.cloud.policy(group['id'])['spec'][direction]


class Translation(CloudTest):
    """etcd's values; no packets."""

    # Rule members -> what the policy then has. Each is one case.
    RULES = [
        (dict(), {'action': 'Allow', 'ipVersion': 4}),
        (dict(ethertype='IPv6'), {'action': 'Allow', 'ipVersion': 6}),
        (dict(protocol='tcp'), {'protocol': 6}),
        (dict(protocol='udp'), {'protocol': 17}),
        (dict(protocol='sctp'), {'protocol': 132}),
        (dict(protocol='6'), {'protocol': '6'}),
        (dict(protocol='17'), {'protocol': '17'}),
        (dict(protocol='112'), {'protocol': '112'}),
        (dict(protocol='255'), {'protocol': '255'}),
        (dict(protocol='gre'), {'protocol': 47}),
        (dict(protocol='esp'), {'protocol': 50}),
        (dict(protocol='ah'), {'protocol': 51}),
        (dict(protocol='vrrp'), {'protocol': 112}),
        (dict(protocol='ospf'), {'protocol': 89}),
        (dict(protocol='pgm'), {'protocol': 113}),
        (dict(protocol='rsvp'), {'protocol': 46}),
        (dict(protocol='egp'), {'protocol': 8}),
        (dict(protocol='igmp'), {'protocol': 2}),
        (dict(protocol='ipip'), {'protocol': 4}),
        (dict(protocol='dccp'), {'protocol': 33}),
        (dict(protocol='udplite'), {'protocol': 136}),
        (dict(protocol='icmp'), {'protocol': 'ICMP'}),
        (dict(protocol='icmp', port_range_min=8), {'protocol': 'ICMP', 'icmp': {'type': 8}}),
        (dict(protocol='icmp', port_range_min=8, port_range_max=0), {'protocol': 'ICMP', 'icmp': {'type': 8, 'code': 0}}),
        (dict(protocol='icmp', ethertype='IPv6'), {'protocol': 'ICMPv6', 'ipVersion': 6}),
        (dict(protocol='ipv6-icmp', ethertype='IPv6', port_range_min=128), {'protocol': 'ICMPv6', 'icmp': {'type': 128}}),
        (dict(protocol='icmpv6', ethertype='IPv6'), {'protocol': 'ICMPv6'}),
        (dict(protocol='ipv6-encap', ethertype='IPv6'), {'protocol': 41}),
        (dict(protocol='ipv6-frag', ethertype='IPv6'), {'protocol': 44}),
        (dict(protocol='ipv6-route', ethertype='IPv6'), {'protocol': 43}),
        (dict(protocol='ipv6-nonxt', ethertype='IPv6'), {'protocol': 59}),
        (dict(protocol='ipv6-opts', ethertype='IPv6'), {'protocol': 60}),
        (dict(protocol='tcp', port_range_min=80, port_range_max=80), {'protocol': 6, 'destination': {'ports': [80]}}),
        (dict(protocol='tcp', port_range_min=80, port_range_max=90), {'protocol': 6, 'destination': {'ports': ['80:90']}}),
        (dict(protocol='udp', port_range_min=1, port_range_max=1024), {'protocol': 17, 'destination': {'ports': ['1:1024']}}),
        (dict(protocol='sctp', port_range_min=7, port_range_max=7), {'protocol': 132, 'destination': {'ports': [7]}}),
        (dict(protocol='tcp', port_range_min=1, port_range_max=65535), {'protocol': 6}),
        (dict(protocol='6', port_range_min=443, port_range_max=443), {'protocol': '6', 'destination': {'ports': [443]}}),
        (dict(remote_ip_prefix='192.0.2.0/24'), {'source': {'nets': ['192.0.2.0/24']}}),
        (dict(remote_ip_prefix='10.3.4.5/16'), {'source': {'nets': ['10.3.4.5/16']}}),
        (dict(remote_ip_prefix='2001:db8::/32', ethertype='IPv6'), {'source': {'nets': ['2001:db8::/32']}}),
        (dict(protocol='tcp', port_range_min=22, port_range_max=22, remote_ip_prefix='192.0.2.1/32'),
         {'protocol': 6, 'source': {'nets': ['192.0.2.1/32']}, 'destination': {'ports': [22]}}),
        (dict(direction='egress', protocol='tcp', port_range_min=22, port_range_max=22, remote_ip_prefix='192.0.2.1/32'),
         {'protocol': 6, 'destination': {'nets': ['192.0.2.1/32'], 'ports': [22]}}),
        (dict(direction='egress', protocol='udp'), {'protocol': 17}),
        # Upstream loses the whole group over these.
        (dict(protocol='0'), {'action': 'Allow', 'ipVersion': 4}),
        (dict(protocol='ip'), {'action': 'Allow', 'ipVersion': 4}),
        (dict(protocol='hopopt'), {'action': 'Allow', 'ipVersion': 4}),
        (dict(protocol='1', port_range_min=8, port_range_max=0), {'protocol': 'ICMP', 'icmp': {'type': 8, 'code': 0}}),
    ]

    def test_every_rule_field(self):
        group = self.neutron.create('security_group', name='fields')
        for members, expected in self.RULES:
            members = dict({'direction': 'ingress'}, **members)
            with self.subTest(**members):
                made = self.rule(group, **members)
                found = self.rules(group, members['direction'])
                mine = [r for r in found if all(r.get(key) == value for key, value in expected.items())]
                self.assertTrue(mine, '%s is not among %s' % (expected, found))
                for key in ('protocol', 'icmp', 'source', 'destination'):
                    self.assertTrue(any(key not in rule for rule in mine) or key in expected, '%s in %s' % (key, mine))
                self.neutron.delete('security-group-rules/' + made['id'])
        self.assertEqual(self.rules(group), [])

    REFUSED_RULES = [dict(protocol='007'), dict(protocol='256'), dict(protocol='any'), dict(protocol='-1'),
                     dict(protocol='ipv6-icmp'), dict(protocol='tcp', port_range_min=9, port_range_max=8)]

    def test_rules_that_are_refused_leave_the_group_as_it_is(self):
        group = self.neutron.create('security_group', name='refusals')
        self.rule(group, direction='ingress', protocol='tcp')
        before = self.cloud.policy(group['id'])
        for members in self.REFUSED_RULES:
            with self.subTest(**members):
                with self.assertRaises(Refused) as caught:
                    self.rule(group, direction='ingress', **members)
                self.assertEqual(caught.exception.status, 400)
                self.assertEqual(self.cloud.policy(group['id']), before)

    def test_what_cannot_be_honoured_is_refused(self):
        cases = {
            'stateless group': lambda: self.neutron.create('security_group', name='s', stateful=False),
            'direct vnic': lambda: self.neutron.create('port', network_id=self.network['id'], device_owner='compute:nova',
                                                       device_id='x', **{'binding:vnic_type': 'direct', 'binding:host_id': 'host-a'}),
            'slash in device_id': lambda: self.neutron.create('port', network_id=self.network['id'], device_owner='compute:nova',
                                                              device_id='a/b', **{'binding:host_id': 'host-a'}),
            'extra dhcp options': lambda: self.neutron.create('port', network_id=self.network['id'], device_owner='compute:nova',
                                                              device_id='x', extra_dhcp_opts=[{'opt_name': 'mtu', 'opt_value': '9'}],
                                                              **{'binding:host_id': 'host-a'}),
        }
        for name, make in cases.items():
            with self.subTest(name):
                with self.assertRaises(Refused) as caught:
                    make()
                self.assertEqual(caught.exception.status, 400, caught.exception.text)

    def test_a_group_names_its_members_and_its_remote(self):
        db, web = (self.neutron.create('security_group', name=name) for name in ('db', 'web'))
        self.rule(db, direction='ingress', protocol='tcp', port_range_min=5432, port_range_max=5432, remote_group_id=web['id'])
        policy = self.cloud.policy(db['id'])
        self.assertEqual(policy['metadata']['name'], 'ossg.default.' + db['id'])
        self.assertEqual(policy['metadata']['namespace'], 'openstack')
        self.assertEqual(policy['spec']['selector'], 'has(sg.projectcalico.org/openstack-%s)' % db['id'])
        self.assertEqual(sorted(policy['spec']), ['egress', 'ingress', 'selector'])
        self.assertEqual(policy['spec']['ingress'], [{
            'action': 'Allow', 'ipVersion': 4, 'protocol': 6, 'destination': {'ports': [5432]},
            'source': {'selector': 'has(sg.projectcalico.org/openstack-%s)' % web['id']}}])
        self.assertEqual(sorted(rule['ipVersion'] for rule in policy['spec']['egress']), [4, 6])
        self.neutron.delete('security-groups/' + web['id'])
        self.assertEqual(self.cloud.policy(db['id'])['spec']['ingress'], [], 'the deleted group is still named')
        self.neutron.delete('security-groups/' + db['id'])
        self.assertIsNone(self.cloud.policy(db['id']))

    def port(self, **members):
        members = dict({'device_owner': 'compute:nova', 'device_id': 'dev-1', 'binding:host_id': 'host-a'}, **members)
        return self.neutron.create('port', network_id=self.network['id'], **members)

    def test_an_endpoint_has_what_the_agents_need(self):
        group = self.neutron.create('security_group', name="Dan's group")
        port = self.port(security_groups=[group['id']])
        endpoint = self.cloud.endpoint(port)
        spec = endpoint['spec']
        self.assertEqual({key: spec[key] for key in ('orchestrator', 'workload', 'node', 'endpoint', 'mac', 'allowedIps')},
                         {'orchestrator': 'openstack', 'workload': 'dev-1', 'node': 'host-a', 'endpoint': port['id'],
                          'mac': port['mac_address'], 'allowedIps': []})
        self.assertEqual(spec['interfaceName'], 'tap' + port['id'][:11])
        addresses = sorted(ip['ip_address'] for ip in port['fixed_ips'])
        self.assertEqual(spec['ipNetworks'], [a + ('/128' if ':' in a else '/32') for a in addresses])
        self.assertEqual((spec['ipv4Gateway'], spec['ipv6Gateway']), ('10.77.0.1', self.subnet6['gateway_ip']))
        labels = endpoint['metadata']['labels']
        self.assertEqual(labels['sg.projectcalico.org/openstack-' + group['id']], 'Dan_s_group')
        self.assertEqual(labels['sg-name.projectcalico.org/openstack-Dan_s_group'], group['id'])
        self.assertEqual(labels['projectcalico.org/openstack-network-name'], 'net_one')
        self.assertEqual(labels['projectcalico.org/openstack-project-id'], port['project_id'])
        self.assertEqual(endpoint['metadata']['annotations']['openstack.projectcalico.org/network-id'], self.network['id'])

    def uid(self, port):
        return self.cloud.endpoint(port)['metadata']['uid']

    def test_updates_happen_in_place(self):
        port = self.port()
        uid = self.uid(port)
        group = self.neutron.create('security_group', name='later')
        steps = [
            ('binding:profile', dict({'binding:profile': {'x': 'y'}}), lambda e: True),
            ('security groups', dict(security_groups=[group['id']]),
             lambda e: 'sg.projectcalico.org/openstack-' + group['id'] in e['metadata']['labels']),
            ('name', dict(name='other'), lambda e: True),
            ('allowed pair', dict(allowed_address_pairs=[{'ip_address': '192.0.2.77'}]),
             lambda e: e['spec']['allowedIps'] == ['192.0.2.77/32'] and '192.0.2.77/32' in e['spec']['ipNetworks']),
            ('no pair', dict(allowed_address_pairs=[]), lambda e: e['spec']['allowedIps'] == []),
            ('profile again', dict({'binding:profile': {}}), lambda e: True),
        ]
        for name, members, holds in steps:
            with self.subTest(name):
                port = self.neutron.update('port', port['id'], **members)
                self.assertEqual(self.uid(port), uid, 'the endpoint was made anew')
                self.assertTrue(holds(self.cloud.endpoint(port)), self.cloud.endpoint(port))

    def endpoints_of(self, port_id):
        tail = '-' + port_id.replace('-', '--')
        return [key for key in self.cloud.etcd.keys('/calico/resources/v3/projectcalico.org/workloadendpoints/') if key.endswith(tail)]

    def test_no_stale_endpoint_stays(self):
        port = self.port()
        steps = [
            ('another device', dict(device_id='dev-2'), 1),
            ('another host', {'binding:host_id': 'host-b'}, 1),
            ('no host', {'binding:host_id': ''}, 0),
            ('host again', {'binding:host_id': 'host-a'}, 1),
            ('another owner', dict(device_owner='network:dhcp'), 0),
            ('a machine again', dict(device_owner='compute:nova'), 1),
            ('detached', dict(device_owner='', device_id=''), 0),
        ]
        for name, members, count in steps:
            with self.subTest(name):
                port = self.neutron.update('port', port['id'], **members)
                found = self.endpoints_of(port['id'])
                self.assertEqual(len(found), count, found)
                if count:
                    self.assertIsNotNone(self.cloud.endpoint(port))
        port = self.neutron.update('port', port['id'], device_owner='compute:nova', device_id='dev-3')
        self.neutron.delete('ports/' + port['id'])
        self.assertEqual(self.endpoints_of(port['id']), [])

    def test_ports_that_are_no_machines_have_no_endpoints(self):
        for owner in ('network:dhcp', 'network:router_interface_x', 'baremetal:none', ''):
            with self.subTest(owner):
                self.assertEqual(self.endpoints_of(self.port(device_owner=owner)['id']), [])

    def test_a_renamed_group_reaches_its_members(self):
        group = self.neutron.create('security_group', name='before')
        port = self.port(security_groups=[group['id']])
        uid = self.uid(port)
        self.neutron.update('security_group', group['id'], name='after')
        labels = self.cloud.endpoint(port)['metadata']['labels']
        self.assertEqual(labels['sg.projectcalico.org/openstack-' + group['id']], 'after')
        self.assertNotIn('sg-name.projectcalico.org/openstack-before', labels)
        self.assertEqual(self.uid(port), uid)

    def test_a_renamed_network_reaches_its_ports(self):
        network = self.neutron.create('network', name='first')
        self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.78.0.0/24')
        port = self.neutron.create('port', network_id=network['id'], device_owner='compute:nova', device_id='d',
                                   **{'binding:host_id': 'host-a'})
        self.neutron.update('network', network['id'], name='second')
        self.assertEqual(self.cloud.endpoint(port)['metadata']['labels']['projectcalico.org/openstack-network-name'], 'second')

    def test_subnets_for_dhcp(self):
        network = self.neutron.create('network', name='dhcp')
        subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.79.0.0/24', dns_nameservers=['8.8.8.8'],
                                     host_routes=[{'destination': '10.9.0.0/16', 'nexthop': '10.79.0.1'}])
        expected = {'network_id': network['id'], 'cidr': '10.79.0.0/24', 'gateway_ip': '10.79.0.1', 'dns_servers': ['8.8.8.8'],
                    'host_routes': [{'destination': '10.9.0.0/16', 'nexthop': '10.79.0.1'}]}
        self.assertEqual(self.cloud.subnet(subnet['id']), expected)
        self.neutron.update('subnet', subnet['id'], dns_nameservers=[])
        del expected['dns_servers']
        self.assertEqual(self.cloud.subnet(subnet['id']), expected)
        self.neutron.update('subnet', subnet['id'], enable_dhcp=False)
        self.assertIsNone(self.cloud.subnet(subnet['id']))
        self.neutron.update('subnet', subnet['id'], enable_dhcp=True)
        self.assertEqual(self.cloud.subnet(subnet['id']), expected)
        self.neutron.delete('subnets/' + subnet['id'])
        self.assertIsNone(self.cloud.subnet(subnet['id']))

    def test_a_new_gateway_reaches_the_endpoints(self):
        network = self.neutron.create('network', name='gateways')
        subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.80.0.0/24',
                                     allocation_pools=[{'start': '10.80.0.10', 'end': '10.80.0.99'}])
        port = self.neutron.create('port', network_id=network['id'], device_owner='compute:nova', device_id='d',
                                   **{'binding:host_id': 'host-a'})
        self.neutron.update('subnet', subnet['id'], gateway_ip='10.80.0.254')
        self.assertEqual(self.cloud.endpoint(port)['spec']['ipv4Gateway'], '10.80.0.254')

    def test_address_groups(self):
        partners = self.neutron.create('address_group', name='partners', addresses=['192.0.2.0/24'])
        group = self.neutron.create('security_group', name='with partners')
        self.rule(group, direction='ingress', protocol='tcp', remote_address_group_id=partners['id'])
        before = self.rules(group)
        self.assertEqual(len(before), 1)
        self.assertTrue(before[0].get('source'), 'a rule with an address group must never allow everybody: %s' % before)

    def test_resync_repairs_and_a_dry_run_only_says(self):
        port = self.port()
        key = self.endpoints_of(port['id'])[0]
        good = self.cloud.endpoint(port)
        for name, broken in (('wrong', '{"kind":"WorkloadEndpoint","metadata":{},"spec":{"node":"host-a"}}'), ('no JSON', '{{{'),
                             ('no object', '[]')):
            with self.subTest(name):
                self.cloud.etcd.put(key, broken)
                status, result = self.cloud.resync('--dry-run')
                self.assertEqual((status, result['ok']), (0, True))
                self.assertIn(key, [d['key'] for d in result['differences']])
                self.assertEqual(self.cloud.etcd.get(key), broken)
                status, result = self.cloud.resync()
                self.assertEqual((status, result['ok']), (0, True))
                self.assertEqual(self.cloud.endpoint(port)['spec'], good['spec'])
        stale = key.replace('dev--1', 'dev--stale')
        self.cloud.etcd.put(stale, self.cloud.etcd.get(key))
        self.cloud.resync()
        self.assertIsNone(self.cloud.etcd.get(stale))
        status, result = self.cloud.resync('--dry-run')
        self.assertEqual(result['differences'], [])

    def test_cluster_and_felix_configuration(self):
        prefix = '/calico/resources/v3/projectcalico.org/'
        import json
        felix = json.loads(self.cloud.etcd.get(prefix + 'felixconfigurations/default'))['spec']
        self.assertIn('tap', felix['interfacePrefix'])
        self.assertTrue(felix['endpointReportingEnabled'])
        self.assertIn('openstack', json.loads(self.cloud.etcd.get(prefix + 'clusterinformations/default'))['spec']['clusterType'])


class Packets(CloudTest):
    """Guests that know nothing but what DHCP told them."""

    def test_dhcp_told_the_guest_its_place(self):
        lease = self.client.lease
        self.assertEqual(lease['ip'], self.client.address)
        self.assertEqual(lease['router'], '10.77.0.1')
        self.assertEqual(lease['dns'], '192.0.2.53')
        self.assertEqual(lease['mask'], '24')

    def test_port_status_follows_the_dataplane(self):
        guest = self.cloud.machine('status', self.network, HOSTS[1], boot=False)
        self.assertTrue(soon(lambda: self.neutron.show('port', guest.port['id'])['status'] == 'ACTIVE'), 'never ACTIVE')
        self.cloud.on_host(HOSTS[1], 'ip', 'link', 'set', guest.tap, 'down')
        self.assertTrue(soon(lambda: self.neutron.show('port', guest.port['id'])['status'] == 'DOWN'), 'never DOWN')
        self.cloud.on_host(HOSTS[1], 'ip', 'link', 'set', guest.tap, 'up')
        self.assertTrue(soon(lambda: self.neutron.show('port', guest.port['id'])['status'] == 'ACTIVE'), 'not ACTIVE again')

    # A rule, and which of the probes it lets through.
    RULES = [
        (dict(protocol='tcp', port_range_min=80, port_range_max=80), {'tcp/80'}),
        (dict(protocol='tcp', port_range_min=80, port_range_max=81), {'tcp/80', 'tcp/81'}),
        (dict(protocol='tcp'), {'tcp/22', 'tcp/80', 'tcp/81', 'tcp/443'}),
        (dict(protocol='6', port_range_min=443, port_range_max=443), {'tcp/443'}),
        (dict(protocol='udp', port_range_min=53, port_range_max=53), {'udp/53'}),
        (dict(protocol='17'), {'udp/53', 'udp/123'}),
        (dict(protocol='icmp'), {'icmp'}),
        (dict(protocol='icmp', port_range_min=8, port_range_max=0), {'icmp'}),
        (dict(protocol='icmp', port_range_min=13), set()),
        (dict(protocol='1', port_range_min=8, port_range_max=0), {'icmp'}),
        (dict(protocol='0'), {'tcp/22', 'tcp/80', 'tcp/81', 'tcp/443', 'udp/53', 'udp/123', 'icmp'}),
        (dict(remote_ip_prefix='10.77.0.0/24', protocol='tcp', port_range_min=22, port_range_max=22), {'tcp/22'}),
        (dict(remote_ip_prefix='192.0.2.0/24', protocol='tcp'), set()),
        (dict(ethertype='IPv6', protocol='tcp'), set()),
        (dict(protocol='gre'), set()),
        (dict(direction='egress', protocol='tcp'), set()),
    ]
    PROBES = ('tcp/22', 'tcp/80', 'tcp/81', 'tcp/443', 'udp/53', 'udp/123', 'icmp')

    def passes(self, source, target, probe, patience=0.4):
        if probe == 'icmp':
            return source.ping(target.address)
        protocol, port = probe.split('/')
        return getattr(source, protocol)(target.address, int(port), patience)

    def expect(self, source, target, expected, message=''):
        """The expected set comes about within some seconds and nothing but it passes."""
        def seen():
            return {probe for probe in self.PROBES if self.passes(source, target, probe)}
        self.assertTrue(soon(lambda: seen() == expected, 12), '%s: expected %s, seen %s' % (message, sorted(expected), sorted(seen())))

    def test_each_rule_lets_through_exactly_what_it_says(self):
        group = self.neutron.create('security_group', name='probed')
        target = self.cloud.machine('probed', self.network, HOSTS[1], security_groups=[group['id']])
        self.expect(self.client, target, set(), 'no rule')
        for members, expected in self.RULES:
            with self.subTest(**members):
                made = self.rule(group, **dict({'direction': 'ingress'}, **members))
                self.expect(self.client, target, expected, str(members))
                self.neutron.delete('security-group-rules/' + made['id'])

    def test_remote_groups_follow_membership(self):
        web, db = (self.neutron.create('security_group', name=name) for name in ('web', 'db'))
        self.rule(db, direction='ingress', protocol='tcp', port_range_min=443, port_range_max=443, remote_group_id=web['id'])
        target = self.cloud.machine('db', self.network, HOSTS[1], security_groups=[db['id']])
        member = self.cloud.machine('web', self.network, HOSTS[0], security_groups=[web['id']])
        self.expect(member, target, {'tcp/443'}, 'a member')
        self.expect(self.client, target, set(), 'not a member')
        self.neutron.update('port', member.port['id'], security_groups=[self.open_group['id']])
        self.expect(member, target, set(), 'no member any more')
        self.neutron.update('port', member.port['id'], security_groups=[web['id']])
        self.expect(member, target, {'tcp/443'}, 'a member again')

    def test_address_groups(self):
        partners = self.neutron.create('address_group', name='partners', addresses=['192.0.2.0/24'])
        group = self.neutron.create('security_group', name='for partners')
        self.rule(group, direction='ingress', protocol='tcp', port_range_min=80, port_range_max=80,
                  remote_address_group_id=partners['id'])
        target = self.cloud.machine('partner', self.network, HOSTS[1], security_groups=[group['id']])
        self.expect(self.client, target, set(), 'not in the address group')
        change = {'addresses': [self.client.address + '/32']}
        self.neutron.request('PUT', 'address-groups/%s/add_addresses' % partners['id'], change)
        self.expect(self.client, target, {'tcp/80'}, 'added to the address group')
        self.neutron.request('PUT', 'address-groups/%s/remove_addresses' % partners['id'], change)
        self.expect(self.client, target, set(), 'taken out of the address group')

    def test_floating_ips(self):
        outside = self.neutron.create('network', name='outside', **{'router:external': True})
        self.neutron.create('subnet', network_id=outside['id'], ip_version=4, cidr='198.51.100.0/24', enable_dhcp=False)
        router = self.neutron.create('router', name='r', external_gateway_info={'network_id': outside['id']})
        self.neutron.request('PUT', 'routers/%s/add_router_interface' % router['id'], {'subnet_id': self.subnet['id']})
        one, two = (self.cloud.machine(name, self.network, HOSTS[1], security_groups=[self.open_group['id']]) for name in ('f1', 'f2'))
        floating = self.neutron.create('floatingip', floating_network_id=outside['id'], port_id=one.port['id'])
        address = floating['floating_ip_address']
        self.assertEqual(self.cloud.endpoint(one.port)['spec']['ipNATs'], [{'internalIP': one.address, 'externalIP': address}])
        self.assertTrue(soon(lambda: self.client.tcp(address, 80)), 'the floating IP is not reached')
        self.neutron.update('floatingip', floating['id'], port_id=two.port['id'])
        self.assertNotIn('ipNATs', self.cloud.endpoint(one.port)['spec'])
        self.assertTrue(soon(lambda: self.client.tcp(address, 80)), 'the moved floating IP is not reached')
        self.neutron.delete('floatingips/' + floating['id'])
        self.assertTrue(soon(lambda: not self.client.tcp(address, 80, 0.5)), 'the deleted floating IP is still reached')

    def test_allowed_address_pairs(self):
        guest = self.cloud.machine('pair', self.network, HOSTS[1], security_groups=[self.open_group['id']])
        from cloud import run
        run('ip', '-n', guest.namespace, 'address', 'add', '203.0.113.9/32', 'dev', 'eth0')
        self.assertFalse(self.client.tcp('203.0.113.9', 80, 0.5))
        self.neutron.update('port', guest.port['id'], allowed_address_pairs=[{'ip_address': '203.0.113.9'}])
        self.assertTrue(soon(lambda: self.client.tcp('203.0.113.9', 80)), 'the allowed address is not reached')
        self.neutron.update('port', guest.port['id'], allowed_address_pairs=[])
        self.assertTrue(soon(lambda: not self.client.tcp('203.0.113.9', 80, 0.5)), 'the address is still reached')

    def test_metadata(self):
        """What Nova's metadata service on the host would be asked: the guest's own address is the sender."""
        import subprocess
        server = subprocess.Popen([str(self.cloud.bin / 'percalectl'), 'lab', 'exec', self.cloud.name, HOSTS[0], '--', '/usr/bin/python3', '-c', '''
import http.server
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = ('i-for-' + self.client_address[0]).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(text))); self.end_headers(); self.wfile.write(text)
    def log_message(self, *_): pass
http.server.HTTPServer(('0.0.0.0', 8775), Handler).serve_forever()
'''])
        try:
            import http.client

            def ask():
                try:
                    connection = http.client.HTTPConnection('169.254.169.254', 80, timeout=2)
                    connection.request('GET', '/latest/meta-data/instance-id')
                    return connection.getresponse().read().decode()
                except OSError:
                    return ''
            self.assertTrue(soon(lambda: self.client.in_network(ask) == 'i-for-' + self.client.address), self.client.in_network(ask))
        finally:
            server.terminate()
            server.wait()

    def test_admin_state_closes_a_port(self):
        guest = self.cloud.machine('admin', self.network, HOSTS[1], security_groups=[self.open_group['id']])
        self.assertTrue(soon(lambda: self.client.tcp(guest.address, 80)))
        self.neutron.update('port', guest.port['id'], admin_state_up=False)
        self.assertTrue(soon(lambda: not self.client.tcp(guest.address, 80, 0.5)), 'still reached')
        self.neutron.update('port', guest.port['id'], admin_state_up=True)
        self.assertTrue(soon(lambda: self.client.tcp(guest.address, 80)), 'not reached again')

    def test_a_deleted_port_is_closed_everywhere(self):
        guest = self.cloud.machine('gone', self.network, HOSTS[1], security_groups=[self.open_group['id']])
        self.assertTrue(soon(lambda: self.client.tcp(guest.address, 80)))
        self.neutron.delete('ports/' + guest.port['id'])
        self.assertTrue(soon(lambda: not self.client.tcp(guest.address, 80, 0.5)), 'still reached')

    def test_zz_the_bridge_is_killed_between_commit_and_write(self):
        group = self.neutron.create('security_group', name='late')
        target = self.cloud.machine('late', self.network, HOSTS[1], security_groups=[group['id']])
        self.cloud.bridge.stop(9)
        self.neutron.database.sql(
            "insert into standardattributes (resource_type, revision_number) values ('securitygrouprules', 0); "
            "insert into securitygrouprules (project_id, id, security_group_id, direction, ethertype, protocol, port_range_min, "
            "port_range_max, standard_attr_id) values ('p', '%s', '%s', 'ingress', 'IPv4', 'tcp', 80, 80, last_insert_id())"
            % (uuid.uuid4(), group['id']), 'neutron')
        self.assertFalse(self.client.tcp(target.address, 80, 0.5))
        self.cloud.start_bridge()
        self.expect(self.client, target, {'tcp/80'}, 'repaired by the resync at the start')


if __name__ == '__main__':
    arguments = sys.argv[1:]
    for name in ('bin',):
        if '--' + name in arguments:
            at = arguments.index('--' + name)
            SETTINGS[name] = arguments[at + 1]
            del arguments[at:at + 2]
    started = time.monotonic()
    del CloudTest
    program = unittest.main(argv=sys.argv[:1] + arguments, verbosity=2, exit=False)
    print('%d s' % (time.monotonic() - started))
    sys.exit(not program.result.wasSuccessful())
