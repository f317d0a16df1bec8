#include "csrc/sdk/runtime/tuning_cache.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <link.h>
#include <unistd.h>

#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string_view>

namespace npu::sdk {
namespace {

// FNV-1a.
uint64_t hash_of(std::string_view text) {
  uint64_t hash = 0xcbf29ce484222325;
  for (const char c : text) hash = (hash ^ static_cast<unsigned char>(c)) * 0x100000001b3;
  return hash;
}

std::string text_of(std::span<const int64_t> numbers) {
  return fmt::format("{}", fmt::join(numbers, " "));
}

std::optional<std::vector<int64_t>> numbers_of(std::string_view text) {
  std::vector<int64_t> numbers;
  const char* at = text.data();
  const char* const end = at + text.size();
  while (at != end) {
    int64_t number = 0;
    const auto [next, error] = std::from_chars(at, end, number);
    if (error != std::errc()) return std::nullopt;
    numbers.push_back(number);
    if (next == end) return numbers;
    if (*next != ' ') return std::nullopt;
    at = next + 1;
  }
  return std::nullopt;
}

constexpr size_t kChecksumDigits = 16;
constexpr std::string_view kEquals = " = ";

}  // namespace

TuningCache::TuningCache(const std::string& directory, const std::string& family,
                         const std::string& version)
    : directory_(directory) {
  if (directory.empty() || version.empty()) return;
  path_ = (std::filesystem::path(directory) / fmt::format("{}-{}.txt", family, version)).string();
}

TuningCache::~TuningCache() {
  if (file_ >= 0) close(file_);
}

void TuningCache::warn(const std::string& what) {
  if (warned_) return;
  warned_ = true;
  fmt::print(stderr, "npu: tuning cache {}: {}\n", path_, what);
}

void TuningCache::read() {
  read_ = true;
  std::error_code error;
  if (path_.empty() || !std::filesystem::exists(path_, error)) return;
  std::ifstream stream(path_, std::ios::binary);
  const std::string text{std::istreambuf_iterator<char>(stream), {}};
  if (!stream) return warn("cannot be read, and is ignored");
  broken_line_ = !text.empty() && text.back() != '\n';
  int bad_lines = 0;
  for (std::string_view rest = text; !rest.empty();) {
    const size_t end = std::min(rest.find('\n'), rest.size());
    const std::string_view line = rest.substr(0, end);
    rest.remove_prefix(std::min(end + 1, rest.size()));
    if (line.empty()) continue;
    const size_t equals = line.find(kEquals);
    const std::string_view body = line.substr(std::min(kChecksumDigits + 1, line.size()));
    std::optional<std::vector<int64_t>> values;
    if (equals != std::string_view::npos && equals > kChecksumDigits &&
        line.substr(0, kChecksumDigits + 1) == fmt::format("{:016x} ", hash_of(body))) {
      values = numbers_of(line.substr(equals + kEquals.size()));
    }
    if (!values) {
      ++bad_lines;
      continue;
    }
    const std::string_view key = line.substr(kChecksumDigits + 1, equals - kChecksumDigits - 1);
    answers_.insert_or_assign(std::string(key), std::move(*values));
  }
  if (bad_lines > 0) warn(fmt::format("{} damaged lines are ignored", bad_lines));
}

std::optional<std::vector<int64_t>> TuningCache::find(std::span<const int64_t> key) {
  const std::lock_guard lock(mutex_);
  if (!read_) read();
  const auto it = answers_.find(text_of(key));
  if (it == answers_.end()) return std::nullopt;
  return it->second;
}

bool TuningCache::open() {
  if (file_ >= 0) return true;
  if (path_.empty() || unwritable_) return false;
  std::error_code error;
  std::filesystem::create_directories(directory_, error);
  file_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC, 0666);
  if (file_ >= 0) return true;
  unwritable_ = true;
  warn(fmt::format("cannot be written ({}), and is ignored", std::strerror(errno)));
  return false;
}

void TuningCache::store(std::span<const int64_t> key, std::span<const int64_t> values) {
  const std::lock_guard lock(mutex_);
  if (!open()) return;
  const std::string body = fmt::format("{}{}{}", text_of(key), kEquals, text_of(values));
  // In one write, which other processes' lines do not come between.
  const std::string line =
      fmt::format("{}{:016x} {}\n", broken_line_ ? "\n" : "", hash_of(body), body);
  broken_line_ = false;
  if (write(file_, line.data(), line.size()) != static_cast<ssize_t>(line.size())) {
    unwritable_ = true;
    warn(fmt::format("cannot be written ({})", std::strerror(errno)));
    close(file_);
    file_ = -1;
  }
}

// ---- What answers depend on ---------------------------------------------------------------------

namespace {

struct Search {
  ElfW(Addr) address;  // in the object that is looked for
  std::string id;
};

std::string id_in_notes(const char* notes, size_t size) {
  const auto align = [](size_t n) { return (n + 3) & ~size_t{3}; };
  while (size >= sizeof(ElfW(Nhdr))) {
    ElfW(Nhdr) note;
    std::memcpy(&note, notes, sizeof(note));
    const size_t name = sizeof(note);
    const size_t content = name + align(note.n_namesz);
    const size_t end = content + align(note.n_descsz);
    if (end > size) break;
    if (note.n_type == NT_GNU_BUILD_ID &&
        std::string_view(notes + name, note.n_namesz) == std::string_view("GNU", 4)) {
      const auto* id = reinterpret_cast<const unsigned char*>(notes + content);
      return fmt::format("{:02x}", fmt::join(std::span(id, note.n_descsz), ""));
    }
    notes += end;
    size -= end;
  }
  return "";
}

int visit_object(dl_phdr_info* object, size_t, void* search_pointer) {
  auto& search = *static_cast<Search*>(search_pointer);
  const std::span headers(object->dlpi_phdr, object->dlpi_phnum);
  bool here = false;
  for (const auto& header : headers) {
    const ElfW(Addr) start = object->dlpi_addr + header.p_vaddr;
    here |= header.p_type == PT_LOAD && search.address >= start &&
            search.address < start + header.p_memsz;
  }
  if (!here) return 0;
  for (const auto& header : headers) {
    if (header.p_type != PT_NOTE || !search.id.empty()) continue;
    search.id = id_in_notes(reinterpret_cast<const char*>(object->dlpi_addr + header.p_vaddr),
                            header.p_memsz);
  }
  return 1;
}

}  // namespace

std::string build_id() {
  Search search{reinterpret_cast<ElfW(Addr)>(&visit_object), ""};
  dl_iterate_phdr(visit_object, &search);
  return search.id;
}

uint64_t machine_hash(const sim::Machine& machine) { return hash_of(sim::to_toml(machine)); }

}  // namespace npu::sdk
