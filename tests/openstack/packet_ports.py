"""Ports: addresses, pairs, floating IPs, port security, states, moves, deletion; and what agents report of them."""

import http.client
import subprocess

import faults
from cases import HOSTS, soon
from guest import run
from packet_checks import PacketTest, everything, look, matching

METADATA_SERVICE = '''
import http.server, socketserver
class Handler(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        text = ('i-for-' + self.client_address[0]).encode()
        self.send_response(200); self.send_header('Content-Length', str(len(text))); self.end_headers(); self.wfile.write(text)
    def log_message(self, *_): pass
socketserver.TCPServer.allow_reuse_address = True
socketserver.TCPServer(('0.0.0.0', 8775), Handler).serve_forever()
'''


class PortChecks(PacketTest):

    def open_machine(self, name, **members):
        return self.machine(name, HOSTS[1], [self.open_group], **members)

    def update(self, port, **members):
        return lambda: self.neutron.update('port', port['id'], **members)

    def test_an_endpoint_is_right_in_every_member(self):
        target = self.open_machine('members')
        port, peers = target.port, {'client': self.client}
        names = everything(peers)
        nothing, v4, v6 = frozenset(), matching(names, '* in4 *', '* out4 *'), matching(names, '* in6 *', '* out6 *')
        self.judge('as it is', lambda: look(target, peers), v4 | v6, [
            (faults.endpoint_left_out(port), nothing), (faults.v4_left_out(port), v6), (faults.v6_left_out(port), v4),
            (faults.interface_wrong(port), nothing),
            # The agents' neighbour entries, which are IPv4's, send packets to nobody.
            (faults.mac_wrong(port), v6)])

    def test_floating_ips(self):
        outside = self.neutron.create('network', name='outside', **{'router:external': True})
        self.neutron.create('subnet', network_id=outside['id'], ip_version=4, cidr='198.51.100.0/24', enable_dhcp=False)
        router = self.neutron.create('router', name='r', external_gateway_info={'network_id': outside['id']})
        self.neutron.request('PUT', 'routers/%s/add_router_interface' % router['id'], {'subnet_id': self.subnet['id']})
        one, two = (self.open_machine(name, v6=False) for name in ('f1', 'f2'))
        floating = self.neutron.create('floatingip', floating_network_id=outside['id'])
        address = floating['floating_ip_address']
        nats = [{'internalIP': one.address, 'externalIP': address}]

        def who():
            """The inner address of the machine that answers, over TCP and from another host."""
            return self.client.greeting(address, 80).result()

        def to(port_id):
            return lambda: self.neutron.update('floatingip', floating['id'], port_id=port_id)

        self.judge('associated', who, one.address, [(faults.floating_ip_left_out(one.port), '')], to(one.port['id']))
        self.assertEqual(self.cloud.endpoint(one.port)['spec']['ipNATs'], nats)
        self.judge('moved', who, two.address, [(faults.floating_ip_left_out(two.port), '')], to(two.port['id']))
        self.assertNotIn('ipNATs', self.cloud.endpoint(one.port)['spec'])
        self.judge('taken away', who, '', [(faults.endpoint_kept(two.port), two.address)], to(None))
        self.judge('associated again', who, one.address, [(faults.endpoint_kept(one.port), '')], to(one.port['id']))
        self.judge('deleted while associated', who, '', [(faults.endpoint_kept(one.port), one.address)],
                   lambda: self.neutron.delete('floatingips/' + floating['id']))
        self.assertNotIn('ipNATs', self.cloud.endpoint(one.port)['spec'])

    def test_allowed_address_pairs(self):
        guest = self.open_machine('pair')
        port = guest.port
        addresses = ('203.0.113.9', '203.0.113.10', '203.0.113.11', 'fd00:99::9')
        for address in addresses:
            run('ip', '-n', guest.namespace, 'address', 'add', address + ('/128' if ':' in address else '/32'), 'dev', 'eth0')

        def see():
            """To which of them the client comes, and from which it is reached."""
            tried = {address: self.client.greeting(address, 80) for address in addresses}
            tried.update({'from ' + address: guest.greeting(self.client.address_of(6 if ':' in address else 4), 80, source=address)
                          for address in addresses})
            return frozenset(name for name, answer in tried.items() if answer.result())

        def both(*wanted):
            return frozenset(wanted) | frozenset('from ' + address for address in wanted)

        def pairs(*wanted):
            return self.update(port, allowed_address_pairs=[{'ip_address': address} for address in wanted])

        v4, others, v6, nothing = addresses[0], addresses[1:3], addresses[3], frozenset()
        self.judge('an address', see, both(v4), [(faults.pair_ignored(port), nothing)], pairs(v4))
        self.assertEqual(self.cloud.endpoint(port)['spec']['allowedIps'], [v4 + '/32'])
        self.judge('an IPv6 address more', see, both(v4, v6), [(faults.endpoint_kept(port), both(v4)), (faults.pair_ignored(port), nothing),
                                                               (faults.v6_left_out(port), both(v4))], pairs(v4, v6))
        self.judge('the IPv6 address alone', see, both(v6), [(faults.endpoint_kept(port), both(v4, v6))], pairs(v6))
        self.judge('a prefix', see, both(v4, *others), [(faults.pair_ignored(port), nothing), (faults.pair_cut(port), nothing)],
                   pairs('203.0.113.8/30'))
        self.assertEqual(self.cloud.endpoint(port)['spec']['allowedIps'], ['203.0.113.%d/32' % n for n in (8, 9, 10, 11)])
        self.judge('none', see, nothing, [(faults.endpoint_kept(port), both(v4, *others))], pairs())
        sources = frozenset('from ' + address for address in (v4,) + others)
        self.judge('a prefix too large to be routed is a source only', self.sources(guest, addresses), sources,
                   [(faults.sources_ignored(port), nothing)], pairs('203.0.113.0/24'))
        self.judge('none again', self.sources(guest, addresses), nothing, [(faults.endpoint_kept(port), sources)], pairs())

    def sources(self, guest, addresses):
        """From which addresses something of the guest arrives at the client: nobody can answer it, so one-way."""
        def see():
            tried = {'from ' + address: guest.raw_probe(self.client, self.client.address_of(6 if ':' in address else 4), source=address)
                     for address in addresses}
            return frozenset(name for name, answer in tried.items() if answer.result())
        return see

    def test_port_security_off_and_on(self):
        group = self.group('closed')
        target = self.machine('unsafe', HOSTS[1], [group])
        port, peers = target.port, {'client': self.client}
        everything_passes, nothing = frozenset(everything(peers)), frozenset()
        see = (lambda: look(target, peers))
        run('ip', '-n', target.namespace, 'address', 'add', '203.0.113.77/32', 'dev', 'eth0')
        self.judge('off', see, everything_passes, [(faults.open_port_forgotten(port), nothing), (faults.open_policy_left_out(), nothing)],
                   self.update(port, port_security_enabled=False, security_groups=[]))
        self.judge('off: any source', self.sources(target, ['203.0.113.77']), frozenset(['from 203.0.113.77']),
                   [(faults.sources_ignored(port), nothing)])
        self.judge('on again', see, nothing, [(faults.endpoint_kept(port), everything_passes)],
                   self.update(port, port_security_enabled=True, security_groups=[group['id']]))

    def test_admin_state(self):
        network = self.neutron.create('network', name='switched')
        self.neutron.create('subnet', network_id=network['id'], ip_version=4, cidr='10.81.0.0/24')
        guest = self.machine('admin', HOSTS[1], [self.open_group], network=network, v6=False)
        port = guest.port
        see, yes, no = (lambda: self.client.tcp(guest.address, 80, 0.4)), True, False

        def switch(kind, up):
            return lambda: self.neutron.update(kind, port['id'] if kind == 'port' else network['id'], admin_state_up=up)

        for kind in ('port', 'network'):
            self.judge('%s down' % kind, see, no, [(faults.deletion_missed(port), yes)], switch(kind, False))
            self.assertIsNone(self.cloud.endpoint(port))
            self.assertTrue(soon(lambda: self.neutron.show('port', port['id'])['status'] == 'DOWN'))
            self.judge('%s up again' % kind, see, yes, [(faults.endpoint_left_out(port), no)], switch(kind, True))

    def test_device_and_owner(self):
        guest = self.open_machine('owned', v6=False)
        port = guest.port
        see, yes, no = (lambda: self.client.tcp(guest.address, 80, 0.4)), True, False
        steps = [
            ('another device', dict(device_id='vm-other'), yes, [(faults.endpoint_left_out(port), no)]),
            ('another owner', dict(device_owner='network:dhcp'), no, [(faults.deletion_missed(port), yes)]),
            ('a machine again', dict(device_owner='compute:nova'), yes, [(faults.endpoint_left_out(port), no)]),
            ('a profile', {'binding:profile': {'x': 'y'}}, yes, [(faults.endpoint_left_out(port), no)]),
            ('another name', dict(name='other'), yes, [(faults.endpoint_left_out(port), no)]),
            ('a container', dict(device_owner='kuryr:container'), yes, [(faults.interface_wrong(port), no)]),
            ('detached', dict(device_owner='', device_id=''), no, [(faults.deletion_missed(port), yes)]),
            ('attached again', dict(device_owner='compute:nova', device_id='vm-owned'), yes, [(faults.endpoint_left_out(port), no)]),
            ('no host', {'binding:host_id': ''}, no, [(faults.deletion_missed(port), yes)]),
            ('its host again', {'binding:host_id': HOSTS[1]}, yes, [(faults.endpoint_left_out(port), no)]),
        ]
        for name, members, right, wrongs in steps:
            self.judge(name, see, right, wrongs, self.update(port, **members))
        self.judge('deleted', see, no, [(faults.deletion_missed(port), yes)], lambda: self.neutron.delete('ports/' + port['id']))

    def test_another_host(self):
        guest = self.open_machine('mover')
        port, peers = guest.port, {'client': self.client}
        names = everything(peers)
        all_pass, nothing = frozenset(names), frozenset()
        self.judge('bound elsewhere while it still runs here', lambda: look(guest, peers), nothing, [(faults.endpoint_kept(port), all_pass)],
                   self.update(port, **{'binding:host_id': HOSTS[0]}))
        guest.move(HOSTS[0], self.neutron.show('port', port['id']))
        guest.boot6()
        self.judge('it runs there', lambda: look(guest, peers), all_pass, [(faults.endpoint_left_out(port), nothing)])

    def test_metadata(self):
        """What Nova's metadata service on the host would be asked: the guest's own address is the sender."""
        guest = self.machine('asker', HOSTS[1], [self.open_group], v6=False)
        server = subprocess.Popen([str(self.cloud.bin / 'percalectl'), 'lab', 'exec', self.cloud.name, HOSTS[1], '--', '/usr/bin/python3',
                                   '-c', METADATA_SERVICE])

        def ask():
            try:
                connection = http.client.HTTPConnection('169.254.169.254', 80, timeout=1)
                connection.request('GET', '/latest/meta-data/instance-id')
                return connection.getresponse().read().decode()
            except OSError:
                return ''
        try:
            self.judge('the instance id', lambda: guest.in_network(ask), 'i-for-' + guest.address, [
                (faults.endpoint_left_out(guest.port), ''), (faults.v4_left_out(guest.port), '')])
        finally:
            server.terminate()
            server.wait()

    def test_port_status_follows_the_dataplane(self):
        guest = self.cloud.machine('status', self.network, HOSTS[1], boot=False)
        port = guest.port
        see = (lambda: self.neutron.show('port', port['id'])['status'])

        def link(state):
            return lambda: self.cloud.on_host(HOSTS[1], 'ip', 'link', 'set', guest.tap, state)

        self.judge('up', see, 'ACTIVE', [(faults.status_left_out(port), 'ERROR')])
        self.judge('down', see, 'DOWN', [(faults.status_kept(port), 'ACTIVE')], link('down'))
        self.judge('up again', see, 'ACTIVE', [(faults.status_kept(port), 'DOWN')], link('up'))
