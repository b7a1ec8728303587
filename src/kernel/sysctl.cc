#include "kernel/sysctl.h"

#include <utility>

#include "base/strings.h"
#include "os/files.h"
#include "os/process.h"

namespace kernel {
namespace {

using base::Error;
using base::fail;
using base::Result;

enum class OnFailure { kError, kWarn, kIgnore };

struct InterfaceSetting {
  std::string_view directory;  // under net/
  std::string_view name;
  std::string_view value;  // "" means rp_filter's
  OnFailure on_failure;
  bool ipv6_only;  // only with Ipv6Support
};
constexpr InterfaceSetting kInterfaceSettings[] = {
    {"ipv6/conf", "accept_ra", "0", OnFailure::kIgnore, false},
    {"ipv4/conf", "route_localnet", "1", OnFailure::kError, false},
    {"ipv4/neigh", "proxy_delay", "0", OnFailure::kWarn, false},
    {"ipv4/conf", "proxy_arp", "1", OnFailure::kError, false},
    {"ipv4/conf", "forwarding", "1", OnFailure::kError, false},
    {"ipv4/conf", "rp_filter", "", OnFailure::kError, false},
    {"ipv6/conf", "proxy_ndp", "1", OnFailure::kError, true},
    {"ipv6/conf", "forwarding", "1", OnFailure::kError, true},
};

void load_sctp_tracking(base::Log& log) {
  // Part of nf_conntrack itself since 4.18; the module exists on older kernels only.
  if (os::file_exists("/proc/sys/net/netfilter/nf_conntrack_sctp_timeout_established")) return;
  const auto outcome =
      os::run({.arguments = {"modprobe", "nf_conntrack_proto_sctp"}, .timeout = std::chrono::seconds(10)});
  if (outcome && outcome->ok()) return;
  log.info("kernel.sctp_module", "SCTP connection tracking module not loaded",
           {{"reason", outcome ? outcome->describe() : outcome.error().text()}});
}

}  // namespace

Result<std::string> ProcSysctl::read(const std::string& path) {
  auto content = os::read_file(root_ + "/" + path, 4096);
  if (!content) return fail(std::move(content).error());
  return std::string(base::trim(*content));
}

Result<> ProcSysctl::write(const std::string& path, std::string_view value) {
  return os::write_in_place(root_ + "/" + path, value);
}

Result<std::string> FakeSysctl::read(const std::string& path) {
  const auto found = values.find(path);
  if (found == values.end()) return fail(Error::not_found(path));
  return found->second;
}

Result<> FakeSysctl::write(const std::string& path, std::string_view value) {
  const auto found = values.find(path);
  if (found == values.end()) return fail(Error::not_found(path));
  if (read_only.contains(path)) return fail(Error::system(30, path));  // EROFS
  found->second = value;
  writes.push_back(path + "=" + std::string(value));
  return {};
}

Result<> set_sysctl(Sysctl& sysctl, const std::string& path, std::string_view value, SyncCounters& counters) {
  const auto current = sysctl.read(path);
  if (current && *current == value) return {};
  ++counters.writes;
  auto written = sysctl.write(path, value);
  if (written) return {};
  ++counters.errors;
  return fail(std::move(written).error().in("sysctl " + base::replace_all(path, "/", ".") + "=" + std::string(value)));
}

std::string default_rp_filter(Sysctl& sysctl) { return sysctl.read("net/ipv4/conf/default/rp_filter").value_or("1"); }

Result<> configure_interface(Sysctl& sysctl, const InterfaceSysctls& settings, base::Log& log, SyncCounters& counters) {
  for (const InterfaceSetting& setting : kInterfaceSettings) {
    if (setting.ipv6_only && !settings.ipv6) continue;
    std::string path("net/");
    path.append(setting.directory).append("/").append(settings.interface).append("/").append(setting.name);
    auto done = set_sysctl(sysctl, path, setting.value.empty() ? settings.rp_filter : setting.value, counters);
    if (done) continue;
    switch (setting.on_failure) {
      case OnFailure::kError: return done;
      case OnFailure::kWarn:
        log.warning("kernel.sysctl", "interface setting not written", {{"error", done.error().text()}});
        break;
      case OnFailure::kIgnore:
        log.debug("kernel.sysctl", "interface setting not written", {{"error", done.error().text()}});
        break;
    }
  }
  return {};
}

Result<> configure_host(Sysctl& sysctl, const HostSettings& settings, base::Log& log, SyncCounters& counters) {
  load_sctp_tracking(log);
  const auto set = [&](const std::string& path) { return set_sysctl(sysctl, path, "1", counters); };
  if (settings.ip_forwarding) {
    if (auto done = set("net/ipv4/ip_forward"); !done) {
      log.error("kernel.forwarding", "IPv4 forwarding is not on: workloads will not be reachable",
                {{"error", done.error().text()}});
    }
    if (settings.ipv6) {
      if (auto done = set("net/ipv6/conf/all/forwarding"); !done) {
        log.error("kernel.forwarding", "IPv6 forwarding is not on: workloads will not be reachable",
                  {{"error", done.error().text()}});
      }
    }
  }
  if (auto done = set("net/netfilter/nf_conntrack_acct"); !done) {
    log.warning("kernel.conntrack_acct", "connection accounting is not on", {{"error", done.error().text()}});
  }
  return write_mtu_file(settings, log);
}

Result<> write_mtu_file(const HostSettings& settings, base::Log& log) {
  const std::string mtu = std::to_string(settings.workload_mtu);
  if (const auto current = os::read_file(settings.mtu_file, 64); current && *current == mtu) return {};
  const auto slash = settings.mtu_file.rfind('/');
  Result<> written;
  if (slash != std::string::npos && slash > 0) written = os::make_directories(settings.mtu_file.substr(0, slash));
  if (written) written = os::write_file_atomic(settings.mtu_file, mtu);
  if (written) return {};
  if (settings.require_mtu_file) return fail(std::move(written).error().in("RequireMTUFile"));
  log.warning("kernel.mtu_file", "MTU file not written", {{"error", written.error().text()}});
  return {};
}

}  // namespace kernel
