"""What guests are told: DHCP, router advertisements, DHCPv6."""

import socket
import struct

import faults
from cases import HOSTS
from packet_checks import PacketTest, everything, look

QUICK = 3  # questions until a guest believes that nobody answers


def ask_name(server, name):
    """The IPv4 address that a DNS server says a name has; '' if it says none, or nothing."""
    labels = b''.join(bytes([len(label)]) + label.encode() for label in name.split('.')) + b'\0'
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as question:
        question.settimeout(1)
        try:
            question.connect((server, 53))
            question.send(struct.pack('!6H', 1, 0x0100, 1, 0, 0, 0) + labels + struct.pack('!2H', 1, 1))
            answer = question.recv(512)
        except OSError:
            return ''
    return socket.inet_ntoa(answer[-4:]) if struct.unpack_from('!H', answer, 6)[0] == 1 else ''


class DhcpChecks(PacketTest):

    def test_dhcp_says_what_the_subnet_says(self):
        network = self.neutron.create('network', name='told')
        subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.82.0.0/24',
                                     allocation_pools=[{'start': '10.82.0.10', 'end': '10.82.0.99'}], dns_nameservers=['192.0.2.53'],
                                     host_routes=[{'destination': '10.9.0.0/16', 'nexthop': '10.82.0.1'}])
        guest = self.machine('told', HOSTS[1], [self.open_group], network=network, v6=False)
        told = dict(ip=guest.address, mask='24', router='10.82.0.1', dns='192.0.2.53', routes=True)
        nothing = dict(ip=None, mask=None, router=None, dns=None, routes=False)

        def see():
            lease = guest.ask(QUICK)
            return dict({key: lease.get(key) for key in ('ip', 'mask', 'router', 'dns')},
                        routes='10.9.0.0/16 10.82.0.1' in lease.get('staticroutes', ''))

        def update(**members):
            return lambda: self.neutron.update('subnet', subnet['id'], **members)

        # Without name servers of the subnet's the guest is sent to the host's own, at the gateway's address.
        self.judge('all of it', see, told, [
            (faults.name_servers_lost(subnet), dict(told, dns='10.82.0.1')), (faults.routes_lost(subnet), dict(told, routes=False)),
            (faults.gateway_wrong(subnet, '10.82.0.200'), dict(told, router='10.82.0.200')), (faults.subnet_left_out(subnet), nothing),
            (faults.endpoint_left_out(guest.port), nothing), (faults.mac_wrong(guest.port), nothing)])
        changed = dict(told, dns='192.0.2.54')
        self.judge('another name server', see, changed, [(faults.subnet_kept(subnet), told)], update(dns_nameservers=['192.0.2.54']))
        told, changed = changed, dict(changed, routes=False)
        self.judge('no routes', see, changed, [(faults.subnet_kept(subnet), told)], update(host_routes=[]))
        told, changed = changed, dict(changed, router='10.82.0.254')
        self.judge('another gateway', see, changed, [(faults.subnet_kept(subnet), told)], update(gateway_ip='10.82.0.254'))
        self.judge('DHCP off', see, nothing, [(faults.subnet_kept(subnet), changed)], update(enable_dhcp=False))
        self.judge('DHCP on', see, changed, [(faults.subnet_left_out(subnet), nothing)], update(enable_dhcp=True))

    def test_the_host_answers_dns(self):
        """Where a subnet has no name servers the host is one, at the gateway's address; it knows the guests it has of the network."""
        network = self.neutron.create('network', name='names')
        self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.85.0.0/24')
        curious, namesake = (self.machine(name, HOSTS[1], [self.open_group], network=network, v6=False) for name in ('curious', 'namesake'))
        name = 'host-%s.openstacklocal' % namesake.address.replace('.', '-')
        self.judge('its name', lambda: curious.in_network(lambda: ask_name('10.85.0.1', name)), namesake.address, [
            (faults.endpoint_left_out(namesake.port), ''), (faults.endpoint_left_out(curious.port), '')])

    def test_dhcp_options_of_a_port(self):
        guest = self.machine('optional', HOSTS[1], [self.open_group], v6=False)
        plain = dict(ip=guest.address, dns='192.0.2.53', mtu='1500')

        def see():
            lease = guest.ask(QUICK)
            return {key: lease.get(key) for key in plain}

        def options(**values):
            return lambda: self.neutron.update('port', guest.port['id'], extra_dhcp_opts=[
                {'opt_name': name.replace('_', '-'), 'opt_value': value} for name, value in values.items()])

        own = dict(plain, dns='192.0.2.77', mtu='1300')
        self.judge('its own', see, own, [(faults.dhcp_options_lost(guest.port), plain)], options(dns_server='192.0.2.77', mtu='1300'))
        self.judge('one of them', see, dict(own, mtu='1500'), [(faults.endpoint_kept(guest.port), own)], options(mtu=None))
        self.judge('none', see, plain, [(faults.endpoint_kept(guest.port), dict(own, mtu='1500'))], options(dns_server=None))

    def test_stateless_addresses(self):
        """SLAAC: the router says the prefix, the machine makes the address that Neutron foresaw."""
        network = self.neutron.create('network', name='slaac')
        self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.83.0.0/24')
        subnet = self.neutron.create('subnet', network_id=network['id'], ip_version=6, cidr='fd00:83::/64', ipv6_ra_mode='slaac',
                                     ipv6_address_mode='slaac')
        guest = self.machine('slaac', HOSTS[1], [self.open_group], network=network)
        address = guest.address_of(6)
        self.assertEqual(guest.addresses6(), [address])

        def advertised():
            """What a machine that starts now would make of the advertisement: whether it is to ask DHCPv6."""
            return guest.in_network(guest.solicit)

        self.judge('the advertisement', advertised, False, [(faults.slaac_lost(subnet), True)])
        peers = {'client': self.client}
        all_pass = frozenset(everything(peers))
        self.judge('packets', lambda: look(guest, peers), all_pass,
                   [(faults.v6_left_out(guest.port), frozenset(name for name in all_pass if '4 ' in name))])

    def test_stateful_addresses(self):
        """DHCPv6: the client's and the member's address came so."""
        for guest in (self.client, self.member):
            self.assertIn(guest.address_of(6), guest.addresses6())
        guest = self.machine('dhcp6', HOSTS[1], [self.open_group])
        self.assertEqual(guest.addresses6(), [guest.address_of(6)])
        self.judge('asked again', lambda: guest.ask6(QUICK), guest.address_of(6),
                   [(faults.subnet_left_out(self.subnet6), ''), (faults.v6_left_out(guest.port), '')])
