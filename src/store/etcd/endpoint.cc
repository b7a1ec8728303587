#include "store/etcd/endpoint.h"

#include <fmt/core.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "base/strings.h"

namespace store {
namespace {

constexpr std::string_view kDefaultPort = "2379";

bool valid_port(std::string_view text) {
  unsigned port = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
  return error == std::errc() && end == text.data() + text.size() && port > 0 && port <= 65535;
}

bool valid_host(std::string_view host) {
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789.-_";
  return !host.empty() && host.find_first_not_of(kAllowed) == host.npos;
}

bool looks_like_ipv4(std::string_view host) { return host.find_first_not_of("0123456789.") == host.npos; }

}  // namespace

base::Result<EtcdEndpoint> parse_etcd_endpoint(std::string_view url) {
  const auto bad = [&](std::string_view why) {
    return base::fail(base::Error::invalid(fmt::format("etcd endpoint {} (expected http://host:port)", why), url));
  };
  std::string_view rest = base::trim(url);
  EtcdEndpoint endpoint;
  if (const auto at = rest.find("://"); at != rest.npos) {
    const auto scheme = base::to_lower(rest.substr(0, at));
    if (scheme != "http" && scheme != "https") return bad("has an unknown scheme");
    endpoint.tls = scheme == "https";
    rest.remove_prefix(at + 3);
  }
  while (rest.ends_with('/')) rest.remove_suffix(1);
  if (rest.empty()) return bad("has no host");

  std::string_view host = rest;
  std::string_view port = kDefaultPort;
  const bool bracketed = rest.starts_with('[');
  if (bracketed) {
    const auto close = rest.find(']');
    if (close == rest.npos) return bad("has no ']'");
    host = rest.substr(1, close - 1);
    if (const auto tail = rest.substr(close + 1); !tail.empty()) {
      if (!tail.starts_with(':')) return bad("has something between ']' and the port");
      port = tail.substr(1);
    }
  } else if (const auto colon = rest.rfind(':'); colon != rest.npos) {
    host = rest.substr(0, colon);
    port = rest.substr(colon + 1);
  }
  if (!valid_port(port)) return bad("has no valid port");

  const char* scheme = endpoint.tls ? "https" : "http";
  if (bracketed) {
    if (host.find(':') == host.npos) return bad("has no IPv6 address in brackets");
    endpoint.target = fmt::format("ipv6:[{}]:{}", host, port);
    endpoint.url = fmt::format("{}://[{}]:{}", scheme, host, port);
    return endpoint;
  }
  if (!valid_host(host)) return bad("has no valid host");
  endpoint.target = fmt::format("{}{}:{}", looks_like_ipv4(host) ? "ipv4:" : "dns:///", host, port);
  endpoint.url = fmt::format("{}://{}:{}", scheme, host, port);
  return endpoint;
}

std::string explain_connect_failure(std::string_view text, bool tls) {
  struct Hint {
    std::string_view sign, meaning;
    bool tls_only = false;
  };
  static constexpr std::array kHints = {
      Hint{"CERTIFICATE_VERIFY_FAILED", "its certificate is not signed by the configured CA (check the CA file)"},
      Hint{"certificate verify failed", "its certificate is not signed by the configured CA (check the CA file)"},
      Hint{"Hostname Verification Check failed", "its certificate is for another host name"},
      Hint{"Peer name", "its certificate is for another host name"},
      Hint{"WRONG_VERSION_NUMBER", "it does not speak TLS (use http:// instead of https://?)"},
      Hint{"wrong version number", "it does not speak TLS (use http:// instead of https://?)"},
      Hint{"certificate required", "it requires a client certificate (set certificate and key)"},
      Hint{"bad certificate", "it does not accept our client certificate"},
      Hint{"Connection refused", "connection refused (is etcd running there?)"},
      Hint{"No route to host", "no route to the host"},
      Hint{"Network is unreachable", "the network is unreachable"},
      Hint{"DNS resolution failed", "its host name does not resolve"},
      Hint{"Domain name not found", "its host name does not resolve"},
      Hint{"Ssl handshake failed", "the TLS handshake failed (check CA, certificate and key)", true},
      Hint{"handshake", "the TLS handshake failed (check CA, certificate and key)", true},
      Hint{"Deadline Exceeded", "no answer"},
      Hint{"FD Shutdown", "no answer"},
      Hint{"timed out", "no answer"},
      Hint{"imeout", "no answer"},
      Hint{"eadline", "no answer"},
      Hint{"handshake", "no answer (is it etcd that listens there, and does it expect https://?)"},
  };
  for (const auto& hint : kHints) {
    if (text.find(hint.sign) != text.npos && (tls || !hint.tls_only)) return std::string(hint.meaning);
  }
  static constexpr std::array<std::string_view, 4> kClosedSigns = {"closed", "reset", "EOF", "Endpoint read failed"};
  const bool closed = std::ranges::any_of(kClosedSigns, [&](auto sign) { return text.find(sign) != text.npos; });
  if (!closed) return std::string(text);
  return tls ? "it closed the connection (does it speak TLS, and does it accept our client certificate?)"
             : "it closed the connection (does it expect https://?)";
}

}  // namespace store
