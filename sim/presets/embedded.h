// The machine files of sim/presets, compiled into the library.
#pragma once

#include <span>
#include <string_view>

namespace npu::sim {

struct EmbeddedPreset {
  std::string_view name;  // file name without ".toml"
  std::string_view text;
};

std::span<const EmbeddedPreset> embedded_presets();

}  // namespace npu::sim
