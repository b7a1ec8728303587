"""Which Neutron a test runs, and as which processes.

NEUTRON=debian (the default), or a series with a list in pins/ ("24"), or "newest": the last of these. What is not Debian's comes
from PyPI into build/neutron-venv/SERIES and stays there until its list changes.
NEUTRON_PROCESSES=separate: the API under uWSGI, and apart from it the processes that the release has for its workers. That is the
only way from 2025.2 on.
"""

import hashlib
import os
import pathlib
import shutil
import subprocess
import time

ROOT = pathlib.Path(__file__).resolve().parents[2]
PYTHON = '/usr/bin/python3'  # Debian's, whose packages Neutron is one of
PINS = pathlib.Path(__file__).parent / 'pins'
CACHE = ROOT / 'build' / 'neutron-venv'

_TRIES = 3
_NO_SERVER = 27  # 2025.2 has no neutron-server any more
_WSGI_MODULE = 27  # and a module for WSGI servers, where there was a script


class Release:
    """Debian's Neutron, which is 21 (Zed) in bookworm."""

    series = 21
    paste = '/etc/neutron/api-paste.ini'

    def __init__(self, separate=False):
        self.separate = separate or self.series >= _NO_SERVER

    def install(self):
        """Makes sure that it is there."""

    def program(self, name):
        return '/usr/bin/' + name

    def packages(self):
        """Text that changes with what is installed."""
        return subprocess.run(['dpkg-query', '-W', 'python3-neutron'], check=True, capture_output=True, text=True).stdout

    def schema(self):
        """Where the tables of this very release are kept as SQL."""
        CACHE.mkdir(parents=True, exist_ok=True)
        return CACHE / ('schema-%d-%s.sql' % (self.series, hashlib.sha256(self.packages().encode()).hexdigest()[:12]))

    def processes(self, config, port, api_workers):
        """{name: arguments} of everything that must run."""
        if not self.separate:
            return {'neutron-server': [self.program('neutron-server'), '--config-file', str(config)]}
        found = {'neutron-api': self._uwsgi(port, api_workers)}
        for name in ('neutron-rpc-server', 'neutron-periodic-workers'):
            if os.path.exists(self.program(name)):
                found[name] = [self.program(name), '--config-file', str(config)]
        return found

    def _uwsgi(self, port, api_workers):
        application = (['--module', 'neutron.wsgi.api:application'] if self.series >= _WSGI_MODULE else
                       ['--wsgi-file', self.program('neutron-api')])
        return ['uwsgi', '--plugin', 'python3', '--http-socket', '127.0.0.1:%d' % port, '--master', '--processes', str(api_workers),
                '--enable-threads', '--lazy-apps', '--need-app', '--die-on-term', '--set', 'start-time=%t', *self._home(), *application]

    def _home(self):
        return []


class ReleaseFromPyPI(Release):

    def __init__(self, series, separate=False):
        self.series = series
        super().__init__(separate)
        self._folder = CACHE / str(series)
        self.paste = str(self._folder / 'etc' / 'neutron' / 'api-paste.ini')

    def program(self, name):
        return str(self._folder / 'bin' / name)

    def _home(self):
        return ['--virtualenv', str(self._folder)]

    def packages(self):
        return self._pins().read_text()

    def _pins(self):
        return PINS / ('neutron-%d.txt' % self.series)

    def install(self):
        pins = self._pins()
        mark = self._folder / 'complete'
        if mark.exists() and mark.read_text() == pins.read_text():
            return
        shutil.rmtree(self._folder, ignore_errors=True)
        subprocess.run([PYTHON, '-m', 'venv', '--without-pip', self._folder], check=True)
        for attempt in range(1, _TRIES + 1):
            failure = self._pip(pins)
            if not failure:
                break
            print('Neutron %d, try %d of %d: %s' % (self.series, attempt, _TRIES, failure), flush=True)
        else:
            raise RuntimeError('Neutron %d cannot be installed from PyPI: %s' % (self.series, failure))
        self._link_netifaces()
        mark.write_text(pins.read_text())

    def _link_netifaces(self):
        """PyPI has no wheel of it for this Python, and building one takes a compiler and Python's headers: Debian's serves."""
        site = next(self._folder.glob('lib/python3*/site-packages'))
        for library in pathlib.Path('/usr/lib/python3/dist-packages').glob('netifaces.*.so'):
            (site / library.name).symlink_to(library)

    def _pip(self, pins):
        """What went wrong, in pip's words; None if all is installed."""
        wanted = sum(not line.startswith('#') for line in pins.read_text().splitlines())
        print('Installing Neutron %d: %d packages from PyPI' % (self.series, wanted), flush=True)
        started, seen, errors = time.monotonic(), 0, []
        # Compiling everything takes longer than the few modules that are used need.
        command = [PYTHON, '-m', 'pip', '--python', self._folder / 'bin' / 'python', 'install', '--no-deps', '--no-compile',
                   '--progress-bar', 'off', '--retries', '2', '--timeout', '30', '--disable-pip-version-check',
                   '--root-user-action', 'ignore', '--cache-dir', CACHE / 'pip', '-r', pins]
        with subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as pip:
            for line in pip.stdout:
                if line.startswith('Collecting'):
                    seen += 1
                    if seen % 25 == 0:
                        print('  %d of %d fetched, %d s' % (seen, wanted, time.monotonic() - started), flush=True)
                if 'ERROR' in line or 'Retrying' in line:
                    errors.append(line.strip())
        if pip.returncode == 0:
            print('  installed, %d s' % (time.monotonic() - started), flush=True)
            return None
        return ' | '.join(errors[-2:]) or 'pip ended with %d' % pip.returncode


def series_from_pypi():
    return sorted(int(path.stem.partition('-')[2]) for path in PINS.glob('neutron-*.txt'))


def chosen(environment=os.environ):
    """The release that the environment asks for, installed."""
    name = environment.get('NEUTRON', 'debian')
    separate = environment.get('NEUTRON_PROCESSES') == 'separate'
    if name == 'debian':
        release = Release(separate)
    else:
        release = ReleaseFromPyPI(series_from_pypi()[-1] if name == 'newest' else int(name), separate)
    release.install()
    return release
