// The vector engine's element-wise families: v_unary, v_binary, v_ternary.
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
  int64_t value = 0;
  Tile tile;
};

// dst = fn(operands...), each element. The computation runs in f64 if any tile is f64, else in f32
// if any is floating, else in i64; predicates (comparisons, logic, isnan, ...) go by their sources
// alone, `where` by what it chooses from. A source may be the destination itself but must not
// overlap it otherwise.
//
// Throws MachineError (kUnimplemented) for a function without a form in that type.
void elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                 const std::array<VectorOperand, 3>& operands);

}  // namespace npu::sim
