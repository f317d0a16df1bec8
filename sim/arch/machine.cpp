#include "sim/arch/machine.h"

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <toml++/toml.h>

#include <algorithm>
#include <bit>
#include <charconv>
#include <cmath>
#include <fstream>
#include <iterator>
#include <optional>
#include <set>
#include <utility>

#include "sim/arch/machine_keys.h"
#include "sim/error.h"
#include "sim/presets/embedded.h"

namespace npu::sim {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};

[[noreturn]] void fail(const std::string& message) {
  throw MachineError(ErrorKind::kMachineFile, message);
}

// Says where a machine comes from in messages: "machine file 'x.toml'", "override".
struct Origin {
  std::string text;

  [[noreturn]] void fail(std::string_view key, const std::string& what) const {
    npu::sim::fail(fmt::format("{}: {}{}", text, key, what));
  }
};

std::string allowed(const MachineKey& key) {
  return std::visit(
      Overloaded{
          [](bool& (*)(Machine&)) -> std::string { return "allowed are true and false"; },
          [&](auto) { return fmt::format("allowed are {} to {}", key.least, key.most); },
      },
      key.member);
}

void set_number(Machine& machine, const MachineKey& key, double value, const Origin& origin) {
  if (!(value >= key.least && value <= key.most)) {
    origin.fail(key.path, fmt::format(" = {}: {}", value, allowed(key)));
  }
  std::visit(Overloaded{
                 [&](bool& (*)(Machine&)) {
                   origin.fail(key.path, fmt::format(" = {}: {}", value, allowed(key)));
                 },
                 [&](int& (*member)(Machine&)) {
                   if (value != std::floor(value)) {
                     origin.fail(key.path,
                                 fmt::format(" = {}: wants an integer, {}", value, allowed(key)));
                   }
                   member(machine) = static_cast<int>(value);
                 },
                 [&](double& (*member)(Machine&)) { member(machine) = value; },
             },
             key.member);
}

void set_bool(Machine& machine, const MachineKey& key, bool value, const Origin& origin) {
  const auto* member = std::get_if<bool& (*)(Machine&)>(&key.member);
  if (member == nullptr) {
    origin.fail(key.path, fmt::format(" = {}: wants a number, {}", value, allowed(key)));
  }
  (*member)(machine) = value;
}

double get_number(Machine& machine, const MachineKey& key) {
  return std::visit([&](auto member) { return static_cast<double>(member(machine)); }, key.member);
}

const MachineKey* find_key(std::string_view path) {
  const auto keys = machine_keys();
  const auto found = std::ranges::find(keys, path, &MachineKey::path);
  return found == keys.end() ? nullptr : &*found;
}

// "dma." of "dma.setup_cycles", "" of "clock_ghz".
std::string_view section(std::string_view path) {
  const size_t dot = path.find('.');
  return dot == std::string_view::npos ? std::string_view() : path.substr(0, dot);
}

std::string known_keys(std::string_view of_section) {
  std::vector<std::string_view> names;
  std::set<std::string_view> sections;
  for (const MachineKey& key : machine_keys()) {
    if (section(key.path) == of_section) names.push_back(key.path);
    if (!section(key.path).empty()) sections.insert(section(key.path));
  }
  if (names.empty() || of_section.empty()) {
    return fmt::format("known are name, clock_ghz and the sections {}", fmt::join(sections, ", "));
  }
  return fmt::format("known are {}", fmt::join(names, ", "));
}

void check(const Machine& machine, const Origin& origin) {
  const auto require = [&](bool holds, std::string_view key, auto value, std::string_view rule) {
    if (!holds) origin.fail(key, fmt::format(" = {}: {}", value, rule));
  };
  require(machine.vector.special_lanes <= machine.vector.lanes, "vector.special_lanes",
          machine.vector.special_lanes,
          fmt::format("allowed are 1 to vector.lanes = {}", machine.vector.lanes));
  for (const auto& [key, bytes] :
       {std::pair("dma.burst_bytes", machine.dma.burst_bytes),
        std::pair("hbm.row_bytes", machine.hbm.row_bytes),
        std::pair("hbm.interleave_bytes", machine.hbm.interleave_bytes)}) {
    require(std::has_single_bit(static_cast<unsigned>(bytes)), key, bytes,
            "allowed are powers of two");
  }
  require(machine.hbm.row_bytes >= machine.dma.burst_bytes, "hbm.row_bytes", machine.hbm.row_bytes,
          fmt::format("allowed are at least dma.burst_bytes = {}", machine.dma.burst_bytes));
  require(machine.hbm.interleave_bytes >= machine.dma.burst_bytes &&
              machine.hbm.interleave_bytes <= machine.hbm.row_bytes,
          "hbm.interleave_bytes", machine.hbm.interleave_bytes,
          fmt::format("allowed are dma.burst_bytes = {} to hbm.row_bytes = {}",
                      machine.dma.burst_bytes, machine.hbm.row_bytes));
  require(
      machine.noc.total_bytes_per_cycle >= machine.noc.bytes_per_cycle, "noc.total_bytes_per_cycle",
      machine.noc.total_bytes_per_cycle,
      fmt::format("allowed are at least noc.bytes_per_cycle = {}", machine.noc.bytes_per_cycle));
  require(machine.capacity_bytes() >= machine.hbm.row_bytes, "hbm.capacity_gib",
          machine.hbm.capacity_gib,
          fmt::format("less than one row of {} bytes", machine.hbm.row_bytes));
}

void read_value(Machine& machine, const MachineKey& key, const toml::node& node,
                const Origin& origin) {
  if (const auto flag = node.as_boolean()) return set_bool(machine, key, flag->get(), origin);
  const bool wants_number = !std::holds_alternative<bool& (*)(Machine&)>(key.member);
  if (const auto integer = node.as_integer(); integer && wants_number) {
    return set_number(machine, key, static_cast<double>(integer->get()), origin);
  }
  if (const auto real = node.as_floating_point(); real && wants_number) {
    return set_number(machine, key, real->get(), origin);
  }
  std::string kind(toml::impl::node_type_friendly_names[static_cast<size_t>(node.type())]);
  origin.fail(key.path, fmt::format(" (line {}) is of type {}: {}", node.source().begin.line, kind,
                                    allowed(key)));
}

// Reads every value of the table, sections by recursion, and notes which keys it saw.
void read_table(Machine& machine, const toml::table& table, std::string_view prefix,
                std::set<std::string_view>& seen, const Origin& origin) {
  for (const auto& [name, node] : table) {
    const std::string path =
        prefix.empty() ? std::string(name.str()) : fmt::format("{}.{}", prefix, name.str());
    if (path == "name") {
      if (!node.is_string()) origin.fail(path, ": wants a string");
      machine.name = node.as_string()->get();
    } else if (const MachineKey* key = find_key(path)) {
      read_value(machine, *key, node, origin);
      seen.insert(key->path);
    } else if (const auto* inner = node.as_table(); inner != nullptr && prefix.empty()) {
      read_table(machine, *inner, path, seen, origin);
    } else {
      origin.fail(path, fmt::format(" (line {}): unknown key; {}", node.source().begin.line,
                                    known_keys(section(path))));
    }
  }
}

// A number as TOML and the command line write it; nothing else may follow.
std::optional<double> parse_number(std::string_view text) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [rest, error] = std::from_chars(text.data(), end, value);
  if (error != std::errc() || rest != end || !std::isfinite(value)) return std::nullopt;
  return value;
}

}  // namespace

int64_t Machine::capacity_bytes() const {
  return static_cast<int64_t>(hbm.capacity_gib * static_cast<double>(int64_t{1} << 30));
}

int64_t Machine::scratchpad_bytes() const { return int64_t{core.scratchpad_kib} * 1024; }

double Machine::hbm_bytes_per_cycle() const { return hbm.bandwidth_gbps / clock_ghz; }

int Machine::load_bytes_per_cycle() const {
  return std::min(noc.bytes_per_cycle, dma.load_queues * dma.bytes_per_cycle);
}

int Machine::store_bytes_per_cycle() const {
  return std::min(noc.bytes_per_cycle, dma.store_queues * dma.bytes_per_cycle);
}

double Machine::hbm_efficiency(int64_t run_bytes) const {
  const auto bytes = static_cast<double>(std::min<int64_t>(run_bytes, hbm.row_bytes));
  const double run_ns = bytes * hbm.channels / hbm.bandwidth_gbps;
  return (1 - hbm.refresh_fraction) /
         (std::max(1.0, hbm.activate_ns / run_ns) + hbm.row_miss_ns / run_ns);
}

double Machine::matrix_rate(DType type) const {
  switch (type) {
    case DType::f32:
      return matrix.rate_fp32;
    case DType::f16:
    case DType::bf16:
    case DType::i16:
      return matrix.rate_16bit;
    case DType::f64:
    case DType::i64:
    case DType::i32:
      return matrix.rate_64bit;
    default:
      return matrix.rate_8bit;
  }
}

Machine parse_machine(std::string_view text, std::string_view origin_name) {
  const Origin origin{fmt::format("machine file '{}'", origin_name)};
  toml::table table;
  try {
    table = toml::parse(text, origin_name);
  } catch (const toml::parse_error& error) {
    fail(fmt::format("{}, line {}, column {}: {}", origin.text, error.source().begin.line,
                     error.source().begin.column, error.description()));
  }
  Machine machine;
  std::set<std::string_view> seen;
  read_table(machine, table, "", seen, origin);
  if (machine.name.empty()) origin.fail("name", ": missing; allowed is any text");
  for (const MachineKey& key : machine_keys()) {
    if (!seen.contains(key.path)) {
      origin.fail(key.path, fmt::format(": missing ({}); {}", key.meaning, allowed(key)));
    }
  }
  check(machine, origin);
  return machine;
}

Machine load_machine(std::string_view preset_or_path) {
  for (const EmbeddedPreset& preset : embedded_presets()) {
    if (preset.name == preset_or_path) return parse_machine(preset.text, preset.name);
  }
  std::ifstream file{std::string(preset_or_path)};
  const std::string text{std::istreambuf_iterator<char>(file), {}};
  if (!file.is_open() || file.bad() || text.empty()) {
    fail(fmt::format("machine '{}': no preset of this name and no readable file; presets are {}",
                     preset_or_path, fmt::join(preset_names(), ", ")));
  }
  return parse_machine(text, preset_or_path);
}

std::vector<std::string> preset_names() {
  std::vector<std::string> names;
  for (const EmbeddedPreset& preset : embedded_presets()) names.emplace_back(preset.name);
  return names;
}

std::string to_toml(const Machine& machine) {
  Machine copy = machine;  // the table's accessors hand out references to change
  std::string quoted;
  for (const char c : machine.name) {
    if (c == '"' || c == '\\') quoted += '\\';
    if (static_cast<unsigned char>(c) < 0x20) {
      quoted += fmt::format("\\u{:04x}", static_cast<unsigned char>(c));
    } else {
      quoted += c;
    }
  }
  std::string text = fmt::format("name = \"{}\"\n", quoted);
  std::string_view current;
  for (const MachineKey& key : machine_keys()) {
    if (section(key.path) != current) {
      current = section(key.path);
      text += fmt::format("\n[{}]\n", current);
    }
    const std::string_view leaf = key.path.substr(current.empty() ? 0 : current.size() + 1);
    const std::string value =
        std::visit([&](auto member) { return fmt::format("{}", member(copy)); }, key.member);
    text += fmt::format("{:<16} = {:<8} # {}\n", leaf, value, key.meaning);
  }
  return text;
}

namespace {

void set_override(Machine& machine, std::string_view assignment) {
  const Origin origin{fmt::format("override '{}'", assignment)};
  const size_t equals = assignment.find('=');
  if (equals == std::string_view::npos) {
    fail(fmt::format("{}: wants key=VALUE or key=xFACTOR", origin.text));
  }
  const std::string_view path = assignment.substr(0, equals);
  std::string_view value = assignment.substr(equals + 1);
  const MachineKey* key = find_key(path);
  if (key == nullptr)
    origin.fail(path, fmt::format(": unknown key; {}", known_keys(section(path))));

  if (value == "true" || value == "false") {
    set_bool(machine, *key, value == "true", origin);
    return;
  }
  const bool factor = value.starts_with('x');
  const auto number = parse_number(factor ? value.substr(1) : value);
  if (!number || std::holds_alternative<bool& (*)(Machine&)>(key->member)) {
    origin.fail(path, fmt::format(" = {}: {}", value, allowed(*key)));
  }
  set_number(machine, *key, factor ? get_number(machine, *key) * *number : *number, origin);
}

}  // namespace

void apply_overrides(Machine& machine, std::span<const std::string_view> assignments) {
  Machine changed = machine;
  for (const std::string_view assignment : assignments) set_override(changed, assignment);
  const std::string_view plural = assignments.size() > 1 ? "s" : "";
  check(changed, Origin{fmt::format("override{} '{}'", plural, fmt::join(assignments, "', '"))});
  machine = changed;
}

void apply_override(Machine& machine, std::string_view assignment) {
  apply_overrides(machine, {&assignment, 1});
}

}  // namespace npu::sim
