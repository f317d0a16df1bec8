// The sizes in which device memory is cached: eight for each power of two, so that rounding costs
// at most an eighth.
#pragma once

#include <bit>
#include <cstddef>

namespace npu::backend {

struct SizeClass {
  int index;
  size_t bytes;  // what every block of the class holds
};

inline constexpr size_t kSmallestClass = 512;
inline constexpr int kStepsPerOctave = 8;
inline constexpr int kSizeClasses = 1 + kStepsPerOctave * 40;  // 512 bytes to 512 TiB

// The smallest class that holds `bytes` (at least 1, at most 2^48).
constexpr SizeClass size_class(size_t bytes) {
  if (bytes <= kSmallestClass) return {0, kSmallestClass};
  const size_t octave = std::bit_floor(bytes - 1);  // octave < bytes <= 2 * octave
  const size_t step = octave / kStepsPerOctave;
  const size_t steps = (bytes - octave + step - 1) / step;
  const int octaves = std::countr_zero(octave) - std::countr_zero(kSmallestClass);
  return {octaves * kStepsPerOctave + static_cast<int>(steps), octave + steps * step};
}

}  // namespace npu::backend
