// The vector engine's element-wise families: v_unary, v_binary, v_ternary.
#pragma once

#include <array>
#include <span>

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

// dst = fn(operands...), each element. The computation runs in f64 if any tile is f64, else in f32
// if any is floating, else in i64; predicates (comparisons, logic, isnan, ...) go by their sources
// alone, `where` by what it chooses from. A source may be the destination itself but must not
// overlap it otherwise.
//
// Throws MachineError (kUnimplemented) for a function without a form in that type.
void elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                 const std::array<VectorOperand, 3>& operands);

// One instruction of a chain.
struct ChainLink {
  Opcode op = Opcode::v_unary;
  uint8_t fn = 0;
  std::array<VectorOperand, 3> operands;
  Tile dst;             // data may be null: then only later links of the chain read the result
  bool stream = false;  // past the host's caches: see copy_strided
};
inline constexpr int kLongestChain = 12;

// Instructions whose destinations have the same shape, a block of elements at a time, so that what
// one hands to the next stays in the host's L1 cache. The results are those of one instruction
// after the other, provided that no destination overlaps another link's operand or destination but
// element for element. Links must have passed check_elementwise().
void elementwise_chain(EngineContext& context, std::span<const ChainLink> links);

// Throws what elementwise() would.
void check_elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                       const std::array<VectorOperand, 3>& operands);

}  // namespace npu::sim
