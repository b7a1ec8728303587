#include "model/decoder.h"

#include <algorithm>
#include <array>

#include <boost/json/monotonic_resource.hpp>
#include <boost/json/parser.hpp>

#include "model/decode/decode.h"
#include "model/decode/key.h"

namespace model {
namespace {

namespace json = boost::json;
using decode::Field;
using decode::Key;
using decode::Kind;

// Big enough for the documents that come in masses; larger ones take more memory for their own time only.
constexpr std::size_t kDocumentMemory = 64 * 1024;
// managedFields of objects that passed through Kubernetes nest deeper than Boost's default of 32.
constexpr std::size_t kDeepestDocument = 128;

json::parse_options parse_options() {
  json::parse_options options;
  options.max_depth = kDeepestDocument;
  return options;
}

// In a key the '/' of a block's CIDR is '-'.
base::Result<base::Prefix> block_cidr(std::string_view name) {
  std::string text(name);
  if (const auto dash = text.rfind('-'); dash != std::string::npos) text[dash] = '/';
  return base::parse_cidr(text);
}

std::string object_name(const Key& key) {
  std::string name(decode::kind_name(key.kind));
  name += '(';
  if (!key.ns.empty()) name.append(key.ns).append("/");
  return name.append(key.name).append(")");
}

std::string_view if_never_good(Kind kind) {
  switch (kind) {
    case Kind::kWorkloadEndpoint: return "the endpoint counts as absent and gets no traffic.";
    case Kind::kNetworkPolicy:
    case Kind::kGlobalNetworkPolicy:
    case Kind::kStagedNetworkPolicy:
    case Kind::kStagedGlobalNetworkPolicy: return "no rule of the policy is applied.";
    case Kind::kProfile: return "endpoints that list the profile get no traffic.";
    case Kind::kHostEndpoint:
    case Kind::kNetworkSet:
    case Kind::kGlobalNetworkSet:
    case Kind::kTier:
    case Kind::kIpPool:
    case Kind::kNode:
    case Kind::kFelixConfiguration:
    case Kind::kClusterInformation:
    case Kind::kBgpConfiguration:
    case Kind::kBgpPeer:
    case Kind::kBgpFilter:
    case Kind::kIpamBlock:
    case Kind::kBlockAffinity: break;
  }
  return "the object counts as absent.";
}

std::string consequence(Kind kind) {
  return "Until then the last good value stays in force; without one, " + std::string(if_never_good(kind));
}

PolicyKind policy_kind(Kind kind) {
  switch (kind) {
    case Kind::kGlobalNetworkPolicy: return PolicyKind::kGlobalNetworkPolicy;
    case Kind::kStagedNetworkPolicy: return PolicyKind::kStagedNetworkPolicy;
    case Kind::kStagedGlobalNetworkPolicy: return PolicyKind::kStagedGlobalNetworkPolicy;
    case Kind::kNetworkPolicy:
    case Kind::kWorkloadEndpoint:
    case Kind::kHostEndpoint:
    case Kind::kNetworkSet:
    case Kind::kGlobalNetworkSet:
    case Kind::kTier:
    case Kind::kProfile:
    case Kind::kIpPool:
    case Kind::kNode:
    case Kind::kFelixConfiguration:
    case Kind::kClusterInformation:
    case Kind::kBgpConfiguration:
    case Kind::kBgpPeer:
    case Kind::kBgpFilter:
    case Kind::kIpamBlock:
    case Kind::kBlockAffinity: break;
  }
  return PolicyKind::kNetworkPolicy;
}

}  // namespace

struct Decoder::State {
  State(DecoderOptions given, base::Interner& i) : options(std::move(given)), interner(i) {}

  // What a put and a delete of one key have in common: the document is null when there is none.
  void update(const Key& key, const json::object* document, Output& out);
  // Adds diagnostics for the problems noted; the value only if none of them refuses it.
  template <typename Change>
  void emit(const Key& key, typename Change::Key change_key, std::optional<typename Change::Value> value, Output& out);
  void emit_document(const Key& key, DocumentKind kind, const json::object* document, Output& out);
  void emit_block(const Key& key, const json::object* document, Output& out);
  void emit_affinity(const Key& key, const json::object* document, Output& out);
  void report(const Key& key, Output& out);
  const json::object* parse(const Key& key, std::string_view text, json::value& value, Output& out);

  // Runs a reader if there is a document.
  template <typename Read>
  auto read(const json::object* document, Read reader) -> decltype(reader(std::declval<const Field&>())) {
    if (document == nullptr) return std::nullopt;
    return reader(Field(*document, problems));
  }

  DecoderOptions options;
  base::Interner& interner;
  SelectorCache selectors{interner};
  decode::LabelSyntax label_syntax;
  decode::Context context{options, interner, selectors, label_syntax};
  decode::Problems problems;
  // Parsed documents live here until the next one; freeing one costs nothing.
  std::unique_ptr<unsigned char[]> first_block = std::make_unique_for_overwrite<unsigned char[]>(kDocumentMemory);
  json::monotonic_resource memory{first_block.get(), kDocumentMemory};
  json::parser parser{json::storage_ptr(), parse_options()};
};

void Decoder::State::report(const Key& key, Output& out) {
  for (const decode::Problem& problem : problems.list()) {
    std::string text = problem.text;
    text += '.';
    if (problem.refuses) text.append(" ").append(consequence(key.kind));
    out.diagnostics.push_back({object_name(key), problem.field, std::move(text)});
  }
}

template <typename Change>
void Decoder::State::emit(const Key& key, typename Change::Key change_key, std::optional<typename Change::Value> value,
                          Output& out) {
  if (problems.refused()) {
    value.reset();
    out.refused = true;
  }
  report(key, out);
  out.updates.emplace_back(Change{std::move(change_key), std::move(value)});
}

void Decoder::State::emit_document(const Key& key, DocumentKind kind, const json::object* document, Output& out) {
  DocumentChange change{{kind, std::string(key.name)}, std::nullopt};
  // A copy in ordinary memory: the document itself is gone with the next one.
  if (document != nullptr) change.value = std::make_shared<const json::object>(*document, json::storage_ptr());
  out.updates.emplace_back(std::move(change));
}

void Decoder::State::emit_block(const Key& key, const json::object* document, Output& out) {
  const auto cidr = block_cidr(key.name);
  if (!cidr) {
    out.diagnostics.push_back({object_name(key), "",
                               "The key does not hold a CIDR. Delete it, or release and recreate the "
                               "block. Until then the object counts as absent."});
    return;
  }
  emit<IpamBlockChange>(key, {*cidr},
                        read(document, [&](const Field& f) { return decode::read_block(f, *cidr, context); }), out);
}

// Other nodes' affinities are nobody's business here.
void Decoder::State::emit_affinity(const Key& key, const json::object* document, Output& out) {
  if (key.ns != options.hostname) return;
  const auto cidr = block_cidr(key.name);
  if (!cidr) return;
  const std::string name = base::to_string(*cidr);
  emit_document({key.kind, key.ns, name}, DocumentKind::kBlockAffinity, document, out);
}

void Decoder::State::update(const Key& key, const json::object* document, Output& out) {
  const auto name = [&] { return interner.intern(key.name); };
  const auto ns = [&] { return interner.intern(key.ns); };
  switch (key.kind) {
    case Kind::kWorkloadEndpoint:
      return emit<WorkloadEndpointChange>(
          key, {ns(), std::string(key.name)},
          read(document, [&](const Field& f) { return decode::read_workload_endpoint(f, key, context); }), out);
    case Kind::kHostEndpoint:
      return emit<HostEndpointChange>(
          key, {name()}, read(document, [&](const Field& f) { return decode::read_host_endpoint(f, context); }), out);
    case Kind::kNetworkSet:
    case Kind::kGlobalNetworkSet:
      return emit<NetworkSetChange>(
          key, {ns(), name()},
          read(document, [&](const Field& f) { return decode::read_network_set(f, key, context); }), out);
    case Kind::kNetworkPolicy:
    case Kind::kGlobalNetworkPolicy:
    case Kind::kStagedNetworkPolicy:
    case Kind::kStagedGlobalNetworkPolicy:
      return emit<PolicyChange>(key, {policy_kind(key.kind), ns(), name()},
                                read(document, [&](const Field& f) { return decode::read_policy(f, key, context); }),
                                out);
    case Kind::kTier:
      return emit<TierChange>(key, {name()}, read(document, [](const Field& f) { return decode::read_tier(f); }), out);
    case Kind::kProfile:
      // Built in; what is stored under its name has no say (spec datamodel §2.9).
      if (key.name == kDefaultAllowProfile) return;
      return emit<ProfileChange>(key, {name()},
                                 read(document, [&](const Field& f) { return decode::read_profile(f, context); }), out);
    case Kind::kIpPool:
      return emit<IpPoolChange>(key, {std::string(key.name)},
                                read(document, [](const Field& f) { return decode::read_pool(f); }), out);
    case Kind::kNode:
      emit<NodeChange>(key, {name()}, read(document, [&](const Field& f) { return decode::read_node(f, context); }),
                       out);
      return emit_document(key, DocumentKind::kNode, document, out);
    case Kind::kFelixConfiguration: return emit_document(key, DocumentKind::kFelixConfiguration, document, out);
    case Kind::kClusterInformation: return emit_document(key, DocumentKind::kClusterInformation, document, out);
    case Kind::kBgpConfiguration: return emit_document(key, DocumentKind::kBgpConfiguration, document, out);
    case Kind::kBgpPeer: return emit_document(key, DocumentKind::kBgpPeer, document, out);
    case Kind::kBgpFilter: return emit_document(key, DocumentKind::kBgpFilter, document, out);
    case Kind::kIpamBlock: return emit_block(key, document, out);
    case Kind::kBlockAffinity: return emit_affinity(key, document, out);
  }
}

// Null, with a diagnostic, if the text is not a JSON object.
const json::object* Decoder::State::parse(const Key& key, std::string_view text, json::value& value, Output& out) {
  json::error_code error;
  parser.reset(json::storage_ptr(&memory));
  parser.write(text.data(), text.size(), error);
  if (!error) value = parser.release();
  parser.reset();
  const json::object* const document = error ? nullptr : value.if_object();
  if (document == nullptr) {
    out.refused = true;
    const std::string what = error ? "The value is not JSON (" + error.message() + ")" : "The value is no JSON object";
    out.diagnostics.push_back({object_name(key), "", what + ". Write the object again. " + consequence(key.kind)});
  }
  return document;
}

Decoder::Decoder(DecoderOptions options, base::Interner& interner)
    : state_(std::make_unique<State>(std::move(options), interner)) {}
Decoder::~Decoder() = default;

void Decoder::put(std::string_view key, std::string_view value, Output& out) {
  out.refused = false;
  const auto parsed = decode::parse_key(key);
  if (!parsed) return;
  State& state = *state_;
  state.problems.clear();
  {
    // An affinity without a value is a confirmed one (spec datamodel §7.4).
    if (parsed->kind == Kind::kBlockAffinity && value.empty()) value = "{}";
    json::value document((json::storage_ptr(&state.memory)));  // braces would make a list
    state.update(*parsed, state.parse(*parsed, value, document, out), out);
  }
  state.memory.release();
}

void Decoder::erase(std::string_view key, Output& out) {
  out.refused = false;
  const auto parsed = decode::parse_key(key);
  if (!parsed) return;
  state_->problems.clear();
  state_->update(*parsed, nullptr, out);
}

}  // namespace model
