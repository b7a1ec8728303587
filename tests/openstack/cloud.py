"""A small OpenStack on this machine: a real neutron-server with the shim, the bridge, etcd, and the lab's hosts with their agents
and BIRDs. This file plays Nova: it plugs taps and starts guests.

Everything runs in the lab's namespaces (`percalectl lab up`); this process moves into that of the lab's etcd, where etcd, Neutron
and the bridge are on loopback. Guests are namespaces whose only configuration is what DHCP tells them.
"""

import contextlib
import http.client
import json
import os
import pathlib
import shutil
import socket
import tempfile

from etcd import Etcd, OwnEtcd
from guest import Guest, enter_network, run, set_network
from mirror import RESOURCES, Mirror
from neutron_server import ROOT, Neutron, Process, wait_for

BRIDGES_ETCD = 2389  # its port, where it is not the agents'
CLIENT_SCRIPT = """#!/bin/sh
case "$1$reason" in bound|BOUND6) env > "$LEASE_FILE.new" && mv "$LEASE_FILE.new" "$LEASE_FILE" ;; esac
"""


class Cloud:
    """Everything but the guests. Needs root and the programs in `bin`.

    With `apart` the bridge has an etcd of its own, and `mirror` stands between it and the agents'. `felix`: members that
    FelixConfiguration 'default' has from the start.
    """

    def __init__(self, name='os%d' % (os.getpid() % 100000), bin_folder=None, bridge_environment=None, apart=False, felix=None):
        self.name = name
        self.bin = pathlib.Path(bin_folder or ROOT / 'build' / 'bin')
        self.folder = pathlib.Path(tempfile.mkdtemp(prefix='percale-openstack'))
        self.folder.chmod(0o755)
        self.socket = self.folder / 'bridge.sock'
        self.client_script = self.folder / 'client'
        self.client_script.write_text(CLIENT_SCRIPT)
        self.client_script.chmod(0o755)
        self.guests = []
        self.bridge = None
        self.neutron = None
        self.agents_etcd = Etcd()
        self.etcd = Etcd(port=BRIDGES_ETCD) if apart else self.agents_etcd
        self.mirror = Mirror(self.etcd, self.agents_etcd) if apart else None
        self._own_etcd = None
        self._gone = False
        self._felix = felix or {}
        self._outside = os.open('/proc/self/ns/net', os.O_RDONLY)
        self._bridge_environment = bridge_environment or {}

    def up(self):
        # The lab's hosts have /var/lib/calico each for itself, but share /var/lib/neutron.
        self.lab('up', self.name, '--env', 'FELIX_METADATAADDR=127.0.0.1', '--env', 'FELIX_WORKLOADSOURCESPOOFING=Any',
                 '--env', 'FELIX_DHCPSTATEPATH=/var/lib/calico/dhcp')
        enter_network('/proc/%d/ns/net' % self.holder('etcd'))
        self._prepare_etcd()
        self.neutron = Neutron(self.folder / 'neutron', self.socket, extension_drivers='port_security',
                               calico='etcd_host = 127.0.0.1\netcd_port = %d\nresync_interval_secs = 0\n'
                                      % (BRIDGES_ETCD if self.mirror else 2379))
        self.neutron.migrate()
        self.start_bridge()
        self.neutron.start()
        wait_for('first resync', lambda: (self.bridge_status().get('last_resync') or {}).get('ok'), 60)
        wait_for('agents', lambda: sum(a['alive'] for a in self.neutron.get('agents')['agents']) >= 3, 60)
        return self

    def _prepare_etcd(self):
        if self.mirror:
            self._own_etcd = OwnEtcd(self.folder, BRIDGES_ETCD)
            self.etcd.write(self.agents_etcd.all('/calico/'))
        key = RESOURCES + 'felixconfigurations/default'
        felix = json.loads(self.etcd.get(key))
        felix['spec'].update(self._felix)
        self.etcd.put(key, json.dumps(felix))
        if self.mirror:
            self.mirror.start()

    def down(self):
        if self._gone:
            return
        self._gone = True
        for guest in list(self.guests):
            guest.destroy()
        if self.neutron:
            self.neutron.close()
        if self.bridge:
            self.bridge.stop()
        if self.mirror:
            self.mirror.stop()
        if self._own_etcd:
            self._own_etcd.stop()
        set_network(self._outside)
        os.close(self._outside)
        self.lab('down', self.name)
        shutil.rmtree(self.folder, ignore_errors=True)

    def lab(self, *arguments):
        return run(self.bin / 'percalectl', 'lab', *arguments, timeout=180)

    def holder(self, node):
        """Process number of a node's first process."""
        wanted = ['__holder', self.name, node]
        for entry in pathlib.Path('/proc').iterdir():
            if entry.name.isdigit():
                with contextlib.suppress(OSError):
                    arguments = (entry / 'cmdline').read_bytes().decode(errors='replace').split('\0')
                    if arguments[2:5] == wanted:
                        return int(entry.name)
        raise LookupError('no node %s' % node)

    def on_host(self, host, *arguments, check=True):
        return run(self.bin / 'percalectl', 'lab', 'exec', self.name, host, '--', *arguments, check=check)

    def start_bridge(self):
        self.bridge = Process([self.bin / 'percale-neutron', '--config-file', self.neutron.config, '--socket', self.socket],
                              self.folder / 'bridge.log', dict(self._bridge_environment))
        wait_for("the bridge's socket", lambda: self.socket.exists() or not self.bridge.running(), 30)
        if not self.bridge.running():
            raise RuntimeError('percale-neutron does not start:\n' + self.bridge.log()[-2000:])

    def ask_bridge(self, method, path, body=None):
        with socket.socket(socket.AF_UNIX) as raw:
            raw.connect(str(self.socket))
            connection = http.client.HTTPConnection('bridge', timeout=90)
            connection.sock = raw
            connection.request(method, path, None if body is None else json.dumps(body), {'Content-Type': 'application/json'})
            response = connection.getresponse()
            text = response.read()
            return response.status, json.loads(text) if text else None

    def bridge_status(self):
        try:
            return self.ask_bridge('GET', '/v1/status')[1]
        except OSError:
            return {}

    def resync(self, *options):
        done = run(self.bin / 'percalectl', 'neutron', 'resync', '--socket', self.socket, *options, check=False, timeout=120)
        return done.returncode, json.loads(done.stdout)

    # What Nova does.

    def machine(self, name, network, host, boot=True, **members):
        port = self.neutron.create('port', network_id=network['id'], device_id='vm-' + name, device_owner='compute:nova',
                                   **{'binding:host_id': host}, **members)
        guest = Guest(self, name, port, host)
        self.guests.append(guest)
        guest.plug()
        if boot:
            guest.boot()
        return guest

    def endpoint(self, port):
        """The stored endpoint of a port, parsed; None if there is none."""
        host, device = port['binding:host_id'], port['device_id']
        name = '-'.join(part.replace('-', '--') for part in (host, 'openstack', device, port['id']))
        value = self.etcd.get('/calico/resources/v3/projectcalico.org/workloadendpoints/openstack/' + name)
        return json.loads(value) if value else None

    def policy(self, group_id):
        value = self.etcd.get('/calico/resources/v3/projectcalico.org/networkpolicies/openstack/ossg.default.' + group_id)
        return json.loads(value) if value else None

    def subnet(self, subnet_id):
        value = self.etcd.get('/calico/dhcp/v2/no-region/subnet/' + subnet_id)
        return json.loads(value) if value else None
