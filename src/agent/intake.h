// intake.h: the calculation thread: datastore events in, calculated output and consumers' updates out.
//
//   store events ─► Decoder ─┬─► Calculator ─► Sinks::output          (kernel thread)
//                            ├─► BgpUpdates  ─► Sinks::bgp            (edge thread)
//                            └─► ConfigTracker ─► leave, or Sinks::timeouts (what may change while running)
//                                and the pools ─► Sinks::tunnels        (kernel thread)
//
// Pools and this node's tunnel addresses decide about tunnels, and both the kernel thread and BIRD's follow them. Which
// goes first is told by numbers: each change of pools is an order to the kernel thread, and the BgpUpdates of that
// change name it in `after`.
//
// Where a host that has made no routes itself comes to make them (the first VXLAN pool), the datastore is read again:
// without need nobody keeps the addresses of the whole cloud.
//
// Decoding and calculating share one thread: the store receives on its own, so a page is fetched while the one before
// it is decoded, and the next is only asked for when this one is done; nothing piles up between the two. Everything on
// the loop's thread, which is the reader of the subscription. Bad objects are diagnostics: logged when they appear and
// when they are repaired, and counted. Fail closed: the last good value of a bad object stays in force until the object
// is repaired or deleted, and so does the last good configuration.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>

#include "agent/health.h"
#include "agent/shutdown.h"
#include "base/log.h"
#include "base/loop.h"
#include "base/metrics.h"
#include "base/symbol.h"
#include "calc/calculator.h"
#include "config/derived.h"
#include "config/tracker.h"
#include "model/decoder.h"
#include "store/store.h"

namespace agent {

constexpr std::string_view kCalculationReporter = "CalculationGraph";

// What the BGP part needs to hear: the last update of each object, for a mailbox that merges.
struct BgpUpdates {
  bool resync = false;  // forget everything first
  std::map<std::string, model::Update> updates;
  bool in_sync = false;
  std::uint64_t after = 0;  // to be followed when the kernel thread has carried out this order
};
void fold(BgpUpdates& pending, BgpUpdates&& later);

struct TunnelOrder {
  config::Encapsulation encapsulation;
  std::uint64_t number = 0;
  // Of this node's own devices; they come and go with the pools (ipam::TunnelKeeper).
  std::optional<base::IpAddress> ipip_address = {};
  std::optional<base::IpAddress> vxlan_address_v4 = {};
  std::optional<base::IpAddress> vxlan_address_v6 = {};
};

class Intake {
 public:
  // The calculation reports to health at this rate; it may be silent for kTimeout.
  static constexpr base::Duration kReportInterval = std::chrono::seconds(10);
  static constexpr base::Duration kTimeout = std::chrono::seconds(30);

  struct Options {
    config::Configuration running;        // what the agent was started with
    config::Encapsulation encapsulation;  // likewise
  };
  struct Sinks {
    std::function<void(calc::Output)> output;
    std::function<void(TunnelOrder)> tunnels;  // after the output that the same change has caused
    std::function<void(BgpUpdates)> bgp;
    std::function<void(config::DurationMap)> timeouts;  // HealthTimeoutOverrides have changed
    std::function<void(ShutdownCause, std::string)> leave;
  };

  // `names` outlives everything that symbols travel to. `tracker` knows the local sources only.
  Intake(base::Loop& loop, base::Log& log, base::MetricRegistry& metrics, HealthAggregator& health,
         base::Interner& names, config::ConfigTracker tracker, Options options, Sinks sinks);
  ~Intake();
  Intake(const Intake&) = delete;
  Intake& operator=(const Intake&) = delete;

  // Subscribes to everything an agent needs. The subscription ends with this object.
  void start(store::Store& store);
  // One event, as the subscription delivers it; for tests.
  void handle(const store::StoreEvent& event);

 private:
  struct Metrics;

  void on(const store::SnapshotStart& event);
  void on(const store::SnapshotPage& event);
  void on(const store::SnapshotDone& event);
  void on(const store::Delta& event);
  void on(store::ConnectionState event);
  void on(store::Diagnostic event);

  void decode(const store::KeyValue& item, bool removed);
  void take(model::Update update);
  void take_document(const model::DocumentChange& change);
  void keep(const model::Update& update);
  void flush();
  void send_bgp(bool in_sync);
  void check_configuration();
  void order_tunnels();
  void read_again();
  void leave(ShutdownCause cause, std::string why);
  void note_configuration_errors(const config::Diagnostics& diagnostics);
  void note_problems(const std::string& object, bool removed, const std::vector<model::Diagnostic>& problems);
  void note_calculation_problems();
  void report_health();

  base::Loop& loop_;
  base::Log& log_;
  HealthAggregator& health_;
  config::ConfigTracker tracker_;
  Options options_;
  Sinks sinks_;
  model::Decoder decoder_;
  model::Decoder::Output decoded_;  // reused
  calc::Calculator calculator_;
  BgpUpdates bgp_;
  using PoolModes = std::map<std::string, std::pair<base::Family, std::pair<bool, bool>>>;
  PoolModes pools_;                                          // name -> family, IP-in-IP, VXLAN
  PoolModes pools_before_;                                   // the snapshot that is being read
  std::map<std::string, model::DocumentChange> bgp_known_;   // BGP's own documents, as last read
  std::map<std::string, model::DocumentChange> bgp_before_;  // likewise, before the snapshot that is being read
  bool pools_changed_ = false;
  std::uint64_t orders_ = 0;
  bool reading_again_ = false;                // BIRD stays as it is until the agent's routes are known
  config::Diagnostics configuration_errors_;  // why the configuration in force is not the one in the datastore
  bool synced_once_ = false;
  bool in_snapshot_ = false;
  bool leaving_ = false;
  bool resyncing_ = false;                               // the calculation was told that everything comes again
  std::set<std::string> bad_objects_;                    // keys whose value was set aside
  std::vector<model::Diagnostic> calculation_problems_;  // as last logged
  std::unique_ptr<Metrics> metrics_;
  base::TimerId health_timer_{};
  store::Store* store_ = nullptr;
  std::unique_ptr<store::Subscription> subscription_;
};

}  // namespace agent
