// Any bytes as a value of IPAM: nothing is lost, nothing is given out twice, and what is written can be read again.
#include <algorithm>
#include <cstdint>
#include <set>
#include <string>
#include <string_view>

#include "base/check.h"
#include "ipam/addressing.h"
#include "ipam/block.h"
#include "ipam/values.h"

namespace {

void check_block(ipam::Block block) {
  const std::string text = block.encode();
  const auto again = ipam::Block::parse(text);
  CHECK(again.has_value());
  CHECK(again->encode() == text);

  std::set<base::IpAddress> used;
  block.for_each_used([&](const base::IpAddress& address, const ipam::Owner*) { CHECK(used.insert(address).second); });
  CHECK(used.size() + block.free_count() <= block.size());

  const ipam::Owner owner{.handle = "fuzz"};
  const auto taken = block.assign(3, owner, {});
  CHECK(taken.size() == std::min<std::size_t>(3, again->free_count()));
  for (const auto& address : taken) {
    CHECK(!used.contains(address));
    CHECK(block.owner_of(address) == owner);
  }
  const auto released = block.release_handle("fuzz");
  CHECK(released.released.size() >= taken.size());
  CHECK(block.free_count() == again->free_count() + released.released.size() - taken.size());
  CHECK(ipam::Block::parse(block.encode_update()).has_value());
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);
int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  if (const auto block = ipam::Block::parse(text)) check_block(*block);
  if (const auto handle = ipam::Handle::parse(text)) {
    const auto again = ipam::Handle::parse(handle->encode());
    CHECK(again.has_value() && again->blocks == handle->blocks);
  }
  if (const auto config = ipam::Config::parse(text)) {
    const auto again = ipam::Config::parse(config->encode());
    CHECK(again.has_value() && again->encode() == config->encode());
  }
  (void)ipam::parse_affinity(text);
  if (const auto block = ipam::parse_block_key(text)) CHECK(ipam::block_key(*block) == text);
  if (const auto key = ipam::parse_affinity_key(text)) CHECK(ipam::affinity_key(key->host, key->block) == text);
  return 0;
}
