// iptables_tool.h: how the agent reaches iptables: programs of one flavour and family, run beside the loop.
//
// Port with two implementations: ProcessIptables (real) and the tests' fake. One loop, one thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/ip.h"
#include "base/loop.h"
#include "base/result.h"

namespace kernel {

struct ToolResult {
  bool ok = false;
  std::string output;
  std::string errors;            // standard error
  std::string description;       // "exit status 2: …", if not ok
  base::Duration run_time{0};    // from start to end
  base::Duration start_time{0};  // of it, until the program had been started
};

class IptablesTool {
 public:
  using Done = std::function<void(ToolResult)>;
  virtual ~IptablesTool() = default;

  // At most one call at a time. `done` is called exactly once, from the loop, never from inside the call; not after
  // destruction.
  virtual void save(Done done) = 0;
  virtual void restore(std::string input, Done done) = 0;
  // Ends the call under way; its `done` is never called. Only for save(): a restore may have done anything.
  virtual void cancel() = 0;

  // A number that changes whenever anybody changes any rule, if this flavour has one (nf_tables' generation); what was
  // read between two equal answers is still true.
  virtual std::optional<std::uint32_t> generation() = 0;
};

enum class IptablesFlavour : std::uint8_t { kLegacy, kNft };
std::string_view to_string(IptablesFlavour flavour);  // "legacy", "nft"

// Spec dataplane §24.2, §24.3.
struct Version {
  std::vector<int> parts;
  friend auto operator<=>(const Version&, const Version&) = default;  // numeric by component; a longer one is greater
};
struct DetectedFeatures {
  bool snat_fully_random = false;
  bool masquerade_fully_random = false;
  bool restore_lock = false;  // --wait
  bool nflog_size = false;
};
// Text that cannot be read counts as iptables 1.4.7 and kernel 3.10.0. `overrides` is FeatureDetectOverride.
DetectedFeatures detect_features(std::string_view iptables_version_output, std::string_view proc_version,
                                 const std::map<std::string, bool>& overrides = {});

struct IptablesPrograms {
  IptablesFlavour flavour = IptablesFlavour::kNft;
  std::string save4, restore4, save6, restore6;
  std::string version_text;  // of `iptables --version`
};
enum class FlavourSetting : std::uint8_t { kAuto, kLegacy, kNft };

// The programs of this machine, for start-up before the loop runs.
struct ProgramStarter {
  // Runs one to its end; its standard output, or why it failed.
  std::function<base::Result<std::string>(const std::vector<std::string>& arguments)> run;
  std::function<bool(const std::string& name)> installed;
};
ProgramStarter system_programs();

// Which flavour this host uses already (spec §13.6): the one where Kubernetes left a hint, else the one with more
// rules, legacy if equal. Runs up to eight short programs; nothing is changed.
[[nodiscard]] IptablesFlavour detect_flavour(const ProgramStarter& programs);

// Chooses flavour and programs. With kAuto, detects; otherwise only asks for the version, and whoever wants to warn
// about a different flavour in use calls detect_flavour() later. Fails if the programs are not installed.
[[nodiscard]] base::Result<IptablesPrograms> find_iptables(FlavourSetting setting, const ProgramStarter& programs,
                                                           bool ipv6 = true);

struct ToolOptions {
  std::string save_program;
  std::string restore_program;
  IptablesFlavour flavour = IptablesFlavour::kNft;
  bool lock_options = true;                           // DetectedFeatures::restore_lock
  std::chrono::milliseconds lock_probe_interval{50};  // IptablesLockProbeIntervalMillis
};
std::unique_ptr<IptablesTool> make_process_iptables(base::Loop& loop, ToolOptions options);

}  // namespace kernel
