"""Kills the agent of one host and watches Neutron's agents table meanwhile, beside whatever else is tested."""

import os
import pathlib
import signal
import threading
import time

from cases import soon
from neutron_server import Process, Refused

LIMIT = 90  # seconds from the kill until Neutron must say that the agent is dead


class AgentsWatch:

    def __init__(self, cloud, host):
        self._cloud, self._host = cloud, host
        self._process = self._find()
        self._environment = pathlib.Path('/proc/%d/environ' % self._process).read_bytes().decode().rstrip('\0').split('\0')
        self._again = None
        self.seen_dead = {}  # host -> seconds after the kill
        self._stopping = threading.Event()
        os.kill(self._process, signal.SIGKILL)
        self._killed = time.monotonic()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def _find(self):
        return int(pathlib.Path('/run/percale-lab/%s/nodes/%s/agent.pid' % (self._cloud.name, self._host)).read_text())

    def _alive(self):
        try:
            return {agent['host']: agent['alive'] for agent in self._cloud.neutron.get('agents')['agents']}
        except (OSError, Refused):
            return {}  # it is asked again

    def _watch(self):
        while not self._stopping.wait(1):
            for host, alive in self._alive().items():
                if not alive:
                    self.seen_dead.setdefault(host, time.monotonic() - self._killed)
            if self._host in self.seen_dead:
                return

    def check(self, test):
        """Waits for the end of the watch."""
        self._thread.join(LIMIT + 10)
        test.assertEqual(list(self.seen_dead), [self._host], 'who was seen dead; the others must be alive throughout')
        test.assertLessEqual(self.seen_dead[self._host], LIMIT)
        self._start_again()
        test.assertTrue(soon(lambda: self._alive().get(self._host)), 'not alive again')
        print('the agent of %s was dead to Neutron %d s after its end' % (self._host, self.seen_dead[self._host]))

    def _start_again(self):
        self._again = Process([self._cloud.bin / 'percalectl', 'lab', 'exec', self._cloud.name, self._host, '--', '/usr/bin/env', '-i',
                               *self._environment, self._cloud.bin / 'percaled'], self._cloud.folder / 'agent-again.log')

    def stop(self):
        self._stopping.set()
        self._thread.join()
        if self._again:
            self._again.stop()
