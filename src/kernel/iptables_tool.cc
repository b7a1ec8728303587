#include "kernel/iptables_tool.h"

#include <algorithm>
#include <charconv>
#include <cstring>
#include <utility>

#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/fd.h"
#include "base/strings.h"
#include "os/memory.h"
#include "os/process.h"

namespace kernel {
namespace {

// A full dump of 6,000 endpoints is 60 MB; a program gone mad must not fill the memory.
constexpr std::size_t kOutputLimit = 256u << 20;
constexpr base::Duration kTimeout = std::chrono::minutes(1);
// After reading this much, what it took to read it is worth giving back; it happens minutes apart.
constexpr std::size_t kBigOutput = 1u << 20;

// The number after `marker`, as "v1.8.9" or "Linux version 6.1.0-13-amd64"; empty if there is none.
Version version_after(std::string_view text, std::string_view marker) {
  Version version;
  std::size_t at = text.find(marker);
  while (at != text.npos) {
    const char* from = text.data() + at + marker.size();
    const char* const end = text.data() + text.size();
    int part = 0;
    for (auto read = std::from_chars(from, end, part); read.ec == std::errc() && version.parts.size() < 4;
         read = std::from_chars(from, end, part)) {
      version.parts.push_back(part);
      if (read.ptr == end || (*read.ptr != '.' && *read.ptr != '-')) break;
      from = read.ptr + 1;
    }
    if (version.parts.size() >= 3) return version;
    version.parts.clear();
    at = text.find(marker, at + 1);
  }
  return version;
}

std::size_t count_rules(const base::Result<std::string>& saved) {
  if (!saved) return 0;
  const auto lines = base::split(*saved, '\n');
  return static_cast<std::size_t>(
      std::count_if(lines.begin(), lines.end(), [](std::string_view line) { return line.starts_with('-'); }));
}

bool has_kubelet_hint(const base::Result<std::string>& saved) {
  return saved &&
         (saved->find("KUBE-IPTABLES-HINT") != saved->npos || saved->find("KUBE-KUBELET-CANARY") != saved->npos);
}

// The generation counter of nf_tables in this network namespace: one small request, answered inside the send.
class NftGeneration {
 public:
  NftGeneration() : fd_(::socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER)) {}

  std::optional<std::uint32_t> read() {
    struct {
      nlmsghdr header;
      nfgenmsg netfilter;
    } request{};
    request.header.nlmsg_len = sizeof(request);
    request.header.nlmsg_type = (NFNL_SUBSYS_NFTABLES << 8) | NFT_MSG_GETGEN;
    request.header.nlmsg_flags = NLM_F_REQUEST;
    request.header.nlmsg_seq = ++sequence_;
    alignas(nlmsghdr) char answer[1024];
    if (!fd_ || ::send(fd_.get(), &request, sizeof(request), 0) != static_cast<ssize_t>(sizeof(request)))
      return std::nullopt;
    const ssize_t got = ::recv(fd_.get(), answer, sizeof(answer), MSG_DONTWAIT);
    if (got < static_cast<ssize_t>(sizeof(request) + sizeof(nlattr) + sizeof(std::uint32_t))) return std::nullopt;
    nlmsghdr header;
    nlattr attribute;
    std::memcpy(&header, answer, sizeof(header));
    std::memcpy(&attribute, answer + sizeof(request), sizeof(attribute));
    if (header.nlmsg_seq != sequence_ || attribute.nla_type != NFTA_GEN_ID) return std::nullopt;
    std::uint32_t generation = 0;  // big-endian, but only compared
    std::memcpy(&generation, answer + sizeof(request) + sizeof(attribute), sizeof(generation));
    return generation;
  }

 private:
  base::Fd fd_;
  std::uint32_t sequence_ = 0;
};

class ProcessIptables final : public IptablesTool {
 public:
  ProcessIptables(base::Loop& loop, ToolOptions options) : loop_(loop), options_(std::move(options)) {}
  ~ProcessIptables() override { *alive_ = false; }

  void save(Done done) override { start({.arguments = {options_.save_program}}, std::move(done)); }

  void restore(std::string input, Done done) override {
    std::vector<std::string> arguments{options_.restore_program, "--noflush"};
    if (options_.lock_options) {
      // The lock time is Calico's; the interval is in microseconds.
      arguments.insert(arguments.end(), {"--wait", "10", "--wait-interval",
                                         std::to_string(options_.lock_probe_interval.count() * 1000)});
    }
    start({.arguments = std::move(arguments), .input = std::move(input)}, std::move(done));
  }

  void cancel() override { process_.reset(); }

  std::optional<std::uint32_t> generation() override {
    if (options_.flavour != IptablesFlavour::kNft) return std::nullopt;
    return generation_.read();
  }

 private:
  void start(os::Command command, Done done) {
    command.timeout = kTimeout;
    command.output_limit = kOutputLimit;
    auto started = os::Process::start(loop_, std::move(command), [this, done](os::Outcome outcome) {
      const std::unique_ptr<os::Process> ended = std::move(process_);
      ToolResult result{
          outcome.ok() && !outcome.output_cut, std::move(outcome.output), {}, {}, outcome.run_time, outcome.start_time};
      if (!result.ok) result.description = outcome.output_cut ? "printed too much" : outcome.describe();
      result.errors = std::move(outcome.errors);
      const bool big = result.output.size() >= kBigOutput;
      done(std::move(result));
      if (big) os::release_unused_memory();
    });
    if (started) {
      process_ = *std::move(started);
      return;
    }
    loop_.post([alive = alive_, done = std::move(done), text = started.error().text()] {
      if (*alive) done({false, {}, text, text, {}, {}});
    });
  }

  base::Loop& loop_;
  ToolOptions options_;
  std::unique_ptr<os::Process> process_;
  NftGeneration generation_;
  std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);
};

}  // namespace

std::string_view to_string(IptablesFlavour flavour) { return flavour == IptablesFlavour::kLegacy ? "legacy" : "nft"; }

DetectedFeatures detect_features(std::string_view iptables_version_output, std::string_view proc_version,
                                 const std::map<std::string, bool>& overrides) {
  Version iptables = version_after(iptables_version_output, "v");
  if (iptables.parts.empty()) iptables = {{1, 4, 7}};
  Version kernel = version_after(proc_version, "Linux version ");
  if (kernel.parts.empty()) kernel = {{3, 10, 0}};
  const auto feature = [&](const char* name, bool detected) {
    const auto found = overrides.find(name);
    return found == overrides.end() ? detected : found->second;
  };
  const bool random_kernel = kernel >= Version{{3, 14, 0}};
  return {.snat_fully_random = feature("SNATFullyRandom", random_kernel && iptables >= Version{{1, 6, 0}}),
          .masquerade_fully_random = feature("MASQFullyRandom", random_kernel && iptables >= Version{{1, 6, 2}}),
          .restore_lock = feature("RestoreSupportsLock", iptables >= Version{{1, 6, 2}}),
          .nflog_size = feature("NFLogSize", kernel >= Version{{4, 8, 0}})};
}

ProgramStarter system_programs() {
  const auto run = [](const std::vector<std::string>& arguments) -> base::Result<std::string> {
    auto outcome = os::run({.arguments = arguments, .timeout = kTimeout, .output_limit = kOutputLimit});
    if (!outcome) return base::fail(std::move(outcome).error());
    if (!outcome->ok()) return base::fail(base::Error::unavailable(arguments.front() + ": " + outcome->describe()));
    return std::move(outcome->output);
  };
  return {run, [](const std::string& name) { return os::find_program(name).has_value(); }};
}

IptablesFlavour detect_flavour(const ProgramStarter& programs) {
  const auto hinted = [&](const char* flavour) {
    for (const char* family : {"6", ""}) {
      const std::string program = std::string("ip") + family + "tables-" + flavour + "-save";
      if (has_kubelet_hint(programs.run({program, "-t", "mangle"}))) return true;
    }
    return false;
  };
  if (hinted("nft")) return IptablesFlavour::kNft;
  if (hinted("legacy")) return IptablesFlavour::kLegacy;
  const auto rules = [&](const char* flavour) {
    return count_rules(programs.run({std::string("ip6tables-") + flavour + "-save"})) +
           count_rules(programs.run({std::string("iptables-") + flavour + "-save"}));
  };
  return rules("legacy") >= rules("nft") ? IptablesFlavour::kLegacy : IptablesFlavour::kNft;
}

base::Result<IptablesPrograms> find_iptables(FlavourSetting setting, const ProgramStarter& programs, bool ipv6) {
  IptablesPrograms found;
  found.flavour = setting == FlavourSetting::kLegacy ? IptablesFlavour::kLegacy
                  : setting == FlavourSetting::kNft  ? IptablesFlavour::kNft
                                                     : detect_flavour(programs);
  const std::string flavour(to_string(found.flavour));
  struct Wanted {
    std::string base, verb;
    std::string* into;
  };
  std::vector<Wanted> wanted{{"iptables-", "save", &found.save4}, {"iptables-", "restore", &found.restore4}};
  if (ipv6)
    wanted.insert(wanted.end(), {{"ip6tables-", "save", &found.save6}, {"ip6tables-", "restore", &found.restore6}});
  for (const Wanted& program : wanted) {
    // Releases before 1.8 know one flavour only and leave it out of the name.
    const std::string precise = program.base + flavour + "-" + program.verb;
    const std::string plain = program.base + program.verb;
    *program.into = programs.installed(precise) ? precise : plain;
    if (*program.into == plain && !programs.installed(plain)) {
      return base::fail(base::Error::not_found("neither " + precise + " nor " + plain +
                                               " is installed; install the iptables package"));
    }
  }
  const std::string precise = "iptables-" + flavour;
  if (auto version = programs.run({programs.installed(precise) ? precise : "iptables", "--version"})) {
    found.version_text = *std::move(version);
  }
  return found;
}

std::unique_ptr<IptablesTool> make_process_iptables(base::Loop& loop, ToolOptions options) {
  return std::make_unique<ProcessIptables>(loop, std::move(options));
}

}  // namespace kernel
