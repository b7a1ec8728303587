#include "config/parameter.h"

#include <algorithm>
#include <map>
#include <vector>

#include "base/strings.h"

namespace config {
namespace {

std::span<const ParameterInfo> table() {
  using namespace types;  // the table reads as data: integer(0, 65535), one_of("…")
  static constexpr ParameterInfo kTable[] = {
#define PARAMETER(name, field, type, fallback, flags, meaning) \
  {Parameter::k##name, #name, field, type, fallback, flags, meaning},
#include "config/parameters.inc"
#undef PARAMETER
  };
  return kTable;
}

using ByName = std::map<std::string, const ParameterInfo*, std::less<>>;

// Levenshtein, one row at a time.
std::size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<std::size_t> row(b.size() + 1);
  for (std::size_t j = 0; j <= b.size(); ++j) row[j] = j;
  for (std::size_t i = 1; i <= a.size(); ++i) {
    std::size_t diagonal = row[0];
    row[0] = i;
    for (std::size_t j = 1; j <= b.size(); ++j) {
      const std::size_t above = row[j];
      row[j] = std::min({above + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0u : 1u)});
      diagonal = above;
    }
  }
  return row[b.size()];
}

}  // namespace

std::span<const ParameterInfo> all_parameters() { return table(); }

const ParameterInfo& info(Parameter parameter) { return table()[index(parameter)]; }

const ParameterInfo* find_parameter(std::string_view name) {
  static const ByName kByName = [] {
    ByName result;
    for (const ParameterInfo& parameter : table()) result.emplace(base::to_lower(parameter.name), &parameter);
    return result;
  }();
  const auto found = kByName.find(base::to_lower(name));
  return found == kByName.end() ? nullptr : found->second;
}

const ParameterInfo* find_field(std::string_view field) {
  static const ByName kByField = [] {
    ByName result;
    for (const ParameterInfo& parameter : table()) {
      if (!parameter.field.empty()) result.emplace(parameter.field, &parameter);
    }
    return result;
  }();
  const auto found = kByField.find(field);
  return found == kByField.end() ? nullptr : found->second;
}

std::string_view nearest_parameter(std::string_view name) {
  const std::string wanted = base::to_lower(name);
  std::string_view best;
  std::size_t best_distance = 1 + std::max<std::size_t>(2, wanted.size() / 5);  // further away is another word
  for (const ParameterInfo& parameter : table()) {
    const std::size_t distance = edit_distance(wanted, base::to_lower(parameter.name));
    if (distance < best_distance) {
      best = parameter.name;
      best_distance = distance;
    }
  }
  return best;
}

std::string environment_name(const ParameterInfo& parameter) {
  std::string out = "FELIX_";
  for (const char c : parameter.name) out.push_back(c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c);
  return out;
}

}  // namespace config
