// decoder_fixture.h: for tests only: decodes one value and hands out what came of it.
#pragma once

#include <string>
#include <string_view>
#include <variant>

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "model/decoder.h"

namespace model {

class DecoderFixture : public testing::Test {
 protected:
  static constexpr std::string_view kRoot = "/calico/resources/v3/projectcalico.org/";

  Decoder::Output put(std::string_view key, std::string_view value) {
    Decoder::Output out;
    decoder.put(key, value, out);
    return out;
  }
  Decoder::Output erase(std::string_view key) {
    Decoder::Output out;
    decoder.erase(key, out);
    return out;
  }

  // The one change of that type among the updates; a test failure and an empty value if there is none. `path` follows
  // kRoot.
  template <typename Change>
  std::optional<typename Change::Value> decode(std::string_view path, std::string_view value) {
    last = put(std::string(kRoot).append(path), value);
    for (const Update& update : last.updates) {
      if (const auto* const change = std::get_if<Change>(&update)) return change->value;
    }
    ADD_FAILURE() << "no update for " << path;
    return std::nullopt;
  }

  // All diagnostics of the last decode(), one per line.
  std::string diagnostics() const {
    std::string text;
    for (const Diagnostic& diagnostic : last.diagnostics) text += to_string(diagnostic) + "\n";
    return text;
  }

  Symbol symbol(std::string_view text) { return interner.intern(text); }
  Labels labels(std::initializer_list<std::pair<std::string_view, std::string_view>> texts) {
    Labels all;
    for (const auto& [name, value] : texts) all.push_back({symbol(name), symbol(value)});
    normalise(all);
    return all;
  }
  static base::IpAddress address(std::string_view text) { return *base::parse_address(text); }
  static base::Prefix cidr(std::string_view text) { return *base::parse_cidr(text); }

  base::Interner interner;
  Decoder decoder{{.hostname = "compute-01", .allow_source_spoofing = false}, interner};
  Decoder::Output last;
};

}  // namespace model
