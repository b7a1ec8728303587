#include "agent_life.h"

#include "agent/node_selector.h"
#include "agent/settings_map.h"
#include "base/check.h"

namespace sim {
namespace {

// The agent owns its store; here the datastore outlives it. Answers that come too late fall to a closed loop.
class Borrowed final : public store::Store {
 public:
  explicit Borrowed(store::Store& real) : real_(real) {}
  std::unique_ptr<store::Subscription> subscribe(std::vector<std::string> prefixes, base::Loop& reader,
                                                 store::EventHandler handler) override {
    return real_.subscribe(std::move(prefixes), reader, std::move(handler));
  }
  void read(store::ReadRequest request, const store::RequestOptions& options, base::Loop& loop,
            store::Done<store::ReadReply> done) override {
    real_.read(std::move(request), options, loop, std::move(done));
  }
  void put(store::PutRequest request, const store::RequestOptions& options, base::Loop& loop,
           store::Done<store::WriteReply> done) override {
    real_.put(std::move(request), options, loop, std::move(done));
  }
  void remove(store::RemoveRequest request, const store::RequestOptions& options, base::Loop& loop,
              store::Done<store::WriteReply> done) override {
    real_.remove(std::move(request), options, loop, std::move(done));
  }
  void commit(store::Transaction request, const store::RequestOptions& options, base::Loop& loop,
              store::Done<store::Revision> done) override {
    real_.commit(std::move(request), options, loop, std::move(done));
  }
  void compact(store::Revision revision, const store::RequestOptions& options, base::Loop& loop,
               store::Done<store::Revision> done) override {
    real_.compact(revision, options, loop, std::move(done));
  }
  void status(const store::RequestOptions& options, base::Loop& loop, store::Done<store::StoreStatus> done) override {
    real_.status(options, loop, std::move(done));
  }
  std::string describe() const override { return real_.describe(); }

 private:
  store::Store& real_;
};

}  // namespace

AgentLife::AgentLife(LifeLoop& loop, store::MemoryStore& store, Host& host, base::Log& log)
    : loop_(loop), store_(store), host_(host), log_(log) {
  health_.add(std::string(agent::kStartupReporter), {}, base::Duration(0));
  const auto load = [] {
    agent::LocalConfig local;
    local.system_hostname = "h1";
    local.sources.set(config::Source::kFile,
                      {{"InterfacePrefix", "tap"}, {"DatastoreType", "etcdv3"}, {"MetadataAddr", "none"}});
    local.resolution = config::resolve(local.sources, "h1", {});
    return base::Result<agent::LocalConfig>(std::move(local));
  };
  startup_ = std::make_unique<agent::Startup>(
      loop_, log_, health_,
      agent::Startup::Ports{.load_local = load,
                            .open_store = [this](const auto&) -> base::Result<std::unique_ptr<store::Store>> {
                              return std::make_unique<Borrowed>(store_);
                            },
                            .local_known = [](const auto&) {}},
      [this](agent::StartupResult result) { begin(std::move(result)); });
  startup_->start();
}

AgentLife::~AgentLife() {
  loop_.close();
  host_.attach(nullptr);
  intake_.reset();
  startup_.reset();
  plane_.reset();
}

// The kernel takes its time to find the entries of an address.
void AgentLife::forget_connections() {
  conntrack_.finish_all();
  loop_.after(std::chrono::milliseconds(70), [this] { forget_connections(); });
}

void AgentLife::begin(agent::StartupResult result) {
  result_ = std::move(result);
  const config::Resolved& resolved = result_.configuration.resolved;
  const render::Settings render = agent::render_settings(resolved, result_.encapsulation, names_.intern("h1"), true);
  auto plane = dataplane::Dataplane::create(loop_, log_, metrics_, agent::dataplane_settings(resolved, render),
                                            host_.ports(conntrack_), *this);
  CHECK(plane.has_value());
  plane_ = *std::move(plane);
  host_.attach(plane_.get());
  forget_connections();
  for (const auto& [name, link] : host_.links()) plane_->on_link(link);
  plane_->on_addresses("eth0", {*base::parse_address("192.168.0.1")});
  plane_->on_links_in_sync();

  to_kernel_ = std::make_unique<base::Mailbox<calc::Output, Fold>>(loop_, [this](calc::Output output) {
    snapshot_passed_ = snapshot_passed_ || std::holds_alternative<calc::Snapshot>(output);
    plane_->update(output);
  });

  config::ConfigTracker tracker(result_.local.sources, {}, "h1", {}, agent::node_selector_predicate());
  intake_ = std::make_unique<agent::Intake>(
      loop_, log_, metrics_, health_, names_, std::move(tracker),
      agent::Intake::Options{result_.configuration, result_.encapsulation},
      agent::Intake::Sinks{.output = [this](calc::Output output) { to_kernel_->push(std::move(output)); },
                           .tunnels =
                               [this](const agent::TunnelOrder& order) {
                                 const config::Resolved& now = result_.configuration.resolved;
                                 plane_->set_tunnels(agent::tunnel_settings(now, order.encapsulation, {}), 0,
                                                     order.number);
                               },
                           .bgp = [](agent::BgpUpdates) {},
                           .timeouts = [](config::DurationMap) {},
                           .leave =
                               [this](agent::ShutdownCause cause, std::string why) {
                                 if (!left_) left_ = std::string(to_string(cause)) + ": " + why;
                               }});
  intake_->start(*result_.store);
}

std::string AgentLife::statuses() const {
  std::string out;
  for (const auto& [key, value] : statuses_) out += key + "=" + value + "\n";
  return out;
}

void AgentLife::on_workload_status(const model::WorkloadEndpointKey& key,
                                   const std::shared_ptr<const model::WorkloadInterface>&,
                                   std::optional<dataplane::EndpointStatus> status) {
  report("workload " + key.name, status);
}

void AgentLife::on_host_status(const model::HostEndpointKey& key, std::optional<dataplane::EndpointStatus> status) {
  report("host " + std::string(key.name.view()), status);
}

void AgentLife::report(const std::string& name, std::optional<dataplane::EndpointStatus> status) {
  if (status) {
    statuses_[name] = std::to_string(static_cast<int>(*status));
  } else {
    statuses_.erase(name);
  }
}

}  // namespace sim
