#!/usr/bin/env python3
"""What Neutron's REST API is told, and what etcd then holds; no packets (those: packets_test.py).

`python3 tests/openstack/translation_test.py [--bin FOLDER] [Translation.TEST…]`, as root; needs the release build, Debian's
neutron-server and MariaDB.
"""

import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from cases import COUNT, main, soon  # noqa: E402
from mirror import RESOURCES  # noqa: E402
from neutron_server import PROJECT, Refused  # noqa: E402
from translation_ports import PortTranslation  # noqa: E402

FELIX = RESOURCES + 'felixconfigurations/default'


class Translation(PortTranslation):
    """etcd's values; no packets."""

    # A rule's members -> what the Calico rule has beside action and ipVersion. Each in both directions: what is of the source here is
    # of the destination in the other.
    RULES = [
        (dict(), {}),
        (dict(ethertype='IPv6'), {}),
        (dict(protocol='tcp'), {'protocol': 6}),
        (dict(protocol='TCP'), {'protocol': 6}),
        (dict(protocol='tcp', ethertype='IPv6'), {'protocol': 6}),
        (dict(protocol='udp'), {'protocol': 17}),
        (dict(protocol='sctp'), {'protocol': 132}),
        (dict(protocol='6'), {'protocol': '6'}),
        (dict(protocol=6), {'protocol': '6'}),
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
        (dict(protocol='icmp', port_range_min=254, port_range_max=255), {'protocol': 'ICMP', 'icmp': {'type': 254, 'code': 255}}),
        (dict(protocol='icmp', ethertype='IPv6'), {'protocol': 'ICMPv6'}),
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
        (dict(protocol='udp', port_range_min=53, port_range_max=53, ethertype='IPv6'), {'protocol': 17, 'destination': {'ports': [53]}}),
        (dict(remote_ip_prefix='192.0.2.0/24'), {'source': {'nets': ['192.0.2.0/24']}}),
        (dict(remote_ip_prefix='10.3.4.5/16'), {'source': {'nets': ['10.3.4.5/16']}}),
        (dict(remote_ip_prefix='0.0.0.0/0'), {'source': {'nets': ['0.0.0.0/0']}}),
        (dict(remote_ip_prefix='2001:db8::/32', ethertype='IPv6'), {'source': {'nets': ['2001:db8::/32']}}),
        (dict(remote_ip_prefix='::/0', ethertype='IPv6'), {'source': {'nets': ['::/0']}}),
        (dict(protocol='tcp', port_range_min=22, port_range_max=22, remote_ip_prefix='192.0.2.1/32'),
         {'protocol': 6, 'source': {'nets': ['192.0.2.1/32']}, 'destination': {'ports': [22]}}),
        (dict(protocol='tcp', description='said by somebody'), {'protocol': 6}),
        # Upstream loses the whole group over these.
        (dict(protocol='0'), {}),
        (dict(protocol='ip'), {}),
        (dict(protocol='hopopt'), {}),
        (dict(protocol='1', port_range_min=8, port_range_max=0), {'protocol': 'ICMP', 'icmp': {'type': 8, 'code': 0}}),
        (dict(protocol='58', ethertype='IPv6', port_range_min=128), {'protocol': 'ICMPv6', 'icmp': {'type': 128}}),
    ]

    @staticmethod
    def calico_rule(members, direction, expected):
        rule = dict({'action': 'Allow', 'ipVersion': 6 if members.get('ethertype') == 'IPv6' else 4}, **expected)
        if direction == 'egress' and 'source' in rule:
            rule['destination'] = dict(rule.pop('source'), **rule.get('destination', {}))
        return rule

    def bare_group(self, name):
        group = self.neutron.create('security_group', name=name)
        for rule in group['security_group_rules']:
            self.neutron.delete('security-group-rules/' + rule['id'])
        return group

    def test_every_rule_field(self):
        group = self.bare_group('fields')
        for direction in ('ingress', 'egress'):
            for members, expected in self.RULES:
                with self.case(direction=direction, **members):
                    made = self.rule(group, direction=direction, **members)
                    try:
                        self.assertEqual(self.rules(group, direction), [self.calico_rule(members, direction, expected)])
                    finally:
                        self.neutron.delete('security-group-rules/' + made['id'])
        self.assertEqual((self.rules(group), self.rules(group, 'egress')), ([], []))

    def test_all_rules_of_a_group_together(self):
        group = self.bare_group('all of them')
        ethertypes = [dict(members, ethertype=members.get('ethertype', 'IPv4')) for members, _ in self.RULES]
        # Neutron refuses a rule that says the same as another.
        wanted = [(members, expected) for (_, expected), members in zip(self.RULES, ethertypes)
                  if members.get('protocol') not in ('TCP', 6, '6', '17', '112', '0', 'ip', 'hopopt', '1', '58', 'icmpv6')
                  and members.get('remote_ip_prefix') not in ('0.0.0.0/0', '::/0') and members.get('port_range_max') != 65535
                  and 'description' not in members]
        with self.case('in one call'):
            self.neutron.request('POST', 'security-group-rules', {'security_group_rules': [
                dict(members, security_group_id=group['id'], direction='ingress', tenant_id=PROJECT) for members, _ in wanted]})
            written = [self.calico_rule(members, 'ingress', expected) for members, expected in wanted]
            self.assertCountEqual(self.rules(group), written)

    REFUSED_RULES = [dict(protocol='007'), dict(protocol='256'), dict(protocol='-1'),
                     dict(protocol='ipv6-icmp'), dict(protocol='tcp', port_range_min=9, port_range_max=8)]

    def test_rules_that_are_refused_leave_the_group_as_it_is(self):
        group = self.neutron.create('security_group', name='refusals')
        self.rule(group, direction='ingress', protocol='tcp')
        before = self.cloud.policy(group['id'])
        with self.case(protocol='any'):
            try:
                made = self.rule(group, direction='ingress', protocol='any')  # 29 takes it, 21 does not
                self.assertIn({'action': 'Allow', 'ipVersion': 4}, self.rules(group))
                self.neutron.delete('security-group-rules/' + made['id'])
            except Refused as refused:
                self.assertEqual(refused.status, 400)
            self.assertEqual(self.cloud.policy(group['id'])['spec'], before['spec'])
        before = self.cloud.policy(group['id'])
        for members in self.REFUSED_RULES:
            with self.case(**members):
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
            'an option nobody knows': lambda: self.neutron.create('port', network_id=self.network['id'], device_owner='compute:nova',
                                                              device_id='x', extra_dhcp_opts=[{'opt_name': 'mut', 'opt_value': '9'}],
                                                              **{'binding:host_id': 'host-a'}),
        }
        for name, make in cases.items():
            with self.case(name):
                with self.assertRaises(Refused) as caught:
                    make()
                self.assertEqual(caught.exception.status, 400, caught.exception.text)

    def test_a_group_names_its_members_and_its_remote(self):
        COUNT.case()
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

    def test_subnets_for_dhcp(self):
        network = self.neutron.create('network', name='dhcp')
        route = {'destination': '10.9.0.0/16', 'nexthop': '10.79.0.1'}
        subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.79.0.0/24', dns_nameservers=['8.8.8.8'],
                                     host_routes=[route], allocation_pools=[{'start': '10.79.0.10', 'end': '10.79.0.99'}])
        told = {'network_id': network['id'], 'cidr': '10.79.0.0/24', 'gateway_ip': '10.79.0.1', 'dns_servers': ['8.8.8.8'],
                'host_routes': [route]}
        with self.case('created'):
            self.assertEqual(self.cloud.subnet(subnet['id']), told)
        second = {'destination': '10.8.0.0/16', 'nexthop': '10.79.0.2'}
        steps = [
            ('a second name server', dict(dns_nameservers=['8.8.8.8', '192.0.2.53']), dict(dns_servers=['8.8.8.8', '192.0.2.53'])),
            ('no name server', dict(dns_nameservers=[]), dict(dns_servers=None)),
            ('a second route', dict(host_routes=[route, second]), dict(host_routes=[second, route])),
            ('no route', dict(host_routes=[]), dict(host_routes=[])),
            ('another gateway', dict(gateway_ip='10.79.0.254'), dict(gateway_ip='10.79.0.254')),
            ('no gateway', dict(gateway_ip=None), dict(gateway_ip=None)),
            ('renamed', dict(name='other'), {}),
            ('DHCP off', dict(enable_dhcp=False), None),
            ('DHCP on', dict(enable_dhcp=True), {}),
        ]
        for name, members, changes in steps:
            with self.case(name):
                self.neutron.update('subnet', subnet['id'], **members)
                told.update(changes or {})
                if told.get('dns_servers', '') is None:
                    del told['dns_servers']
                self.assertEqual(self.cloud.subnet(subnet['id']), None if changes is None else told)
        with self.case('deleted'):
            self.neutron.delete('subnets/' + subnet['id'])
            self.assertIsNone(self.cloud.subnet(subnet['id']))

    def test_subnets_of_every_kind(self):
        network = self.neutron.create('network', name='kinds')
        modes = {mode: dict(ipv6_ra_mode=mode, ipv6_address_mode=mode) for mode in ('slaac', 'dhcpv6-stateful', 'dhcpv6-stateless')}
        for number, (name, members, told) in enumerate([
                *((mode, members, members) for mode, members in modes.items()),
                ('no mode', {}, {}),
                ('one mode alone', dict(ipv6_address_mode='dhcpv6-stateful'), {}),
                ('name servers', dict(modes['slaac'], dns_nameservers=['2001:db8::53']), dict(modes['slaac'], dns_servers=['2001:db8::53']))], 1):
            with self.case(name):
                cidr = 'fd00:79:%d::/64' % number
                subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=6, cidr=cidr, **members)
                self.assertEqual(self.cloud.subnet(subnet['id']), dict(
                    {'network_id': network['id'], 'cidr': cidr, 'gateway_ip': subnet['gateway_ip'], 'host_routes': []}, **told))
        with self.case('without DHCP'):
            subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.92.0.0/24', enable_dhcp=False)
            self.assertIsNone(self.cloud.subnet(subnet['id']))

    def test_address_groups(self):
        partners = self.neutron.create('address_group', name='Our partners', addresses=['192.0.2.0/24'])
        key = RESOURCES + 'networksets/openstack/osag.default.' + partners['id']
        label = 'ag.projectcalico.org/openstack-' + partners['id']

        def stored():
            value = json.loads(self.cloud.etcd.get(key))
            return value['metadata']['labels'], value['spec']['nets']

        def change(how, *addresses):
            return lambda: self.neutron.request('PUT', 'address-groups/%s/%s' % (partners['id'], how), {'addresses': list(addresses)})

        first, all_three = ['192.0.2.0/24'], ['192.0.2.0/24', '198.51.100.1/32', '2001:db8::/32']
        for name, act, labels, nets in [
                ('created', lambda: None, 'Our_partners', first),
                ('more addresses', change('add_addresses', '198.51.100.1/32', '2001:db8::/32'), 'Our_partners', all_three),
                ('renamed', lambda: self.neutron.update('address_group', partners['id'], name='friends'), 'friends', all_three),
                ('fewer', change('remove_addresses', '198.51.100.1/32', '2001:db8::/32'), 'friends', first),
                ('none', change('remove_addresses', '192.0.2.0/24'), 'friends', [])]:
            with self.case(name):
                act()
                self.assertEqual(stored(), ({label: labels}, nets))
        group = self.bare_group('with partners')
        for direction, peer in (('ingress', 'source'), ('egress', 'destination')):
            for family in (4, 6):
                with self.case('a rule, %s, IPv%d' % (direction, family)):
                    made = self.rule(group, direction=direction, ethertype='IPv%d' % family, protocol='tcp', remote_address_group_id=partners['id'])
                    self.assertEqual(self.rules(group, direction), [
                        {'action': 'Allow', 'ipVersion': family, 'protocol': 6, peer: {'selector': 'has(%s)' % label}}])
                    self.neutron.delete('security-group-rules/' + made['id'])
        with self.case('deleted'):
            self.neutron.delete('address-groups/' + partners['id'])
            self.assertIsNone(self.cloud.etcd.get(key))

    def test_remote_groups_in_both_directions(self):
        web, db = self.neutron.create('security_group', name='web'), self.bare_group('db')
        for direction, peer in (('ingress', 'source'), ('egress', 'destination')):
            for family in (4, 6):
                for remote in (web, db):
                    with self.case('%s, IPv%d, %s' % (direction, family, remote['name'])):
                        made = self.rule(db, direction=direction, ethertype='IPv%d' % family, protocol='tcp', port_range_min=443,
                                         port_range_max=443, remote_group_id=remote['id'])
                        expected = {'selector': 'has(sg.projectcalico.org/openstack-%s)' % remote['id']}
                        sides = {peer: expected}
                        sides['destination'] = dict(sides.get('destination', {}), ports=[443])
                        self.assertEqual(self.rules(db, direction), [dict({'action': 'Allow', 'ipVersion': family, 'protocol': 6}, **sides)])
                        self.neutron.delete('security-group-rules/' + made['id'])

    def test_port_security_needs_agents_that_allow_it(self):
        port = self.port()
        off = dict(port_security_enabled=False, security_groups=[])
        stored = json.loads(self.cloud.etcd.get(FELIX))
        with self.case('refused'):
            with self.assertRaises(Refused) as caught:
                self.neutron.update('port', port['id'], **off)
            self.assertEqual(caught.exception.status, 400)
            self.assertIn('workloadSourceSpoofing', caught.exception.text)
            self.compare(port['id'])
        stored['spec']['workloadSourceSpoofing'] = 'Any'
        self.cloud.etcd.put(FELIX, json.dumps(stored))

        def allowed():
            try:
                return self.neutron.update('port', port['id'], **off)
            except Refused:
                return None
        with self.case('off'):
            self.assertTrue(soon(allowed))
            self.compare(port['id'])
            policy = json.loads(self.cloud.etcd.get(RESOURCES + 'networkpolicies/openstack/percale.port-security-off'))
            self.assertEqual(policy['spec'], {'ingress': [{'action': 'Allow'}], 'egress': [{'action': 'Allow'}],
                                              'selector': "projectcalico.org/openstack-port-security == 'off'"})
        group = self.neutron.create('security_group', name='safe')
        self.live(port['id'], [('on', self.step(port, port_security_enabled=True)), ('a group', self.step(port, security_groups=[group['id']])),
                               ('off again', self.step(port, **off)), ('another host', self.step(port, **{'binding:host_id': 'host-b'}))])
        with self.case('off from the start'):
            self.compare(self.port(port_security_enabled=False, security_groups=[])['id'])
        with self.case('a large prefix as pair is a source'):
            spec = self.cloud.endpoint(self.port(allowed_address_pairs=[{'ip_address': '192.0.2.0/24'}]))['spec']
            self.assertEqual((spec['allowSpoofedSourcePrefixes'], spec['allowedIps']), (['192.0.2.0/24'], []))

    def test_resync_repairs_and_a_dry_run_only_says(self):
        port = self.port()
        key = self.endpoints_of(port['id'])[0]
        good = self.cloud.endpoint(port)
        for name, broken in (('wrong', '{"kind":"WorkloadEndpoint","metadata":{},"spec":{"node":"host-a"}}'), ('no JSON', '{{{'),
                             ('no object', '[]')):
            with self.case(name):
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
        felix = json.loads(self.cloud.etcd.get(FELIX))['spec']
        self.assertIn('tap', felix['interfacePrefix'])
        self.assertTrue(felix['endpointReportingEnabled'])
        self.assertIn('openstack', json.loads(self.cloud.etcd.get(RESOURCES + 'clusterinformations/default'))['spec']['clusterType'])


if __name__ == '__main__':
    del PortTranslation
    main()
