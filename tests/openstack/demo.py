#!/usr/bin/env python3
"""The narrated OpenStack: a real Neutron with Percale under it, guests, two virtual machines, and every step checked.

`demo.py [--bin FOLDER]`, as root. Exit status 1 on any difference, 130 after Ctrl-C; nothing is left behind either way.
"""

import argparse
import contextlib
import os
import pathlib
import re
import shutil
import signal
import sys
import time
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from boot_clock import Boot, Report  # noqa: E402
from cloud import Cloud, run  # noqa: E402
from compute import Compute  # noqa: E402
from neutron_server import Refused  # noqa: E402
from stage import Outcome, Stage, say, until, until_not  # noqa: E402

MARK = 'PERCALE_DEMO'  # in the environment of everything that is started
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
PROBES = ('tcp/22', 'tcp/80', 'udp/53', 'icmp')


def passing(source, address):
    """Which of the probes come through."""
    def passes(probe):
        if probe == 'icmp':
            return source.ping(address)
        protocol, port = probe.split('/')
        return getattr(source, protocol)(address, int(port), 0.5)
    return {probe for probe in PROBES if passes(probe)}


def words(probes):
    return ', '.join(sorted(probes)) or 'nothing'


def ms(value):
    return 'never' if value is None else '%d ms' % value


class Demo:
    def __init__(self, cloud):
        self.cloud, self.stage = cloud, Stage()
        self.compute = None
        self.boots = []

    @property
    def neutron(self):
        return self.cloud.neutron

    def run(self):
        # Without these nothing that follows says anything.
        for title, body in (('Start the cloud', self.start),
                            ('A network, two subnets and security groups by the API', self.describe_network),
                            ('Guests ask for their addresses', self.guests)):
            if not self.stage.step(title, body):
                return
        self.stage.step('Two virtual machines are switched on', self.switch_on)
        self.stage.step('No rule, no packet', self.closed)
        self.stage.step('A rule is added', self.rule_added)
        self.stage.step('The sender leaves the group that the rule names', self.group_left)
        self.stage.step('The rule is deleted', self.rule_deleted)
        self.stage.step('A floating IP comes, moves and goes', self.floating_ip)
        self.stage.step('A port goes down and up', self.port_status)
        self.stage.step('The bridge is killed while the database changes', self.bridge_killed)
        self.stage.step('The machines say who they are', self.machines_up)
        self.stage.step('A machine pings the other through policy', self.machines_ping)
        self.stage.step('From power-on to the first ping', self.boot_time)
        self.stage.step('A machine is switched off', self.switched_off)

    def start(self):
        say('three hosts with percaled and BIRD, a router, etcd; MariaDB, neutron-server with the shim, and the bridge')
        self.cloud.up()
        alive = [agent['host'] for agent in self.neutron.get('agents')['agents'] if agent['alive']]
        resync = self.cloud.bridge_status()['last_resync']
        return Outcome('3 agents alive in Neutron, the first resync ok',
                       '%d alive (%s); resync %s' % (len(alive), ', '.join(sorted(alive)), 'ok' if resync['ok'] else resync),
                       len(alive) == 3 and resync['ok'])

    def group(self, name):
        return self.neutron.create('security_group', name=name)

    def rule(self, group, protocol, port=None, ethertype='IPv4', **members):
        if port:
            members.update(port_range_min=port, port_range_max=port)
        return self.neutron.create('security_group_rule', security_group_id=group['id'], direction='ingress', protocol=protocol,
                                   ethertype=ethertype, **members)

    def describe_network(self):
        self.network = self.neutron.create('network', name='demo')
        self.subnet = self.neutron.create('subnet', network_id=self.network['id'], ip_version=4, cidr='10.77.0.0/24',
                                          dns_nameservers=['192.0.2.53'])
        subnet6 = self.neutron.create('subnet', network_id=self.network['id'], ip_version=6, cidr='fd00:77::/64',
                                      ipv6_ra_mode='slaac', ipv6_address_mode='slaac')
        self.callers, self.web, self.machines, self.open = map(self.group, ('callers', 'web', 'machines', 'open'))
        self.rule(self.open, 'icmp')
        self.rule(self.open, 'tcp', 80)
        subnets = [self.cloud.subnet(subnet['id']) for subnet in (self.subnet, subnet6)]
        groups = (self.callers, self.web, self.machines, self.open)
        rules = [len(self.cloud.policy(group['id'])['spec']['ingress']) for group in groups]
        cidrs = [subnet and subnet['cidr'] for subnet in subnets]
        return Outcome('etcd has both subnets and 4 policies with 0, 0, 0, 2 rules for incoming packets',
                       'subnets %s; policies with %s' % (', '.join(map(str, cidrs)), ', '.join(map(str, rules))),
                       cidrs == ['10.77.0.0/24', 'fd00:77::/64'] and rules == [0, 0, 0, 2])

    def guests(self):
        self.client = self.cloud.machine('client', self.network, 'host-a', security_groups=[self.callers['id'], self.open['id']])
        self.server = self.cloud.machine('server', self.network, 'host-b', security_groups=[self.web['id']])
        self.other = self.cloud.machine('other', self.network, 'host-b', security_groups=[self.open['id']])
        guests = (self.client, self.server, self.other)
        heard = [tuple(guest.lease[name] for name in ('ip', 'router', 'dns', 'mtu')) for guest in guests]
        return Outcome('%s; gateway 10.77.0.1, DNS 192.0.2.53, MTU 1500' % ', '.join(guest.address for guest in guests),
                       '%s; %s' % (', '.join(lease[0] for lease in heard), ' / '.join(sorted({' '.join(l[1:]) for l in heard}))),
                       heard == [(guest.address, '10.77.0.1', '192.0.2.53', '1500') for guest in guests])

    def switch_on(self):
        say("Debian's kernel and busybox under software emulation; they boot while the next steps go on")
        self.compute = Compute(self.cloud)
        self.compute.serve_metadata('host-a', 'host-b')
        for name, host, other, group in (('one', 'host-a', 'host-b', self.callers), ('two', 'host-b', 'host-a', self.machines)):
            machine = self.compute.prepare(name, self.network, host, security_groups=[group['id']])
            self.compute.describe(machine, 'first-ping %s\n' % self.client.address)
            self.boots.append(Boot(self.compute, machine, other))
        self.one, self.two = (boot.machine for boot in self.boots)
        nodes = [self.cloud.endpoint(machine.port)['spec']['node'] for machine in (self.one, self.two)]
        active = until(lambda: all(boot.programming.complete for boot in self.boots))
        return Outcome('endpoints on host-a and host-b, both programmed, ports ACTIVE',
                       'endpoints on %s; ACTIVE %s later' % (' and '.join(nodes), ms(active)),
                       nodes == ['host-a', 'host-b'] and active is not None)

    def closed(self):
        seen = passing(self.client, self.server.address)
        return Outcome('of %s nothing reaches the server' % words(PROBES), words(seen), not seen)

    def opens(self, seconds=20):
        return until(lambda: self.client.tcp(self.server.address, 80, 0.1), seconds)

    def closes(self):
        return until_not(lambda: self.client.tcp(self.server.address, 80, 0.3))

    def rule_added(self):
        say('tcp port 80 from members of "callers"; measured from the API\'s answer to the first connection')
        self.web_rule = self.rule(self.web, 'tcp', 80, remote_group_id=self.callers['id'])
        took = self.opens()
        seen = passing(self.client, self.server.address)
        strangers = passing(self.other, self.server.address)
        return Outcome('tcp/80 for the member, nothing for others', '%s; others: %s' % (words(seen), words(strangers)),
                       seen == {'tcp/80'} and not strangers, took or 0)

    def group_left(self):
        self.neutron.update('port', self.client.port['id'], security_groups=[self.open['id']])
        left = self.closes()
        self.neutron.update('port', self.client.port['id'], security_groups=[self.callers['id'], self.open['id']])
        back = self.opens()
        return Outcome('closed; open again when it is back', 'closed after %s, open after %s' % (ms(left), ms(back)),
                       None not in (left, back), left)

    def rule_deleted(self):
        self.neutron.delete('security-group-rules/' + self.web_rule['id'])
        took = self.closes()
        seen = passing(self.client, self.server.address)
        return Outcome('nothing', words(seen), not seen and took is not None, took)

    def floating_ip(self):
        outside = self.neutron.create('network', name='outside', **{'router:external': True})
        self.neutron.create('subnet', network_id=outside['id'], ip_version=4, cidr='198.51.100.0/24', enable_dhcp=False)
        router = self.neutron.create('router', name='router', external_gateway_info={'network_id': outside['id']})
        self.neutron.request('PUT', 'routers/%s/add_router_interface' % router['id'], {'subnet_id': self.subnet['id']})
        second = self.cloud.machine('second', self.network, 'host-a', security_groups=[self.open['id']])
        floating = self.neutron.create('floatingip', floating_network_id=outside['id'], port_id=self.other.port['id'])
        address = floating['floating_ip_address']
        came = until(lambda: self.server.tcp(address, 80, 0.1))
        self.neutron.update('floatingip', floating['id'], port_id=second.port['id'])
        moved = until(lambda: self.server.tcp(address, 80, 0.1))
        held = {name: 'ipNATs' in self.cloud.endpoint(guest.port)['spec']
                for name, guest in (('first', self.other), ('second', second))}
        self.neutron.delete('floatingips/' + floating['id'])
        gone = until_not(lambda: self.server.tcp(address, 80, 0.3))
        return Outcome('reached at both places, gone in the end; only the second has it after the move',
                       '%s reached after %s, moved after %s, gone after %s; held by %s' % (
                           address, ms(came), ms(moved), ms(gone), ' and '.join(name for name, has in held.items() if has)),
                       None not in (came, moved, gone) and held == {'first': False, 'second': True}, came)

    def status(self, guest):
        return self.neutron.show('port', guest.port['id'])['status']

    def port_status(self):
        active = until(lambda: self.status(self.server) == 'ACTIVE')
        self.cloud.on_host('host-b', 'ip', 'link', 'set', self.server.tap, 'down')
        down = until(lambda: self.status(self.server) == 'DOWN')
        self.cloud.on_host('host-b', 'ip', 'link', 'set', self.server.tap, 'up')
        up = until(lambda: self.status(self.server) == 'ACTIVE')
        return Outcome('ACTIVE; DOWN with its link, ACTIVE again', 'DOWN after %s, ACTIVE after %s' % (ms(down), ms(up)),
                       None not in (active, down, up), down)

    def bridge_killed(self):
        say('kill -9; a call of the API, then a rule that only reaches the database, as when neutron-server dies in between')
        self.cloud.bridge.stop(signal.SIGKILL)
        try:
            self.rule(self.web, 'udp', 53)
            refused = 'accepted'
        except Refused as answer:
            refused = answer.status
        self.neutron.database.sql(
            "insert into standardattributes (resource_type, revision_number) values ('securitygrouprules', 0); "
            "insert into securitygrouprules (project_id, id, security_group_id, direction, ethertype, protocol, port_range_min, "
            "port_range_max, standard_attr_id) values ('p', '%s', '%s', 'ingress', 'IPv4', 'tcp', 80, 80, last_insert_id())"
            % (uuid.uuid4(), self.web['id']), 'neutron')
        before = self.client.tcp(self.server.address, 80, 0.5)
        started = time.monotonic()
        self.cloud.start_bridge()
        repaired = self.opens(60)
        took = round((time.monotonic() - started) * 1000)
        seen = passing(self.client, self.server.address)
        return Outcome('the API answers 503; after the start etcd has what the database has: tcp/80',
                       'API %s; %s' % (refused, words(seen)),
                       refused == 503 and not before and repaired is not None and seen == {'tcp/80'}, took)

    def machines_up(self):
        machines = (self.one, self.two)
        for machine in machines:
            machine.wait('ready', 180)
            say('%s: %s' % (machine.name, '; '.join('%s %s' % (s.word, s.text) for s in machine.stages if s.text)))
        seen = [(m.stage('address').text.split('/')[0], m.stage('instance').text) for m in machines]
        expected = [(m.address, m.port['device_id']) for m in machines]
        return Outcome('; '.join('%s is %s' % pair for pair in expected), '; '.join('%s is %s' % pair for pair in seen),
                       seen == expected, round(max(m.stage('ready').when - m.started for m in machines) * 1000))

    def machines_ping(self):
        targets = {'IPv4': self.two.address, 'IPv6': self.two.address6}
        before = [name for name, address in targets.items() if self.one.ping(address, 2)]
        self.rule(self.machines, 'icmp', remote_group_id=self.callers['id'])
        four = until(lambda: self.one.ping(targets['IPv4']), 30)
        self.rule(self.machines, 'ipv6-icmp', ethertype='IPv6', remote_group_id=self.callers['id'])
        six = until(lambda: self.one.ping(targets['IPv6']), 30)
        back = self.two.ping(self.one.address, 2)
        return Outcome('without a rule nothing; with it IPv4 and IPv6; never the other way',
                       'without %s; IPv4 after %s, IPv6 after %s; the other way %s' % (
                           ' and '.join(before) or 'nothing', ms(four), ms(six), 'too' if back else 'never'),
                       not before and None not in (four, six) and not back, four)

    def boot_time(self):
        reports = []
        for boot in self.boots:
            boot.close()
            reports.append(Report(boot))
            for line in reports[-1].lines():
                say(line)
        return Outcome('the machines had their answers, in this order: address, instance id, ping',
                       '; '.join('%s: %.1f s, of it ours %d ms (%.2g %%)' % (
                           r.name, r.total, r.routed * 1000, 100 * r.routed / r.total) for r in reports),
                       all(r.in_order() for r in reports), round(max(r.total for r in reports) * 1000))

    def switched_off(self):
        status = self.two.power_off()
        down = until(lambda: self.status(self.two) == 'DOWN')
        tap = self.two.tap in self.cloud.on_host('host-b', 'ip', 'link').stdout
        return Outcome('the machine ends, its tap goes, its port is DOWN',
                       'ended with %d, tap %s, DOWN after %s' % (status, 'still there' if tap else 'gone', ms(down)),
                       status == 0 and not tap and down is not None, down)


def marked_processes(mark):
    """Command lines by process number."""
    found = {}
    for entry in pathlib.Path('/proc').iterdir():
        if entry.name.isdigit() and int(entry.name) != os.getpid():
            with contextlib.suppress(OSError):
                if mark in (entry / 'environ').read_bytes().split(b'\0'):
                    found[int(entry.name)] = (entry / 'cmdline').read_bytes().replace(b'\0', b' ').decode(errors='replace').strip()
    return found


class CleanUp:
    """Takes everything away, whatever state it is in, and says what was still there afterwards."""

    def __init__(self, cloud, demo, mark):
        self.cloud, self.demo, self.mark = cloud, demo, mark
        self.problems = []

    def attempt(self, what, work):
        try:
            work()
        except Exception as problem:  # the rest is to be taken away all the same
            self.problems.append('%s: %s' % (what, str(problem).split('\n')[0]))

    def run(self):
        for boot in self.demo.boots:
            self.attempt('boot clock', boot.close)
        self.attempt('cloud', self.cloud.down)
        if self.demo.compute:
            self.attempt('compute', self.demo.compute.close)
        left = self.left()
        if left:
            self.by_force()
        return left

    def left(self):
        processes = ['%s (%d)' % (text[:60], number) for number, text in sorted(marked_processes(self.mark).items())]
        places = [str(p) for p in (self.cloud.folder, pathlib.Path('/run/percale-lab') / self.cloud.name) if p.exists()]
        return self.problems + processes + places + self.namespaces()

    def namespaces(self):
        folder = pathlib.Path('/run/netns')
        return [str(p) for p in folder.glob(self.cloud.name + '-*')] if folder.exists() else []

    def by_force(self):
        """What an interruption at a bad moment may leave."""
        for number, command in marked_processes(self.mark).items():
            with contextlib.suppress(ProcessLookupError):
                os.kill(number, signal.SIGKILL)
            for data in re.findall(r'--datadir=(/dev/shm/percale-db\S+)', command):
                shutil.rmtree(data, ignore_errors=True)
        self.attempt('lab', lambda: self.cloud.lab('down', self.cloud.name))
        for namespace in self.namespaces():
            run('ip', 'netns', 'del', pathlib.Path(namespace).name, check=False)
        shutil.rmtree(self.cloud.folder, ignore_errors=True)


def interrupted(*_):
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # cleaning up is not to be interrupted in turn
    raise KeyboardInterrupt


def show(cloud, mark):
    """Exit status."""
    demo = Demo(cloud)
    clean_up = CleanUp(cloud, demo, mark)
    stopped = False
    try:
        demo.run()
    except KeyboardInterrupt:
        stopped = True
        print('\n      stopped: cleaning up', flush=True)
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)
    if stopped:
        clean_up.run()
        return 130

    def take_away():
        left = clean_up.run()
        return Outcome('no process, namespace, folder or problem is left', ', '.join(left) or 'nothing', not left)

    demo.stage.step('Clean up', take_away)
    print('\n' + demo.stage.table(), flush=True)
    return 0 if demo.stage.all_good() else 1


def main():
    parser = argparse.ArgumentParser(description='The narrated OpenStack demo.')
    parser.add_argument('--bin', type=os.path.abspath, help='folder of the programs (default: build/bin)')
    options = parser.parse_args()
    if os.getuid():
        sys.exit('demo: needs root')
    for number in SIGNALS:
        signal.signal(number, interrupted)
    mark = str(uuid.uuid4())
    os.environ[MARK] = mark
    started = time.monotonic()
    status = show(Cloud(name='demo%d' % (os.getpid() % 100000), bin_folder=options.bin), ('%s=%s' % (MARK, mark)).encode())
    ending = {0: 'All as expected', 1: 'SOMETHING DIFFERS', 130: 'Stopped; nothing is left behind'}[status]
    print('\n%s, after %d s' % (ending, time.monotonic() - started), flush=True)
    return status


if __name__ == '__main__':
    sys.exit(main())
