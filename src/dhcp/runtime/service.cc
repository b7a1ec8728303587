#include "dhcp/runtime/service.h"

#include <algorithm>
#include <set>

#include "base/strings.h"
#include "os/files.h"

namespace dhcp {

namespace {

constexpr std::string_view kOldSubnets = "/calico/dhcp/v1/subnet/";

std::string resource_prefix(const Settings& settings) {
  return "/calico/resources/v3/projectcalico.org/workloadendpoints/" + settings.name_space + "/";
}

std::int64_t lease_expiry(const base::Loop& loop, const Options& options) {
  if (options.lease_seconds == kInfiniteLease) return 0;
  const auto now = std::chrono::duration_cast<std::chrono::seconds>(loop.wall().time_since_epoch());
  return now.count() + options.lease_seconds;
}

// Calico's agent is a Python script: its name is among the arguments, not the program's.
bool other_agent_runs() {
  const auto processes = os::list_directory("/proc");
  if (!processes) return false;
  return std::any_of(processes->begin(), processes->end(), [](const std::string& name) {
    if (name.empty() || name[0] < '1' || name[0] > '9') return false;
    const auto arguments = os::read_file("/proc/" + name + "/cmdline");
    if (!arguments) return false;
    const auto parts = base::split(*arguments, '\0');
    return std::any_of(
        parts.begin(), parts.begin() + static_cast<std::ptrdiff_t>(std::min<std::size_t>(parts.size(), 3)),
        [](std::string_view part) { return part.ends_with("/calico-dhcp-agent") || part == "calico-dhcp-agent"; });
  });
}

}  // namespace

Service::Service(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, Settings settings)
    : loop_(loop),
      log_(log),
      settings_(std::move(settings)),
      endpoint_prefix_(resource_prefix(settings_) + base::replace_all(settings_.host, "-", "--") + "-openstack-"),
      subnet_prefix_("/calico/dhcp/v2/" + settings_.region + "/subnet/"),
      networks_gauge_(metrics.gauge("percale_dhcp_networks", "Networks this host serves DHCP for.")),
      ports_gauge_(metrics.gauge("percale_dhcp_ports", "Guest ports this host serves DHCP for.")),
      restarts_(metrics.counter("percale_dhcp_server_starts", "Starts and restarts of dnsmasq.")),
      failures_(metrics.counter("percale_dhcp_failures", "Changes to a DHCP server that failed and are tried again.")) {
}

Service::~Service() { loop_.cancel(retry_timer_); }

void Service::start(store::Store& store) {
  subscription_ = store.subscribe({endpoint_prefix_, subnet_prefix_, std::string(kOldSubnets)}, loop_,
                                  [this](store::StoreEvent event) { handle(event); });
}

void Service::handle(const store::StoreEvent& event) {
  if (std::holds_alternative<store::SnapshotStart>(event)) {
    in_sync_ = false;
    networks_.forget_stored();
  } else if (const auto* page = std::get_if<store::SnapshotPage>(&event)) {
    for (const store::KeyValue& item : page->items) take(item.key, &item.value);
  } else if (std::holds_alternative<store::SnapshotDone>(event)) {
    in_sync_ = true;
    schedule();
  } else if (const auto* delta = std::get_if<store::Delta>(&event)) {
    for (const store::Change& change : delta->changes) {
      take(change.item.key, change.removed ? nullptr : &change.item.value);
    }
    schedule();
  }
}

void Service::set_link(const std::string& name, std::optional<std::uint32_t> mtu) {
  networks_.set_interface(name, mtu);
  // A tap that goes takes its endpoint with it sooner or later; until then the server stays as it is.
  if (mtu) schedule();
}

void Service::take(const std::string& key, const std::string* value) {
  const std::string_view view = key;
  if (view.starts_with(endpoint_prefix_)) {
    take_endpoint(key, view.substr(resource_prefix(settings_).size()), value);
    return;
  }
  const bool current = view.starts_with(subnet_prefix_);
  const std::string_view prefix = current ? std::string_view(subnet_prefix_) : kOldSubnets;
  const std::string id(view.substr(prefix.size()));
  const SubnetSource source = current ? SubnetSource::kCurrent : SubnetSource::kOld;
  auto subnet = value != nullptr ? decode_subnet(id, *value).map([](Subnet s) { return std::optional(std::move(s)); })
                                 : base::Result<std::optional<Subnet>>(std::nullopt);
  note_problem(key, subnet ? "" : subnet.error().text());
  networks_.set_subnet(source, id, subnet ? *std::move(subnet) : std::nullopt);
}

void Service::take_endpoint(const std::string& key, std::string_view name, const std::string* value) {
  const auto port = port_of_name(name, settings_.host);
  if (!port) return;
  auto endpoint =
      value != nullptr ? decode_endpoint(*port, *value) : base::Result<std::optional<Endpoint>>(std::nullopt);
  note_problem(key, endpoint ? "" : endpoint.error().text());
  networks_.set_endpoint(*port, endpoint ? *std::move(endpoint) : std::nullopt);
}

void Service::note_problem(const std::string& key, const std::string& problem) {
  const auto known = problems_.find(key);
  if (problem.empty()) {
    if (known == problems_.end()) return;
    log_.info("dhcp.value_repaired", "Can be used again", {{"key", key}});
    problems_.erase(known);
  } else if (known == problems_.end() || known->second != problem) {
    log_.warning("dhcp.bad_value", "No DHCP from this value until it is repaired: " + problem, {{"key", key}});
    problems_[key] = problem;
  }
}

// One apply() for all that has arrived by then.
void Service::schedule() {
  if (scheduled_ || !in_sync_) return;
  scheduled_ = true;
  loop_.post([this] {
    scheduled_ = false;
    apply();
  });
}

bool Service::yields_to_other_agent() {
  if (settings_.mode != Mode::kAuto) return false;
  const bool other = other_agent_runs();
  if (other != other_agent_logged_) {
    log_.info(other ? "dhcp.yields" : "dhcp.takes_over",
              other ? "Calico's DHCP agent runs on this host and goes on serving; stop and disable it to hand over"
                    : "Calico's DHCP agent has gone; its servers are taken over");
    other_agent_logged_ = other;
  }
  if (other) {
    loop_.cancel(retry_timer_);
    retry_timer_ = loop_.after(kRetry, [this] { apply(); });
  }
  return other;
}

void Service::apply() {
  if (!in_sync_) return;
  const std::map<std::string, Network> wanted = networks_.served();
  const std::string uncovered = base::join(networks_.uncovered(), ", ");
  if (uncovered != uncovered_logged_ && !uncovered.empty()) {
    log_.warning("dhcp.no_subnet", "No DHCP for addresses outside every subnet with DHCP in the datastore",
                 {{"addresses", uncovered}});
  }
  uncovered_logged_ = uncovered;
  if (yields_to_other_agent()) return;
  if (!looked_for_leftovers_) {
    looked_for_leftovers_ = true;
    adopt_leftovers();
  }
  remove_unserved(wanted);
  std::size_t ports = 0;
  for (const auto& [id, network] : wanted) {
    ports += network.ports.size();
    apply_one(network);
  }
  networks_gauge_.set(static_cast<double>(wanted.size()));
  ports_gauge_.set(static_cast<double>(ports));
}

void Service::apply_one(const Network& network) {
  ServerPlan plan = plan_server(network, settings_.options);
  Served& served = served_[network.id];
  if (!served.server) {
    served.interface = plan.interface;
    served.server = std::make_unique<Server>(loop_, plan.folder, [this, id = network.id] { died(id); });
  }
  if (served.waiting || (served.applied && *served.applied == plan)) return;
  std::set<base::IpAddress> released;
  for (const auto& [address, times] : plan.replugged) {
    const auto before = served.replugged.find(address);
    if (before == served.replugged.end() || before->second < times) released.insert(address);
  }
  const auto applied = served.server->apply(plan, network, lease_expiry(loop_, settings_.options), released);
  if (!applied) return failed(network.id, served, applied.error().text());
  for (const std::string& unserved : plan.unserved) {
    if (!served.applied || served.applied->unserved != plan.unserved) log_.warning("dhcp.unserved", unserved);
  }
  if (*applied == Applied::kStarted || *applied == Applied::kRestarted) restarts_.add();
  if (*applied != Applied::kNothing) {
    log_.info("dhcp.served", "DHCP server " + std::string(to_string(*applied)),
              {{"network", network.id}, {"ports", network.ports.size()}, {"interface", plan.interface}});
  }
  served.replugged = plan.replugged;
  served.applied = std::move(plan);
  served.delay = kFirstRestart;
  served.last_error.clear();
}

void Service::failed(const std::string& id, Served& served, const std::string& text) {
  failures_.add();
  if (served.last_error != text) {
    log_.error("dhcp.failed", "No DHCP for new guests of a network; trying again: " + text, {{"network", id}});
    served.last_error = text;
  }
  served.applied.reset();
  served.waiting = true;
  loop_.after(served.delay, [this, id] {
    const auto found = served_.find(id);
    if (found == served_.end()) return;
    found->second.waiting = false;
    apply();
  });
  served.delay = std::min<base::Duration>(served.delay * 2, kRetry);
}

void Service::died(const std::string& id) {
  const auto found = served_.find(id);
  if (found == served_.end() || found->second.waiting) return;
  failed(id, found->second, "dnsmasq has ended by itself");
}

void Service::remove_unserved(const std::map<std::string, Network>& wanted) {
  for (auto at = served_.begin(); at != served_.end();) {
    if (wanted.contains(at->first)) {
      ++at;
      continue;
    }
    const auto removed = at->second.server->remove(at->second.interface);
    if (removed) {
      log_.info("dhcp.ended", "DHCP server ended: no guest of the network is left here", {{"network", at->first}});
      at = served_.erase(at);
    } else {
      log_.error("dhcp.failed", "A DHCP server that is not needed cannot be ended: " + removed.error().text(),
                 {{"network", at->first}});
      ++at;
    }
  }
}

// Servers of an earlier agent whose networks may have gone meanwhile: known from here on, and removed unless still
// wanted.
void Service::adopt_leftovers() {
  const auto folders = os::list_directory(settings_.options.state_path);
  if (!folders) return;
  for (const std::string& id : *folders) {
    const std::string folder = settings_.options.state_path + "/" + id;
    if (!os::file_exists(folder + "/interface") || !os::file_exists(folder + "/host")) continue;
    Served& served = served_[id];
    served.interface = interface_name(id);
    served.server = std::make_unique<Server>(loop_, folder, [this, id] { died(id); });
  }
}

}  // namespace dhcp
