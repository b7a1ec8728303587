#include "agent/kernel_side.h"

#include <algorithm>
#include <vector>

#include "agent/settings_map.h"
#include "agent/status_files.h"
#include "base/strings.h"
#include "kernel/arp_table.h"
#include "kernel/conntrack_netlink.h"
#include "kernel/device.h"
#include "kernel/fdb.h"
#include "kernel/ipset_netlink.h"
#include "kernel/mtu.h"
#include "kernel/route_netlink.h"
#include "os/files.h"

namespace agent {
namespace {

using P = config::Parameter;

constexpr std::chrono::milliseconds kMinNetlinkTimeout{1'000};

kernel::FlavourSetting flavour_setting(std::string_view text) {
  if (text == "legacy") return kernel::FlavourSetting::kLegacy;
  if (text == "nft") return kernel::FlavourSetting::kNft;
  return kernel::FlavourSetting::kAuto;
}

// FeatureDetectOverride: "true" and "false" count, anything else is left to detection.
std::map<std::string, bool> feature_overrides(const config::TextMap& texts) {
  std::map<std::string, bool> out;
  for (const auto& [name, text] : texts) {
    if (text == "true" || text == "false") out[name] = text == "true";
  }
  return out;
}

EndpointStatus to_status(dataplane::EndpointStatus status) {
  switch (status) {
    case dataplane::EndpointStatus::kUp: return EndpointStatus::kUp;
    case dataplane::EndpointStatus::kDown: return EndpointStatus::kDown;
    case dataplane::EndpointStatus::kError: return EndpointStatus::kError;
  }
  return EndpointStatus::kError;
}

}  // namespace

struct KernelSide::KernelPorts {
  std::unique_ptr<kernel::NetlinkIpSets> sets;
  std::unique_ptr<kernel::NetlinkRoutes> routes;
  std::unique_ptr<kernel::NetlinkConntrackCleaner> conntrack;
  std::unique_ptr<kernel::NetlinkNeighbours> neighbours;
  std::unique_ptr<kernel::NetlinkDevices> devices;
  std::unique_ptr<kernel::NetlinkFdb> fdb;
  kernel::ProcSysctl sysctl;
  kernel::SyncCounters host_writes;
  std::unique_ptr<kernel::IptablesTool> v4;
  std::unique_ptr<kernel::IptablesTool> v6;
};

KernelSide::KernelSide(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, HealthAggregator& health,
                       Sinks sinks)
    : loop_(loop),
      log_(log),
      metrics_(metrics),
      health_(health),
      sinks_(std::move(sinks)),
      ports_(std::make_unique<KernelPorts>()) {}

KernelSide::~KernelSide() {
  loop_.cancel(health_timer_);
  loop_.cancel(mtu_timer_);
}

base::Result<std::unique_ptr<KernelSide>> KernelSide::create(base::Loop& loop, base::Log& log,
                                                             base::MetricRegistry& metrics, HealthAggregator& health,
                                                             const Options& options, Sinks sinks) {
  std::unique_ptr<KernelSide> side(new KernelSide(loop, log, metrics, health, std::move(sinks)));
  const config::Resolved& config = options.config;
  const bool kernel_has_ipv6 = os::file_exists("/proc/sys/net/ipv6");
  if (config.flag(P::kIpv6Support) && !kernel_has_ipv6) {
    log.warning("kernel.no_ipv6", "This kernel has no IPv6; only IPv4 is programmed");
  }
  if (config.text(P::kNFTablesMode) == "Enabled") {
    log.warning("kernel.no_nftables",
                "The nftables back end does not exist yet; iptables is used, with the nftables parameters");
  }
  side->config_ = config;
  side->paths_ = {config::region_text(config), config.text(P::kFelixHostname)};

  render::Settings render = render_settings(config, options.encapsulation, options.hostname, kernel_has_ipv6);
  if (auto opened = side->open_ports(config, render.ipv6, render.features); !opened)
    return base::fail(std::move(opened).error());
  const render::TunnelRules found = side->old_tunnels(tunnel_settings(config, options.encapsulation, {}));
  render.tunnels.ipip |= found.ipip;
  render.tunnels.vxlan_v4 |= found.vxlan_v4;
  render.tunnels.vxlan_v6 |= found.vxlan_v6;
  if (auto opened = side->open_monitor(config); !opened) return base::fail(std::move(opened).error());
  side->mtu_at_start_ = side->current_mtu();
  const kernel::Mtus mtus = agent::mtus(config, options.encapsulation, side->mtu_at_start_);
  KernelPorts& ports = *side->ports_;
  dataplane::Settings settings = dataplane_settings(config, render);
  settings.workload.rp_filter = kernel::default_rp_filter(ports.sysctl);
  settings.tunnels = tunnel_settings(config, options.encapsulation, mtus);
  settings.tunnels.found = found;
  if (settings.tunnels.any()) settings.workload.largest_mtu = mtus.workload;
  auto plane =
      dataplane::Dataplane::create(loop, log, metrics, std::move(settings),
                                   {*ports.sets, *ports.routes, *ports.conntrack, *ports.neighbours, ports.sysctl,
                                    *ports.v4, ports.v6.get(), ports.devices.get(), ports.fdb.get()},
                                   *side);
  if (!plane) return base::fail(std::move(plane).error());
  side->plane_ = *std::move(plane);
  side->catch_up();
  if (auto prepared = side->prepare_host(options, render.ipv6, mtus.workload); !prepared)
    return base::fail(std::move(prepared).error());

  health.add(std::string(kDataplaneReporter), {}, config::watchdog_timeout(config));
  side->report_health();
  side->mtu_timer_ = loop.after(kMtuCheckInterval, [s = side.get()] { s->check_mtu(); });
  side->heartbeat_ = std::make_unique<Heartbeat>(loop, config.duration(P::kReportingIntervalSecs),
                                                 [s = side.get()] { s->sinks_.beat(); });
  return side;
}

void KernelSide::order(const TunnelOrder& order) {
  const kernel::Mtus mtus = agent::mtus(config_, order.encapsulation, mtu_at_start_);
  dataplane::TunnelSettings settings = tunnel_settings(config_, order.encapsulation, mtus);
  settings.ipip_address = order.ipip_address;
  settings.vxlan_address_v4 = order.vxlan_address_v4;
  settings.vxlan_address_v6 = order.vxlan_address_v6;
  const std::uint32_t largest = settings.any() ? mtus.workload : 0;
  plane_->set_tunnels(std::move(settings), largest, order.number);
  kernel::HostSettings host;
  host.workload_mtu = mtus.workload;
  (void)kernel::write_mtu_file(host, log_);  // says itself what goes wrong
}

base::Result<> KernelSide::open_ports(const config::Resolved& config, bool ipv6, render::Features& features) {
  auto programs =
      kernel::find_iptables(flavour_setting(config.text(P::kIptablesBackend)), kernel::system_programs(), ipv6);
  if (!programs) return base::fail(std::move(programs).error());
  const kernel::DetectedFeatures detected =
      kernel::detect_features(programs->version_text, os::read_file("/proc/version").value_or(""),
                              feature_overrides(config.map(P::kFeatureDetectOverride)));
  features = {detected.snat_fully_random, detected.masquerade_fully_random, detected.nflog_size};
  log_.info("kernel.iptables", "Using iptables",
            {{"flavour", to_string(programs->flavour)}, {"version", base::trim(programs->version_text)}});

  kernel::ToolOptions tool;
  tool.flavour = programs->flavour;
  tool.lock_options = detected.restore_lock;
  tool.lock_probe_interval =
      std::chrono::duration_cast<std::chrono::milliseconds>(config.duration(P::kIptablesLockProbeIntervalMillis));
  tool.save_program = programs->save4;
  tool.restore_program = programs->restore4;
  ports_->v4 = kernel::make_process_iptables(loop_, tool);
  if (ipv6) {
    tool.save_program = programs->save6;
    tool.restore_program = programs->restore6;
    ports_->v6 = kernel::make_process_iptables(loop_, tool);
  }

  kernel::netlink::SocketOptions netlink;
  netlink.timeout =
      std::max(kMinNetlinkTimeout,
               std::chrono::duration_cast<std::chrono::milliseconds>(config.duration(P::kNetlinkTimeoutSecs)));
  const auto keep = [](auto opened, auto& slot) -> base::Result<> {
    if (!opened) return base::fail(std::move(opened).error());
    slot = *std::move(opened);
    return {};
  };
  if (auto done = keep(kernel::NetlinkIpSets::open(netlink), ports_->sets); !done) return done;
  if (auto done = keep(kernel::NetlinkRoutes::open(netlink), ports_->routes); !done) return done;
  if (auto done = keep(kernel::NetlinkConntrackCleaner::open(loop_), ports_->conntrack); !done) return done;
  if (auto done = keep(kernel::NetlinkDevices::open(netlink), ports_->devices); !done) return done;
  if (auto done = keep(kernel::NetlinkFdb::open(netlink), ports_->fdb); !done) return done;
  return keep(kernel::NetlinkNeighbours::open(netlink), ports_->neighbours);
}

base::Result<> KernelSide::open_monitor(const config::Resolved& config) {
  auto pattern = kernel::compile_mtu_pattern(config.text(P::kMTUIfacePattern));
  if (!pattern) return base::fail(std::move(pattern).error().in("MTUIfacePattern"));
  mtu_pattern_ = *std::move(pattern);
  kernel::LinkMonitorOptions links;
  links.refresh_interval = config.duration(P::kInterfaceRefreshInterval);
  links.exclude.clear();
  for (const std::string& expression : config.texts(P::kInterfaceExclude))
    links.exclude.push_back("/" + expression + "/");
  auto monitor = kernel::LinkMonitor::open(loop_, *this, links);
  if (!monitor) return base::fail(std::move(monitor).error().in("watching interfaces"));
  monitor_ = *std::move(monitor);
  monitor_->start();
  return {};
}

// A tunnel that no pool uses any more goes on taking packets for a while (dataplane::Tunnels), and then still from
// known hosts only.
render::TunnelRules KernelSide::old_tunnels(const dataplane::TunnelSettings& settings) const {
  const auto there = [this](std::string_view name) -> std::optional<reconcile::DeviceState> {
    const auto device = ports_->devices->read(name);
    return device && *device && (*device)->up ? *device : std::nullopt;
  };
  render::TunnelRules found;
  found.vxlan_v4 = there(dataplane::vxlan_device(base::Family::kIpv4)).has_value();
  found.vxlan_v6 = there(dataplane::vxlan_device(base::Family::kIpv6)).has_value();
  // tunl0 is everybody's. Ours may have lost its address since, and without rules strangers' packets would come out of
  // it; so whatever is taken down in the end is guarded until then.
  const auto tunnel = there(dataplane::kIpipDevice);
  if (!tunnel) return found;
  const auto own = settings.ipip_address ? std::optional(base::Prefix::host(*settings.ipip_address)) : std::nullopt;
  found.ipip = settings.retire_ipip ||
               std::find(tunnel->addresses.begin(), tunnel->addresses.end(), own) != tunnel->addresses.end();
  return found;
}

// What the monitor has said before there was a data plane to hear it.
void KernelSide::catch_up() {
  for (const auto& [name, link] : links_) plane_->on_link(link);
  for (const auto& [name, addresses] : std::exchange(early_addresses_, {})) plane_->on_addresses(name, addresses);
  plane_->on_links_in_sync();
}

base::Result<> KernelSide::prepare_host(const Options& options, bool ipv6, std::uint32_t workload_mtu) {
  kernel::HostSettings host;
  host.ip_forwarding = options.config.text(P::kIPForwarding) == "Enabled";
  host.ipv6 = ipv6;
  host.workload_mtu = workload_mtu;
  host.require_mtu_file = options.config.flag(P::kRequireMTUFile);
  return kernel::configure_host(ports_->sysctl, host, log_, ports_->host_writes);
}

// --- Health and MTU

void KernelSide::report_health() {
  health_.report(std::string(kDataplaneReporter), true, first_turn_done_,
                 first_turn_done_ ? "" : "nothing programmed yet");
  loop_.cancel(health_timer_);
  health_timer_ = loop_.after(kReportInterval, [this] { report_health(); });
}

std::uint32_t KernelSide::current_mtu() const {
  std::vector<kernel::Link> links;
  for (const auto& [name, link] : links_) links.push_back(link);
  return kernel::host_mtu(links, mtu_pattern_);
}

// The MTU of tunnels and guests was derived from it at start.
void KernelSide::check_mtu() {
  mtu_timer_ = loop_.after(kMtuCheckInterval, [this] { check_mtu(); });
  const std::uint32_t now = current_mtu();
  if (now == mtu_at_start_) return;
  sinks_.mtu_changed("the host's MTU was " + std::to_string(mtu_at_start_) + " and is " + std::to_string(now) + " now");
}

// --- Interfaces: passed on to the data plane

void KernelSide::on_link(const kernel::Link& link) {
  const auto known = links_.find(link.name);
  // A link that is gone for a moment only is not always reported as gone; its successor has another index.
  const bool is_successor = known != links_.end() && known->second.index != link.index;
  if (is_successor) sinks_.link(link.name, std::nullopt);
  if (known == links_.end() || is_successor || known->second.mtu != link.mtu) sinks_.link(link.name, link.mtu);
  links_[link.name] = link;
  if (plane_) plane_->on_link(link);
}

void KernelSide::on_link_gone(const std::string& name, kernel::IfIndex index) {
  links_.erase(name);
  sinks_.link(name, std::nullopt);
  if (plane_) plane_->on_link_gone(name, index);
}

void KernelSide::on_addresses(const std::string& name, const std::set<base::IpAddress>& addresses) {
  if (plane_) return plane_->on_addresses(name, addresses);
  early_addresses_.insert_or_assign(name, addresses);
}

// The first picture is complete before there is a data plane; catch_up() tells it.
void KernelSide::on_links_in_sync() {}

void KernelSide::on_links_failed(const base::Error& error) { sinks_.failed(error); }

// --- What the data plane says

void KernelSide::on_workload_status(const model::WorkloadEndpointKey& key,
                                    const std::shared_ptr<const model::WorkloadInterface>& interface,
                                    std::optional<dataplane::EndpointStatus> status) {
  const Told before = std::exchange(told_[key], {});
  Told& now = told_[key];
  if (status) {
    now.key = paths_.workload(interface->orchestrator, interface->workload, interface->endpoint);
    if (status == dataplane::EndpointStatus::kUp) now.file = status_file_name(*interface);
    tell(now.key, endpoint_value(to_status(*status)));
    if (!now.file.empty()) tell_file(now.file, status_file_content(*interface));
  }
  if (!before.key.empty() && before.key != now.key) tell(before.key, std::nullopt);
  if (!before.file.empty() && before.file != now.file) tell_file(before.file, std::nullopt);
  if (!status) told_.erase(key);
}

void KernelSide::on_host_status(const model::HostEndpointKey& key, std::optional<dataplane::EndpointStatus> status) {
  std::optional<std::string> value;
  if (status) value = endpoint_value(to_status(*status));
  tell(paths_.host_endpoint(key.name.view()), std::move(value));
}

void KernelSide::tell(std::string key, std::optional<std::string> value) {
  if (pending_statuses_.empty()) {
    loop_.post([this] { sinks_.statuses(std::exchange(pending_statuses_, {})); });
  }
  pending_statuses_.insert_or_assign(std::move(key), std::move(value));
}

// What Calico's agent keeps and we do not. Without nf_tables in use there is nothing to look at, and looking would load
// it.
void KernelSide::take_over() {
  if (!os::file_exists("/sys/module/nf_tables") && !ports_->v4->generation()) return;
  const auto removed = kernel::remove_calico_arp_table();
  if (!removed) {
    log_.warning("kernel.arp_table",
                 "Table 'arp calico-arp' of Calico's agent could not be removed; remove it with "
                 "`nft delete table arp calico-arp`, or ARP replies for addresses of former guests are dropped",
                 {{"error", removed.error().text()}});
  } else if (*removed) {
    log_.info("kernel.arp_table", "Table 'arp calico-arp' of Calico's agent has been removed");
  }
}

void KernelSide::tell_file(std::string name, std::optional<std::string> content) {
  if (!sinks_.files) return;
  if (pending_files_.empty()) {
    loop_.post([this] { sinks_.files(std::exchange(pending_files_, {})); });
  }
  pending_files_.insert_or_assign(std::move(name), std::move(content));
}

void KernelSide::on_first_turn() {
  first_turn_done_ = true;
  take_over();
  report_health();
  log_.info("kernel.first_turn", "The kernel is programmed");
  sinks_.first_turn();
}

// Posted, so that it comes after the statuses of the same turn.
void KernelSide::on_in_sync() {
  loop_.post([this] { sinks_.in_sync(); });
}

void KernelSide::on_tunnels_ready(std::uint64_t order) { sinks_.tunnels_ready(order); }

void KernelSide::on_failed(const base::Error& error) { sinks_.failed(error); }

}  // namespace agent
