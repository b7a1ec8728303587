// resync.h: makes etcd equal to Neutron's database, page by page (spec openstack §4.3; docs/neutron-bridge.md).
//
// A page of Neutron's objects is compared with the mirror; what differs is written in transactions of many objects,
// under the same conditions as a hook's. What lost a race, and what the mirror has and Neutron did not list, is looked
// at once more, object by object. So memory is bounded by the mirror and one page.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "neutron/context.h"
#include "neutron/mirror.h"
#include "neutron/repairs.h"
#include "neutron/translate/answer.h"
#include "neutron/work_queue.h"

namespace neutron {

struct ResyncOptions {
  bool dry_run = false;
  std::string trigger = "request";  // start, period, request
};

class Resync {
 public:
  struct Ports {
    // The status of a listed port, for comparison with what agents say. Returns whether it was wrong.
    std::function<bool(const std::string& port, std::string_view status, bool has_endpoint)> port_status;
  };

  Resync(Context& context, Mirror& mirror, Repairs& repairs, WorkQueue& work, Ports ports);
  ~Resync();

  bool running() const { return run_ != nullptr; }
  // `done` gets the result as the protocol has it. REQUIRES !running().
  void start(ResyncOptions options, std::function<void(json::object)> done);
  // Only ClusterInformation and FelixConfiguration. Needs no Neutron.
  void write_defaults(std::function<void(base::Result<>)> done);

  static constexpr std::int64_t kPage = 500;

 private:
  struct Phase;
  struct Batch;
  struct Run;

  void next_phase();
  void next_page();
  void take_page(const json::value& data);
  void take_object(const json::object& object, const Answer& answer);
  Translation translate(const json::object& object, const Answer& answer) const;
  void flush();
  void committed(const std::shared_ptr<Batch>& batch, base::Result<store::Revision> done);
  void page_done();
  void look_again();
  void check_missing(std::vector<ObjectId> missing);
  void remove_malformed();
  void phase_failed(const std::string& why);
  void phase_done();
  void config_phase();
  void legacy_phase(bool without_region);
  void adjust(const std::string& key, int attempt, std::function<void(base::Result<>)> done);
  void remove_legacy(std::vector<std::string> prefixes, std::function<void(base::Result<>)> done);
  void remove_listed(std::vector<store::KeyValue> items, std::function<void(base::Result<>)> done);
  void difference(const std::string& key, std::string_view action, const std::vector<std::string>& members);
  void warn(const std::string& text);
  void finish();

  Context& context_;
  Mirror& mirror_;
  Repairs& repairs_;
  WorkQueue& work_;
  Ports ports_;
  std::unique_ptr<Run> run_;
  std::optional<std::string> good_cluster_information_;
};

}  // namespace neutron
