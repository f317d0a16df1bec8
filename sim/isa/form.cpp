#include "sim/isa/form.h"

#include <charconv>

namespace npu::sim {
namespace {

using enum Role;

constexpr Operand kCount[] = {{kRegister, 0}, {kInteger, 1}};
constexpr Operand kCondition[] = {{kInteger, 0}};
constexpr Operand kSelect[] = {{kRegister, 0}, {kInteger, 1}, {kAny, 2}, {kAny, 3}};
constexpr Operand kScalarLoad[] = {{kRegister, 0}, {kMemory, 1}};
constexpr Operand kLoad[] = {{kDst}, {kMemory, kDmaOffset}, {kAccess}};
constexpr Operand kStore[] = {{kMemory, kDmaOffset}, {kTile, 0}, {kAccess}};
constexpr Operand kGather[] = {
    {kDst}, {kMemory, kDmaOffset}, {kIndexTile, 0}, {kInteger, kDmaIndexStride}, {kAccess}};
constexpr Operand kScatter[] = {
    {kMemory, kDmaOffset}, {kIndexTile, 1}, {kInteger, kDmaIndexStride}, {kTile, 0}, {kAccess}};
constexpr Operand kDmaFill[] = {{kMemory, kDmaOffset}, {kValue, kDmaValue}, {kAccess}};
constexpr Operand kMma[] = {{kDst}, {kTile, 0}, {kTile, 1}, {kOptional, 0}};
constexpr Operand kElementwise[] = {
    {kDst}, {kTileOrValue, 0}, {kTileOrValue, 1}, {kTileOrValue, 2}};
constexpr Operand kTileToTile[] = {{kDst}, {kTile, 0}};
constexpr Operand kSort[] = {{kDst}, {kDst2}, {kTile, 0}, {kTile, 1}};
constexpr Operand kIota[] = {{kDst}, {kValue, 0}, {kValue, 1}, {kValue, 2}, {kShape, 3}};
constexpr Operand kRandom[] = {{kDst}, {kInteger, 0}, {kInteger, 1}, {kShape, 2}};
constexpr Operand kFill[] = {{kDst}, {kValue, 0}, {kShape, 1}};
constexpr Operand kExpand[] = {{kDst}, {kTile, 0}, {kShape, 0}};
constexpr Operand kReshape[] = {{kDst}, {kShape, 0}};
constexpr Operand kSlice[] = {{kDst}, {kTile, 0}, {kInteger, 0}, {kInteger, 1}, {kShape, 2}};
constexpr Operand kInsert[] = {{kDst}, {kTile, 0}, {kInteger, 0}, {kInteger, 1}};
constexpr Operand kTileGather[] = {{kDst}, {kTile, 0}, {kIndexTile, 1}};

// Operand kinds of the scalar functions: integers, reals, or either.
constexpr Operand kIntegers[] = {{kRegister, 0}, {kInteger, 1}, {kInteger, 2}};
constexpr Operand kReals[] = {{kRegister, 0}, {kReal, 1}, {kReal, 2}};
constexpr Operand kEither[] = {{kRegister, 0}, {kAny, 1}};

std::span<const Operand> scalar_form(ScalarFn fn) {
  const size_t operands = 1 + static_cast<size_t>(scalar_operands(fn));
  if (fn == ScalarFn::mov) return kEither;
  return (takes_reals(fn) ? std::span(kReals) : std::span(kIntegers)).first(operands);
}

constexpr FlagName kFlagNames[] = {
    {flags::kZero, "zero"},     {flags::kTransposeA, "ta"}, {flags::kTransposeB, "tb"},
    {flags::kMasked, "masked"}, {flags::kAdd, "add"},       {flags::kDescending, "desc"},
    {flags::kRows, "rows"},     {flags::kAcross, "across"}, {flags::kDown, "down"},
};

}  // namespace

Form form_of(Opcode op, uint8_t fn) {
  switch (op) {
    case Opcode::exit:
    case Opcode::endloop:
    case Opcode::else_:
    case Opcode::endif:
      return {};
    case Opcode::loop:
      return {.operands = kCount};
    case Opcode::break_if:
    case Opcode::if_:
      return {.operands = kCondition};
    case Opcode::s_alu:
      return {.operands = scalar_form(static_cast<ScalarFn>(fn))};
    case Opcode::s_select:
      return {.operands = kSelect};
    case Opcode::s_load:
      return {.dtype = true, .operands = kScalarLoad};
    case Opcode::d_load:
      return {.flags = flags::kAcross | flags::kDown, .operands = kLoad};
    case Opcode::d_store:
      return {.flags = flags::kAdd, .operands = kStore};
    case Opcode::d_gather:
      return {.flags = flags::kMasked, .operands = kGather};
    case Opcode::d_scatter:
      return {.flags = flags::kMasked | flags::kAdd, .operands = kScatter};
    case Opcode::d_fill:
      return {.dtype = true, .operands = kDmaFill};
    case Opcode::m_mma:
      return {.flags = flags::kZero | flags::kTransposeA | flags::kTransposeB, .operands = kMma};
    case Opcode::v_unary:
      return {.operands = std::span(kElementwise).first(2)};
    case Opcode::v_binary:
      return {.operands = std::span(kElementwise).first(3)};
    case Opcode::v_ternary:
      return {.operands = kElementwise};
    case Opcode::v_reduce:
      return {.flags = flags::kRows, .operands = kTileToTile};
    case Opcode::v_scan:
    case Opcode::v_transpose:
      return {.operands = kTileToTile};
    case Opcode::v_sort:
      return {.flags = flags::kDescending, .operands = kSort};
    case Opcode::v_iota:
      return {.operands = kIota};
    case Opcode::v_random:
      return {.operands = kRandom};
    case Opcode::v_fill:
      return {.operands = kFill};
    case Opcode::v_expand:
      return {.operands = kExpand};
    case Opcode::v_reshape:
      return {.operands = kReshape};
    case Opcode::v_slice:
      return {.operands = kSlice};
    case Opcode::v_insert:
      return {.operands = kInsert};
    case Opcode::v_gather:
      return {.operands = kTileGather};
  }
  return {};
}

std::span<const FlagName> flag_names() { return kFlagNames; }

bool takes_reals(const Program& program, const Instruction& instruction) {
  if (instruction.op == Opcode::d_fill) return is_float(instruction.dtype);
  const auto floating = [&](TileId tile) {
    return tile < program.tiles.size() && is_float(program.tiles[tile].dtype);
  };
  if (floating(instruction.dst)) return true;
  for (TileId tile : instruction.src) {
    if (floating(tile)) return true;
  }
  return false;
}

bool is_reserved_name(std::string_view name) {
  if (name == "inf" || name == "nan") return true;
  if (name.size() < 2 || name[0] != 'r') return false;
  int number = 0;
  const char* end = name.data() + name.size();
  const auto [rest, error] = std::from_chars(name.data() + 1, end, number);
  return error == std::errc() && rest == end;
}

}  // namespace npu::sim
