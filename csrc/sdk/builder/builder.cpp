#include "csrc/sdk/builder/builder.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <utility>

#include "sim/error.h"

namespace npu::sdk {
namespace {

using sim::ErrorKind;
using sim::Instruction;
using sim::MachineError;
using sim::Opcode;
using sim::Slot;

}  // namespace

// ---- Declarations -------------------------------------------------------------------------------

Builder::Builder(std::string name, const sim::Machine& machine)
    : machine_(machine), registers_used_(sim::kRegisterCount, false) {
  program_.name = std::move(name);
}

Builder::~Builder() = default;

Pointer Builder::pointer(std::string name) {
  program_.args.push_back({std::move(name), sim::ArgKind::pointer});
  return {static_cast<uint8_t>(program_.args.size() - 1)};
}

Value Builder::integer(std::string name) {
  program_.args.push_back({std::move(name), sim::ArgKind::integer});
  return named_slot(static_cast<Slot>(sim::kArgSlot + program_.args.size() - 1), false);
}

Value Builder::real(std::string name) {
  program_.args.push_back({std::move(name), sim::ArgKind::real});
  return named_slot(static_cast<Slot>(sim::kArgSlot + program_.args.size() - 1), true);
}

Tile Builder::tile(std::string name, DType dtype, int64_t capacity, int buffers) {
  program_.tiles.push_back({std::move(name), dtype, capacity, buffers});
  return {static_cast<sim::TileId>(program_.tiles.size() - 1), dtype, capacity};
}

void Builder::cluster(int rows, int cols) { program_.cluster = {rows, cols}; }

int64_t Builder::scratchpad_left() const {
  int64_t left = machine_.scratchpad_bytes();
  for (const sim::TileDecl& tile : program_.tiles) left -= sim::buffer_bytes(tile) * tile.buffers;
  return left;
}

// ---- Control flow -------------------------------------------------------------------------------

void Builder::loop(Value count, const std::function<void(Value)>& body) {
  const Value counter = allocate_register(false);
  Instruction& inst = emit(Opcode::loop);
  inst.s[0] = slot(counter);
  inst.s[1] = slot(count);
  count = 0;  // the body may have its register
  body(counter);
  emit(Opcode::endloop);
}

void Builder::if_(Value condition, const std::function<void()>& then,
                  const std::function<void()>& otherwise) {
  if (condition.is_constant()) {
    if (condition.bits_ != 0) {
      then();
    } else if (otherwise) {
      otherwise();
    }
    return;
  }
  emit(Opcode::if_).s[0] = slot(condition);
  condition = 0;  // the branches may have its register
  then();
  if (otherwise) {
    emit(Opcode::else_);
    otherwise();
  }
  emit(Opcode::endif);
}

void Builder::break_if(const Value& condition) { emit(Opcode::break_if).s[0] = slot(condition); }

void Builder::exit() { emit(Opcode::exit); }

// ---- DMA ----------------------------------------------------------------------------------------

Instruction& Builder::emit(Opcode op) {
  program_.code.emplace_back().op = op;
  return program_.code.back();
}

void Builder::set_dma(Instruction& inst, Pointer pointer, const Value& offset,
                      const Region& region) {
  const size_t dims = region.rows.size() + region.cols.size();
  if (dims > sim::kMaxDims) {
    throw MachineError(ErrorKind::kAssembly,
                       fmt::format("kernel '{}': a DMA of {} dimensions, allowed are {}",
                                   program_.name, dims, sim::kMaxDims));
  }
  inst.buffer = pointer.index;
  inst.ndim = static_cast<uint8_t>(dims);
  inst.row_dims = static_cast<uint8_t>(region.rows.size());
  inst.s[sim::kDmaOffset] = slot(offset);
  int i = 0;
  for (const auto* part : {&region.rows, &region.cols}) {
    for (const Dim& dim : *part) {
      inst.s[static_cast<size_t>(sim::kDmaSizes + i)] = slot(dim.size);
      inst.s[static_cast<size_t>(sim::kDmaStrides + i)] = slot(dim.stride);
      ++i;
    }
  }
}

void Builder::load(const Tile& dst, Pointer src, const Value& offset, const Region& region,
                   Share share) {
  Instruction& inst = emit(Opcode::d_load);
  if (share == Share::across || share == Share::all) inst.flags |= sim::flags::kAcross;
  if (share == Share::down || share == Share::all) inst.flags |= sim::flags::kDown;
  inst.dst = dst.id;
  set_dma(inst, src, offset, region);
}

void Builder::store(Pointer dst, const Value& offset, const Region& region, const Tile& src,
                    bool accumulate) {
  Instruction& inst = emit(Opcode::d_store);
  inst.src[0] = src.id;
  if (accumulate) inst.flags = sim::flags::kAdd;
  set_dma(inst, dst, offset, region);
}

void Builder::gather(const Tile& dst, Pointer src, const Value& offset, const Tile& index,
                     const Value& index_stride, const std::vector<Dim>& row, bool masked) {
  Instruction& inst = emit(Opcode::d_gather);
  inst.dst = dst.id;
  inst.src[0] = index.id;
  if (masked) inst.flags = sim::flags::kMasked;
  set_dma(inst, src, offset, Region({}, row));
  inst.s[sim::kDmaIndexStride] = slot(index_stride);
}

void Builder::scatter(Pointer dst, const Value& offset, const Tile& index,
                      const Value& index_stride, const std::vector<Dim>& row, const Tile& src,
                      bool masked, bool accumulate) {
  Instruction& inst = emit(Opcode::d_scatter);
  inst.src[0] = src.id;
  inst.src[1] = index.id;
  if (masked) inst.flags |= sim::flags::kMasked;
  if (accumulate) inst.flags |= sim::flags::kAdd;
  set_dma(inst, dst, offset, Region({}, row));
  inst.s[sim::kDmaIndexStride] = slot(index_stride);
}

void Builder::fill_memory(Pointer dst, DType dtype, const Value& offset, const Value& value,
                          const Region& region) {
  const Value typed = typed_value(value, sim::is_float(dtype));
  Instruction& inst = emit(Opcode::d_fill);
  inst.dtype = dtype;
  set_dma(inst, dst, offset, region);
  inst.s[sim::kDmaValue] = slot(typed);
}

// ---- Matrix engine ------------------------------------------------------------------------------

void Builder::mma(const Tile& dst, const Tile& a, const Tile& b, Mma form) {
  Instruction& inst = emit(Opcode::m_mma);
  inst.dst = dst.id;
  inst.src = {a.id, b.id, sim::kNoTile};
  if (form.zero) inst.flags |= sim::flags::kZero;
  if (form.transpose_a) inst.flags |= sim::flags::kTransposeA;
  if (form.transpose_b) inst.flags |= sim::flags::kTransposeB;
}

void Builder::mma(const Tile& dst, const Tile& a, const Tile& b, Mma form,
                  const Value& useful_outputs) {
  mma(dst, a, b, form);
  program_.code.back().s[0] = slot(useful_outputs);
}

// ---- Vector engine ------------------------------------------------------------------------------

Value Builder::typed_value(const Value& value, bool real) const {
  if (!value.is_constant() || value.real_ == real) return value;
  if (real) return static_cast<double>(value.bits_);
  const double number = std::bit_cast<double>(value.bits_);
  if (number != std::trunc(number)) {
    throw MachineError(ErrorKind::kAssembly,
                       fmt::format("kernel '{}', instruction {}: {} among integers", program_.name,
                                   program_.code.size(), number));
  }
  return static_cast<int64_t>(number);
}

void Builder::elementwise(Opcode op, uint8_t fn, const Tile& dst,
                          std::initializer_list<const Operand*> operands) {
  bool reals = sim::is_float(dst.dtype);
  for (const Operand* operand : operands) {
    if (operand->is_tile()) reals |= sim::is_float(operand->tile_.dtype);
  }
  Instruction& inst = emit(op);
  inst.fn = fn;
  inst.dst = dst.id;
  size_t i = 0;
  for (const Operand* operand : operands) {
    inst.src[i] = operand->tile_.id;
    if (!operand->is_tile()) inst.s[i] = slot(typed_value(operand->value_, reals));
    ++i;
  }
}

void Builder::vector(UnaryFn fn, const Tile& dst, const Operand& a) {
  elementwise(Opcode::v_unary, static_cast<uint8_t>(fn), dst, {&a});
}

void Builder::vector(BinaryFn fn, const Tile& dst, const Operand& a, const Operand& b) {
  elementwise(Opcode::v_binary, static_cast<uint8_t>(fn), dst, {&a, &b});
}

void Builder::vector(TernaryFn fn, const Tile& dst, const Operand& a, const Operand& b,
                     const Operand& c) {
  elementwise(Opcode::v_ternary, static_cast<uint8_t>(fn), dst, {&a, &b, &c});
}

Instruction& Builder::emit_vector(Opcode op, uint8_t fn, const Tile& dst,
                                  std::initializer_list<sim::TileId> sources,
                                  std::initializer_list<Value> values) {
  Instruction& inst = emit(op);
  inst.fn = fn;
  inst.dst = dst.id;
  std::copy(sources.begin(), sources.end(), inst.src.begin());
  size_t i = 0;
  for (const Value& value : values) inst.s[i++] = slot(value);
  return inst;
}

void Builder::reduce(ReduceFn fn, const Tile& dst, const Tile& src, bool over_rows) {
  Instruction& inst = emit_vector(Opcode::v_reduce, static_cast<uint8_t>(fn), dst, {src.id}, {});
  if (over_rows) inst.flags = sim::flags::kRows;
}

void Builder::scan(ScanFn fn, const Tile& dst, const Tile& src) {
  emit_vector(Opcode::v_scan, static_cast<uint8_t>(fn), dst, {src.id}, {});
}

void Builder::sort(const Tile& keys, const Tile& payload, const Tile& src_keys,
                   const Tile& src_payload, bool descending) {
  Instruction& inst = emit_vector(Opcode::v_sort, 0, keys, {src_keys.id, src_payload.id}, {});
  inst.dst2 = payload.id;
  if (descending) inst.flags = sim::flags::kDescending;
}

void Builder::iota(const Tile& dst, const Value& start, const Value& col_step,
                   const Value& row_step, const Value& rows, const Value& cols) {
  const bool real = sim::is_float(dst.dtype);
  emit_vector(Opcode::v_iota, 0, dst, {},
              {typed_value(start, real), typed_value(col_step, real), typed_value(row_step, real),
               rows, cols});
}

void Builder::random(RandomFn fn, const Tile& dst, const Value& seed, const Value& counter,
                     const Value& rows, const Value& cols) {
  emit_vector(Opcode::v_random, static_cast<uint8_t>(fn), dst, {}, {seed, counter, rows, cols});
}

void Builder::fill(const Tile& dst, const Value& value, const Value& rows, const Value& cols) {
  emit_vector(Opcode::v_fill, 0, dst, {},
              {typed_value(value, sim::is_float(dst.dtype)), rows, cols});
}

void Builder::expand(const Tile& dst, const Tile& src, const Value& rows, const Value& cols) {
  emit_vector(Opcode::v_expand, 0, dst, {src.id}, {rows, cols});
}

void Builder::transpose(const Tile& dst, const Tile& src) {
  emit_vector(Opcode::v_transpose, 0, dst, {src.id}, {});
}

void Builder::reshape(const Tile& tile, const Value& rows, const Value& cols) {
  emit_vector(Opcode::v_reshape, 0, tile, {}, {rows, cols});
}

void Builder::slice(const Tile& dst, const Tile& src, const Value& row, const Value& col,
                    const Value& rows, const Value& cols) {
  emit_vector(Opcode::v_slice, 0, dst, {src.id}, {row, col, rows, cols});
}

void Builder::insert(const Tile& dst, const Tile& src, const Value& row, const Value& col) {
  emit_vector(Opcode::v_insert, 0, dst, {src.id}, {row, col});
}

void Builder::gather_columns(const Tile& dst, const Tile& src, const Tile& index) {
  emit_vector(Opcode::v_gather, 0, dst, {src.id, index.id}, {});
}

sim::Program Builder::finish() {
  emit(Opcode::exit);
  sim::finalize(program_);
  return std::move(program_);
}

}  // namespace npu::sdk
