#!/usr/bin/env python3
"""Measures the agent's memory on one host of a cloud of NODES nodes with ROUTES routes each.

A real etcd holds every Node, its IPAM block with ROUTES addresses in use, the block's affinity, and ROUTES workload endpoints in
GROUPS security groups; percaled and the BIRD it starts run in a network namespace with LOCAL of those endpoints behind tap
interfaces. Then nodes join and leave, pools and own blocks come and go, and endpoints everywhere change, ROUNDS times each.
Printed are percaled's resident and proportional set (shared pages by their share), and BIRD's, whose peers do not answer.

Needs root. Everything happens inside a namespace made here; it and the processes are gone at the end.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile
import time

from path import Etcd, b64, endpoint, enter, ip_batch, policy, port_id, ready, resource, wait_for

GOAL_MB = 64
HOST = 'node0000'


def node_address(node):
    return f'10.192.{node // 250}.{node % 250 + 1}'


def node(number, options):
    spec = {'bgp': {'ipv4Address': node_address(number) + '/16'}}
    if options.encapsulation == 'vxlan':
        spec['ipv4VXLANTunnelAddr'] = address(block_start(number) + 63)
    return resource('Node', 'nodes', f'node{number:04}', spec,
                    labels={'rack': str(number // 40), 'kubernetes.io/hostname': f'node{number:04}'})


def pool(name, cidr, encapsulation):
    return resource('IPPool', 'ippools', name, {
        'cidr': cidr, 'blockSize': 26, 'natOutgoing': False, 'nodeSelector': 'all()',
        'ipipMode': 'Always' if encapsulation == 'ipip' else 'Never',
        'vxlanMode': 'Always' if encapsulation == 'vxlan' else 'Never'})


def block_start(number):
    return 10 << 24 | 80 << 16 | number << 6


def address(value):
    return '.'.join(str(value >> shift & 255) for shift in (24, 16, 8, 0))


def block(number, routes):
    start = address(block_start(number))
    attributes = [{'handle_id': f'port-{number}-{i}', 'secondary': {'node': f'node{number:04}'}} for i in range(routes)]
    value = {'cidr': start + '/26', 'affinity': f'host:node{number:04}', 'affinity_claim_time': '2026-01-15T10:20:30Z',
             'allocations': [i if i < routes else None for i in range(64)], 'unallocated': list(range(routes, 64)),
             'attributes': attributes, 'sequenceNumber': 1768472430000000000 + routes,
             'sequenceNumberForAllocation': {str(i): 1768472430000000000 + i for i in range(routes)}, 'deleted': False}
    return [(f'/calico/ipam/v2/assignment/ipv4/block/{start}-26', json.dumps(value)),
            (f'/calico/ipam/v2/host/node{number:04}/ipv4/block/{start}-26', '{"state":"confirmed","deleted":false}')]


def workload(number, options):
    owner, place = divmod(number, options.routes)
    groups = [number % options.groups, (number * 7 + 1) % options.groups]
    key, value = endpoint(number, f'node{owner:04}', groups)
    parsed = json.loads(value)
    parsed['spec']['ipNetworks'] = [address(block_start(owner) + place) + '/32']
    return key, json.dumps(parsed)


def memory(pid):
    """Megabytes: resident, proportional."""
    found = dict(line.split(':') for line in pathlib.Path(f'/proc/{pid}/smaps_rollup').read_text().splitlines()[1:])
    return [int(found[what].split()[0]) / 1024 for what in ('Rss', 'Pss')]


def report(when, agent, scratch):
    own = memory(agent.pid)
    bird = memory(int((scratch / 'bird/bird.pid').read_text()))
    print(f'{when:<30} percaled {own[0]:5.1f} MB resident ({own[1]:.1f} proportional), BIRD {bird[0]:5.1f} MB', flush=True)
    return own[0]


def churn(etcd, options):
    for i in range(options.rounds):
        etcd.put(*node(options.nodes + i, options))
        etcd.put(*pool('second', '172.16.0.0/16', options.encapsulation))
        extra = block(options.nodes + 1, 0)[1]
        etcd.put(extra[0].replace(f'node{options.nodes + 1:04}', HOST), extra[1])
        for step in range(40):  # members of groups move, also here
            number = (i * 7919 + step * 1237) % (options.nodes * options.routes)
            key, value = workload(number, options)
            etcd.put(key, value.replace('"group', '"moved'))
            etcd.put(key, value)
        etcd.put(*policy(i % options.groups, 20000 + i))
        etcd.call('kv/deleterange', {'key': b64(node(options.nodes + i, options)[0])})
        etcd.call('kv/deleterange', {'key': b64(pool('second', '172.16.0.0/16', 'none')[0])})
        etcd.call('kv/deleterange', {'key': b64(extra[0].replace(f'node{options.nodes + 1:04}', HOST))})
        time.sleep(0.3)


def environment(options, scratch):
    return dict(os.environ, DATASTORE_TYPE='etcdv3', ETCD_ENDPOINTS='http://127.0.0.1:2379', FELIX_FELIXHOSTNAME=HOST,
                FELIX_HEALTHENABLED='true', FELIX_LOGSEVERITYSCREEN='error', FELIX_LOGFILEPATH='none',
                FELIX_IPTABLESBACKEND='NFT', FELIX_ENDPOINTSTATUSPATHPREFIX='none',
                XTABLES_LOCKFILE=str(scratch / 'xtables.lock'), FELIX_BIRDMODE='Enabled', FELIX_BIRDSUPERVISOR='Agent',
                FELIX_BIRDCONFIGFILE=str(scratch / 'bird/bird.conf'), FELIX_BIRDSOCKET=str(scratch / 'bird/bird.ctl'),
                FELIX_BIRDPIDFILE=str(scratch / 'bird/bird.pid'), FELIX_BIRDINCLUDEFILE=str(scratch / 'no-such-file'),
                FELIX_BIRDREADINESS='Off', FELIX_ROUTESOURCE=options.route_source)


def bird_sessions(scratch):
    answer = subprocess.run(['birdc', '-s', scratch / 'bird/bird.ctl', 'show', 'protocols'], capture_output=True, text=True)
    return answer.stdout.count('\nMesh_')


def tunnel_routes():
    return subprocess.run(['ip', 'route', 'show', 'dev', 'vxlan.calico'], capture_output=True, text=True).stdout.count('\n')


def expected_routes(options):
    """Those into the tunnel: blocks, or guests and tunnel addresses."""
    if options.encapsulation != 'vxlan':
        return 0
    return (options.nodes - 1) * (1 if options.route_source == 'CalicoIPAM' else options.routes + 1)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--bin', default='build/bin')
    parser.add_argument('--nodes', type=int, default=1000)
    parser.add_argument('--routes', type=int, default=50)
    parser.add_argument('--groups', type=int, default=1000)
    parser.add_argument('--rounds', type=int, default=50)
    parser.add_argument('--route-source', default='WorkloadIPs', choices=['WorkloadIPs', 'CalicoIPAM'])
    parser.add_argument('--encapsulation', default='none', choices=['none', 'ipip', 'vxlan'])
    options = parser.parse_args()

    tag = f'nodes{os.getpid()}'
    scratch = pathlib.Path(tempfile.mkdtemp(prefix='percale-nodes'))
    scratch.chmod(0o755)  # BIRD reads its file as another user
    (scratch / 'bird').mkdir()
    shutil.chown(scratch / 'bird', 'bird', 'bird')
    processes = []
    try:
        ip_batch([f'netns add {tag}'])
        ip_batch(['link set lo up', 'link add eth0 type veth peer name peer0', 'link set eth0 up', 'link set peer0 up',
                  f'addr add {node_address(0)}/16 dev eth0'] +
                 [f'link add tap{port_id(i)[:11]} type veth peer name vm{i}' for i in range(options.routes)] +
                 [f'link set tap{port_id(i)[:11]} up' for i in range(options.routes)] +
                 [f'link set vm{i} up' for i in range(options.routes)], tag)
        enter(tag)
        processes.append(subprocess.Popen(['etcd', '--data-dir', scratch / 'etcd', '--log-level', 'error'],
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        etcd = wait_for(lambda: (lambda e: (e.call('kv/range', {'key': b64('x')}), e)[1])(Etcd()), 20, 'etcd')
        items = [resource('ClusterInformation', 'clusterinformations', 'default',
                          {'clusterGUID': '0' * 32, 'clusterType': 'openstack', 'datastoreReady': True}),
                 resource('FelixConfiguration', 'felixconfigurations', 'default', {'interfacePrefix': 'tap'}),
                 pool('first', '10.80.0.0/12', options.encapsulation)]
        items += [policy(group) for group in range(options.groups)]
        for number in range(options.nodes):
            items += [node(number, options), *block(number, options.routes)]
        items += [workload(number, options) for number in range(options.nodes * options.routes)]
        etcd.load(items)
        agent = subprocess.Popen([pathlib.Path(options.bin) / 'percaled'], env=environment(options, scratch))
        processes.append(agent)
        wait_for(ready, 120, 'the agent')
        wait_for(lambda: bird_sessions(scratch) == options.nodes - 1 or 1 / 0, 60, "BIRD's configuration")
        wait_for(lambda: tunnel_routes() >= expected_routes(options) or 1 / 0, 60, 'the routes into the tunnel')
        print(f'{options.nodes} nodes, {options.routes} routes each, {options.nodes * options.routes} endpoints, {options.groups} '
              f'groups, encapsulation {options.encapsulation}, {options.route_source}, {options.nodes - 1} sessions configured, '
              f'{tunnel_routes()} routes into the tunnel')
        time.sleep(12)
        worst = report('at rest, 12 s after ready', agent, scratch)
        churn(etcd, options)
        worst = max(worst, report(f'right after {options.rounds} rounds of churn', agent, scratch))
        time.sleep(12)
        worst = max(worst, report('12 s later', agent, scratch))
        print(f'goal: below {GOAL_MB} MB: {"held" if worst < GOAL_MB else "MISSED"}')
        return 0 if worst < GOAL_MB else 1
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        stop_bird(scratch)
        subprocess.run(['ip', 'netns', 'del', tag])
        shutil.rmtree(scratch, ignore_errors=True)


def stop_bird(scratch):
    """It outlives the agent."""
    try:
        os.kill(int((scratch / 'bird/bird.pid').read_text()), 15)
    except (OSError, ValueError):
        pass


if __name__ == '__main__':
    sys.exit(main())
