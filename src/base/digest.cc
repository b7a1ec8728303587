#include "base/digest.h"

#include <openssl/evp.h>

#include "base/check.h"

namespace base {
namespace {

struct ContextDeleter {
  void operator()(EVP_MD_CTX* context) const { EVP_MD_CTX_free(context); }
};

// One context and one fetched algorithm per thread: EVP_Digest() alone would look the algorithm up at every call, which
// costs more than hashing a rule.
class Digester {
 public:
  explicit Digester(const char* name) : algorithm_(EVP_MD_fetch(nullptr, name, nullptr)), context_(EVP_MD_CTX_new()) {
    CHECK(algorithm_ != nullptr && context_ != nullptr);
  }
  ~Digester() { EVP_MD_free(algorithm_); }
  Digester(const Digester&) = delete;
  Digester& operator=(const Digester&) = delete;

  template <std::size_t N>
  std::array<std::uint8_t, N> digest(std::string_view first, std::string_view second = {}) {
    std::array<std::uint8_t, N> out{};
    unsigned length = 0;
    CHECK(EVP_DigestInit_ex2(context_.get(), algorithm_, nullptr) == 1);
    CHECK(EVP_DigestUpdate(context_.get(), first.data(), first.size()) == 1);
    CHECK(EVP_DigestUpdate(context_.get(), second.data(), second.size()) == 1);
    CHECK(EVP_DigestFinal_ex(context_.get(), out.data(), &length) == 1 && length == N);
    return out;
  }

 private:
  EVP_MD* algorithm_;
  std::unique_ptr<EVP_MD_CTX, ContextDeleter> context_;
};

}  // namespace

Sha1 sha1(std::string_view bytes) {
  thread_local Digester digester("SHA1");
  return digester.digest<20>(bytes);
}

Sha224 sha224(std::string_view bytes) { return sha224(bytes, {}); }

Sha224 sha224(std::string_view first, std::string_view second) {
  thread_local Digester digester("SHA224");
  return digester.digest<28>(first, second);
}

Sha256 sha256(std::string_view bytes) {
  thread_local Digester digester("SHA256");
  return digester.digest<32>(bytes);
}

Sha224 sha3_224(std::string_view bytes) {
  thread_local Digester digester("SHA3-224");
  return digester.digest<28>(bytes);
}

std::string base64url(std::span<const std::uint8_t> bytes) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
  std::string text;
  text.reserve((bytes.size() * 4 + 2) / 3);
  std::uint32_t bits = 0;
  int held = 0;
  for (const std::uint8_t byte : bytes) {
    bits = (bits << 8) | byte;
    held += 8;
    while (held >= 6) {
      held -= 6;
      text.push_back(kAlphabet[(bits >> held) & 63]);
    }
  }
  if (held > 0) text.push_back(kAlphabet[(bits << (6 - held)) & 63]);
  return text;
}

}  // namespace base
