// Any bytes as a selector. Label sets to match are made of the names and values in the text itself.
#include <cstdint>
#include <string_view>
#include <vector>

#include "base/check.h"
#include "model/selector.h"

namespace {

using model::Label;
using model::Labels;
using model::Selector;

bool fulfils(const Labels& labels, const Selector& selector) {
  if (selector.is_impossible()) return false;
  for (const model::LabelRestriction& r : selector.restrictions()) {
    const Label* const label = model::find_label(labels, r.name());
    if ((r.must_be_present() && label == nullptr) || (r.must_be_absent() && label != nullptr)) return false;
    if (!r.has_values()) continue;
    bool listed = false;
    for (const base::Symbol value : r.values()) listed = listed || (label != nullptr && label->value == value);
    if (!listed) return false;
  }
  return true;
}

// Words between separators serve both as names and as values.
std::vector<base::Symbol> words(std::string_view text, base::Interner& interner) {
  constexpr std::string_view kSeparators = " \t(){},=!&|'\"";
  constexpr std::size_t kMost = 8;
  std::vector<base::Symbol> found;
  while (found.size() < kMost) {
    const auto first = text.find_first_not_of(kSeparators);
    if (first == std::string_view::npos) break;
    text.remove_prefix(first);
    const std::string_view word = text.substr(0, text.find_first_of(kSeparators));
    found.push_back(interner.intern(word));
    text.remove_prefix(word.size());
  }
  return found;
}

void check_labels(const Labels& labels, const Selector& selector, const Selector& reread) {
  const bool matches = selector.matches(labels);
  CHECK(matches == reread.matches(labels));
  CHECK(!matches || fulfils(labels, selector));
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  base::Interner interner;
  const auto selector = Selector::parse(text, interner);
  if (!selector) return 0;
  CHECK(selector->unique_id().size() == 40);
  const auto reread = Selector::parse(selector->canonical(), interner);
  CHECK(reread);
  // Only a doubled negation prints as something that reads back shorter.
  CHECK(reread->canonical() == selector->canonical() || selector->canonical().find("!!") != std::string::npos);
  CHECK(model::with_label_prefix(text, ""));

  const std::vector<base::Symbol> some = words(text, interner);
  check_labels({}, *selector, *reread);
  for (const base::Symbol name : some) {
    for (const base::Symbol value : some) {
      check_labels({{name, value}}, *selector, *reread);
      Labels two{{name, value}, {value, name}};
      model::normalise(two);
      check_labels(two, *selector, *reread);
    }
  }
  return 0;
}
