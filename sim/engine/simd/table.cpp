#include "sim/engine/simd/simd.h"

#define NPU_TEXT_OF(x) #x
#define NPU_TEXT(x) NPU_TEXT_OF(x)

namespace npu::sim::NPU_SIMD {

const VectorTable& table() {
  static const VectorTable kTable = [] {
    VectorTable table{};
    table.name = NPU_TEXT(NPU_SIMD);
#ifdef __AVX512F__
    table.fuses = true;
#endif
    fill_float_functions(table);
    fill_integer_functions(table);
    fill_conversions(table);
    fill_reductions(table);
    fill_random(table);
    fill_layout(table);
    fill_dot_products(table);
    return table;
  }();
  return kTable;
}

}  // namespace npu::sim::NPU_SIMD
