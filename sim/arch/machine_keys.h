// Every key of a machine file: its path, where its value lives and what it may be. Reading,
// writing and overriding all follow this table.
#pragma once

#include <span>
#include <string_view>
#include <variant>

#include "sim/arch/machine.h"

namespace npu::sim {

struct MachineKey {
  std::string_view path;  // "hbm.channels"; keys of a section follow one another
  std::variant<int& (*)(Machine&), double& (*)(Machine&), bool& (*)(Machine&)> member;
  double least = 0;
  double most = 0;
  std::string_view meaning;
};

std::span<const MachineKey> machine_keys();

}  // namespace npu::sim
