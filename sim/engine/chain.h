// Instructions of the vector engine that are computed together, some elements or rows at a time, so
// that what one hands to the next stays in the host's registers and caches.
#pragma once

#include <array>
#include <span>

#include "sim/engine/elementwise.h"

namespace npu::sim {

// An element-wise instruction or a reduction of rows (v_reduce).
struct ChainLink {
  Opcode op = Opcode::v_unary;
  uint8_t fn = 0;
  std::array<VectorOperand, 3> operands;
  Tile dst;             // data may be null: then only later links of the chain read the result
  bool stream = false;  // past the host's caches: see copy_strided
};
inline constexpr int kLongestChain = 16;

// May a reduction along rows be a link?
bool chains(ReduceFn fn, const Tile& dst, const Tile& src);

// Destinations have the chain's shape [R, C], or [R, 1] where they are reductions or are computed
// from such columns. A column that an earlier link makes may be an operand of whole rows if it is
// stored in the type that they compute in. The results are those of one instruction after the
// other, provided that no destination overlaps another link's operand or destination but element
// for element. Element-wise links must have passed check_elementwise().
void run_chain(EngineContext& context, std::span<const ChainLink> links);

// dst = fn(operands...), each element. A source may be the destination itself but must not overlap
// it otherwise. Throws what check_elementwise() does.
void elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                 const std::array<VectorOperand, 3>& operands);

}  // namespace npu::sim
