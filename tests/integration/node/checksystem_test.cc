// The real prober against this kernel: it is right about what is there, and it misses exactly what has been taken away.

#include <sys/stat.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "node/prober.h"
#include "node/reach.h"
#include "node/requirements.h"
#include "os/process.h"
#include "testing/temp_directory.h"

namespace node {
namespace {

using Outcome = Trial::Outcome;

class Checksystem : public ::testing::Test {
 protected:
  void SetUp() override {
    if (::geteuid() != 0) GTEST_SKIP() << "needs root";
  }

  // A tool directory in which every iptables refuses command lines that contain `word`.
  std::string tools_refusing(const std::string& word, const std::vector<std::string>& names) {
    for (const std::string& name : names) {
      const auto real = os::find_program(name);
      if (!real) continue;
      const std::string path = directory_.file(name);
      std::ofstream script(path);
      script << "#!/bin/sh\ncase \" $* \" in *'" << word << "'*) echo \"Couldn't load match\" >&2; exit 2;; esac\nexec "
             << *real << " \"$@\"\n";
      script.close();
      ::chmod(path.c_str(), 0755);
    }
    return directory_.path().string();
  }

  std::vector<std::string> failing(const std::string& tools) {
    const auto prober = make_system_prober(tools);
    std::vector<std::string> names;
    for (const Facility facility : kFacilities) {
      if (facility != Facility::kIpip && prober->try_facility(facility).outcome != Outcome::kWorks)
        names.emplace_back(name_of(facility));
    }
    return names;
  }

  testing::TempDirectory directory_;
};

// By another way than the prober's: the ip program in a namespace made by unshare.
bool has_ipip() {
  const auto outcome = os::run({.arguments = {"unshare", "-n", "ip", "link", "add", "probe", "type", "ipip", "local",
                                              "192.0.2.1", "remote", "192.0.2.2"}});
  return outcome && outcome->ok();
}

TEST_F(Checksystem, IsRightAboutThisMachine) {
  const auto prober = make_system_prober();
  const Trial ipip = prober->try_facility(Facility::kIpip);
  EXPECT_EQ(ipip.outcome, has_ipip() ? Outcome::kWorks : Outcome::kFails) << ipip.detail;
  EXPECT_EQ(failing(""), std::vector<std::string>{}) << "these tests need a kernel that can do all the rest";
  for (const Finding& finding : check_facilities(*prober, "")) {
    const bool expected = finding.name != "ipip" || has_ipip();
    EXPECT_EQ(finding.verdict == Verdict::kOk, expected) << finding.name << ": " << finding.detail;
  }
}

TEST_F(Checksystem, LeavesNothingBehind) {
  const auto rules = [] {
    const auto outcome = os::run({.arguments = {"iptables", "-t", "filter", "-S"}});
    return outcome ? outcome->output : std::string();
  };
  const std::string before = rules();
  const auto prober = make_system_prober();
  for (const Facility facility : kFacilities) (void)prober->try_facility(facility);
  EXPECT_EQ(rules(), before);
  const auto links = os::run({.arguments = {"ip", "link", "show"}});
  EXPECT_EQ(links->output.find("percale-probe"), std::string::npos);
}

const std::vector<std::string> kV4 = {"iptables", "iptables-nft", "iptables-legacy"};
const std::vector<std::string> kV6 = {"ip6tables", "ip6tables-nft", "ip6tables-legacy"};

struct Case {
  std::string word;
  std::vector<std::string> tools;
  std::vector<std::string> missed;
};

TEST_F(Checksystem, MissesWhatIsTakenAway) {
  const Case cases[] = {
      {" -m rpfilter ", kV4, {"ipt_rpfilter"}},
      {" -j REJECT ", kV4, {"ipt_REJECT"}},
      {" -m set ", kV4, {"xt_set", "ipt_set"}},
      {" -N ", kV4, {"ip_tables"}},
      {" -N ", kV6, {"ip6_tables"}},
      {" --not-there ", kV4, {}},
  };
  for (const Case& c : cases) {
    const std::string tools = tools_refusing(c.word, c.tools);
    EXPECT_EQ(failing(tools), c.missed) << c.word;
    for (const std::string& name : c.tools) ::unlink(directory_.file(name).c_str());
  }
}

TEST_F(Checksystem, OneVariantOfTheToolIsEnough) {
  EXPECT_EQ(failing(tools_refusing(" -j REJECT ", {"iptables", "iptables-nft"})), std::vector<std::string>{});
}

TEST_F(Checksystem, Connections) {
  const auto loopback = *base::parse_address("127.0.0.1");
  EXPECT_EQ(connect_tcp(loopback, 1), Reach::kRefused);
  // Loopback takes protocol 4 only with an ipip module; then it stays silent or answers.
  const Reach reach = echo_through_ipip(loopback);
  if (!has_ipip()) {
    EXPECT_EQ(reach, Reach::kRefused);
  }
}

}  // namespace
}  // namespace node
