#!/usr/bin/env python3
"""The demo as its audience sees it: status 0 and a table when all is well, status 1 when a step differs, and nothing left behind,
whenever it is interrupted. `python3 tests/openstack/demo_test.py [--bin FOLDER] [TEST…]`, as root."""

import contextlib
import io
import os
import pathlib
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import unittest
import uuid

sys.path.insert(0, str(pathlib.Path(__file__).parent))
from demo import marked_processes  # noqa: E402
from neutron_server import ROOT  # noqa: E402
from stage import Outcome, Stage, until, until_not  # noqa: E402

DEMO = str(pathlib.Path(__file__).with_name('demo.py'))
OPTIONS = []


class Whole(unittest.TestCase):

    def setUp(self):
        self.mark = 'PERCALE_DEMO_TEST=' + str(uuid.uuid4())
        place = tempfile.TemporaryDirectory()
        self.addCleanup(place.cleanup)
        self.place = pathlib.Path(place.name)
        self.place.chmod(0o755)

    def started(self, *options):
        name, value = self.mark.split('=')
        return subprocess.Popen([sys.executable, DEMO, *(options or OPTIONS)], stdout=subprocess.PIPE,
                                stderr=subprocess.STDOUT, text=True, env=dict(os.environ, TMPDIR=str(self.place), **{name: value}))

    def assert_nothing_left(self, demo, output):
        self.assertEqual(marked_processes(self.mark.encode()), {}, output)
        self.assertEqual(list(self.place.iterdir()), [], output)
        for folder in ('/run/percale-lab', '/run/netns'):
            self.assertEqual(list(pathlib.Path(folder).glob('demo%d*' % (demo.pid % 100000))), [], output)

    def test_all_goes_as_expected(self):
        demo = self.started()
        output, _ = demo.communicate(timeout=500)
        print(output, flush=True)
        self.assertEqual(demo.returncode, 0)
        self.assertIn('All as expected', output)
        self.assertNotIn('WRONG', output)
        self.assert_nothing_left(demo, output)

    def test_agents_without_dhcp_are_noticed(self):
        real = pathlib.Path(OPTIONS[1] if OPTIONS else ROOT / 'build' / 'bin').resolve()
        with tempfile.TemporaryDirectory() as broken:
            os.chmod(broken, 0o755)
            for name in ('percalectl', 'percale-neutron'):
                shutil.copy(real / name, broken)
            agent = pathlib.Path(broken) / 'percaled'
            agent.write_text('#!/bin/sh\nFELIX_DHCPMODE=Disabled exec %s "$@"\n' % (real / 'percaled'))
            agent.chmod(0o755)
            demo = self.started('--bin', broken)
            output, _ = demo.communicate(timeout=300)
        self.assertEqual(demo.returncode, 1, output)
        self.assertIn('SOMETHING DIFFERS', output)
        verdicts = re.findall(r'^\((\d+)\) .*?(good|WRONG)$', output, re.MULTILINE)
        self.assertEqual(dict(verdicts)['2'], 'good', output)
        self.assertEqual(dict(verdicts)['3'], 'WRONG', output)
        self.assert_nothing_left(demo, output)

    def test_interrupted_it_leaves_nothing(self):
        # In the middle of Neutron's migrations; twice, because people do.
        demo = self.started()
        deadline = time.monotonic() + 120
        while not (data := re.search(r'mariadbd .*--datadir=(\S+)', '\n'.join(marked_processes(self.mark.encode()).values()))):
            self.assertLess(time.monotonic(), deadline)
            time.sleep(0.05)
        demo.send_signal(signal.SIGINT)
        time.sleep(0.2)
        demo.send_signal(signal.SIGINT)
        output, _ = demo.communicate(timeout=120)
        self.assertEqual(demo.returncode, 130, output)
        self.assertFalse(pathlib.Path(data.group(1)).exists(), output)
        self.assert_nothing_left(demo, output)


class Pieces(unittest.TestCase):

    def shown(self, *bodies):
        stage = Stage()
        with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
            for body in bodies:
                stage.step('a step', body)
        return stage

    def test_one_difference_is_enough(self):
        def fails():
            raise RuntimeError('no such luck')
        good, bad = (lambda: Outcome('x', 'x', True, 1)), (lambda: Outcome('x', 'y', False, 1))
        self.assertTrue(self.shown(good, good).all_good())
        for bodies in ((bad,), (good, bad), (bad, good), (fails, good)):
            stage = self.shown(*bodies)
            self.assertFalse(stage.all_good())
            self.assertEqual(len(stage.rows), len(bodies), 'a step that fails stops the show')
            self.assertEqual(stage.table().count('WRONG'), 1)
        self.assertIn('no such luck', stage.rows[0].outcome.seen)

    def test_waiting_ends(self):
        self.assertIsNone(until(lambda: False, 0))
        self.assertIsNone(until_not(lambda: True, 0))
        answers = iter((False, False, True))
        self.assertIsNotNone(until(lambda: next(answers)))


if __name__ == '__main__':
    arguments = sys.argv[1:]
    if '--bin' in arguments:
        at = arguments.index('--bin')
        OPTIONS[:] = arguments[at:at + 2]
        del arguments[at:at + 2]
    unittest.main(argv=sys.argv[:1] + arguments, verbosity=2)
