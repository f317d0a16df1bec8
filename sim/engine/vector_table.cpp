#include "sim/engine/simd/vector_table.h"

#include <stdexcept>
#include <string_view>

namespace npu::sim {

namespace avx2 {
const VectorTable& table();
}
namespace avx512 {
const VectorTable& table();
}

namespace {

bool runs_avx2() {
  return __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") &&
         __builtin_cpu_supports("f16c");
}

bool runs_avx512() {
  return runs_avx2() && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
         __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl") &&
         __builtin_cpu_supports("avx512bf16");
}

}  // namespace

const VectorTable* vector_table(const char* name) {
  const std::string_view wanted = name;
  if (wanted == "avx512" && runs_avx512()) return &avx512::table();
  if (wanted == "avx2" && runs_avx2()) return &avx2::table();
  return nullptr;
}

const VectorTable& vector_table() {
  static const VectorTable& best = [&]() -> const VectorTable& {
    if (const VectorTable* table = vector_table("avx512")) return *table;
    if (const VectorTable* table = vector_table("avx2")) return *table;
    throw std::runtime_error("the machine's engines need a host with AVX2, FMA and F16C");
  }();
  return best;
}

}  // namespace npu::sim
