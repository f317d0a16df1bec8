#include <fmt/format.h>

#include <bit>
#include <cmath>
#include <limits>

#include "sim/isa/form.h"
#include "sim/isa/text.h"

namespace npu::sim {
namespace {

std::string real_text(double value) {
  if (std::isnan(value)) {
    const auto bits = std::bit_cast<uint64_t>(value);
    const auto plain = std::bit_cast<uint64_t>(std::numeric_limits<double>::quiet_NaN());
    return bits == plain ? "nan" : fmt::format("0f{:016x}", bits);
  }
  std::string text = fmt::format("{}", value);  // the shortest text that reads back the same
  if (text.find_first_of(".en") == std::string::npos) text += ".0";
  return text;
}

// Messages about programs that do not verify come through here as well, hence the bounds.
std::string tile_text(const Program& program, TileId tile) {
  return tile < program.tiles.size() ? program.tiles[tile].name : "?";
}

std::string slot_text(const Program& program, Slot slot) {
  if (slot < kRegisterCount) return fmt::format("r{}", slot);
  if (slot == kPidSlot) return "%pid";
  if (slot == kGridSlot) return "%grid";
  if (slot < kConstantSlot) {
    const size_t arg = slot - kArgSlot;
    return arg < program.args.size() ? program.args[arg].name : "?";
  }
  const size_t number = slot - kConstantSlot;
  if (number >= program.constants.size()) return "?";
  const Constant& constant = program.constants[number];
  return constant.real ? real_text(std::bit_cast<double>(constant.bits))
                       : fmt::format("{}", constant.bits);
}

// "(r1, r2 | r3)", without the bar where no dimension makes rows.
std::string dims_text(const Program& program, const Instruction& inst, int first) {
  std::string text = "(";
  for (int dim = 0; dim < inst.ndim && dim < kMaxDims; ++dim) {
    if (dim > 0) text += dim == inst.row_dims ? " | " : ", ";
    text += slot_text(program, inst.s[first + dim]);
  }
  if (inst.row_dims > 0 && inst.row_dims == inst.ndim) text += " |";
  return text + ")";
}

std::string operand_text(const Program& program, const Instruction& inst, const Operand& operand) {
  const uint8_t i = operand.index;
  switch (operand.role) {
    case Role::kDst:
      return tile_text(program, inst.dst);
    case Role::kDst2:
      return tile_text(program, inst.dst2);
    case Role::kTile:
    case Role::kIndexTile:
      return tile_text(program, inst.src[i]);
    case Role::kTileOrValue:
      return inst.src[i] != kNoTile ? tile_text(program, inst.src[i])
                                    : slot_text(program, inst.s[i]);
    case Role::kOptional:
      return inst.s[i] == kNoSlot ? "" : slot_text(program, inst.s[i]);
    case Role::kShape:
      return fmt::format("({}, {})", slot_text(program, inst.s[i]),
                         slot_text(program, inst.s[i + 1]));
    case Role::kMemory:
      return fmt::format("{}[{}]", slot_text(program, static_cast<Slot>(kArgSlot + inst.buffer)),
                         slot_text(program, inst.s[i]));
    case Role::kAccess:
      return fmt::format("{}:{}", dims_text(program, inst, kDmaSizes),
                         dims_text(program, inst, kDmaStrides));
    default:
      return slot_text(program, inst.s[i]);
  }
}

}  // namespace

std::string disassemble(const Program& program, const Instruction& inst) {
  const Form form = form_of(inst.op, inst.fn);
  std::string text(mnemonic(inst.op));
  if (const auto fn = fn_name(inst.op, inst.fn); !fn.empty()) text += fmt::format(".{}", fn);
  for (const FlagName& flag : flag_names()) {
    if ((inst.flags & flag.flag) != 0) text += fmt::format(".{}", flag.suffix);
  }
  if (form.dtype) text += fmt::format(".{}", name(inst.dtype));
  std::string_view separator = " ";
  for (const Operand& operand : form.operands) {
    const std::string operand_string = operand_text(program, inst, operand);
    if (operand_string.empty()) continue;
    text += separator;
    text += operand_string;
    separator = ", ";
  }
  return text;
}

std::string disassemble(const Program& program) {
  constexpr std::string_view kArgKinds[] = {"ptr", "i64", "f64"};
  std::string text = fmt::format(".kernel {}\n", program.name);
  if (program.cluster != Cluster{}) {
    text += fmt::format(".cluster {} {}\n", program.cluster.rows, program.cluster.cols);
  }
  for (const ArgDecl& arg : program.args) {
    text += fmt::format(".arg {} {}\n", arg.name, kArgKinds[static_cast<size_t>(arg.kind)]);
  }
  for (const TileDecl& tile : program.tiles) {
    text += fmt::format(".tile {} {} {}", tile.name, name(tile.dtype), tile.capacity);
    if (tile.buffers > 1) text += fmt::format(" x{}", tile.buffers);
    text += '\n';
  }
  text += '\n';
  size_t depth = 0;
  for (const Instruction& inst : program.code) {
    const bool closes =
        inst.op == Opcode::endloop || inst.op == Opcode::endif || inst.op == Opcode::else_;
    const bool opens =
        inst.op == Opcode::loop || inst.op == Opcode::if_ || inst.op == Opcode::else_;
    if (closes && depth > 0) --depth;
    text += fmt::format("{}{}\n", std::string(2 * depth, ' '), disassemble(program, inst));
    if (opens) ++depth;
  }
  return text;
}

}  // namespace npu::sim
