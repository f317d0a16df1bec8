// What element-wise instructions (v_unary, v_binary, v_ternary) compute: their operands, the type
// that they compute in and the function for it.
#pragma once

#include <array>

#include "sim/engine/tile.h"
#include "sim/isa/opcode.h"

namespace npu::sim {

// A tile of the destination's shape, or with one row, one column or one element to broadcast; or a
// scalar, whose 64 bits hold a double if `real`.
struct VectorOperand {
  bool is_tile = false;
  bool real = false;
  int8_t link = -1;  // in a chain: the earlier link whose result this tile is
  int64_t value = 0;
  Tile tile;
};

constexpr int operand_count(Opcode op) {
  return op == Opcode::v_binary ? 2 : op == Opcode::v_ternary ? 3 : 1;
}
constexpr bool is_where(Opcode op, uint8_t fn) {
  return op == Opcode::v_ternary && static_cast<TernaryFn>(fn) == TernaryFn::where;
}
constexpr bool is_copy(Opcode op, uint8_t fn) {
  return op == Opcode::v_unary && static_cast<UnaryFn>(fn) == UnaryFn::copy;
}

// f64 if any tile is f64, else f32 if any is floating, else i64; predicates (comparisons, logic,
// isnan, ...) go by their sources alone, `where` by what it chooses from.
Compute compute_type(Opcode op, uint8_t fn, const Tile& dst,
                     const std::array<VectorOperand, 3>& operands);

// `where` tests its condition in the condition's own type: a float below 1 is true.
constexpr bool needs_truth(DType dtype, Compute compute) {
  return is_float(dtype) && compute_of(dtype) != compute;
}
// Loads 1 where an element is not zero in its own type, else 0.
template <class T>
void load_truth(const VectorTable& table, T* out, DType dtype, const std::byte* in, int64_t n) {
  constexpr int64_t kStep = 256;
  dispatch(compute_of(dtype), [&]<class Own>(Own) {
    Own values[kStep];
    uint8_t truth[kStep];
    for (int64_t i = 0; i < n; i += kStep) {
      const int64_t count = std::min(kStep, n - i);
      load_as(table, values, dtype, in + i * size_of(dtype), count);
      store_as(table, DType::b8, truth, values, count);
      load_as(table, out + i, DType::b8, truth, count);
    }
  });
}

// A function of the vector table, whichever its type; null where the type has none.
using Function = void (*)();
Function find_function(const VectorTable& vectors, Compute compute, Opcode op, uint8_t fn,
                       const VectorOperand& first);

// Throws MachineError (kUnimplemented) for a function without a form in the type.
void check_elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                       const std::array<VectorOperand, 3>& operands);

}  // namespace npu::sim
