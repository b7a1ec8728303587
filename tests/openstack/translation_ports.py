"""Ports: after every step of their lives etcd must hold what a naive reading of the specification makes of Neutron's answers."""

import json
import re

from cases import CloudTest
from mirror import RESOURCES
from neutron_server import PROJECT

ENDPOINTS = RESOURCES + 'workloadendpoints/openstack/'
LABEL = 'projectcalico.org/openstack-'


def sanitised(name, limit):
    return re.sub(r'^[^A-Za-z0-9]+|[^A-Za-z0-9]+$', '', re.sub(r'[^-_.A-Za-z0-9]', '_', name[:limit]))


def with_suffix(address):
    return address if '/' in address else address + ('/128' if ':' in address else '/32')


class PortTranslation(CloudTest):

    def port(self, network=None, **members):
        members = dict({'device_owner': 'compute:nova', 'device_id': 'dev-1', 'binding:host_id': 'host-a'}, **members)
        return self.neutron.create('port', network_id=(network or self.network)['id'], **members)

    # The naive twin.

    def wanted(self, port_id):
        """Key and value, less what is made up on creation; (None, None) if there must be no endpoint."""
        port = self.neutron.show('port', port_id)
        network = self.neutron.show('network', port['network_id'])
        is_machine = port['device_owner'].startswith(('compute:', 'kuryr:container'))
        if not (is_machine and port['binding:host_id'] and port['admin_state_up'] and network['admin_state_up']):
            return None, None
        name = '-'.join(part.replace('-', '--') for part in (port['binding:host_id'], 'openstack', port['device_id'], port_id))
        return ENDPOINTS + name, {
            'kind': 'WorkloadEndpoint', 'apiVersion': 'projectcalico.org/v3', 'spec': self.wanted_spec(port),
            'metadata': {'name': name, 'namespace': 'openstack', 'labels': self.wanted_labels(port, network),
                         'annotations': self.wanted_annotations(port, network)}}

    @staticmethod
    def wanted_annotations(port, network):
        annotations = {'openstack.projectcalico.org/network-id': network['id']}
        options = sorted((option['ip_version'], option['opt_name'], option['opt_value']) for option in port['extra_dhcp_opts'])
        if options:
            annotations['openstack.projectcalico.org/dhcp-options'] = json.dumps(
                [{'name': name, 'value': value, 'ip_version': int(version)} for version, name, value in options], separators=(',', ':'))
        return annotations

    def wanted_spec(self, port):
        fixed = sorted((ip['ip_address'], ip['subnet_id']) for ip in port['fixed_ips'])
        pairs = [with_suffix(pair['ip_address']) for pair in
                 sorted(port['allowed_address_pairs'], key=lambda pair: (pair['mac_address'], pair['ip_address']))]
        spec = {'orchestrator': 'openstack', 'workload': port['device_id'], 'node': port['binding:host_id'], 'endpoint': port['id'],
                'interfaceName': 'tap' + port['id'][:11], 'mac': port['mac_address'],
                'ipNetworks': [with_suffix(address) for address, _ in fixed] + pairs, 'allowedIps': pairs}
        for address, subnet_id in fixed:
            gateway = self.neutron.show('subnet', subnet_id)['gateway_ip']
            if gateway:
                spec['ipv6Gateway' if ':' in address else 'ipv4Gateway'] = gateway
        nats = sorted((floating['fixed_ip_address'], floating['floating_ip_address'])
                      for floating in self.neutron.get('floatingips?port_id=' + port['id'])['floatingips'])
        if nats:
            spec['ipNATs'] = [{'internalIP': inner, 'externalIP': outer} for inner, outer in nats]
        if not port['port_security_enabled']:
            spec['allowSpoofedSourcePrefixes'] = ['0.0.0.0/0', '::/0']
        return spec

    def wanted_labels(self, port, network):
        labels = {'projectcalico.org/namespace': 'openstack', 'projectcalico.org/orchestrator': 'openstack',
                  LABEL + 'project-id': PROJECT, LABEL + 'network-name': sanitised(network['name'], 63)}
        for group_id in sorted(port['security_groups']):
            name = sanitised(self.neutron.show('security_group', group_id)['name'], 27)
            labels['sg.' + LABEL + group_id] = name
            if name:
                labels['sg-name.' + LABEL + name] = group_id
        if not port['port_security_enabled']:
            labels[LABEL + 'port-security'] = 'off'
        return labels

    # Against etcd.

    def endpoints_of(self, port_id):
        tail = '-' + port_id.replace('-', '--')
        return [key for key in self.cloud.etcd.keys(RESOURCES + 'workloadendpoints/') if key.endswith(tail)]

    def compare(self, port_id):
        """Returns (key, uid) of the endpoint, which is exactly as wanted; None if there is rightly none."""
        key, wanted = self.wanted(port_id)
        self.assertEqual(self.endpoints_of(port_id), [key] if key else [])
        if not key:
            return None
        stored = json.loads(self.cloud.etcd.get(key))
        # Neutron's revision_number when it was last written; some changes, the status among them, need no writing.
        self.assertLessEqual(stored['metadata'].pop('generation'), self.neutron.show('port', port_id)['revision_number'])
        self.assertTrue(stored['metadata'].pop('creationTimestamp'))
        uid = stored['metadata'].pop('uid')
        self.assertEqual(stored, wanted)
        return key, uid

    def live(self, port_id, steps):
        """Each step, (name, act), is one case. Where the endpoint keeps its key it must be the same one, written in place."""
        before = self.compare(port_id)
        for name, act in steps:
            with self.case(name):
                act()
                now = self.compare(port_id)
                if now and before and now[0] == before[0]:
                    self.assertEqual(now[1], before[1], 'the endpoint was made anew')
                before = now

    def step(self, port, **members):
        return lambda: self.neutron.update('port', port['id'], **members)

    def group(self, name):
        return self.neutron.create('security_group', name=name)

    def test_a_port_with_what_neutron_lets_it_have(self):
        network = self.neutron.create('network', name="Dan's net!")
        subnets = [self.neutron.create('subnet', network_id=network['id'], **members) for members in (
            dict(ip_version=4, cidr='10.90.0.0/24'), dict(ip_version=4, cidr='10.91.0.0/24', gateway_ip=None),
            dict(ip_version=6, cidr='fd00:90::/64', ipv6_ra_mode='slaac', ipv6_address_mode='slaac'),
            dict(ip_version=6, cidr='fd00:91::/64', ipv6_ra_mode='dhcpv6-stateful', ipv6_address_mode='dhcpv6-stateful'))]
        four, bare, slaac, six = ({'subnet_id': subnet['id']} for subnet in subnets)
        groups = [self.group(name)['id'] for name in ("Dan's group", 'a' * 40, '!!!', 'é-ü', 'x.y_z-')]
        for name, members in (
                ('nothing special', {}), ('IPv4 alone', dict(fixed_ips=[four])), ('SLAAC alone', dict(fixed_ips=[slaac])),
                ('DHCPv6 alone', dict(fixed_ips=[six])), ('no gateway', dict(fixed_ips=[bare])),
                ('one of each', dict(fixed_ips=[four, bare, slaac, six])),
                ('in the order of strings', dict(fixed_ips=[dict(four, ip_address='10.90.0.%d' % n) for n in (9, 100, 37)])),
                ('no address', dict(fixed_ips=[])), ('no group', dict(security_groups=[])), ('all groups', dict(security_groups=groups)),
                ('a container', dict(device_owner='kuryr:container')), ('a baremetal node', dict(device_owner='baremetal:none')),
                ('a router', dict(device_owner='network:router_gateway')), ('nobody', dict(device_owner='')),
                ('another owner with compute', dict(device_owner='my:compute:nova')),
                ('dashes', dict(device_id='a-b--c')), ('percent', dict(device_id='a%2fb')), ('no host', {'binding:host_id': ''}),
                ('a host without agent', {'binding:host_id': 'no-such-host'}), ('down', dict(admin_state_up=False)),
                ('a pair', dict(allowed_address_pairs=[{'ip_address': '192.0.2.1'}])),
                ('pairs of both families', dict(allowed_address_pairs=[{'ip_address': '192.0.2.1'}, {'ip_address': '2001:DB8::1'}])),
                ('pairs by MAC, then address', dict(allowed_address_pairs=[
                    {'ip_address': '192.0.2.1', 'mac_address': 'fa:16:3e:00:00:09'}, {'ip_address': '192.0.2.7', 'mac_address': 'fa:16:3e:00:00:01'},
                    {'ip_address': '192.0.2.30', 'mac_address': 'fa:16:3e:00:00:01'}, {'ip_address': '192.0.2.1', 'mac_address': 'fa:16:3e:00:00:01'}])),
                ('DHCP options', dict(extra_dhcp_opts=[
                    {'opt_name': 'tftp-server', 'opt_value': '192.0.2.9'}, {'opt_name': '67', 'opt_value': 'a b/c,d'},
                    {'opt_name': 'dns-server', 'opt_value': '2001:db8::1', 'ip_version': 6}])),
                ('a MAC address of its own', dict(mac_address='fa:16:3e:aa:bb:cc')), ('a long name', dict(name='n' * 255))):
            with self.case(name):
                port = self.port(network, **members)
                self.compare(port['id'])
                self.neutron.delete('ports/' + port['id'])
                self.assertEqual(self.endpoints_of(port['id']), [])

    def test_updates_happen_in_place(self):
        port = self.port()
        group, other = self.group('later'), self.group('other')
        pair = {'ip_address': '192.0.2.77'}
        addresses = [{'subnet_id': ip['subnet_id'], 'ip_address': ip['ip_address']} for ip in port['fixed_ips']]
        self.live(port['id'], [
            ('binding:profile', self.step(port, **{'binding:profile': {'x': 'y'}})),
            ('profile again', self.step(port, **{'binding:profile': {}})),
            ('a group', self.step(port, security_groups=[group['id']])),
            ('two groups', self.step(port, security_groups=[group['id'], other['id']])),
            ('the group is renamed', lambda: self.neutron.update('security_group', group['id'], name='Late & new')),
            ('no group', self.step(port, security_groups=[])),
            ('a group again', self.step(port, security_groups=[other['id']])),
            ('name', self.step(port, name='other')),
            ('description', self.step(port, description='said by somebody')),
            ('a DHCP option', self.step(port, extra_dhcp_opts=[{'opt_name': 'mtu', 'opt_value': '1400'}])),
            ('another value', self.step(port, extra_dhcp_opts=[{'opt_name': 'mtu', 'opt_value': '1300'}])),
            ('no DHCP option', self.step(port, extra_dhcp_opts=[{'opt_name': 'mtu', 'opt_value': None}])),
            ('a pair', self.step(port, allowed_address_pairs=[pair])),
            ('two pairs', self.step(port, allowed_address_pairs=[pair, {'ip_address': '2001:db8::7'}])),
            ('no pair', self.step(port, allowed_address_pairs=[])),
            ('one address less', self.step(port, fixed_ips=addresses[:1])),
            ('the address back', self.step(port, fixed_ips=addresses)),
            ('another address', self.step(port, fixed_ips=[addresses[0], dict(addresses[0], ip_address='10.77.0.222')])),
        ])

    def test_a_small_prefix_as_pair_is_each_of_its_addresses(self):
        port = self.port(allowed_address_pairs=[{'ip_address': '192.0.2.4/30'}])
        expected = ['192.0.2.%d/32' % n for n in (4, 5, 6, 7)]
        with self.case('created'):
            spec = self.cloud.endpoint(port)['spec']
            self.assertEqual(spec['allowedIps'], expected)
            self.assertEqual(spec['ipNetworks'][-4:], expected)
        with self.case('changed, IPv6'):
            port = self.neutron.update('port', port['id'], allowed_address_pairs=[{'ip_address': '2001:db8::/127'}])
            self.assertEqual(self.cloud.endpoint(port)['spec']['allowedIps'], ['2001:db8::/128', '2001:db8::1/128'])
        with self.case('taken away'):
            self.neutron.update('port', port['id'], allowed_address_pairs=[])
            self.compare(port['id'])

    def test_no_stale_endpoint_stays(self):
        port = self.port()
        self.live(port['id'], [
            ('another device', self.step(port, device_id='dev-2')),
            ('another host', self.step(port, **{'binding:host_id': 'host-b'})),
            ('no host', self.step(port, **{'binding:host_id': ''})),
            ('host again', self.step(port, **{'binding:host_id': 'host-a'})),
            ('host and device at once', self.step(port, **{'binding:host_id': 'host-b', 'device_id': 'dev-5'})),
            ('another owner', self.step(port, device_owner='network:dhcp')),
            ('a machine again', self.step(port, device_owner='compute:nova')),
            ('a container', self.step(port, device_owner='kuryr:container')),
            ('an availability zone', self.step(port, device_owner='compute:az-2')),
            ('down', self.step(port, admin_state_up=False)),
            ('up', self.step(port, admin_state_up=True)),
            ('detached', self.step(port, device_owner='', device_id='')),
            ('attached', self.step(port, device_owner='compute:nova', device_id='dev-3')),
        ])
        with self.case('deleted'):
            self.neutron.delete('ports/' + port['id'])
            self.assertEqual(self.endpoints_of(port['id']), [])

    def test_what_happens_to_network_and_subnet_reaches_the_ports(self):
        network = self.neutron.create('network', name='first')
        subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.78.0.0/24',
                                     allocation_pools=[{'start': '10.78.0.10', 'end': '10.78.0.99'}])
        six = self.neutron.create('subnet', network_id=network['id'], ip_version=6, cidr='fd00:78::/64', gateway_ip='fd00:78::1',
                                  allocation_pools=[{'start': 'fd00:78::1000', 'end': 'fd00:78::2000'}],
                                  ipv6_ra_mode='dhcpv6-stateful', ipv6_address_mode='dhcpv6-stateful')
        port = self.port(network)

        def on(kind, which, **members):
            return lambda: self.neutron.update(kind, which['id'], **members)

        self.live(port['id'], [
            ('network renamed', on('network', network, name='second')),
            ('network down', on('network', network, admin_state_up=False)),
            ('network up', on('network', network, admin_state_up=True)),
            ('another gateway', on('subnet', subnet, gateway_ip='10.78.0.254')),
            ('no gateway', on('subnet', subnet, gateway_ip=None)),
            ('a gateway again', on('subnet', subnet, gateway_ip='10.78.0.1')),
            ('another IPv6 gateway', on('subnet', six, gateway_ip='fd00:78::fe')),
            ('DHCP off', on('subnet', subnet, enable_dhcp=False)),
        ])

    def test_floating_ips(self):
        outside = self.neutron.create('network', name='outside', **{'router:external': True})
        self.neutron.create('subnet', network_id=outside['id'], ip_version=4, cidr='198.51.100.0/24', enable_dhcp=False)
        router = self.neutron.create('router', name='r', external_gateway_info={'network_id': outside['id']})
        self.neutron.request('PUT', 'routers/%s/add_router_interface' % router['id'], {'subnet_id': self.subnet['id']})
        v4 = {'subnet_id': self.subnet['id']}
        one, two = self.port(fixed_ips=[v4, v4]), self.port(device_id='dev-2')
        first, second = (self.neutron.create('floatingip', floating_network_id=outside['id']) for _ in range(2))

        def to(floating, port, **members):
            return lambda: self.neutron.update('floatingip', floating['id'], port_id=port and port['id'], **members)

        self.live(one['id'], [
            ('associated', to(first, one, fixed_ip_address=one['fixed_ips'][0]['ip_address'])),
            ('a second one', to(second, one, fixed_ip_address=one['fixed_ips'][1]['ip_address'])),
            ('the first one moved away', to(first, two)), ('the second one taken away', to(second, None)),
            ('the second one back', to(second, one, fixed_ip_address=one['fixed_ips'][0]['ip_address'])),
            ('deleted while associated', lambda: self.neutron.delete('floatingips/' + second['id']))])
        with self.case('where it was moved to'):
            self.compare(two['id'])
            self.assertTrue(self.cloud.endpoint(two)['spec']['ipNATs'])
        with self.case('a port that is no machine'):
            router_port = self.port(device_owner='network:f5lbaasv2')
            self.neutron.create('floatingip', floating_network_id=outside['id'], port_id=router_port['id'])
            self.compare(router_port['id'])
        with self.case('deleted with its port'):
            self.neutron.delete('ports/' + two['id'])
            self.assertEqual(self.endpoints_of(two['id']), [])
