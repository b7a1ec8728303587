#include "model/selector/body.h"

#include <algorithm>
#include <memory>
#include <new>
#include <type_traits>

#include "base/check.h"

namespace model {

// The parts lie one after the other, none stricter in alignment than the one before it but the values, which are moved
// up; and they die without being told.
static_assert(alignof(LabelRestriction) == 8 && alignof(selector::Test) == 4 && alignof(Symbol) == 4);
static_assert(sizeof(LabelRestriction) == 16 && std::is_trivially_destructible_v<LabelRestriction>);
static_assert(std::is_trivially_destructible_v<selector::Test> && std::is_trivially_destructible_v<Symbol>);

const Selector::Body* Selector::Body::create(std::string_view text, const selector::Tree& tree,
                                             base::Interner& interner) {
  static_assert(sizeof(Body) == 24);
  const selector::Compiled compiled = selector::compile(tree, interner);
  const selector::Restrictions restrictions = selector::derive_restrictions(tree, interner);
  std::size_t values = compiled.set_values.size();
  for (const selector::Restriction& restriction : restrictions.labels) {
    if (restriction.values) values += restriction.values->size();
  }
  CHECK(text.size() <= kLongestText);  // which bounds the number of everything else
  Body head;
  head.test_count_ = static_cast<std::uint32_t>(compiled.tests.size());
  head.restriction_count_ = static_cast<std::uint32_t>(restrictions.labels.size());
  head.text_size_ = static_cast<std::uint32_t>(text.size()) & kLongestText;
  Body* body = new (::operator new(head.values_at() + values * sizeof(Symbol))) Body();
  body->test_count_ = head.test_count_;
  body->restriction_count_ = head.restriction_count_;
  body->text_size_ = head.text_size_;
  body->impossible_ = restrictions.impossible;
  body->everything_ = tree[tree.root].kind == selector::NodeKind::kAll;
  body->fill(text, compiled, restrictions);
  return body;
}

void Selector::Body::fill(std::string_view text, const selector::Compiled& compiled,
                          const selector::Restrictions& restrictions) {
  std::uninitialized_copy(compiled.tests.begin(), compiled.tests.end(), at<selector::Test>(tests_at()));
  Symbol* value = at<Symbol>(values_at());
  value = std::uninitialized_copy(compiled.set_values.begin(), compiled.set_values.end(), value);
  auto* place = at<LabelRestriction>(sizeof(Body));
  for (const selector::Restriction& restriction : restrictions.labels) {
    std::optional<std::span<const Symbol>> values;
    if (restriction.values) {
      values.emplace(value, restriction.values->size());
      value = std::uninitialized_copy(restriction.values->begin(), restriction.values->end(), value);
    }
    new (place++) LabelRestriction(restriction.name, restriction.must_be_present, restriction.must_be_absent, values);
  }
  std::copy(text.begin(), text.end(), at<char>(text_at()));  // may be empty, without an address
}

Selector::Body::~Body() { delete derived_.load(std::memory_order_relaxed); }

void Selector::Body::drop_reference() const {
  if (references_.fetch_sub(1, std::memory_order_acq_rel) != 1) return;
  auto* self = const_cast<Body*>(this);
  self->~Body();
  ::operator delete(self);
}

// Threads that ask at the same moment each make it, and the first to finish wins. The identifier comes from the tree,
// not from reading the canonical text again: the two differ for !(!x), spec §5.4.
const Selector::Body::Derived& Selector::Body::derived() const {
  const Derived* known = derived_.load(std::memory_order_acquire);
  if (known != nullptr) return *known;
  const auto tree = selector::parse_tree(text());
  CHECK(tree.has_value());  // it did before
  auto made = std::make_unique<Derived>();
  made->canonical = selector::print_tree(*tree);
  made->unique_id = hashed_id("s:", made->canonical);
  if (derived_.compare_exchange_strong(known, made.get(), std::memory_order_acq_rel)) return *made.release();
  return *known;
}

}  // namespace model
