// The real Prober. Facilities are used in a network namespace of one thread, which disappears with the thread.

#include <linux/if_link.h>
#include <linux/if_tunnel.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/utsname.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <map>
#include <optional>
#include <set>
#include <thread>
#include <utility>

#include "kernel/ipset_netlink.h"
#include "kernel/netlink/socket.h"
#include "node/prober.h"
#include "node/reach.h"
#include "os/files.h"
#include "os/process.h"

namespace node {
namespace {

using Outcome = Trial::Outcome;
using kernel::netlink::Batch;

constexpr std::string_view kSet = "percale-probe";
constexpr base::Duration kToolTimeout = std::chrono::seconds(20);

Trial works() { return {Outcome::kWorks, {}}; }
Trial fails(std::string detail) { return {Outcome::kFails, std::move(detail)}; }
Trial unknown(std::string detail) { return {Outcome::kUnknown, std::move(detail)}; }

// A failure that is ours and not the kernel's proves nothing.
Trial judged(const base::Error& error) {
  const bool ours = error.error_number() == EPERM || error.error_number() == EACCES || error.error_number() == EMFILE;
  return ours ? unknown(error.text()) : fails(error.text());
}

class SystemProber final : public Prober {
 public:
  explicit SystemProber(std::string tools) : tools_(std::move(tools)) {}

  std::string kernel_release() override {
    utsname name{};
    return ::uname(&name) == 0 ? name.release : "";
  }
  std::string machine() override {
    utsname name{};
    return ::uname(&name) == 0 ? name.machine : "";
  }
  base::Result<std::string> read_file(const std::string& path) override { return os::read_file(path); }

  Trial try_facility(Facility facility) override {
    Trial trial = unknown("no answer");
    std::thread scratch([&] {
      if (::unshare(CLONE_NEWNET) != 0) {
        trial = unknown(base::Error::system(errno, "make a network namespace (are you root?)").text());
        return;
      }
      trial = use(facility);
    });
    scratch.join();
    return trial;
  }

  base::Result<std::string> output_of(const std::vector<std::string>& command) override {
    auto outcome = os::run({.arguments = command, .timeout = kToolTimeout});
    if (!outcome) return base::fail(std::move(outcome).error());
    return outcome->output + outcome->errors;
  }

  Reach connect_tcp(const base::IpAddress& address, int port) override { return node::connect_tcp(address, port); }
  Reach echo_through_ipip(const base::IpAddress& address) override { return node::echo_through_ipip(address); }

 private:
  Trial use(Facility facility) {
    switch (facility) {
      case Facility::kConntrackNetlink: return list_connections();
      case Facility::kIpTables: return new_chain("iptables");
      case Facility::kIp6Tables: return new_chain("ip6tables");
      case Facility::kIpSet: return make_set();
      case Facility::kXtSet:
      case Facility::kIptSet: return match_set();
      case Facility::kRpfilter:
        return in_table({"-t", "raw", "-A", "PREROUTING", "-m", "rpfilter", "--invert", "-j", "DROP"});
      case Facility::kReject: return in_table({"-t", "filter", "-A", "FORWARD", "-j", "REJECT"});
      case Facility::kIpip: return make_tunnel();
    }
    return unknown("no such facility");
  }

  static Trial list_connections() {
    auto socket = kernel::netlink::Socket::open(kernel::netlink::Bus::kNetfilter);
    if (!socket) return judged(socket.error());
    Batch batch;
    batch.begin(static_cast<std::uint16_t>((NFNL_SUBSYS_CTNETLINK << 8) | IPCTNL_MSG_CT_GET), NLM_F_DUMP);
    batch.header(nfgenmsg{.nfgen_family = AF_INET, .version = NFNETLINK_V0, .res_id = 0});
    batch.end();
    const auto done = socket->dump(batch, "connections", [] {}, [](const kernel::netlink::Message&) {});
    return done ? works() : judged(done.error());
  }

  static Trial make_set() {
    auto sets = kernel::NetlinkIpSets::open();
    if (!sets) return judged(sets.error());
    reconcile::IpSetEdit create{.kind = reconcile::IpSetEdit::Kind::kCreate,
                                .set = std::string(kSet),
                                .shape = {.type = reconcile::IpSetType::kHashNet, .max_elements = 64}};
    const auto outcomes = (*sets)->apply(std::span(&create, 1));
    if (!outcomes) return judged(outcomes.error());
    if (outcomes->empty() || outcomes->front().failure != reconcile::IpSetFailure::kNone)
      return fails("the kernel refuses to create a hash:net set");
    return works();
  }

  static Trial make_tunnel() {
    auto socket = kernel::netlink::Socket::open(kernel::netlink::Bus::kRoute);
    if (!socket) return judged(socket.error());
    Batch batch;
    batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL);
    batch.header(ifinfomsg{});
    batch.put_text(IFLA_IFNAME, "percale-probe");
    const std::size_t info = batch.nest(IFLA_LINKINFO);
    batch.put_text(IFLA_INFO_KIND, "ipip");
    const std::size_t data = batch.nest(IFLA_INFO_DATA);
    batch.put_address(IFLA_IPTUN_LOCAL, base::IpAddress::v4(0xC0000201));  // 192.0.2.1
    batch.put_address(IFLA_IPTUN_REMOTE, base::IpAddress::v4(0xC0000202));
    batch.end_nest(data);
    batch.end_nest(info);
    batch.end();
    const auto replies = socket->execute(batch);
    if (!replies) return judged(replies.error());
    if (replies->empty()) return unknown("no answer");
    const int error = replies->front().error;
    if (error == 0) return works();
    return judged(base::Error::system(error, "create an ipip device"));
  }

  // The tool of that name, or its two variants: whichever works is what the agent will find, too.
  Trial rule(const std::string& tool, const std::vector<std::string>& words) {
    Trial last = fails(tool + " is not installed");
    for (const std::string& program : variants(tool)) {
      std::vector<std::string> command = {program, "-w", "5"};
      command.insert(command.end(), words.begin(), words.end());
      const auto outcome = os::run({.arguments = command, .timeout = kToolTimeout});
      if (!outcome) return unknown(outcome.error().text());
      if (outcome->ok()) {
        working_[tool] = program;
        return works();
      }
      last = fails(program.substr(program.rfind('/') + 1) + ": " + outcome->describe());
    }
    return last;
  }

  // Paths of the installed ones, that which worked before first. Names for the same program count once.
  std::vector<std::string> variants(const std::string& tool) {
    std::vector<std::string> programs;
    std::set<std::filesystem::path> seen;
    const auto add = [&](const std::string& program) {
      std::error_code failure;
      auto real = std::filesystem::canonical(program, failure);
      if (seen.insert(failure ? std::filesystem::path(program) : std::move(real)).second) programs.push_back(program);
    };
    if (const auto found = working_.find(tool); found != working_.end()) add(found->second);
    for (const std::string& name : {tool, tool + "-nft", tool + "-legacy"}) {
      const std::string own = tools_ + "/" + name;
      if (!tools_.empty() && os::file_exists(own)) {
        add(own);
      } else if (const auto program = os::find_program(name)) {
        add(*program);
      }
    }
    return programs;
  }

  Trial new_chain(const std::string& tool) { return rule(tool, {"-t", "filter", "-N", "percale-probe"}); }

  // A match or a target. Where there are no tables, or no sets, to try it in, that proves nothing about it.
  Trial in_table(const std::vector<std::string>& words) {
    Trial trial = rule("iptables", words);
    if (trial.outcome == Outcome::kFails && new_chain("iptables").outcome != Outcome::kWorks)
      return unknown("there is no iptables to try it with");
    return trial;
  }

  // Two names of one thing.
  Trial match_set() {
    if (!match_set_) {
      match_set_ = make_set().outcome == Outcome::kWorks
                       ? in_table({"-t", "filter", "-A", "FORWARD", "-m", "set", "--match-set", std::string(kSet),
                                   "src", "-j", "ACCEPT"})
                       : unknown("there are no IP sets to try it with");
    }
    return *match_set_;
  }

  const std::string tools_;
  std::map<std::string, std::string> working_;  // tool -> variant
  std::optional<Trial> match_set_;
};

}  // namespace

std::unique_ptr<Prober> make_system_prober(std::string tools) {
  return std::make_unique<SystemProber>(std::move(tools));
}

}  // namespace node
