#include "kernel/iptables_tool.h"

#include <gtest/gtest.h>

namespace kernel {
namespace {

TEST(DetectFeatures, ByVersion) {
  struct Case {
    const char* iptables;
    const char* kernel;
    bool snat, masquerade, lock, nflog;
  };
  const Case kCases[] = {
      {"iptables v1.8.9 (nf_tables)\n", "Linux version 6.1.0-13-amd64 (x)", true, true, true, true},
      {"iptables v1.4.21\n", "Linux version 3.10.0-1160.el7.x86_64 (x)", false, false, false, false},
      {"iptables v1.6.0\n", "Linux version 4.4.0-21-generic (x)", true, false, false, false},
      {"iptables v1.6.2\n", "Linux version 3.13.0 (x)", false, false, true, false},
      {"garbage v of things", "also garbage", false, false, false, false},
  };
  for (const Case& c : kCases) {
    const DetectedFeatures features = detect_features(c.iptables, c.kernel);
    EXPECT_EQ(features.snat_fully_random, c.snat) << c.iptables;
    EXPECT_EQ(features.masquerade_fully_random, c.masquerade) << c.iptables;
    EXPECT_EQ(features.restore_lock, c.lock) << c.iptables;
    EXPECT_EQ(features.nflog_size, c.nflog) << c.iptables;
  }
  EXPECT_FALSE(
      detect_features(kCases[0].iptables, kCases[0].kernel, {{"MASQFullyRandom", false}}).masquerade_fully_random);
}

// Programs as a map from command line to output; what is not there is not installed.
ProgramStarter starter(const std::map<std::string, std::string>& outputs) {
  return {[outputs](const std::vector<std::string>& arguments) -> base::Result<std::string> {
            std::string line = arguments.front();
            for (std::size_t i = 1; i < arguments.size(); ++i) line += " " + arguments[i];
            const auto found = outputs.find(line);
            if (found == outputs.end()) return base::fail(base::Error::not_found(line));
            return found->second;
          },
          [outputs](const std::string& name) {
            const auto at = outputs.lower_bound(name);
            return at != outputs.end() && (at->first == name || at->first.starts_with(name + " "));
          }};
}

TEST(FindIptables, DetectsTheFlavourInUse) {
  const std::map<std::string, std::string> base{{"iptables-nft-save", ""},
                                                {"iptables-nft-restore", ""},
                                                {"ip6tables-nft-save", ""},
                                                {"ip6tables-nft-restore", ""},
                                                {"iptables-legacy-save", ""},
                                                {"iptables-legacy-restore", ""},
                                                {"ip6tables-legacy-save", ""},
                                                {"ip6tables-legacy-restore", ""},
                                                {"iptables-nft --version", "iptables v1.8.9 (nf_tables)"},
                                                {"iptables-legacy --version", "iptables v1.8.9 (legacy)"}};
  const auto with = [&](std::map<std::string, std::string> more) {
    more.insert(base.begin(), base.end());
    return starter(more);
  };
  EXPECT_EQ(find_iptables(FlavourSetting::kAuto, with({}))->flavour, IptablesFlavour::kLegacy);
  EXPECT_EQ(find_iptables(FlavourSetting::kAuto, with({{"iptables-nft-save", "*filter\n-A INPUT -j DROP\nCOMMIT\n"}}))
                ->flavour,
            IptablesFlavour::kNft);
  EXPECT_EQ(find_iptables(FlavourSetting::kAuto, with({{"ip6tables-nft-save -t mangle", ":KUBE-IPTABLES-HINT - [0:0]"},
                                                       {"iptables-legacy-save", "-A INPUT -j DROP\n"}}))
                ->flavour,
            IptablesFlavour::kNft);
  const IptablesPrograms nft = find_iptables(FlavourSetting::kNft, with({})).value();
  EXPECT_EQ(nft.restore6, "ip6tables-nft-restore");
  EXPECT_EQ(nft.version_text, "iptables v1.8.9 (nf_tables)");
}

TEST(FindIptables, OldReleasesHaveOneFlavour) {
  const ProgramStarter old = starter({{"iptables-save", ""},
                                      {"iptables-restore", ""},
                                      {"ip6tables-save", ""},
                                      {"ip6tables-restore", ""},
                                      {"iptables --version", "iptables v1.4.21"}});
  const IptablesPrograms programs = find_iptables(FlavourSetting::kAuto, old).value();
  EXPECT_EQ(programs.flavour, IptablesFlavour::kLegacy);
  EXPECT_EQ(programs.save4, "iptables-save");
  EXPECT_EQ(programs.version_text, "iptables v1.4.21");
  EXPECT_FALSE(find_iptables(FlavourSetting::kAuto, starter({})).has_value());
}

}  // namespace
}  // namespace kernel
