// index_work.h: what a label index holds and has done, for Felix's metrics of that name (spec felix-agent §5).
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace calc {

// How the candidates for a new selector were found. A label counts as a parent's where a profile gives it.
enum class IndexScan : std::uint8_t {
  kEndpointFullScan,
  kEndpointLabelName,
  kEndpointSingleValue,
  kEndpointMultiValue,
  kParentLabelName,
  kParentSingleValue,
  kParentMultiValue,
};
inline constexpr std::array<std::string_view, 7> kIndexScanNames = {
    "endpoint-full-scan", "endpoint-label-name", "endpoint-single-value", "endpoint-multi-value",
    "parent-label-name",  "parent-single-value", "parent-multi-value"};

struct IndexWork {
  std::size_t filed = 0;    // selectors that only holders of some label are looked at for
  std::size_t unfiled = 0;  // selectors that every holder is looked at for
  // Since the start. One evaluation is that of a selector for one group of equal endpoints.
  std::uint64_t matches = 0;
  std::uint64_t misses = 0;
  std::array<std::uint64_t, kIndexScanNames.size()> scans{};  // by IndexScan; those with candidates
};

}  // namespace calc
