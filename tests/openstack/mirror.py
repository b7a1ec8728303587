"""Stands between the bridge's etcd and the agents': what the bridge writes is copied to the agents, what agents report to the bridge.

Told to, it spoils values on the way (faults.py): the agents then do what a wrong translation would make them do, and every check of
what packets do must notice.
"""

import contextlib
import json
import threading

RESOURCES = '/calico/resources/v3/projectcalico.org/'
# What the bridge writes, and what agents do.
DOWN = tuple(RESOURCES + kind for kind in ('workloadendpoints/', 'networkpolicies/', 'networksets/', 'livemigrations/',
                                           'clusterinformations/', 'felixconfigurations/')) + ('/calico/dhcp/',)
UP = ('/calico/felix/v2/',)
MARK = '/calico/mirror/mark'


class _Direction:
    """One way. Only `source` is watched: nobody else writes these keys to `target`."""

    def __init__(self, source, target, prefixes):
        self._source, self._target, self._prefixes = source, target, prefixes
        self._lock = threading.Condition()
        self._faults = ()
        self._marks = self._seen = 0  # put, and come through the watch
        self._values = {}   # as the source has them
        self._written = {}  # as the target has them
        self._watch = None
        self._thread = None

    def start(self):
        revision = None
        for prefix in self._prefixes:
            values, at = self._source.snapshot(prefix)
            self._values.update(values)
            self._written.update(self._target.all(prefix))
            revision = at if revision is None else min(revision, at)
        self._bring(self._values.keys() | self._written.keys())
        self._watch = self._source.watch('/calico/', revision + 1)
        self._thread = threading.Thread(target=self._follow, daemon=True)
        self._thread.start()

    def stop(self):
        if self._watch:
            self._watch.close()
            self._thread.join(5)

    def spoil(self, faults):
        """What differs is written before this returns."""
        if not self._thread.is_alive():
            raise RuntimeError('the mirror has stopped: its thread said why')
        with self._lock:
            self._faults = faults
            self._bring(self._values.keys() | self._written.keys())

    def catch_up(self):
        """What is in the source when this is called has come here when it returns."""
        with self._lock:
            self._marks += 1
            mark = self._marks
        self._source.put(MARK, str(mark))
        with self._lock:
            if not self._lock.wait_for(lambda: self._seen >= mark, 30):
                raise RuntimeError('the mirror does not follow')

    def _follow(self):
        for changes in self._watch:
            with self._lock:
                self._seen = max([self._seen] + [int(value) for key, value in changes if key == MARK])
                self._lock.notify_all()
                mine = [(key, value) for key, value in changes if key.startswith(self._prefixes)]
                for key, value in mine:
                    if value is None:
                        self._values.pop(key, None)
                    else:
                        self._values[key] = value
                self._bring([key for key, _ in mine])

    def _bring(self, keys):
        wanted = {key: self._spoilt(key, self._values.get(key)) for key in keys}
        changes = {key: value for key, value in wanted.items() if value != self._written.get(key)}
        if not changes:
            return
        self._target.write(changes)
        self._written.update(changes)
        for key in [key for key, value in changes.items() if value is None]:
            del self._written[key]

    def _spoilt(self, key, value):
        """Texts; what no fault touches keeps its very bytes."""
        for fault in self._faults:
            now, written = _parsed(value), _parsed(self._written.get(key))
            after = fault.spoil(key, _parsed(value), written)
            if after != now:
                value = self._written[key] if after is not None and after == written else _text(after)
        return value


def _parsed(text):
    return None if text is None else json.loads(text)


def _text(value):
    return None if value is None else json.dumps(value)


class Mirror:

    def __init__(self, bridges, agents):
        self._down, self._up = _Direction(bridges, agents, DOWN), _Direction(agents, bridges, UP)
        self._lock = threading.Lock()
        self._faults = []

    def start(self):
        self._down.start()
        self._up.start()

    def stop(self):
        self._down.stop()
        self._up.stop()

    @contextlib.contextmanager
    def spoilt(self, fault):
        """Within it values are spoilt by the fault (of faults.py), beside those of others at the same time. What was changed before
        has reached the agents' etcd unspoilt."""
        for direction in (self._down, self._up):
            direction.catch_up()
        self._change(lambda: self._faults.append(fault))
        try:
            yield
        finally:
            self._change(lambda: self._faults.remove(fault))

    def _change(self, change):
        with self._lock:
            change()
            for direction in (self._down, self._up):
                direction.spoil(tuple(self._faults))
