"""IP-in-IP with the ipip module of Debian's own kernel: the lab's story of a tunnel inside the virtual machine, and
proof that its checks can fail there."""

import pathlib
import re
import subprocess
import sys
import unittest

VM = str(pathlib.Path(__file__).resolve().parent / "vm.py")
PERCALECTL = ""
PATIENCE = "12"  # how much slower than hardware the machine is, for the limits of what runs in it

# What must go wrong, each on a lab whose agents are frozen: a packet beside the tunnel, a stranger let in, a wrong size.
BROKEN = r"""
set -e
lab() { "$PERCALECTL" lab "$@"; }
expect() {
  if grep -q -- "$1" /tmp/said; then echo "noticed: $1"; else echo "NOT noticed: $1"; cat /tmp/said; fi
}
lab up broken --pool-mode ipip --patience "$PATIENCE"
lab tunnel broken
for host in host-a host-b host-c; do kill -STOP "$(cat /run/percale-lab/broken/nodes/$host/agent.pid)"; done

lab exec broken host-a -- ip route replace 10.65.0.12/32 via 192.168.10.12 dev eth0
lab matrix broken > /tmp/said && echo "NOT noticed: a packet beside the tunnel"
expect "packets of guests travelled direct, expected IP-in-IP"

for host in host-a host-b host-c; do lab exec broken $host -- iptables-nft -I INPUT 1 -p 4 -j ACCEPT; done
lab tunnel broken > /tmp/said && echo "NOT noticed: a stranger"
expect "20 of 20 from a stranger"

for host in host-a host-b host-c; do lab exec broken $host -- ip link set tunl0 mtu 1400; done
lab tunnel broken > /tmp/said && echo "NOT noticed: a wrong size"
expect "1480 bytes DO NOT pass"
lab down broken
"""


def in_machine(*command, limit):
    settings = ["--limit", str(limit), "--env", f"PERCALECTL={PERCALECTL}", "--env", f"PATIENCE={PATIENCE}"]
    arguments = [sys.executable, VM, *settings, "--", *command]
    done = subprocess.run(arguments, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    print(done.stdout, flush=True)
    return done


def verdicts(story):
    """What each step ended with: number -> line."""
    found, step = {}, None
    for line in story.splitlines():
        if begun := re.match(r"\((\w+)\) ", line):
            step = begun.group(1)
        elif re.match(r" +(good|WRONG): ", line) and step not in found:
            found[step] = line.strip()
    return found


class Ipip(unittest.TestCase):
    def test_every_step_goes_as_expected(self):
        # A machine that others starve loses packets of every kind, also of IPv6, which no change here touches. A change
        # that loses packets does so every time: it has one more try.
        for _ in range(2):
            done = in_machine(PERCALECTL, "lab", "demo", "ipip", "--tunnel", "ipip", "--patience", PATIENCE, limit=400)
            said = verdicts(done.stdout)
            wrong = [step for step, line in said.items() if line.startswith("WRONG")]
            if not wrong and done.returncode == 0:
                break
        self.assertEqual(list(said), ["1", "2", "3a", "3b", "4", "5", "6", "7", "8"])
        self.assertEqual(wrong, [])
        for step in ("2", "5", "6", "7"):
            self.assertIn("240 of 240 pass, 0 differ", said[step])

    def test_what_is_broken_is_noticed(self):
        done = in_machine("sh", "-c", BROKEN, limit=400)
        self.assertEqual(done.returncode, 0)
        self.assertNotIn("NOT noticed", done.stdout)
        self.assertEqual(done.stdout.count("noticed: "), 3)


if __name__ == "__main__":
    PERCALECTL = sys.argv.pop(1)
    unittest.main()
