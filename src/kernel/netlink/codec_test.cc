#include "kernel/netlink/codec.h"

#include <algorithm>
#include <cerrno>
#include <random>

#include <gtest/gtest.h>
#include <linux/netlink.h>

namespace kernel::netlink {
namespace {

TEST(NetlinkCodec, WritesWhatItReads) {
  Batch batch;
  batch.begin(42, NLM_F_REQUEST);
  batch.header(std::uint32_t{7});
  batch.put_text(1, "cali40x");
  const std::size_t outer = batch.nest(2);
  batch.put_be16(3, 8080);
  batch.put_u8(4, 17);
  batch.put_address(5, *base::parse_address("fd00::1"));
  batch.end_nest(outer);
  batch.end();
  batch.begin(43, 0);
  batch.end();
  ASSERT_EQ(batch.size(), 2u);
  batch.set_sequence(1, 99);
  batch.add_flags(1, NLM_F_ACK);

  MessageReader reader(batch.bytes(0, 2));
  const auto first = reader.next();
  ASSERT_TRUE(first);
  EXPECT_EQ(first->type, 42);
  EXPECT_EQ(fixed_header<std::uint32_t>(first->payload), 7u);
  const AttributeTable<8> table(after_header<std::uint32_t>(first->payload));
  EXPECT_FALSE(table.malformed());
  EXPECT_EQ(table[1]->text(), "cali40x");
  const AttributeTable<8> inner(table[2]->payload);
  EXPECT_EQ(inner[3]->be16(), 8080);
  EXPECT_EQ(inner[4]->u8(), 17);
  EXPECT_EQ(inner[4]->u32(), std::nullopt);
  EXPECT_EQ(base::to_string(*inner[5]->address()), "fd00::1");
  EXPECT_FALSE(inner[6]);

  const auto second = reader.next();
  ASSERT_TRUE(second);
  EXPECT_EQ(second->sequence, 99u);
  EXPECT_EQ(second->flags, NLM_F_ACK);
  EXPECT_FALSE(reader.next());
  EXPECT_FALSE(reader.malformed());
}

TEST(NetlinkCodec, AnAttributeLongerThanTheRestEndsTheWalk) {
  Batch batch;
  batch.begin(1, 0);
  batch.put_u32(1, 5);
  batch.end();
  const Bytes good = batch.bytes(0, 1).subspan(kHeaderSize);
  std::vector<std::uint8_t> bad(good.begin(), good.end());
  bad[0] = 9;  // claims one byte too many
  AttributeReader reader(bad);
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.malformed());
}

TEST(NetlinkCodec, AMessageShorterThanItsHeaderIsMalformed) {
  std::vector<std::uint8_t> bytes(16, 0);
  bytes[0] = 8;
  MessageReader reader(bytes);
  EXPECT_FALSE(reader.next());
  EXPECT_TRUE(reader.malformed());
}

TEST(NetlinkCodec, ReadsRefusalsWithTheKernelsWords) {
  Batch batch;
  batch.begin(NLMSG_ERROR, 0x300);  // capped, attributes follow
  batch.header(std::int32_t{-EEXIST});
  batch.header(nlmsghdr{.nlmsg_len = 500, .nlmsg_type = 3, .nlmsg_flags = 0, .nlmsg_seq = 1, .nlmsg_pid = 0});
  batch.put_text(1, "already there");
  batch.end();
  MessageReader reader(batch.bytes(0, 1));
  const auto ack = parse_acknowledgement(*reader.next());
  ASSERT_TRUE(ack);
  EXPECT_EQ(ack->error, EEXIST);
  EXPECT_EQ(ack->text, "already there");
  EXPECT_TRUE(ack->request.empty());
}

// Stands in for the fuzzer in the unit tests: nothing may be read outside the buffer (the asan preset proves it).
TEST(NetlinkCodec, SurvivesRandomBytes) {
  std::mt19937 random(20261124);  // NOLINT: a fixed seed, so that a failure repeats
  for (int round = 0; round < 20'000; ++round) {
    std::vector<std::uint8_t> bytes(random() % 96);
    for (auto& byte : bytes) byte = static_cast<std::uint8_t>(random() % 5 == 0 ? random() : random() % 40);
    MessageReader messages(bytes);
    while (const auto message = messages.next()) {
      (void)parse_acknowledgement(*message);
      AttributeReader attributes(message->payload);
      while (const auto attribute = attributes.next()) {
        (void)attribute->text();
        (void)attribute->address();
        const AttributeTable<16> nested(attribute->payload);
        EXPECT_LE(attribute->payload.size(), bytes.size());
      }
    }
  }
}

}  // namespace
}  // namespace kernel::netlink
