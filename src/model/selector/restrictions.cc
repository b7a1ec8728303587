#include "model/selector/restrictions.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <optional>

namespace model::selector {
namespace {

bool by_id(Symbol a, Symbol b) { return a.id() < b.id(); }

struct ById {
  bool operator()(Symbol a, Symbol b) const { return by_id(a, b); }
};
using ByLabel = std::map<Symbol, Restriction, ById>;

// Empty: nothing can match.
using Derived = std::optional<ByLabel>;

class Deriver {
 public:
  Deriver(const Tree& tree, base::Interner& interner) : tree_(tree), interner_(interner) {}

  Derived derive(NodeIndex index) const {
    const Node& node = tree_[index];
    switch (node.kind) {
      case NodeKind::kHas:
      case NodeKind::kContains:
      case NodeKind::kStartsWith:
      case NodeKind::kEndsWith: return present(node);
      case NodeKind::kEqual:
      case NodeKind::kIn: return one_of(node);
      case NodeKind::kNot: return negation(tree_[node.operands.front()]);
      case NodeKind::kAnd: return conjunction(node);
      case NodeKind::kOr: return disjunction(node);
      case NodeKind::kAll:
      case NodeKind::kGlobal:
      case NodeKind::kNotEqual:
      case NodeKind::kNotIn: break;
    }
    return ByLabel();
  }

 private:
  Derived only(Restriction restriction) const {
    ByLabel result;
    result.emplace(restriction.name, std::move(restriction));
    return result;
  }

  Derived present(const Node& node) const {
    return only({.name = interner_.intern(node.label), .must_be_present = true, .must_be_absent = false, .values = {}});
  }

  Derived one_of(const Node& node) const {
    if (node.values.empty()) return std::nullopt;
    std::vector<Symbol> values;
    values.reserve(node.values.size());
    for (const std::string_view value : node.values) values.push_back(interner_.intern(value));
    std::sort(values.begin(), values.end(), by_id);
    return only({.name = interner_.intern(node.label),
                 .must_be_present = true,
                 .must_be_absent = false,
                 .values = std::move(values)});
  }

  Derived negation(const Node& operand) const {
    if (operand.kind != NodeKind::kHas) return ByLabel();
    return only(
        {.name = interner_.intern(operand.label), .must_be_present = false, .must_be_absent = true, .values = {}});
  }

  Derived conjunction(const Node& node) const {
    ByLabel all;
    for (const NodeIndex operand : node.operands) {
      Derived more = derive(operand);
      if (!more) return std::nullopt;
      for (auto& [name, restriction] : *more) {
        const auto [place, is_new] = all.try_emplace(name, restriction);
        if (!is_new && !tighten(place->second, restriction)) return std::nullopt;
      }
    }
    return all;
  }

  // False if both cannot hold.
  static bool tighten(Restriction& restriction, const Restriction& other) {
    restriction.must_be_present |= other.must_be_present;
    restriction.must_be_absent |= other.must_be_absent;
    if (restriction.must_be_present && restriction.must_be_absent) return false;
    if (!other.values) return true;
    if (!restriction.values) {
      restriction.values = other.values;
      return true;
    }
    std::vector<Symbol> common;
    std::set_intersection(restriction.values->begin(), restriction.values->end(), other.values->begin(),
                          other.values->end(), std::back_inserter(common), by_id);
    restriction.values = std::move(common);
    return !restriction.values->empty();
  }

  // Only what every possible operand demands is demanded by all of them together.
  Derived disjunction(const Node& node) const {
    Derived common;
    for (const NodeIndex operand : node.operands) {
      Derived more = derive(operand);
      if (!more) continue;
      if (!common) {
        common = std::move(more);
      } else {
        loosen_all(*common, *more);
      }
    }
    if (!common) return std::nullopt;
    for (auto& [name, restriction] : *common) {
      if (restriction.values) sort_distinct(*restriction.values);
    }
    return common;
  }

  static void loosen_all(ByLabel& common, const ByLabel& more) {
    for (auto entry = common.begin(); entry != common.end();) {
      const auto other = more.find(entry->first);
      const bool kept = other != more.end() && loosen(entry->second, other->second);
      entry = kept ? std::next(entry) : common.erase(entry);
    }
  }

  // False if nothing is left to demand. Values are only appended; the caller sorts them once at the end.
  static bool loosen(Restriction& restriction, const Restriction& other) {
    restriction.must_be_present &= other.must_be_present;
    restriction.must_be_absent &= other.must_be_absent;
    if (restriction.values && other.values) {
      restriction.values->insert(restriction.values->end(), other.values->begin(), other.values->end());
    } else {
      restriction.values.reset();
    }
    return restriction.must_be_present || restriction.must_be_absent;
  }

  static void sort_distinct(std::vector<Symbol>& values) {
    std::sort(values.begin(), values.end(), by_id);
    values.erase(std::unique(values.begin(), values.end()), values.end());
  }

  const Tree& tree_;
  base::Interner& interner_;
};

}  // namespace

Restrictions derive_restrictions(const Tree& tree, base::Interner& interner) {
  Restrictions result;
  Derived derived = Deriver(tree, interner).derive(tree.root);
  result.impossible = !derived;
  if (!derived) return result;
  result.labels.reserve(derived->size());
  for (auto& [name, restriction] : *derived) result.labels.push_back(std::move(restriction));
  return result;
}

}  // namespace model::selector
