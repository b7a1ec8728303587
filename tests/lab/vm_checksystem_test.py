"""`node checksystem` on Debian's own kernel, in the virtual machine: everything is there and each line says so; each
facility of the kernel taken away in turn is named, alone, with what to do; and in a lab, each connection likewise.

A facility is taken away as on a host whose kernel package lacks it: /lib/modules is a tree made here without that
module, which is not loaded when the check begins.
"""

import json
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import unittest

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import machine_parts  # noqa: E402
import vm  # noqa: E402

PERCALECTL = ""
PATIENCE = "6"  # how much slower than hardware the machine is, for the limits of what runs in it

# The modules that the facilities come from; what these need comes along.
MODULES = (
    "nf_conntrack_netlink", "ip_tables", "iptable_filter", "iptable_raw", "ip6_tables", "ip6table_filter", "ip_set",
    "ip_set_hash_net", "xt_set", "ipt_rpfilter", "ipt_REJECT", "ipip", "nf_tables", "nft_compat",
)  # fmt: skip
NFTABLES = ("nf_tables", "nft_compat")  # what iptables works with where it can; old systems have ip_tables only
LISTS = ("modules.builtin", "modules.builtin.modinfo", "modules.order")

FACILITIES = ["nf_conntrack_netlink", "ip_tables", "ip6_tables", "ip_set", "xt_set", "ipt_set", "ipt_rpfilter",
              "ipt_REJECT", "ipip"]  # fmt: skip

# What is taken away -> what must be missed: the names of the requirements page.
CASES = {
    "nf_conntrack_netlink": (("nf_conntrack_netlink",), ["nf_conntrack_netlink"]),
    "ip_set": (("ip_set",), ["ip_set"]),
    "xt_set": (("xt_set",), ["xt_set", "ipt_set"]),  # two names of one module
    "ipt_rpfilter": (("ipt_rpfilter",), ["ipt_rpfilter"]),
    "ipt_REJECT": (("ipt_REJECT",), ["ipt_REJECT"]),
    "ipip": (("ipip",), ["ipip"]),
    "ip_tables": ((*NFTABLES, "ip_tables"), ["ip_tables"]),
    "ip6_tables": ((*NFTABLES, "ip6_tables"), ["ip6_tables"]),
    # nf_tables does what ip_tables did; and a module that is there but may not be loaded is no use.
    "forbidden": (("ip_tables", "ip6_tables"), ["ipip"]),
}

# Else they count as there without being tried: the forbidden one, and what cannot be tried without tables.
ALSO_UNLOADED = {"forbidden": ("ipip",), "ip_tables": ("xt_set", "ipt_rpfilter", "ipt_REJECT")}

SCRIPT = r"""
version=$(uname -r)
report() { echo "=== $1"; shift; "$@" node checksystem -o json; echo "=== status $?"; }
unload() {  # and what uses them
  for module; do
    # The namespaces of the check before go when the kernel finds time.
    while [ -d "/sys/module/$module" ]; do
      rmmod $(ls "/sys/module/$module/holders") "$module" 2>/dev/null || sleep 0.1
    done
  done
}
"$PERCALECTL" node checksystem; echo "=== status $?"
for case in $CASES; do
  unload $(cat "$PLACE/$case/unload")
  mount --bind "$PLACE/$case" "/lib/modules/$version"
  if [ "$case" = forbidden ]; then echo 'install ipip /bin/false' > /etc/modprobe.d/forbidden.conf; fi
  report "$case" "$PERCALECTL"
  umount "/lib/modules/$version"
done
rm /etc/modprobe.d/forbidden.conf

# What Nova and libvirt say is what those of Debian 12 and of an old release say.
inside() { host=$1; shift; "$PERCALECTL" lab exec check "$host" -- "$@"; }
"$PERCALECTL" lab up check --pool-mode ipip --patience "$PATIENCE" > /dev/null || exit 1
report lab inside host-a env PATH="$PLACE/zed:$PATH" "$PERCALECTL"
inside host-b birdc down > /dev/null
inside host-c iptables-nft -I INPUT 1 -p tcp --dport 179 -j DROP
inside host-b iptables-nft -I INPUT 1 -p 4 -j REJECT
inside host-c iptables-nft -I INPUT 1 -p 4 -j DROP
report broken inside host-a env PATH="$PLACE/mitaka:$PATH" "$PERCALECTL"
inside etcd sh -c 'kill $(pidof etcd)'
report etcd inside host-a "$PERCALECTL"
"$PERCALECTL" lab down check > /dev/null
"""
ETCD = "TCP 2379 to 172.31.255.1"

PROGRAMS = {
    "zed": {
        "nova-compute": "26.2.2\nModules with known eventlet monkey patching issues were imported prior to eventlet monkey"
        " patching: urllib3. This warning can usually be ignored if the caller is only importing and not executing nova"
        " code.",
        "libvirtd": "/usr/sbin/libvirtd (libvirt) 9.0.0",
    },
    "mitaka": {"nova-compute": "13.1.4", "libvirtd": "/usr/sbin/libvirtd (libvirt) 1.3.3"},
}


def make_tree(place, version, without):
    """A /lib/modules/VERSION with MODULES less `without`, its lists as depmod makes them."""
    root = pathlib.Path(place) / "lib/modules" / version
    real = pathlib.Path("/lib/modules") / version
    for file in machine_parts.module_files(version, MODULES):
        if file.name.split(".")[0] in without:
            continue
        copy = root / file.relative_to(real)
        copy.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(file, copy)
    for name in LISTS:
        shutil.copy(real / name, root / name)
    subprocess.run(["depmod", "-b", place, version], check=True, stderr=subprocess.DEVNULL)  # it misses the missing
    return root


def in_machine(script, limit, **environment):
    settings = ["--limit", str(limit)]
    for name, value in {"PERCALECTL": PERCALECTL, "PATIENCE": PATIENCE, **environment}.items():
        settings += ["--env", f"{name}={value}"]
    done = subprocess.run(
        [sys.executable, vm.__file__, *settings, "--", "sh", "-c", script],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    print(done.stderr, flush=True)
    return done.stdout


def reports(output):
    """Case -> (exit status, findings by name)."""
    pattern = r"^=== (\w+)\n(\{.*?^\})\n=== status (\d+)$"
    return {
        case: (int(status), {finding["name"]: finding for finding in json.loads(report)["findings"]})
        for case, report, status in re.findall(pattern, output, re.MULTILINE | re.DOTALL)
    }


def with_verdict(findings, verdict):
    return [name for name, finding in findings.items() if finding["verdict"] == verdict]


class Checksystem(unittest.TestCase):
    """One machine for all of it."""

    @classmethod
    def setUpClass(cls):
        cls.version, _ = machine_parts.find_kernel("")
        with tempfile.TemporaryDirectory() as place:
            for case, (without, _) in CASES.items():
                tree = make_tree(f"{place}/made/{case}", cls.version, without).rename(f"{place}/{case}")
                (tree / "unload").write_text("\n".join((*without, *ALSO_UNLOADED.get(case, ()))))
            for release, said in PROGRAMS.items():
                (pathlib.Path(place) / release).mkdir()
                for program, text in said.items():
                    path = pathlib.Path(place) / release / program
                    path.write_text(f"#!/bin/sh\ncat <<'TEXT'\n{text}\nTEXT\n")
                    path.chmod(0o755)
            cls.output = in_machine(SCRIPT, 500, PLACE=place, CASES=" ".join(CASES))
        cls.reports = reports(cls.output)

    def test_everything_ran(self):
        self.assertEqual(list(self.reports), [*CASES, "lab", "broken", "etcd"], self.output)

    def test_everything_is_there(self):
        text, _, rest = self.output.partition("=== status ")
        for name in ("AMD64", self.version, *FACILITIES, "debian 12"):
            self.assertRegex(text, rf"\t\t{name} *\t+OK\n")
        for name in ("reachable", "Nova"):
            self.assertRegex(text, rf"\t\t{name} *\t+SKIP\n")
        self.assertNotRegex(text, r"FAIL|WARN")
        self.assertTrue(text.endswith("System meets minimum system requirements to run Calico!\n"), text)
        self.assertTrue(rest.startswith("0\n"))

    def test_each_facility_missing_in_turn(self):
        for case, (_, missed) in CASES.items():
            with self.subTest(missing=case):
                status, findings = self.reports[case]
                self.assertEqual(with_verdict(findings, "FAIL"), missed, findings)
                # Without ip6_tables only IPv6 is lost, which is said.
                self.assertEqual(status, 0 if missed == ["ip6_tables"] else 1)
                for name in missed:
                    self.assertIn("modprobe", findings[name]["remedy"])
                    there = "its module is there, but using it fails" if case == "forbidden" else "not in /lib/modules"
                    self.assertIn(there, findings[name]["detail"])

    def test_connections_of_a_host(self):
        status, findings = self.reports["lab"]
        connections = [
            line.format(host)
            for host in ("host-b", "host-c")
            for line in ("TCP 179 to {}", "protocol 4 to {}", "TCP 179 to {} over IPv6")
        ]
        compute_node = ["Nova 26.2.2", "libvirt 9.0.0", "Nova and libvirt"]
        self.assertEqual(
            with_verdict(findings, "OK"),
            ["AMD64", self.version, *FACILITIES, "debian 12", "version 3", ETCD, *connections, *compute_node],
        )
        self.assertEqual(len(findings), len(with_verdict(findings, "OK")))
        self.assertEqual(status, 0)

    def test_connections_that_are_closed(self):
        status, findings = self.reports["broken"]
        self.assertEqual(status, 1)
        closed = {
            "TCP 179 to host-b": "refuses",
            "protocol 4 to host-b": "rejects",
            "TCP 179 to host-b over IPv6": "refuses",
            "TCP 179 to host-c": "does not answer",
        }
        self.assertEqual(with_verdict(findings, "FAIL"), [*closed, "Nova and libvirt"])
        self.assertEqual(with_verdict(findings, "WARN"), ["protocol 4 to host-c", "Nova 13.1.4"])
        for name, said in {**closed, "protocol 4 to host-c": "did not answer"}.items():
            self.assertIn(said, findings[name]["detail"])
            self.assertRegex(findings[name]["remedy"], r"TCP 179|protocol 4")

    def test_etcd_that_is_gone(self):
        status, findings = self.reports["etcd"]
        self.assertEqual(status, 1)
        self.assertEqual(with_verdict(findings, "FAIL"), ["reachable", ETCD])


if __name__ == "__main__":
    PERCALECTL = sys.argv.pop(1)
    unittest.main()
