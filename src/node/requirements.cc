#include "node/requirements.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

#include "base/strings.h"

namespace node {

std::string_view name_of(Facility facility) {
  switch (facility) {
    case Facility::kConntrackNetlink: return "nf_conntrack_netlink";
    case Facility::kIpTables: return "ip_tables";
    case Facility::kIp6Tables: return "ip6_tables";
    case Facility::kIpSet: return "ip_set";
    case Facility::kXtSet: return "xt_set";
    case Facility::kIptSet: return "ipt_set";
    case Facility::kRpfilter: return "ipt_rpfilter";
    case Facility::kReject: return "ipt_REJECT";
    case Facility::kIpip: return "ipip";
  }
  return {};
}

std::string_view to_string(Verdict verdict) {
  switch (verdict) {
    case Verdict::kOk: return "OK";
    case Verdict::kFail: return "FAIL";
    case Verdict::kWarning: return "WARN";
    case Verdict::kSkipped: return "SKIP";
  }
  return {};
}

namespace {

const std::vector<int> kOldestKernel = {3, 10};

// What makes a facility: its module under any name it has had, the symbol of the kernel's configuration, what to do
// without it, and whether the kernel's part alone is enough.
struct FacilityFacts {
  Facility facility;
  std::string_view modules;  // separated by blanks
  std::string_view symbols;
  std::string_view remedy;
  bool needs_tool = false;  // without it no list proves anything
};
constexpr FacilityFacts kFacts[] = {
    {Facility::kConntrackNetlink, "nf_conntrack_netlink", "CONFIG_NF_CT_NETLINK",
     "modprobe nf_conntrack_netlink. Without it connections of removed guests cannot be ended."},
    {Facility::kIpTables, "ip_tables", "CONFIG_IP_NF_IPTABLES CONFIG_IP_NF_IPTABLES_LEGACY",
     "Install iptables, then modprobe ip_tables (or nf_tables for its nft variant). Without it no policy is enforced.",
     true},
    {Facility::kIp6Tables, "ip6_tables", "CONFIG_IP6_NF_IPTABLES CONFIG_IP6_NF_IPTABLES_LEGACY",
     "modprobe ip6_tables, or set Ipv6Support=false if no guest has IPv6.", true},
    {Facility::kIpSet, "ip_set", "CONFIG_IP_SET", "modprobe ip_set. Without it no policy is enforced."},
    {Facility::kXtSet, "xt_set", "CONFIG_NETFILTER_XT_SET", "modprobe xt_set. Without it rules cannot use IP sets."},
    // The name of xt_set before kernel 3.x, kept as an alias.
    {Facility::kIptSet, "ipt_set xt_set", "CONFIG_NETFILTER_XT_SET CONFIG_IP_NF_SET",
     "modprobe xt_set: on kernels of this century ipt_set is an alias of it."},
    {Facility::kRpfilter, "ipt_rpfilter xt_rpfilter", "CONFIG_IP_NF_MATCH_RPFILTER CONFIG_NETFILTER_XT_MATCH_RPFILTER",
     "modprobe ipt_rpfilter. Without it guests could send with addresses that are not theirs."},
    // Not nft_reject_ipv4, which firewalls of nftables load: iptables' nft variant takes ipt_REJECT, too.
    {Facility::kReject, "ipt_REJECT", "CONFIG_IP_NF_TARGET_REJECT",
     "modprobe ipt_REJECT. Without it rules with REJECT cannot be written."},
    {Facility::kIpip, "ipip", "CONFIG_NET_IPIP",
     "modprobe ipip, or install the kernel's extra modules; else use pools with vxlanMode, or without encapsulation "
     "where all hosts are neighbours."},
};

Finding finding(std::string section, std::string name, Verdict verdict, std::string detail, std::string remedy = {}) {
  return {std::move(section), std::move(name), verdict, std::move(detail),
          verdict == Verdict::kOk ? std::string() : std::move(remedy)};
}

std::string dashes_as_underscores(std::string_view name) { return base::replace_all(name, "-", "_"); }

bool any_word(std::string_view words, const auto& predicate) {
  return std::ranges::any_of(base::split(words, ' '), predicate);
}

// What the kernel's lists say about modules and symbols.
class KernelLists {
 public:
  KernelLists(Prober& prober, const std::string& config_path) {
    const std::string release = prober.kernel_release();
    const std::string directory = "/lib/modules/" + release + "/";
    loaded_ = prober.read_file("/proc/modules").value_or("");
    builtin_ = prober.read_file(directory + "modules.builtin").value_or("");
    available_ = prober.read_file(directory + "modules.dep").value_or("");
    const std::vector<std::string> places =
        config_path.empty()
            ? std::vector<std::string>{"/boot/config-" + release, "/usr/src/linux/.config", directory + "build/.config"}
            : std::vector<std::string>{config_path};
    for (const std::string& place : places) {
      if (auto text = prober.read_file(place)) {
        config_ = *std::move(text);
        break;
      }
    }
  }

  // "loaded", "built into the kernel" or nothing.
  std::string_view certain(const FacilityFacts& facts) const {
    if (any_word(facts.modules, [&](std::string_view name) { return is_loaded(name); })) return "loaded";
    if (any_word(facts.modules, [&](std::string_view name) { return in_list(builtin_, name); }))
      return "built into the kernel";
    if (any_word(facts.symbols, [&](std::string_view symbol) { return has_line(std::string(symbol) + "=y"); }))
      return "built into the kernel, by its configuration";
    return {};
  }
  // A module that is not loaded.
  bool available(const FacilityFacts& facts) const {
    return available_.empty()
               ? is_made_as_module(facts)
               : any_word(facts.modules, [&](std::string_view name) { return in_list(available_, name); });
  }
  // Which may not be installed here: distributions put some into packages of their own.
  bool is_made_as_module(const FacilityFacts& facts) const {
    return any_word(facts.symbols, [&](std::string_view symbol) { return has_line(std::string(symbol) + "=m"); });
  }

 private:
  bool is_loaded(std::string_view name) const {
    return std::ranges::any_of(base::split(loaded_, '\n'), [&](std::string_view line) {
      return dashes_as_underscores(line.substr(0, line.find(' '))) == dashes_as_underscores(name);
    });
  }
  // "kernel/net/ipv4/ipip.ko.xz: …"; only what stands before the colon is the module itself.
  static bool in_list(const std::string& list, std::string_view name) {
    return std::ranges::any_of(base::split(list, '\n'), [&](std::string_view line) {
      line = line.substr(0, line.find(':'));
      line.remove_prefix(std::min(line.size(), line.rfind('/') + 1));
      return dashes_as_underscores(line.substr(0, line.find('.'))) == dashes_as_underscores(name);
    });
  }
  bool has_line(const std::string& wanted) const {
    return std::ranges::any_of(base::split(config_, '\n'),
                               [&](std::string_view line) { return base::trim(line) == wanted; });
  }

  std::string loaded_, builtin_, available_, config_;
};

Finding check_facility(Prober& prober, const KernelLists& lists, const FacilityFacts& facts) {
  const std::string name(name_of(facts.facility));
  const auto result = [&](Verdict verdict, std::string detail) {
    return finding("kernel modules", name, verdict, std::move(detail), std::string(facts.remedy));
  };
  const std::string_view certain = lists.certain(facts);
  if (!certain.empty() && !facts.needs_tool) return result(Verdict::kOk, std::string(certain));
  const bool there = !certain.empty() || lists.available(facts);
  const bool not_installed = !there && lists.is_made_as_module(facts);
  // A list cannot tell whether a module may be loaded, nor what a kernel without lists has built in: use it.
  const Trial trial = prober.try_facility(facts.facility);
  switch (trial.outcome) {
    case Trial::Outcome::kWorks: return result(Verdict::kOk, "works");
    case Trial::Outcome::kFails:
      return result(Verdict::kFail, (there           ? "its module is there, but using it fails: "
                                     : not_installed ? "its module is not in /lib/modules: "
                                                     : "") +
                                        trial.detail);
    case Trial::Outcome::kUnknown: break;
  }
  if (!certain.empty()) return result(Verdict::kOk, std::string(certain));
  if (there) return result(Verdict::kOk, "available as a module; " + trial.detail);
  return result(Verdict::kFail, "in no list of this kernel, and it could not be tried: " + trial.detail);
}

std::string os_release_value(std::string_view text, std::string_view name) {
  for (const std::string_view line : base::split(text, '\n')) {
    if (!line.starts_with(name) || line.substr(name.size(), 1) != "=") continue;
    std::string_view value = base::trim(line.substr(name.size() + 1));
    if (value.size() >= 2 && (value.front() == '"' || value.front() == '\'')) value = value.substr(1, value.size() - 2);
    return std::string(value);
  }
  return {};
}

}  // namespace

std::vector<int> version_numbers(std::string_view text) {
  std::vector<int> numbers;
  for (std::string_view part : base::split(text, '.')) {
    int number = 0;
    const auto [end, failure] = std::from_chars(part.data(), part.data() + part.size(), number);
    if (failure != std::errc()) break;
    numbers.push_back(number);
    if (end != part.data() + part.size()) break;
  }
  return numbers;
}

std::vector<Finding> check_kernel(Prober& prober) {
  const std::string machine = prober.machine(), release = prober.kernel_release();
  const bool amd64 = machine == "x86_64";
  const bool new_enough = version_numbers(release) >= kOldestKernel;
  return {finding("processor", "AMD64", amd64 ? Verdict::kOk : Verdict::kFail, machine,
                  "The programs are built for AMD64 only; use another host."),
          finding("kernel version", release, new_enough ? Verdict::kOk : Verdict::kFail, "3.10 or newer is needed",
                  "Minimum kernel version to run Calico is 3.10. Detected kernel version: " + release)};
}

std::vector<Finding> check_facilities(Prober& prober, const std::string& kernel_config) {
  const KernelLists lists(prober, kernel_config);
  std::vector<Finding> findings;
  for (const FacilityFacts& facts : kFacts) findings.push_back(check_facility(prober, lists, facts));
  return findings;
}

std::vector<Finding> check_distribution(Prober& prober) {
  struct Known {
    std::string_view id;
    std::vector<int> oldest;
  };
  static const std::vector<Known> kKnown = {{"rhel", {7}},      {"centos", {7}},     {"rocky", {8}},
                                            {"almalinux", {8}}, {"ubuntu", {16, 4}}, {"debian", {9}}};
  auto text = prober.read_file("/etc/os-release");
  if (!text) text = prober.read_file("/usr/lib/os-release");
  const std::string id = os_release_value(text.value_or(""), "ID");
  const std::string version = os_release_value(text.value_or(""), "VERSION_ID");
  const std::string name = id.empty() ? "unknown" : id + " " + version;
  const auto known = std::ranges::find(kKnown, std::string_view(id), &Known::id);
  const auto numbers = version_numbers(version);
  // Testing and unstable have no number.
  const bool fits = known != kKnown.end() && (numbers.empty() || numbers >= known->oldest);
  return {
      finding("distribution", name, fits ? Verdict::kOk : Verdict::kWarning,
              fits ? "" : "not among those the requirements name",
              "RHEL or CentOS 7, Ubuntu 16.04 and newer ones are what Calico names. The programs are static and run "
              "elsewhere too; kernel and tools are what matters.")};
}

namespace {

Finding etcd_finding(const ClusterView& cluster) {
  constexpr std::string_view kSection = "etcd";
  if (!cluster.server_version) {
    return finding(
        std::string(kSection), "reachable", Verdict::kFail, cluster.server_version.error().text(),
        "Check ETCD_ENDPOINTS or the configuration file, that etcd runs, its certificates, and that TCP 2379 "
        "is open to this host.");
  }
  const auto numbers = version_numbers(*cluster.server_version);
  const bool three = !numbers.empty() && numbers.front() >= 3;
  return finding(std::string(kSection), "version 3", three ? Verdict::kOk : Verdict::kFail,
                 "etcd " + *cluster.server_version + " at " + cluster.etcd, "Use etcd 3.4 or newer.");
}

Finding tcp_finding(Prober& prober, const Peer& peer, int port, const std::string& what) {
  const std::string name =
      "TCP " + std::to_string(port) + " to " + peer.name + (peer.address.is_v4() ? "" : " over IPv6");
  const std::string address = base::to_string(peer.address);
  switch (prober.connect_tcp(peer.address, port)) {
    case Reach::kOpen: return finding("connections", name, Verdict::kOk, address);
    case Reach::kRefused:
      return finding("connections", name, Verdict::kFail, address + " refuses",
                     what + " does not run there, or a firewall rejects: open TCP " + std::to_string(port) +
                         " in both directions.");
    case Reach::kSilent: break;
  }
  return finding("connections", name, Verdict::kFail, address + " does not answer",
                 "The host is down, or a firewall or security group drops: open TCP " + std::to_string(port) +
                     " in both directions.");
}

Finding ipip_finding(Prober& prober, const Peer& peer) {
  const std::string name = "protocol 4 to " + peer.name;
  const std::string address = base::to_string(peer.address);
  switch (prober.echo_through_ipip(peer.address)) {
    case Reach::kOpen: return finding("connections", name, Verdict::kOk, address + " answered through the tunnel");
    case Reach::kRefused:
      return finding("connections", name, Verdict::kFail, address + " rejects IP-in-IP",
                     "That host has no ipip module, or a firewall rejects: load it, allow IP protocol 4 (not a port).");
    case Reach::kSilent: break;
  }
  // A node that does not know this host drops its tunnel packets, as it should.
  return finding("connections", name, Verdict::kWarning, address + " did not answer through the tunnel",
                 "Nothing is wrong if the agent does not run on both hosts yet. Else allow IP protocol 4 (not a port) "
                 "between them.");
}

}  // namespace

std::vector<Finding> check_cluster(Prober& prober, const ClusterView& cluster) {
  std::vector<Finding> findings;
  if (cluster.etcd.empty()) {
    findings.push_back(finding("etcd", "reachable", Verdict::kSkipped, "the datastore is a directory"));
  } else {
    findings.push_back(etcd_finding(cluster));
  }
  for (const Peer& peer : cluster.etcd_hosts) findings.push_back(tcp_finding(prober, peer, 2379, "etcd"));
  for (const Peer& peer : cluster.nodes) {
    findings.push_back(tcp_finding(prober, peer, 179, "BIRD"));
    if (cluster.uses_ipip && peer.address.is_v4()) findings.push_back(ipip_finding(prober, peer));
  }
  if (cluster.nodes.empty())
    findings.push_back(finding("connections", "TCP 179", Verdict::kSkipped, "no other node is known yet"));
  if (!cluster.uses_ipip)
    findings.push_back(finding("connections", "protocol 4", Verdict::kSkipped, "no pool uses IP-in-IP"));
  return findings;
}

std::vector<Finding> check_system(Prober& prober, const CheckInput& input) {
  std::vector<Finding> all;
  const auto add = [&](std::vector<Finding> more) { std::ranges::move(more, std::back_inserter(all)); };
  add(check_kernel(prober));
  add(check_facilities(prober, input.kernel_config));
  add(check_distribution(prober));
  if (input.cluster) {
    add(check_cluster(prober, *input.cluster));
  } else {
    all.push_back(finding("etcd", "reachable", Verdict::kSkipped, "no datastore is configured on this host",
                          "Set ETCD_ENDPOINTS or write /etc/calico/calicoctl.cfg to have it checked."));
  }
  add(check_openstack(prober));
  return all;
}

}  // namespace node
