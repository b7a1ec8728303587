"""The virtual machine as its users see it: the command's words, output and status pass unchanged, its kernel is
Debian's, nothing written inside is seen outside, and no way of ending leaves anything behind or looks like success."""

import os
import pathlib
import signal
import subprocess
import sys
import tempfile
import time
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import machine_parts  # noqa: E402
import vm  # noqa: E402

VM = str(pathlib.Path(vm.__file__).resolve())
PATIENCE = 60


def started(*arguments, **options):
    pipe = subprocess.PIPE
    return subprocess.Popen([sys.executable, VM, *arguments], stdout=pipe, stderr=pipe, text=True, **options)


def qemu_of(runner):
    """The process id of the runner's machine, once there is one."""
    children = pathlib.Path(f"/proc/{runner.pid}/task/{runner.pid}/children")
    end = time.monotonic() + PATIENCE
    while time.monotonic() < end:
        for child in children.read_text().split():
            if os.path.basename(os.readlink(f"/proc/{child}/exe")) == machine_parts.QEMU:
                return int(child)
        time.sleep(0.02)
    raise AssertionError("no machine was started")


def is_gone(pid):
    try:
        return ") Z " in pathlib.Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return True


def gone_soon(pid):
    end = time.monotonic() + PATIENCE
    while not is_gone(pid) and time.monotonic() < end:
        time.sleep(0.02)
    return is_gone(pid)


class Machine(unittest.TestCase):
    def test_command_runs_on_debians_kernel_and_leaves_nothing(self):
        script = r"""
            echo first; uname -r; pwd; printf '%s|' "$0" "$1" "$GREETING"; echo
            ip link add tun7 type ipip local 192.0.2.1 remote 192.0.2.2
            ip -d link show tun7 | grep -o 'remote [0-9.]*'
            grep -o '^ipip ' /proc/modules
            echo inside > "$2/written" && cat "$2/written"
            exit 7"""
        with tempfile.TemporaryDirectory() as place:
            runner = started("--env", "GREETING=two words", "--", "sh", "-c", script, "it's", "a b", place, cwd=place)
            qemu = qemu_of(runner)
            self.assertEqual(runner.stdout.readline(), "first\n")
            self.assertIsNone(runner.poll(), "output comes while the command runs")
            rest, told = runner.communicate(timeout=PATIENCE)
            version, _ = machine_parts.find_kernel("")
            self.assertEqual(rest, f"{version}\n{place}\nit's|a b|two words|\nremote 192.0.2.2\nipip \ninside\n", told)
            self.assertEqual(runner.returncode, 7, told)
            self.assertEqual(os.listdir(place), [])
        self.assertTrue(is_gone(qemu))

    def test_machine_that_ends_by_itself_is_no_success(self):
        runner = started("--", "/run/vm/busybox", "poweroff", "-f")
        _, told = runner.communicate(timeout=PATIENCE)
        self.assertEqual(runner.returncode, vm.STATUS_NO_MACHINE, told)
        self.assertIn("ended before the command did", told)

    def test_time_limit(self):
        runner = started("--limit", "1", "--", "sleep", "600")
        qemu = qemu_of(runner)
        _, told = runner.communicate(timeout=PATIENCE)
        self.assertEqual(runner.returncode, vm.STATUS_TIME_IS_UP, told)
        self.assertIn("time limit of 1.0 s is over", told)
        self.assertTrue(is_gone(qemu))

    def test_machine_dies_with_its_runner(self):
        for how in (signal.SIGKILL, signal.SIGTERM, signal.SIGINT):
            with self.subTest(how=how):
                runner = started("--", "true")
                qemu = qemu_of(runner)
                runner.send_signal(how)
                runner.communicate(timeout=PATIENCE)
                self.assertNotEqual(runner.returncode, 0)
                self.assertTrue(gone_soon(qemu))

    def test_missing_kernel_is_explained(self):
        runner = started("--kernel", "0.0", "--", "true")
        _, told = runner.communicate(timeout=PATIENCE)
        self.assertEqual(runner.returncode, vm.STATUS_NO_MACHINE)
        self.assertIn("install linux-image-amd64", told)


class Pieces(unittest.TestCase):
    def test_newer_kernels_sort_last(self):
        versions = ["6.1.0-9-amd64", "6.1.0-56-amd64", "5.10.0-30-amd64", "6.12.1+deb13-amd64"]
        self.assertEqual(sorted(versions, key=machine_parts.version_key), [versions[2], versions[0], versions[1], versions[3]])

    def test_modules_come_after_what_they_need(self):
        version, _ = machine_parts.find_kernel("")
        names = [file.name for file in machine_parts.module_files(version, vm.BOOT_MODULES)]
        for first, then in (("virtio.ko", "virtio_pci.ko"), ("9pnet.ko", "9p.ko"), ("9pnet.ko", "9pnet_virtio.ko")):
            self.assertLess(names.index(first), names.index(then), names)
        with self.assertRaises(machine_parts.NoMachine):
            machine_parts.module_files(version, ["no_such_module"])


if __name__ == "__main__":
    unittest.main()
