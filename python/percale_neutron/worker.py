"""The process that reads for the bridge and takes in what the bridge knows of agents and ports.

Neutron starts it (`get_workers`), in neutron-server or in whatever process runs plugins' workers. It holds no state: the bridge
asks, it answers, by long polling over a few connections. It may be killed at any time.
"""

import os
import socket
import threading

from neutron.version import version_info
from oslo_config import cfg
from oslo_log import log as logging
from oslo_utils import timeutils

from percale_neutron import client as bridge
from percale_neutron import compat
from percale_neutron import reader

LOG = logging.getLogger(__name__)
# Longer than the bridge keeps a question-less request (25 s).
_POLL_TIMEOUT = 60
_RETRY_SECONDS = 1
# Agents' reports leave etcd after this many seconds; a host whose clock is further off is not to look worse than silent.
_OLDEST_REPORT = 90


def serve(stopping=None):
    """Starts the threads that answer, until the event `stopping`. They are daemons: a poll under way holds up no process's end."""
    stopping = stopping or threading.Event()
    client = bridge.Client(cfg.CONF.percale.socket, cfg.CONF.percale.timeout)
    name = '%s:%d' % (socket.gethostname(), os.getpid())
    for number in range(cfg.CONF.percale.worker_connections):
        threading.Thread(target=_serve, args=(client, name, stopping), name='percale-%d' % number, daemon=True).start()


def _serve(client, name, stopping):
    result = None
    away = False
    while not stopping.is_set():
        try:
            call = client.post('/v1/work', dict(result or {}, worker=name, neutron=version_info.release_string()),
                               timeout=_POLL_TIMEOUT)
            if away:
                LOG.info('The bridge answers again')
            away = False
        except bridge.BridgeError as error:
            if not away:
                LOG.warning('The bridge cannot be served: %s', error.message)
            away = True
            result = None
            stopping.wait(_RETRY_SECONDS)
            continue
        result = answer(call) if call else None


class BridgeWorker(compat.BaseWorker):

    def __init__(self):
        super().__init__(worker_process_count=1)
        self._stopping = threading.Event()

    def start(self, *args, **kwargs):
        super().start(*args, **kwargs)
        self._stopping.clear()
        serve(self._stopping)

    def stop(self):
        self._stopping.set()

    def wait(self):
        while not self._stopping.wait(1):
            pass

    @staticmethod
    def reset():
        pass


def answer(call):
    """One call's result, in the form that the next request brings."""
    try:
        return {'id': call['id'], 'result': _CALLS[call['call']](call)}
    except Exception as error:  # whatever it is, the bridge must hear of it
        LOG.exception('%s of the bridge failed', call.get('call'))
        return {'id': call.get('id'), 'error': {'message': '%s: %s' % (type(error).__name__, error)}}


def _set_port_status(call):
    compat.update_port_status(call['port_id'], call['status'], call.get('host'))
    return {}


def _report_agent(call):
    state = {'agent_type': compat.AGENT_TYPE, 'binary': 'calico-felix', 'host': call['host'], 'topic': 'N/A'}
    if call.get('start'):
        state['start_flag'] = True
    compat.record_agent(state, _age(call['time']) if call.get('time') else 0)
    return {}


def _age(text):
    """Of an agent's report, in seconds, by this host's clock; what cannot be read counts as new."""
    try:
        seconds = (timeutils.utcnow() - timeutils.normalize_time(timeutils.parse_isotime(text))).total_seconds()
    except ValueError:
        return 0
    return min(max(seconds, 0), _OLDEST_REPORT)


_CALLS = {'list': lambda call: reader.read(call['spec']), 'set_port_status': _set_port_status, 'report_agent': _report_agent}
