#include "kernel/ipset_fake.h"

#include <utility>

namespace kernel {

using base::Error;
using base::fail;
using base::Result;
using reconcile::IpSetEdit;
using reconcile::IpSetFailure;
using reconcile::IpSetHeader;
using reconcile::IpSetOutcome;

namespace {

IpSetOutcome refused_because(IpSetFailure failure, std::string text) {
  return IpSetOutcome{.failure = failure, .text = std::move(text)};
}

IpSetHeader header_of(const std::string& name, const FakeIpSets::Set& set) {
  return IpSetHeader{.name = name,
                     .family = set.family,
                     .shape = set.shape,
                     .plain = set.plain,
                     .references = set.referenced ? 1u : 0u};
}

}  // namespace

Result<std::vector<IpSetHeader>> FakeIpSets::list_headers() {
  std::vector<IpSetHeader> headers;
  for (const auto& [name, set] : sets) headers.push_back(header_of(name, set));
  return headers;
}

Result<reconcile::IpSetContents> FakeIpSets::list(std::string_view name) {
  const auto found = sets.find(name);
  if (found == sets.end()) return fail(Error::not_found("IP set " + std::string(name)));
  if (found->second.unreadable) return fail(Error::internal("malformed answer"));
  reconcile::IpSetContents contents{.header = header_of(found->first, found->second)};
  contents.members.assign(found->second.members.begin(), found->second.members.end());
  return contents;
}

Result<std::vector<IpSetOutcome>> FakeIpSets::apply(std::span<const IpSetEdit> edits) {
  std::vector<IpSetOutcome> outcomes;
  const bool broken = break_conversations > 0;
  for (std::size_t i = 0; i < edits.size(); ++i) {
    if (broken && i >= edits.size() / 2) {
      --break_conversations;
      return fail(Error::unavailable("netlink: the kernel did not answer in time"));
    }
    log.push_back(reconcile::to_string(edits[i]));
    outcomes.push_back(apply_one(edits[i]));
  }
  return outcomes;
}

IpSetOutcome FakeIpSets::apply_one(const IpSetEdit& edit) {
  const auto found = sets.find(edit.set);
  if (edit.kind == IpSetEdit::Kind::kCreate) {
    if (found != sets.end()) return refused_because(IpSetFailure::kExists, "set exists");
    Set set;
    set.family = edit.set.starts_with("cali6") ? base::Family::kIpv6 : base::Family::kIpv4;
    set.shape = edit.shape;
    sets.emplace(edit.set, std::move(set));
    return {};
  }
  if (found == sets.end()) return refused_because(IpSetFailure::kMissing, "no such set");
  Set& set = found->second;
  IpSetOutcome outcome;
  switch (edit.kind) {
    case IpSetEdit::Kind::kAdd:
      for (std::size_t i = 0; i < edit.members.size(); ++i) {
        const bool full = set.members.size() >= set.shape.max_elements && !set.members.contains(edit.members[i]);
        if (full || refused.contains(edit.members[i])) {
          outcome.refused_members.push_back(i);
          outcome.text = full ? "set is full" : "refused";
        } else {
          set.members.insert(edit.members[i]);
        }
      }
      return outcome;
    case IpSetEdit::Kind::kDelete:
      for (const auto& member : edit.members) set.members.erase(member);
      return outcome;
    case IpSetEdit::Kind::kSwap: return swap(edit);
    case IpSetEdit::Kind::kRename:
      if (sets.contains(edit.other)) return refused_because(IpSetFailure::kExists, "second name is taken");
      if (set.referenced) return refused_because(IpSetFailure::kReferenced, "set is in use");
      {
        Set moved = std::move(set);
        sets.erase(found);
        sets.emplace(edit.other, std::move(moved));
      }
      return outcome;
    case IpSetEdit::Kind::kDestroy:
      if (set.referenced) return refused_because(IpSetFailure::kReferenced, "set is in use");
      sets.erase(found);
      return outcome;
    case IpSetEdit::Kind::kCreate: break;
  }
  return outcome;
}

IpSetOutcome FakeIpSets::swap(const IpSetEdit& edit) {
  const auto first = sets.find(edit.set);
  const auto second = sets.find(edit.other);
  if (second == sets.end()) return refused_because(IpSetFailure::kMissing, "no such set");
  if (first->second.shape.type != second->second.shape.type || first->second.family != second->second.family) {
    return refused_because(IpSetFailure::kTypeMismatch, "different types");
  }
  std::swap(first->second, second->second);
  // Rules refer to the set, not to its name: after a swap the name that rules were loaded with leads to the new
  // contents.
  std::swap(first->second.referenced, second->second.referenced);
  return {};
}

}  // namespace kernel
