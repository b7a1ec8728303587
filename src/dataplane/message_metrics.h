// message_metrics.h: what reaches the data plane and in batches of which size (spec felix-agent §5). A batch is what
// came between two turns. Types have the names of Calico's messages (spec §2.6).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>

#include "base/metrics.h"
#include "calc/output.h"

namespace dataplane {

class MessageMetrics {
 public:
  // The registry outlives the object.
  explicit MessageMetrics(base::MetricRegistry& metrics);

  void output(const calc::Output& output);
  void tunnels();  // another set of tunnels was ordered
  void link() { ++links_; }
  void addresses() { ++addresses_; }
  void turn();

 private:
  static constexpr std::size_t kTypes = 19;
  void count(std::size_t type, std::size_t messages);

  base::MetricRegistry& metrics_;
  std::array<base::Counter, kTypes> by_type_;  // made when first needed, as Felix does it
  std::array<bool, kTypes> seen_{};
  base::Summary batch_, link_batch_, address_batch_;
  std::uint64_t messages_ = 0, links_ = 0, addresses_ = 0;  // since the last turn
};

}  // namespace dataplane
