#include "bgp/local_settings.h"

#include <cctype>
#include <charconv>
#include <optional>
#include <string>

#include <fmt/core.h>
#include <boost/json.hpp>

#include "base/strings.h"

namespace bgp {
namespace {

std::vector<std::string_view> words(std::string_view text) {
  std::vector<std::string_view> result;
  for (const std::string_view word : base::split(text, ' ')) {
    if (!base::trim(word).empty()) result.push_back(base::trim(word));
  }
  return result;
}

std::optional<std::uint16_t> parse_port(std::string_view text) {
  std::uint16_t port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port != 0 ? std::optional(port) : std::nullopt;
}

std::optional<SecretRef> parse_secret(std::string_view text) {
  const auto slash = text.find('/');
  if (slash == text.npos) return std::nullopt;
  SecretRef ref{std::string(text.substr(0, slash)), std::string(text.substr(slash + 1))};
  return is_secret_name(ref.name) && is_secret_name(ref.key) ? std::optional(std::move(ref)) : std::nullopt;
}

std::optional<LocalPeer> parse_peer_entry(std::string_view entry) {
  const auto parts = words(entry);
  if (parts.size() < 3 || parts.size() % 2 == 0) return std::nullopt;
  const auto address = base::parse_address(parts[0]);
  if (!address) return std::nullopt;
  LocalPeer peer;
  peer.address = *address;
  for (std::size_t i = 1; i < parts.size(); i += 2) {
    const std::string_view value = parts[i + 1];
    if (parts[i] == "as") {
      const auto number = parse_as_number(boost::json::value(std::string(value)));
      if (!number || *number == 0) return std::nullopt;
      peer.as_number = *number;
    } else if (parts[i] == "port") {
      peer.port = parse_port(value);
      if (!peer.port) return std::nullopt;
    } else if (parts[i] == "password") {
      peer.password = parse_secret(value);
      if (!peer.password) return std::nullopt;
    } else {
      return std::nullopt;
    }
  }
  return peer.as_number != 0 ? std::optional(std::move(peer)) : std::nullopt;
}

std::optional<TunnelNetwork> parse_tunnel_entry(std::string_view entry) {
  const auto parts = words(entry);
  if (parts.size() != 2) return std::nullopt;
  const auto cidr = base::parse_cidr(parts[0]);
  if (!cidr || cidr->family() != base::Family::kIpv4) return std::nullopt;
  if (parts[1] == "Always") return TunnelNetwork{*cidr, model::EncapMode::kAlways};
  if (parts[1] == "CrossSubnet") return TunnelNetwork{*cidr, model::EncapMode::kCrossSubnet};
  return std::nullopt;
}

template <typename T, typename Parse>
std::vector<T> parse_list(std::string_view text, std::string_view parameter, std::string_view form, Parse parse,
                          Diagnostics& out) {
  std::vector<T> result;
  int position = 0;
  for (const std::string_view entry : base::split(text, ',')) {
    ++position;
    if (base::trim(entry).empty()) continue;
    if (auto parsed = parse(entry))
      result.push_back(std::move(*parsed));
    else
      out.push_back(
          {std::string(parameter), "", fmt::format("entry {} is not \"{}\" and is left out", position, form)});
  }
  return result;
}

}  // namespace

std::vector<LocalPeer> parse_local_peers(std::string_view text, Diagnostics& out) {
  return parse_list<LocalPeer>(text, "BIRDPeers", "ADDRESS as NUMBER [port N] [password SECRET/KEY]", parse_peer_entry,
                               out);
}

std::vector<TunnelNetwork> parse_tunnel_networks(std::string_view text, Diagnostics& out) {
  return parse_list<TunnelNetwork>(text, "BIRDTunnelNetworks", "IPV4-CIDR Always|CrossSubnet", parse_tunnel_entry, out);
}

// Only a protocol brings routes. One that stands in a comment or a string counts, too: that costs time and nothing
// else.
LocalFile kind_of_local_file(std::string_view text) {
  const auto in_word = [](char c) { return std::isalnum(static_cast<unsigned char>(c)) != 0 || c == '_'; };
  for (std::size_t at = 0; at < text.size();) {
    if (!in_word(text[at])) {
      ++at;
      continue;
    }
    std::size_t end = at;
    while (end < text.size() && in_word(text[end])) ++end;
    const std::string_view word = text.substr(at, end - at);
    if (word == "protocol" || word == "include") return LocalFile::kProtocols;
    at = end;
  }
  return text.empty() ? LocalFile::kNone : LocalFile::kStatements;
}

}  // namespace bgp
