// stored_rules.h: how the rules of policies and profiles wait until this host needs them. Most of a cloud's policies never
// become active here.
#pragma once

#include <memory>
#include <utility>
#include <vector>

#include "model/policy.h"

namespace calc {

class StoredRules {
 public:
  StoredRules() = default;
  StoredRules(std::vector<model::Rule> ingress, std::vector<model::Rule> egress) {
    if (!ingress.empty() || !egress.empty()) {
      body_ = std::make_unique<Body>(Body{std::move(ingress), std::move(egress)});
    }
  }

  std::vector<model::Rule> ingress() const { return body_ ? body_->ingress : std::vector<model::Rule>(); }
  std::vector<model::Rule> egress() const { return body_ ? body_->egress : std::vector<model::Rule>(); }

  friend bool operator==(const StoredRules& a, const StoredRules& b) {
    if (!a.body_ || !b.body_) return !a.body_ && !b.body_;
    return *a.body_ == *b.body_;
  }

 private:
  struct Body {
    std::vector<model::Rule> ingress, egress;
    friend bool operator==(const Body&, const Body&) = default;
  };
  std::unique_ptr<const Body> body_;
};

}  // namespace calc
