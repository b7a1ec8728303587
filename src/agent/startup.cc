#include "agent/startup.h"

#include <array>

#include <boost/json.hpp>

#include "agent/node_selector.h"
#include "agent/resource_keys.h"

namespace agent {
namespace {

// The configuration is four small reads, at once.
constexpr std::size_t kReads = 4;
constexpr base::Duration kReadTimeout = std::chrono::seconds(10);

store::ReadRequest below(std::string_view prefix) {
  store::ReadRequest request;
  request.key = prefix;
  request.range_end = store::prefix_end(prefix);
  return request;
}

store::ReadRequest exactly(std::string key) {
  store::ReadRequest request;
  request.key = std::move(key);
  return request;
}

config::Document parse_document(const std::string& value) {
  boost::json::error_code error;
  boost::json::value parsed = boost::json::parse(value, error);
  if (error || !parsed.is_object()) return nullptr;
  return std::make_shared<const boost::json::object>(std::move(parsed.get_object()));
}

std::string text_in(const boost::json::object& spec, std::string_view name) {
  const boost::json::value* member = spec.if_contains(name);
  const boost::json::string* text = member != nullptr ? member->if_string() : nullptr;
  return text != nullptr ? std::string(text->data(), text->size()) : "";
}

// Just enough of an IPPool; keeps the texts that PoolModes points into.
struct Pool {
  base::Family family;
  std::string ipip;
  std::string vxlan;
};

std::optional<Pool> parse_pool(const boost::json::object& resource) {
  const boost::json::value* spec = resource.if_contains("spec");
  if (spec == nullptr || !spec->is_object()) return std::nullopt;
  const auto cidr = base::parse_cidr(text_in(spec->get_object(), "cidr"));
  if (!cidr) return std::nullopt;
  return Pool{cidr->family(), text_in(spec->get_object(), "ipipMode"), text_in(spec->get_object(), "vxlanMode")};
}

}  // namespace

Startup::Startup(base::Loop& loop, base::Log& log, HealthAggregator& health, Ports ports,
                 std::function<void(StartupResult)> done)
    : loop_(loop), log_(log), health_(health), ports_(std::move(ports)), done_(std::move(done)) {}

void Startup::attempt() {
  health_.report(std::string(kStartupReporter), true, false, "reading the configuration");
  auto local = ports_.load_local();
  if (!local) return retry(local.error().text(), "config.unreadable");
  result_.local = *std::move(local);
  const config::Resolved& resolved = result_.local.resolution.resolved;
  ports_.local_known(resolved);
  if (has_errors(result_.local.resolution.diagnostics) || !config::validate(resolved).empty()) {
    config::Diagnostics all = result_.local.resolution.diagnostics;
    const config::Diagnostics missing = config::validate(resolved);
    all.insert(all.end(), missing.begin(), missing.end());
    say(all);
    return retry("the configuration has errors", "config.errors");
  }
  auto datastore = config::datastore_settings(result_.local.environment, resolved);
  if (!datastore) return retry(datastore.error().text(), "config.datastore");
  if (!result_.store || result_.datastore != *datastore) {
    result_.store.reset();
    auto opened = ports_.open_store(*datastore);
    if (!opened) return retry(opened.error().text(), "store.unusable");
    result_.store = *std::move(opened);
    result_.datastore = *std::move(datastore);
  }
  read();
}

void Startup::read() {
  const std::string& hostname = result_.local.resolution.resolved.text(config::Parameter::kFelixHostname);
  const std::array<store::ReadRequest, kReads> requests = {exactly(std::string(kClusterInformations) + "default"),
                                                           below(kFelixConfigurations),
                                                           exactly(std::string(kNodes) + hostname), below(kIpPools)};
  documents_.clear();
  failure_.reset();
  outstanding_ = kReads;
  for (const store::ReadRequest& request : requests) {
    result_.store->read(request, {.timeout = kReadTimeout}, loop_,
                        [this](base::Result<store::ReadReply> reply) { got(std::move(reply)); });
  }
}

void Startup::got(base::Result<store::ReadReply> reply) {
  if (!reply) {
    failure_ = std::move(reply).error();
  } else {
    for (store::KeyValue& item : reply->items) documents_[std::move(item.key)] = std::move(item.value);
  }
  if (--outstanding_ > 0) return;
  if (failure_)
    return retry("cannot read the configuration from the datastore: " + failure_->text(), "store.unreachable");
  evaluate();
}

void Startup::evaluate() {
  config::Diagnostics unparsable;
  config::ConfigTracker tracker(result_.local.sources, result_.local.diagnostics, result_.local.system_hostname,
                                host_probe(), node_selector_predicate());
  std::vector<Pool> pools;
  for (const auto& [key, value] : documents_) {
    const config::Document document = parse_document(value);
    if (!document) {
      // Without it the defaults would hold: another interface prefix, and every guest is unprotected. Pools only route.
      const bool fatal = !key.starts_with(kIpPools);
      unparsable.push_back({fatal ? config::Severity::kError : config::Severity::kWarning, config::Source::kGlobal, key,
                            "", fatal ? "is not a JSON object" : "is not a JSON object and is taken as absent",
                            "write it again with percalectl, or delete it"});
      continue;
    }
    const auto name = [&key](std::string_view prefix) { return key.substr(prefix.size()); };
    if (key.starts_with(kFelixConfigurations)) tracker.felix_configuration(name(kFelixConfigurations), document);
    if (key.starts_with(kClusterInformations)) tracker.cluster_information(name(kClusterInformations), document);
    if (key.starts_with(kNodes)) tracker.node(name(kNodes), document);
    if (key.starts_with(kIpPools)) {
      if (auto pool = parse_pool(*document)) pools.push_back(*std::move(pool));
    }
  }
  if (has_errors(unparsable)) {
    std::string keys;
    for (const config::Diagnostic& d : unparsable) keys += (keys.empty() ? "" : ", ") + d.parameter;
    say(unparsable);
    return retry("not a JSON object: " + keys + "; write it again with percalectl, or delete it", "config.errors");
  }
  result_.configuration = tracker.evaluate();
  if (!result_.configuration.datastore_ready) {
    return wait("store.not_ready", "waiting for the datastore to be ready",
                "The datastore is not marked as ready; waiting. ClusterInformation 'default' must exist with "
                "spec.datastoreReady true: the Neutron driver creates it, or use percalectl apply");
  }
  if (!config::is_leader(result_.configuration.resolved)) {
    return wait("config.other_product", "the cluster belongs to another product",
                "ClusterInformation 'default' says that this cluster belongs to another product (spec.variant is not "
                "Calico); nothing is programmed until it says otherwise");
  }
  config::Diagnostics all = std::move(unparsable);
  all.insert(all.end(), result_.configuration.diagnostics.begin(), result_.configuration.diagnostics.end());
  if (has_errors(all)) {
    say(all);
    return retry("the configuration has errors", "config.errors");
  }
  result_.configuration.diagnostics = std::move(all);
  std::vector<config::PoolModes> modes;
  for (const Pool& pool : pools) modes.push_back({pool.family, pool.ipip, pool.vxlan});
  result_.encapsulation = config::encapsulation(result_.configuration.resolved, modes);
  const auto done = std::move(done_);
  done(std::move(result_));  // may destroy *this
}

// Ready, so that an orchestrator's rolling upgrade goes on while data is migrated.
void Startup::wait(std::string_view event, std::string_view what, const std::string& text) {
  health_.report(std::string(kStartupReporter), true, true, std::string(what));
  if (what != last_problem_) log_.warning(event, text);
  last_problem_ = what;
  timer_ = loop_.after(kRetry, [this] { read(); });
}

void Startup::say(const config::Diagnostics& diagnostics) {
  if (diagnostics == said_) return;
  log_diagnostics(log_, diagnostics);
  said_ = diagnostics;
}

void Startup::retry(const std::string& problem, std::string_view event) {
  health_.report(std::string(kStartupReporter), true, false, problem);
  if (problem != last_problem_) {  // once, not every second
    log_.error(event, "Cannot start yet: " + problem + "; trying again every second");
    last_problem_ = problem;
  }
  timer_ = loop_.after(kRetry, [this] { attempt(); });
}

}  // namespace agent
