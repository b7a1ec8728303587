// verdicts.h: what should happen to a packet between two guests, from the datastore alone: the same decoder,
// calculation and evaluator as the agents', for each host's view. Real packets are compared with it.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "base/symbol.h"
#include "calc/output.h"
#include "lab/matrix.h"
#include "store/store.h"

namespace lab {

class Verdicts {
 public:
  // `items`: every key below /calico/ (others are ignored).
  Verdicts(const Plan& plan, const std::vector<store::KeyValue>& items);
  ~Verdicts();
  Verdicts(Verdicts&&) noexcept;
  Verdicts& operator=(Verdicts&&) noexcept;

  // A guest without endpoint gets nothing through: its interface is unknown to the agent.
  Expected expect(const Flow& flow) const;

 private:
  struct View;  // one host's
  std::map<std::string, std::unique_ptr<View>> views_;
};

// Reads the lab's datastore as it is now.
base::Result<Verdicts> read_verdicts(Lab& lab);

}  // namespace lab
