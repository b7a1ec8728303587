// One rule is: action, a word of bits that says which fields are there, and those fields. Symbols and numbers are
// copied as they are in memory: the bytes never leave the process.
#include "calc/rules/stored_rules.h"

#include <algorithm>
#include <cstring>
#include <memory>
#include <new>
#include <span>
#include <string>
#include <type_traits>

#include "base/check.h"

namespace calc {
namespace {

constexpr std::uint32_t kIpVersion = 1u << 0;
constexpr std::uint32_t kProtocol = 1u << 1;
constexpr std::uint32_t kNotProtocol = 1u << 2;
constexpr std::uint32_t kIcmp = 1u << 3;
constexpr std::uint32_t kNotIcmp = 1u << 4;
constexpr std::uint32_t kAnnotations = 1u << 5;
// Of the source; those of the destination are kSideBits further up.
constexpr std::uint32_t kNets = 1u << 6;
constexpr std::uint32_t kNotNets = 1u << 7;
constexpr std::uint32_t kPorts = 1u << 8;
constexpr std::uint32_t kNotPorts = 1u << 9;
constexpr std::uint32_t kSelector = 1u << 10;
constexpr std::uint32_t kNotSelector = 1u << 11;
constexpr std::uint32_t kService = 1u << 12;
constexpr int kSideBits = 7;
constexpr std::uint32_t kEgress = 1u << 20;  // which list the rule belongs to

class Writer {
 public:
  Writer(std::vector<char>& bytes, std::vector<model::Selector>& selectors) : bytes_(bytes), selectors_(selectors) {}

  // Appends; `list` is kEgress or 0.
  void write(const std::vector<model::Rule>& rules, std::uint32_t list) {
    for (const model::Rule& rule : rules) put_rule(rule, list);
  }

 private:
  template <typename T>
  void put(const T& value) {
    static_assert(std::is_trivially_copyable_v<T>);
    const auto* from = reinterpret_cast<const char*>(&value);
    bytes_.insert(bytes_.end(), from, from + sizeof value);
  }
  void put_count(std::size_t count) {  // small numbers in one byte
    for (; count >= 0x80; count >>= 7) put(static_cast<std::uint8_t>(count | 0x80));
    put(static_cast<std::uint8_t>(count));
  }
  void put_text(std::string_view text) {
    put_count(text.size());
    bytes_.insert(bytes_.end(), text.begin(), text.end());
  }
  void put_selector(const model::Selector& selector) {
    const auto known = std::ranges::find(selectors_, selector);
    put_count(static_cast<std::size_t>(known - selectors_.begin()));
    if (known == selectors_.end()) selectors_.push_back(selector);
  }
  void put_protocol(const model::Protocol& protocol) {
    put(protocol.name);
    put(protocol.number);
  }
  void put_icmp(const model::IcmpMatch& icmp) {
    put(icmp.type);
    put(static_cast<std::uint16_t>(icmp.code ? *icmp.code : 0x100));
  }
  void put_nets(const std::vector<base::Prefix>& nets) {
    put_count(nets.size());
    for (const base::Prefix& net : nets) {
      put(net.family());
      put(net.length);
      bytes_.insert(bytes_.end(), net.address.bytes(), net.address.bytes() + net.address.size());
    }
  }
  void put_ports(const std::vector<model::Port>& ports) {
    put_count(ports.size());
    for (const model::Port& port : ports) {
      put(static_cast<std::uint8_t>(port.is_named()));
      if (port.is_named()) {
        put(port.name);
      } else {
        put(port.first);
        put(port.last);
      }
    }
  }

  static std::uint32_t fields_of(const model::RuleEntity& entity) {
    return (entity.nets.empty() ? 0u : kNets) | (entity.not_nets.empty() ? 0u : kNotNets) |
           (entity.ports.empty() ? 0u : kPorts) | (entity.not_ports.empty() ? 0u : kNotPorts) |
           (entity.selector ? kSelector : 0u) | (entity.not_selector ? kNotSelector : 0u) |
           (entity.service.empty() ? 0u : kService);
  }
  void put_entity(const model::RuleEntity& entity) {
    if (!entity.nets.empty()) put_nets(entity.nets);
    if (!entity.not_nets.empty()) put_nets(entity.not_nets);
    if (!entity.ports.empty()) put_ports(entity.ports);
    if (!entity.not_ports.empty()) put_ports(entity.not_ports);
    if (entity.selector) put_selector(*entity.selector);
    if (entity.not_selector) put_selector(*entity.not_selector);
    if (!entity.service.empty()) put_text(entity.service);
  }

  void put_rule(const model::Rule& rule, std::uint32_t list) {
    put(rule.action);
    put(static_cast<std::uint32_t>(list | (rule.ip_version ? kIpVersion : 0u) | (rule.protocol ? kProtocol : 0u) |
                                   (rule.not_protocol ? kNotProtocol : 0u) | (rule.icmp ? kIcmp : 0u) |
                                   (rule.not_icmp ? kNotIcmp : 0u) | (rule.annotations.empty() ? 0u : kAnnotations) |
                                   fields_of(rule.source) | fields_of(rule.destination) << kSideBits));
    if (rule.ip_version) put(*rule.ip_version);
    if (rule.protocol) put_protocol(*rule.protocol);
    if (rule.not_protocol) put_protocol(*rule.not_protocol);
    if (rule.icmp) put_icmp(*rule.icmp);
    if (rule.not_icmp) put_icmp(*rule.not_icmp);
    if (!rule.annotations.empty()) {
      put_count(rule.annotations.size());
      for (const auto& [key, value] : rule.annotations) {
        put_text(key);
        put_text(value);
      }
    }
    put_entity(rule.source);
    put_entity(rule.destination);
  }

  std::vector<char>& bytes_;
  std::vector<model::Selector>& selectors_;
};

class Reader {
 public:
  Reader(std::span<const char> bytes, std::span<const model::Selector> selectors)
      : bytes_(bytes), selectors_(selectors) {}

  StoredRules::Lists read() {
    StoredRules::Lists lists;
    while (!bytes_.empty()) take_rule(lists);
    return lists;
  }

 private:
  template <typename T>
  T take() {
    T value{};
    CHECK(bytes_.size() >= sizeof value);
    std::memcpy(&value, bytes_.data(), sizeof value);
    bytes_ = bytes_.subspan(sizeof value);
    return value;
  }
  std::size_t take_count() {
    std::size_t count = 0;
    for (int shift = 0;; shift += 7) {
      const auto byte = take<std::uint8_t>();
      count |= std::size_t{byte & 0x7Fu} << shift;
      if (byte < 0x80) return count;
    }
  }
  std::string take_text() {
    const std::size_t size = take_count();
    CHECK(bytes_.size() >= size);
    std::string text(bytes_.data(), size);
    bytes_ = bytes_.subspan(size);
    return text;
  }
  model::Selector take_selector() { return selectors_[take_count()]; }
  model::Protocol take_protocol() {
    const auto name = take<model::Symbol>();
    return {name, take<std::uint8_t>()};
  }
  model::IcmpMatch take_icmp() {
    model::IcmpMatch icmp;
    icmp.type = take<std::uint8_t>();
    const auto code = take<std::uint16_t>();
    if (code < 0x100) icmp.code = static_cast<std::uint8_t>(code);
    return icmp;
  }
  std::vector<base::Prefix> take_nets() {
    std::vector<base::Prefix> nets(take_count());
    for (base::Prefix& net : nets) {
      const auto family = take<base::Family>();
      net.length = take<std::uint8_t>();
      std::uint8_t address[16] = {};
      const std::size_t size = family == base::Family::kIpv4 ? 4 : 16;
      CHECK(bytes_.size() >= size);
      std::memcpy(address, bytes_.data(), size);
      bytes_ = bytes_.subspan(size);
      net.address = base::IpAddress::from_bytes(family, address);
    }
    return nets;
  }
  std::vector<model::Port> take_ports() {
    std::vector<model::Port> ports(take_count());
    for (model::Port& port : ports) {
      if (take<std::uint8_t>() != 0) {
        port.name = take<model::Symbol>();
      } else {
        port.first = take<std::uint16_t>();
        port.last = take<std::uint16_t>();
      }
    }
    return ports;
  }
  void take_entity(std::uint32_t fields, model::RuleEntity& entity) {
    if (fields & kNets) entity.nets = take_nets();
    if (fields & kNotNets) entity.not_nets = take_nets();
    if (fields & kPorts) entity.ports = take_ports();
    if (fields & kNotPorts) entity.not_ports = take_ports();
    if (fields & kSelector) entity.selector = take_selector();
    if (fields & kNotSelector) entity.not_selector = take_selector();
    if (fields & kService) entity.service = take_text();
  }
  void take_rule(StoredRules::Lists& lists) {
    const auto action = take<model::RuleAction>();
    const auto fields = take<std::uint32_t>();
    model::Rule& rule = (fields & kEgress ? lists.egress : lists.ingress).emplace_back();
    rule.action = action;
    if (fields & kIpVersion) rule.ip_version = take<base::Family>();
    if (fields & kProtocol) rule.protocol = take_protocol();
    if (fields & kNotProtocol) rule.not_protocol = take_protocol();
    if (fields & kIcmp) rule.icmp = take_icmp();
    if (fields & kNotIcmp) rule.not_icmp = take_icmp();
    if (fields & kAnnotations) {
      rule.annotations.resize(take_count());
      for (auto& [key, value] : rule.annotations) {
        key = take_text();
        value = take_text();
      }
    }
    take_entity(fields, rule.source);
    take_entity(fields >> kSideBits, rule.destination);
  }

  std::span<const char> bytes_;
  std::span<const model::Selector> selectors_;
};

}  // namespace

// The block: this head, the selectors, each once, to which the rules refer by position, then the rules.
struct StoredRules::Block {
  std::uint32_t selector_count = 0;
  std::uint32_t rule_bytes = 0;

  static std::size_t rules_at(std::size_t selectors) { return sizeof(Block) + selectors * sizeof(model::Selector); }
  std::byte* start() { return reinterpret_cast<std::byte*>(this); }
  const std::byte* start() const { return reinterpret_cast<const std::byte*>(this); }
  model::Selector* selectors_start() { return reinterpret_cast<model::Selector*>(start() + sizeof(Block)); }

  std::span<const model::Selector> selectors() const {
    return {reinterpret_cast<const model::Selector*>(start() + sizeof(Block)), selector_count};
  }
  std::span<const char> rules() const {
    return {reinterpret_cast<const char*>(start() + rules_at(selector_count)), rule_bytes};
  }
};

void StoredRules::Free::operator()(Block* block) const {
  std::destroy_n(block->selectors_start(), block->selector_count);
  ::operator delete(block);
}

StoredRules::StoredRules(const std::vector<model::Rule>& ingress, const std::vector<model::Rule>& egress) {
  if (ingress.empty() && egress.empty()) return;
  static_assert(sizeof(Block) % alignof(model::Selector) == 0);
  std::vector<char> rules;
  std::vector<model::Selector> selectors;
  Writer writer(rules, selectors);
  writer.write(ingress, 0);
  writer.write(egress, kEgress);

  const std::size_t rules_at = Block::rules_at(selectors.size());
  block_.reset(new (::operator new(rules_at + rules.size()))
                   Block{static_cast<std::uint32_t>(selectors.size()), static_cast<std::uint32_t>(rules.size())});
  std::uninitialized_move(selectors.begin(), selectors.end(), block_->selectors_start());
  std::memcpy(block_->start() + rules_at, rules.data(), rules.size());
}

StoredRules::Lists StoredRules::read() const {
  return block_ ? Reader(block_->rules(), block_->selectors()).read() : Lists();
}

bool operator==(const StoredRules& a, const StoredRules& b) {
  if (!a.block_ || !b.block_) return !a.block_ && !b.block_;
  return std::ranges::equal(a.block_->rules(), b.block_->rules()) &&
         std::ranges::equal(a.block_->selectors(), b.block_->selectors());
}

}  // namespace calc
