#!/usr/bin/env python3
"""Measures the hot path of a running agent, step by step, and prints it beside the budget of docs/hot-path.md.

One compute host is simulated in a network namespace: a real etcd, LOCAL workloads behind tap interfaces, REMOTE endpoints and
GROUPS security groups in etcd, and percaled. Then security groups change, remote endpoints join a group and local endpoints
appear, ROUNDS times each, every change alone; the agent's own `percale_path_seconds` summaries are read before and after.

Needs root. Everything happens inside namespaces made here; they and the processes are gone at the end.
"""
import argparse
import base64
import ctypes
import http.client
import json
import os
import pathlib
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time

# In the order of docs/hot-path.md. Starting the programs is part of `restore`, which is how long both families took together.
STEPS = ['receive', 'decode', 'calculate', 'to_kernel', 'render', 'ipset', 'start', 'restore', 'route']
PART_OF_ANOTHER = {'start'}  # given per program, and not added to the sum
RESOURCES = '/calico/resources/v3/projectcalico.org/'
HOST = 'bench-host'


def b64(text):
    return base64.b64encode(text.encode()).decode()


class Etcd:
    def __init__(self):
        self.http = http.client.HTTPConnection('127.0.0.1', 2379, timeout=30)

    def call(self, path, body):
        self.http.request('POST', '/v3/' + path, json.dumps(body))
        answer = self.http.getresponse()
        text = answer.read()
        if answer.status != 200:
            raise RuntimeError(f'etcd {path}: {text[:200]!r}')
        return json.loads(text)

    def put(self, key, value):
        self.call('kv/put', {'key': b64(key), 'value': b64(value)})

    def load(self, items, at_once=100):
        for i in range(0, len(items), at_once):
            puts = [{'request_put': {'key': b64(k), 'value': b64(v)}} for k, v in items[i:i + at_once]]
            self.call('kv/txn', {'success': puts})


def resource(kind, plural, name, spec, namespace=None, labels=None):
    metadata = {'name': name, 'uid': '00000000-0000-4000-8000-000000000000', 'creationTimestamp': '2026-01-01T00:00:00Z'}
    if namespace:
        metadata['namespace'] = namespace
    if labels:
        metadata['labels'] = labels
    path = f'{namespace}/{name}' if namespace else name
    value = {'kind': kind, 'apiVersion': 'projectcalico.org/v3', 'metadata': metadata, 'spec': spec}
    return RESOURCES + plural + '/' + path, json.dumps(value)


def group_id(group):
    return f'9c0ffee0-0000-4000-8000-{group:012d}'


def port_id(number):
    return f'{number:08x}-bbbb-4ccc-8ddd-{number:012d}'


def address(number):
    return f'10.{80 + number // 62500}.{number // 250 % 250}.{number % 250 + 2}'


def endpoint(number, host, groups):
    port, device = port_id(number), f'instance{number}'
    name = '-'.join(part.replace('-', '--') for part in (host, 'openstack', device, port))
    labels = {'projectcalico.org/namespace': 'openstack', 'projectcalico.org/orchestrator': 'openstack',
              'projectcalico.org/openstack-project-id': f'project{number % 40}'}
    for group in groups:
        labels['sg.projectcalico.org/openstack-' + group_id(group)] = f'group{group}'
    spec = {'orchestrator': 'openstack', 'workload': device, 'node': host, 'endpoint': port, 'interfaceName': 'tap' + port[:11],
            'mac': f'fa:16:3e:{number >> 16 & 255:02x}:{number >> 8 & 255:02x}:{number & 255:02x}',
            'ipNetworks': [address(number) + '/32'], 'ipv4Gateway': '10.80.0.1', 'allowedIps': []}
    return resource('WorkloadEndpoint', 'workloadendpoints', name, spec, 'openstack', labels)


def policy(group, udp_port=None):
    member = f'has(sg.projectcalico.org/openstack-{group_id(group)})'
    ingress = [{'action': 'Allow', 'ipVersion': 4, 'source': {'selector': member}},
               {'action': 'Allow', 'ipVersion': 4, 'protocol': 6, 'destination': {'ports': [22, 443]}},
               {'action': 'Allow', 'ipVersion': 4, 'protocol': 'ICMP'}]
    if udp_port:
        ingress.append({'action': 'Allow', 'ipVersion': 4, 'protocol': 17, 'destination': {'ports': [udp_port]}})
    egress = [{'action': 'Allow', 'ipVersion': 4}, {'action': 'Allow', 'ipVersion': 6}]
    return resource('NetworkPolicy', 'networkpolicies', 'ossg.default.' + group_id(group),
                    {'selector': member, 'ingress': ingress, 'egress': egress}, 'openstack')


def run(*argv, **options):
    subprocess.run(argv, check=True, **options)


def ip_batch(lines, namespace=None):
    run('ip', *(['-n', namespace] if namespace else []), '-batch', '-', input='\n'.join(lines) + '\n', text=True)


def enter(namespace):
    with open('/run/netns/' + namespace) as handle:
        if ctypes.CDLL(None, use_errno=True).setns(handle.fileno(), 0x40000000):
            raise OSError(ctypes.get_errno(), 'setns')


def path_sums():
    connection = http.client.HTTPConnection('127.0.0.1', 9091, timeout=5)
    connection.request('GET', '/metrics')
    text = connection.getresponse().read().decode()
    found = re.findall(r'percale_path_seconds_(sum|count)\{step="(\w+)"\} (\S+)', text)
    return {(step, what): float(value) for what, step, value in found}


def budget_rows():
    """{kind: {step: text}} from the table of docs/hot-path.md, so that the two can never differ."""
    document = pathlib.Path(__file__).resolve().parents[2] / 'docs/hot-path.md'
    rows = {}
    for line in document.read_text().splitlines():
        cells = [cell.strip() for cell in line.split('|')]
        if len(cells) > 8 and cells[1].isdigit():
            rows[int(cells[1])] = dict(policy=cells[4], member=cells[5], endpoint=cells[6])
    return rows


def measure(kind, changes, etcd):
    """Microseconds per step, median over the changes that reached the step."""
    spent = {step: [] for step in STEPS}
    for key, value in changes:
        before = path_sums()
        etcd.put(key, value)
        time.sleep(0.35)
        after = path_sums()
        for step in STEPS:
            count = after.get((step, 'count'), 0) - before.get((step, 'count'), 0)
            if count > 0:
                total = (after[(step, 'sum')] - before.get((step, 'sum'), 0)) * 1e6
                spent[step].append(total / count if step in PART_OF_ANOTHER else total)
    return {step: statistics.median(values) if values else None for step, values in spent.items()}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument('--bin', default='build/bin')
    parser.add_argument('--local', type=int, default=100)
    parser.add_argument('--remote', type=int, default=10000)
    parser.add_argument('--groups', type=int, default=1000)
    parser.add_argument('--rounds', type=int, default=10)
    parser.add_argument('--backend', default='NFT', choices=['NFT', 'Legacy'])
    options = parser.parse_args()

    tag = f'path{os.getpid()}'
    scratch = pathlib.Path(tempfile.mkdtemp(prefix='percale-path'))
    guests = [f'{tag}g{i}' for i in range(options.local + options.rounds)]
    processes = []
    try:
        ip_batch([f'netns add {name}' for name in [tag, *guests]])
        ip_batch(['link set lo up'], tag)
        ip_batch([f'link add tap{port_id(i)[:11]} type veth peer name eth0 netns {name}' for i, name in enumerate(guests)] +
                 [f'link set tap{port_id(i)[:11]} up' for i in range(len(guests))], tag)
        for name in guests:
            ip_batch(['link set eth0 up'], name)
        enter(tag)
        processes.append(subprocess.Popen(['etcd', '--data-dir', scratch / 'etcd', '--log-level', 'error'],
                                          stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL))
        etcd = wait_for(lambda: (lambda e: (e.call('kv/range', {'key': b64('x')}), e)[1])(Etcd()), 20, 'etcd')
        items = [resource('ClusterInformation', 'clusterinformations', 'default',
                          {'clusterGUID': '0' * 32, 'clusterType': 'openstack', 'datastoreReady': True}),
                 resource('FelixConfiguration', 'felixconfigurations', 'default', {'interfacePrefix': 'tap'})]
        items += [policy(group) for group in range(options.groups)]
        pair = lambda i: [i % options.groups, (i * 7 + 1) % options.groups]
        items += [endpoint(i, HOST, pair(i)) for i in range(options.local)]
        items += [endpoint(10000 + i, f'other{i % 100}', pair(i)) for i in range(options.remote)]
        etcd.load(items)
        environment = dict(os.environ, DATASTORE_TYPE='etcdv3', ETCD_ENDPOINTS='http://127.0.0.1:2379', FELIX_FELIXHOSTNAME=HOST,
                           FELIX_HEALTHENABLED='true', FELIX_LOGSEVERITYSCREEN='warning', FELIX_LOGFILEPATH='none',
                           FELIX_IPTABLESBACKEND=options.backend, FELIX_PROMETHEUSMETRICSENABLED='true',
                           FELIX_ENDPOINTSTATUSPATHPREFIX='none', XTABLES_LOCKFILE=str(scratch / 'xtables.lock'))
        started = time.monotonic()
        agent = subprocess.Popen([pathlib.Path(options.bin) / 'percaled'], env=environment)
        processes.append(agent)
        wait_for(ready, 60, 'the agent')
        print(f'ready after {time.monotonic() - started:.2f} s; {options.local} local, {options.remote} remote endpoints, '
              f'{options.groups} groups, {options.backend} flavour; median of {options.rounds}, microseconds')
        time.sleep(2)
        target = 1 % options.groups
        results = {
            'policy': measure('policy', [policy(target, 20000 + i) for i in range(options.rounds)], etcd),
            'member': measure('member', [endpoint(200000 + i, 'other-new', [target]) for i in range(options.rounds)], etcd),
            'endpoint': measure('endpoint', [endpoint(options.local + i, HOST, [target]) for i in range(options.rounds)], etcd),
        }
        print_table(results)
    finally:
        for process in reversed(processes):
            process.terminate()
            try:
                process.wait(10)
            except subprocess.TimeoutExpired:
                process.kill()
        subprocess.run(['ip', '-batch', '-'], input='\n'.join(f'netns del {name}' for name in [*guests, tag]) + '\n', text=True)
        shutil.rmtree(scratch, ignore_errors=True)


def print_table(results):
    budget = budget_rows()
    print(f'{"step":<12}' + ''.join(f'{kind:>12}{"budget":>10}' for kind in results))
    for number, step in enumerate(STEPS, 1):
        cells = ''
        for kind, steps in results.items():
            value = '–' if steps[step] is None else f'{steps[step]:,.0f}'
            cells += f'{value:>12}{budget.get(number, {}).get(kind, ""):>10}'
        print(f'{step:<12}{cells}')
    totals = ''.join(f'{sum(v for step, v in steps.items() if v and step not in PART_OF_ANOTHER):>12,.0f}{"":>10}'
                     for steps in results.values())
    print(f'{"sum":<12}{totals}')


def ready():
    connection = http.client.HTTPConnection('127.0.0.1', 9099, timeout=2)
    connection.request('GET', '/readiness')
    if connection.getresponse().status not in (200, 204):
        raise RuntimeError('not ready')
    return True


def wait_for(attempt, seconds, what):
    deadline = time.monotonic() + seconds
    while True:
        try:
            return attempt()
        except Exception as error:  # whatever is not there yet: refused, not ready, half an answer
            if time.monotonic() > deadline:
                sys.exit(f'{what} did not come up within {seconds} s: {error}')
            time.sleep(0.05)


if __name__ == '__main__':
    main()
