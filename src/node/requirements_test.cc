#include "node/requirements.h"

#include <algorithm>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/testing_host.h"

namespace node {
namespace {

using ::testing::HasSubstr;
using Outcome = Trial::Outcome;

const Finding& named(const std::vector<Finding>& findings, std::string_view name) {
  static const Finding kNone{"none", "", Verdict::kOk, "", ""};
  const auto found = std::ranges::find(findings, name, &Finding::name);
  EXPECT_NE(found, findings.end()) << name;
  return found == findings.end() ? kNone : *found;
}

std::vector<std::string> misses(const std::vector<Finding>& findings) {
  std::vector<std::string> names;
  for (const Finding& finding : findings) {
    if (finding.verdict != Verdict::kFail) continue;
    names.push_back(finding.name);
    EXPECT_FALSE(finding.remedy.empty()) << finding.name << ": nothing to do about it?";
  }
  return names;
}

TEST(Requirements, EachFacilityMissingInTurn) {
  for (const Facility missing : kFacilities) {
    FakeProber prober;
    prober.trials_[missing] = {Outcome::kFails, "no such thing"};
    EXPECT_EQ(misses(check_system(prober, {})), std::vector{std::string(name_of(missing))});
  }
  FakeProber all;
  EXPECT_EQ(misses(check_system(all, {})), std::vector<std::string>{});
}

TEST(Requirements, ListsAreEnoughOnlyForWhatIsCertain) {
  struct Case {
    std::string_view what;
    std::string file, content;
    Outcome trial;
    Verdict verdict;
    std::string_view detail;
  };
  const std::string dir = "/lib/modules/6.1.0-56-amd64/";
  const Case cases[] = {
      {"loaded", "/proc/modules", "ipip 16384 0 - Live 0x0\n", Outcome::kUnknown, Verdict::kOk, "loaded"},
      {"another module's name is longer", "/proc/modules", "ipip6 16384 0\n", Outcome::kFails, Verdict::kFail, "trial"},
      {"built in", dir + "modules.builtin", "kernel/net/ipv4/ipip.ko\n", Outcome::kUnknown, Verdict::kOk, "built into"},
      {"a module, works", dir + "modules.dep", "kernel/net/ipv4/ipip.ko.xz: kernel/net/ipv4/tunnel4.ko.xz\n",
       Outcome::kWorks, Verdict::kOk, "works"},
      {"a module that may not be loaded", dir + "modules.dep", "kernel/net/ipv4/ipip.ko: a\n", Outcome::kFails,
       Verdict::kFail, "its module is there, but using it fails: trial"},
      {"a module, not root", dir + "modules.dep", "kernel/net/ipv4/ipip.ko.zst:\n", Outcome::kUnknown, Verdict::kOk,
       "available as a module"},
      {"only another module needs it", dir + "modules.dep", "kernel/a.ko: kernel/net/ipv4/ipip.ko\n", Outcome::kUnknown,
       Verdict::kFail, "in no list"},
      {"in the configuration", "/boot/config-6.1.0-56-amd64", "# x\nCONFIG_NET_IPIP=y\n", Outcome::kUnknown,
       Verdict::kOk, "built into"},
      {"made as a module, nothing says whether it is installed", "/boot/config-6.1.0-56-amd64", "CONFIG_NET_IPIP=m\n",
       Outcome::kUnknown, Verdict::kOk, "available as a module"},
      {"not set", "/boot/config-6.1.0-56-amd64", "# CONFIG_NET_IPIP is not set\n", Outcome::kUnknown, Verdict::kFail,
       "in no list"},
      {"no list at all", "/x", "", Outcome::kWorks, Verdict::kOk, "works"},
  };
  for (const Case& c : cases) {
    FakeProber prober;
    prober.files_[c.file] = c.content;
    prober.trials_[Facility::kIpip] = {c.trial, "trial"};
    const auto findings = check_facilities(prober, "");
    EXPECT_EQ(named(findings, "ipip").verdict, c.verdict) << c.what;
    EXPECT_THAT(named(findings, "ipip").detail, HasSubstr(c.detail)) << c.what;
  }
  FakeProber without;  // a module that the kernel's packages have, and this host has not
  without.files_[dir + "modules.dep"] = "kernel/net/ipv4/tunnel4.ko:\n";
  without.files_["/boot/config-6.1.0-56-amd64"] = "CONFIG_NET_IPIP=m\n";
  without.trials_[Facility::kIpip] = {Outcome::kFails, "trial"};
  EXPECT_EQ(named(check_facilities(without, ""), "ipip").detail, "its module is not in /lib/modules: trial");
  FakeProber prober;  // a given file comes first
  prober.files_["/mine"] = "CONFIG_NET_IPIP=y\n";
  prober.trials_[Facility::kIpip] = {Outcome::kUnknown, ""};
  EXPECT_EQ(named(check_facilities(prober, "/mine"), "ipip").verdict, Verdict::kOk);
}

TEST(Requirements, ALoadedModuleIsNoUseWithoutItsTool) {
  FakeProber prober;
  prober.files_["/proc/modules"] = "ip_tables 32768 0 - Live 0x0\nnft_reject_ipv4 16384 0 - Live 0x0\n";
  prober.trials_[Facility::kIpTables] = {Outcome::kFails, "iptables is not installed"};
  prober.trials_[Facility::kReject] = {Outcome::kFails, "iptables-nft: no such target"};
  const auto findings = check_facilities(prober, "");
  EXPECT_EQ(misses(findings), (std::vector<std::string>{"ip_tables", "ipt_REJECT"}));
  EXPECT_THAT(named(findings, "ip_tables").detail, HasSubstr("iptables is not installed"));
  prober.trials_[Facility::kIpTables] = {Outcome::kUnknown, "not root"};
  EXPECT_EQ(named(check_facilities(prober, ""), "ip_tables").detail, "loaded");
}

TEST(Requirements, ProcessorAndKernel) {
  struct Case {
    std::string release, machine;
    std::vector<std::string> missed;
  };
  const Case cases[] = {
      {"3.10.0-1160.el7.x86_64", "x86_64", {}}, {"4.4.0-210-generic", "x86_64", {}},
      {"6.18.44-fc-v595", "x86_64", {}},        {"2.6.32-754.el6.x86_64", "x86_64", {"2.6.32-754.el6.x86_64"}},
      {"3.9.11", "x86_64", {"3.9.11"}},         {"6.1.0", "aarch64", {"AMD64"}}};
  for (const Case& c : cases) {
    FakeProber prober;
    prober.release_ = c.release;
    prober.machine_ = c.machine;
    EXPECT_EQ(misses(check_kernel(prober)), c.missed) << c.release;
  }
}

TEST(Requirements, Distribution) {
  struct Case {
    std::string text;
    Verdict verdict;
  };
  const Case cases[] = {{"ID=debian\nVERSION_ID=\"12\"\n", Verdict::kOk},
                        {"ID=\"centos\"\nVERSION_ID=\"7\"\n", Verdict::kOk},
                        {"ID=ubuntu\nVERSION_ID=\"16.04\"\n", Verdict::kOk},
                        {"ID=ubuntu\nVERSION_ID=\"14.04\"\n", Verdict::kWarning},
                        {"ID=debian\n", Verdict::kOk},
                        {"ID=plan9\nVERSION_ID=4\n", Verdict::kWarning},
                        {"", Verdict::kWarning}};
  for (const Case& c : cases) {
    FakeProber prober;
    prober.files_["/etc/os-release"] = c.text;
    EXPECT_EQ(check_distribution(prober).front().verdict, c.verdict) << c.text;
  }
}

TEST(Requirements, ClusterAndConnections) {
  const auto ip = [](std::string_view text) { return *base::parse_address(text); };
  ClusterView cluster{.etcd = "http://192.0.2.1:2379", .server_version = std::string("3.4.23")};
  cluster.etcd_hosts = {{"192.0.2.1", ip("192.0.2.1")}};
  cluster.nodes = {{"b", ip("192.0.2.2")}, {"c", ip("fd00::3")}};
  cluster.uses_ipip = true;
  FakeProber prober;
  EXPECT_EQ(misses(check_cluster(prober, cluster)), std::vector<std::string>{});
  prober.ports_[{ip("192.0.2.1"), 2379}] = Reach::kSilent;
  prober.ports_[{ip("fd00::3"), 179}] = Reach::kRefused;
  prober.tunnels_[ip("192.0.2.2")] = Reach::kRefused;
  EXPECT_EQ(misses(check_cluster(prober, cluster)),
            (std::vector<std::string>{"TCP 2379 to 192.0.2.1", "protocol 4 to b", "TCP 179 to c over IPv6"}));
  prober.tunnels_[ip("192.0.2.2")] = Reach::kSilent;
  EXPECT_EQ(named(check_cluster(prober, cluster), "protocol 4 to b").verdict, Verdict::kWarning) << "proves nothing";
  cluster.uses_ipip = false;
  EXPECT_EQ(named(check_cluster(prober, cluster), "protocol 4").verdict, Verdict::kSkipped);
  cluster.server_version = std::string("2.3.8");
  EXPECT_EQ(named(check_cluster(prober, cluster), "version 3").verdict, Verdict::kFail);
  cluster.server_version = base::fail(base::Error::unavailable("connection refused"));
  EXPECT_EQ(named(check_cluster(prober, cluster), "reachable").detail, "connection refused");
}

TEST(Requirements, NovaPatch) {
  struct Case {
    std::string nova, libvirt;
    Verdict verdict;
  };
  const Case cases[] = {
      {"13.1.4\n", "libvirtd (libvirt) 1.3.3", Verdict::kFail},    // Mitaka
      {"12.0.1\n", "libvirtd (libvirt) 3.0.0", Verdict::kFail},    // Liberty
      {"2015.1.4\n", "libvirtd (libvirt) 2.0.0", Verdict::kFail},  // Kilo
      {"13.1.4\n", "libvirtd (libvirt) 1.3.2", Verdict::kOk},
      {"13.1.4\n", "libvirtd (libvirt) 3.1.0", Verdict::kOk},
      {"14.0.0\n", "libvirtd (libvirt) 2.0.0", Verdict::kWarning},  // Newton: fixed in some
      {"15.0.0\n", "libvirtd (libvirt) 2.0.0", Verdict::kOk},       // Ocata
      {"/usr/lib/x.py:1: Warning: 1\n26.1.0\n", "libvirtd (libvirt) 9.0.0", Verdict::kOk},
      // What Debian 12's say, standard error last.
      {"26.2.2\nModules with known eventlet monkey patching issues were imported prior to eventlet monkey patching: "
       "urllib3. This warning can usually be ignored if the caller is only importing and not executing nova code.\n",
       "/usr/sbin/libvirtd (libvirt) 9.0.0\n", Verdict::kOk},
      {"13.1.4\n", "/usr/sbin/libvirtd (libvirt) 1.3.3\nlibvirtd: warning: 1.2 is deprecated\n", Verdict::kFail},
  };
  for (const Case& c : cases) {
    FakeProber prober;
    prober.programs_ = {{"nova-compute", c.nova}, {"libvirtd", c.libvirt}};
    EXPECT_EQ(named(check_openstack(prober), "Nova and libvirt").verdict, c.verdict) << c.nova << c.libvirt;
  }
  FakeProber controller;
  EXPECT_EQ(check_openstack(controller).front().verdict, Verdict::kSkipped);
  controller.programs_ = {{"nova-compute", "26.1.0\n"}};
  EXPECT_EQ(named(check_openstack(controller), "libvirt").verdict, Verdict::kWarning);
  EXPECT_EQ(named(check_openstack(controller), "Nova 26.1.0").detail, "OpenStack Zed");
  controller.programs_ = {{"nova-compute", "13.1.4\n"}, {"virtqemud", "virtqemud (libvirt) 9.0.0\n"}};
  EXPECT_EQ(named(check_openstack(controller), "Nova 13.1.4").verdict, Verdict::kWarning);
  EXPECT_EQ(named(check_openstack(controller), "libvirt 9.0.0").verdict, Verdict::kOk);
}

TEST(Requirements, VersionNumbers) {
  EXPECT_EQ(version_numbers("6.1.0-56-amd64"), (std::vector{6, 1, 0}));
  EXPECT_EQ(version_numbers("3.10"), (std::vector{3, 10}));
  EXPECT_EQ(version_numbers("x"), std::vector<int>{});
}

}  // namespace
}  // namespace node
