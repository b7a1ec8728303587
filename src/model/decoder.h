// decoder.h: etcd keys and values in, updates out. The agent's reading of the datastore: only what it needs, as fast as
// it can be read, with the rules of spec datamodel §6 and felix-agent §2.4. (The operator's reading, with every field
// and every validation rule, is resource.h.)
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/symbol.h"
#include "model/update.h"

namespace model {

struct DecoderOptions {
  std::string hostname;                // endpoints of this node keep their interface side
  bool allow_source_spoofing = false;  // WorkloadSourceSpoofing=Any
};

// Belongs to one thread, like the Interner it fills.
class Decoder {
 public:
  Decoder(DecoderOptions options, base::Interner& interner);
  ~Decoder();
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;

  struct Output {
    std::vector<Update> updates;  // none if the key is not ours; a Node gives a NodeChange and a DocumentChange
    std::vector<Diagnostic> diagnostics;
    // The last put's value cannot be used. Its updates without value then mean "nobody knows", not "deleted": whoever
    // has the last good value should keep it.
    bool refused = false;
  };
  // Keys of other programs give nothing, and neither do LiveMigration, StagedKubernetesNetworkPolicy (never enforced)
  // and a stored profile of the built-in one's name. A policy that says of itself that it is to be deleted, and an
  // endpoint without addresses, give an update without value and no diagnostic.
  //
  // Appends to `out`, and sets `refused`. A bad value gives a diagnostic and an update without value. Never throws; any
  // bytes are allowed.
  void put(std::string_view key, std::string_view value, Output& out);
  void erase(std::string_view key, Output& out);

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// The etcd prefixes an agent watches, in the order it wants their snapshot (spec felix-agent §2.3); never the status
// trees. Block affinities only of `node`; of nobody if it is empty.
std::vector<std::string> agent_prefixes(std::string_view node = {});

}  // namespace model
