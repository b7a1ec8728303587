// state.h: keeps the generator's inputs up to date from datastore updates. Pure; belongs to one thread.
#pragma once

#include <map>
#include <set>
#include <string>

#include "bgp/inputs.h"

namespace bgp {

class State {
 public:
  explicit State(Settings settings);

  // True if the update can change the configuration; most updates (endpoints, policies) concern others and cost
  // nothing.
  bool apply(const model::Update& update);
  // Everything known is forgotten before a new snapshot. The last file stays in force meanwhile.
  void clear();

  // Secrets in use, for the shell to read; and what it found. True if something changed.
  std::set<SecretRef> referenced_secrets() const;
  bool set_secrets(std::map<SecretRef, std::string> secrets);

  // What the shell found out about this host. True if the configuration changes.
  bool set_tunnel_ready(bool ready);
  bool set_local_file(LocalFile kind);
  bool set_can_refresh(std::set<std::string> protocols);

  const Inputs& inputs() const { return inputs_; }
  // Of the resources themselves; the generator reports what follows from their combination.
  Diagnostics diagnostics() const;

 private:
  bool absorb(const model::NodeChange& change);
  bool absorb(const model::IpPoolChange& change);
  bool absorb(const model::DocumentChange& change);
  bool absorb_affinity(const std::string& cidr, const boost::json::object* value);

  Inputs inputs_;
  std::map<model::DocumentKey, Diagnostics> diagnostics_;
};

}  // namespace bgp
