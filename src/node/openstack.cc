// The OpenStack part of the requirements: releases of OpenStack and libvirt, and whether they work together.

#include <algorithm>
#include <array>
#include <optional>
#include <utility>

#include "base/strings.h"
#include "node/requirements.h"

namespace node {
namespace {

using Version = std::vector<int>;

constexpr int kMitaka = 13, kNewton = 14;
constexpr int kFirstNumbered = 12;
// Nova 12.0 is Liberty; a major version per release since.
constexpr std::array<std::string_view, 21> kReleases = {
    "Liberty", "Mitaka",   "Newton", "Ocata",    "Pike",      "Queens", "Rocky",
    "Stein",   "Train",    "Ussuri", "Victoria", "Wallaby",   "Xena",   "Yoga",
    "Zed",     "Antelope", "Bobcat", "Caracal",  "Dalmatian", "Epoxy",  "Flamingo"};

Finding finding(std::string name, Verdict verdict, std::string detail, std::string remedy) {
  return {"OpenStack", std::move(name), verdict, std::move(detail), verdict == Verdict::kOk ? "" : std::move(remedy)};
}

std::string text_of(const Version& version) {
  std::vector<std::string> words;
  for (const int number : version) words.push_back(std::to_string(number));
  return base::join(words, ".");
}

// Up to Kilo Nova counted by years.
bool by_year(const Version& nova) { return nova.front() >= 2000; }

std::string release_of(const Version& nova) {
  if (by_year(nova) || nova.front() < kFirstNumbered) return "Kilo or older";
  const auto index = static_cast<std::size_t>(nova.front() - kFirstNumbered);
  return index < kReleases.size() ? std::string(kReleases.at(index)) : "newer than " + std::string(kReleases.back());
}

// Nothing if there is no such program; empty if it does not say.
std::optional<Version> nova_version(Prober& prober) {
  const auto text = prober.output_of({"nova-compute", "--version"});
  if (!text) return std::nullopt;
  Version version;
  for (const std::string_view line : base::split(*text, '\n')) {  // warnings of Python may precede the number
    if (auto numbers = version_numbers(base::trim(line)); numbers.size() > 1) version = std::move(numbers);
  }
  return version;
}

// "/usr/sbin/libvirtd (libvirt) 9.0.0"; what else is said may come before and after it.
Version version_in(std::string_view text) {
  constexpr std::string_view kPackage = "(libvirt) ";
  const auto at = text.find(kPackage);
  return at == text.npos ? Version() : version_numbers(text.substr(at + kPackage.size()));
}

// Newer distributions have a daemon for each hypervisor in place of libvirtd.
Version libvirt_version(Prober& prober) {
  for (const char* daemon : {"libvirtd", "virtqemud"}) {
    if (auto version = version_in(prober.output_of({daemon, "--version"}).value_or("")); !version.empty())
      return version;
  }
  return {};
}

Finding nova_finding(const Version& nova) {
  if (nova.empty())
    return finding("Nova", Verdict::kWarning, "nova-compute does not say its version",
                   "Newton or newer is recommended.");
  const bool recommended = !by_year(nova) && nova.front() >= kNewton;
  return finding("Nova " + text_of(nova), recommended ? Verdict::kOk : Verdict::kWarning,
                 "OpenStack " + release_of(nova), "Calico recommends Newton or newer.");
}

Finding libvirt_finding(const Version& libvirt) {
  if (!libvirt.empty()) return finding("libvirt " + text_of(libvirt), Verdict::kOk, "", "");
  return finding("libvirt", Verdict::kWarning, "neither libvirtd nor virtqemud says its version",
                 "Install libvirt and its daemon on this compute node.");
}

Finding patch_finding(const Version& nova, const Version& libvirt) {
  const bool runs_scripts = libvirt >= Version{1, 3, 3} && libvirt < Version{3, 1};
  const bool old = by_year(nova) || nova.front() <= kMitaka;
  const bool fixed_in_some = !by_year(nova) && nova.front() == kNewton;
  const Verdict verdict = runs_scripts && old             ? Verdict::kFail
                          : runs_scripts && fixed_in_some ? Verdict::kWarning
                                                          : Verdict::kOk;
  return finding(
      "Nova and libvirt", verdict, verdict == Verdict::kOk ? "fit together" : "together they need a patch of Nova",
      "Nova up to Mitaka (and Newton without bug fixes) gives tap interfaces an empty script, which libvirt from 1.3.3 "
      "to "
      "3.0 tries to run, so that no guest starts. Back-port the fix of Nova bug 1649527, or use libvirt 3.1 or newer.");
}

}  // namespace

std::vector<Finding> check_openstack(Prober& prober) {
  const auto nova = nova_version(prober);
  if (!nova) return {finding("Nova", Verdict::kSkipped, "no nova-compute here: not a compute node", "")};
  const Version libvirt = libvirt_version(prober);
  std::vector<Finding> findings = {nova_finding(*nova), libvirt_finding(libvirt)};
  if (!nova->empty() && !libvirt.empty()) findings.push_back(patch_finding(*nova, libvirt));
  return findings;
}

}  // namespace node
