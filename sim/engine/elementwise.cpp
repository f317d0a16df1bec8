#include "sim/engine/elementwise.h"

#include <fmt/format.h>

#include "sim/error.h"

namespace npu::sim {
namespace {

template <class T>
Function find_function(const VectorTable& vectors, Opcode op, uint8_t fn,
                       const VectorOperand& first) {
  const ElementwiseTable<T>& table = ComputeTraits<T>::elementwise(vectors);
  switch (op) {
    case Opcode::v_unary: {
      // The complement of a truth value is its negation.
      const bool truth = first.is_tile && first.tile.dtype == DType::b8 &&
                         static_cast<UnaryFn>(fn) == UnaryFn::bitnot;
      return reinterpret_cast<Function>(
          table.unary[truth ? static_cast<uint8_t>(UnaryFn::not_) : fn]);
    }
    case Opcode::v_binary:
      return reinterpret_cast<Function>(table.binary[fn]);
    default:
      return reinterpret_cast<Function>(table.ternary[fn]);
  }
}

}  // namespace

Compute compute_type(Opcode op, uint8_t fn, const Tile& dst,
                     const std::array<VectorOperand, 3>& operands) {
  Compute type = Compute::i64;
  bool any = false;
  for (size_t i = is_where(op, fn) ? 1 : 0; i < operands.size(); ++i) {
    if (!operands[i].is_tile) continue;
    type =
        any ? common(type, compute_of(operands[i].tile.dtype)) : compute_of(operands[i].tile.dtype);
    any = true;
  }
  if (any && is_predicate(op, fn)) return type;
  return any ? common(type, compute_of(dst.dtype)) : compute_of(dst.dtype);
}

Function find_function(const VectorTable& vectors, Compute compute, Opcode op, uint8_t fn,
                       const VectorOperand& first) {
  Function function = nullptr;
  dispatch(compute, [&]<class T>(T) { function = find_function<T>(vectors, op, fn, first); });
  return function;
}

void check_elementwise(EngineContext& context, Opcode op, uint8_t fn, const Tile& dst,
                       const std::array<VectorOperand, 3>& operands) {
  const Compute compute = compute_type(op, fn, dst, operands);
  if (find_function(context.table, compute, op, fn, operands[0]) != nullptr) return;
  if (is_copy(op, fn)) return;
  throw MachineError(ErrorKind::kUnimplemented,
                     fmt::format("v.{} is not defined for {}", fn_name(op, fn),
                                 compute == Compute::i64 ? "integers" : "floating-point numbers"));
}

}  // namespace npu::sim
