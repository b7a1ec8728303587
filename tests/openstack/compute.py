"""What Nova does for virtual machines: the metadata service on the hosts, and ports, taps and machines in Nova's order."""

import json
import os
import pathlib

from neutron_server import Process, wait_for
from virtual_machine import Image, VirtualMachine


class Compute:
    def __init__(self, cloud):
        self.cloud = cloud
        self.image = Image()
        self._instances = {}
        self._file = pathlib.Path(cloud.folder) / 'instances.json'
        self._file.write_text('{}')
        self._services = {}

    def serve_metadata(self, *hosts):
        program = pathlib.Path(__file__).with_name('metadata_server.py')
        for host in hosts:
            self._services[host] = Process([str(self.cloud.bin / 'percalectl'), 'lab', 'exec', self.cloud.name, host, '--',
                                            '/usr/bin/python3', str(program), str(self._file)], self.cloud.folder / ('metadata-%s.log' % host))
        wait_for('metadata services', lambda: all('listening' in service.log_path.read_text() for service in self._services.values()))

    def prepare(self, name, network, host, **members):
        """A machine whose port is in Neutron; nothing is plugged yet."""
        port = self.cloud.neutron.create('port', network_id=network['id'], device_id='i-' + name, device_owner='compute:nova',
                                         **{'binding:host_id': host}, **members)
        machine = VirtualMachine(self.cloud, self.image, name, port, host)
        self.cloud.guests.append(machine)
        self.describe(machine)
        return machine

    def describe(self, machine, user_data=''):
        """What the metadata service says to it."""
        self._instances[machine.address] = {'instance-id': machine.port['device_id'], 'hostname': machine.name,
                                            'local-ipv4': machine.address, 'user-data': user_data}
        new = self._file.with_suffix('.new')
        new.write_text(json.dumps(self._instances))
        os.replace(new, self._file)

    def close(self):
        """After the machines."""
        for service in self._services.values():
            service.stop()
        self.image.close()
