// Random programs that verify: every opcode, function, flag and kind of operand, for property
// tests.
#pragma once

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>
#include <string>
#include <vector>

#include "sim/isa/form.h"
#include "sim/isa/program.h"

namespace npu::sim {

class RandomProgram {
 public:
  explicit RandomProgram(uint64_t seed) : random_(seed) {}

  // Finalized.
  Program make() {
    program_ = {};
    program_.name = "random<f32,2>";
    if (chance(30)) program_.cluster = {pick(1, 4), pick(1, 5)};
    declare();
    const int length = pick(1, 40);
    for (int i = 0; i < length; ++i) grow();
    while (!open_.empty()) close();
    add(Opcode::exit);
    finalize(program_);
    return std::move(program_);
  }

 private:
  int pick(int least, int most) { return std::uniform_int_distribution(least, most)(random_); }
  bool chance(int percent) { return pick(1, 100) <= percent; }

  void declare() {
    const int groups = pick(1, 4);  // of a pointer, an integer and a real each
    for (int i = 0; i < groups; ++i) {
      program_.args.push_back({"x" + std::to_string(i), ArgKind::pointer});
      program_.args.push_back({"n" + std::to_string(i), ArgKind::integer});
      program_.args.push_back({"scale." + std::to_string(i), ArgKind::real});
    }
    for (int code = 0; code < kDTypeCount; ++code) {
      const auto dtype = static_cast<DType>(code);
      if (!is_implemented(dtype)) continue;
      for (int i = 0; i < 3; ++i) {
        program_.tiles.push_back({std::string(name(dtype)) + "_" + std::to_string(i), dtype,
                                  pick(1, 5000), chance(50) ? 1 : pick(2, 4)});
      }
    }
    // The same value twice and one that nothing uses: finalize() must make the pool canonical.
    program_.constants.assign(2, Constant::integer(7));
    program_.constants.push_back(Constant::number(99.5));
  }

  Instruction& add(Opcode op) {
    program_.code.emplace_back().op = op;
    return program_.code.back();
  }

  void close() {
    add(open_.back());
    open_.pop_back();
    has_else_.pop_back();
  }

  void grow() {
    if (!open_.empty() && chance(15)) return close();
    if (!open_.empty() && open_.back() == Opcode::endif && chance(10) && !has_else_.back()) {
      has_else_.back() = true;
      add(Opcode::else_);
      return;
    }
    const auto op = static_cast<Opcode>(pick(1, kOpcodeCount - 1));
    switch (op) {
      case Opcode::endloop:
      case Opcode::else_:
      case Opcode::endif:
        return;
      case Opcode::break_if:
        if (std::find(open_.begin(), open_.end(), Opcode::endloop) == open_.end()) return;
        break;
      default:
        break;
    }
    Instruction inst;
    inst.op = op;
    if (fn_count(op) > 0) inst.fn = static_cast<uint8_t>(pick(0, fn_count(op) - 1));
    const Form form = form_of(op, inst.fn);
    inst.flags = static_cast<uint16_t>(pick(0, 511)) & form.flags;
    if (form.dtype) inst.dtype = static_cast<DType>(pick(0, static_cast<int>(DType::b8)));
    choose_tiles(form, inst);
    for (const Operand& operand : form.operands) choose_scalars(operand, inst);
    program_.code.push_back(inst);
    if (op == Opcode::loop || op == Opcode::if_) {
      open_.push_back(op == Opcode::loop ? Opcode::endloop : Opcode::endif);
      has_else_.push_back(false);
    }
  }

  TileId any_tile() {
    return static_cast<TileId>(pick(0, static_cast<int>(program_.tiles.size()) - 1));
  }
  TileId tile_of(DType dtype) {
    TileId tile = any_tile();
    while (program_.tiles[tile].dtype != dtype) tile = any_tile();
    return tile;
  }
  DType dtype_of(TileId tile) const { return program_.tiles[tile].dtype; }

  void choose_tiles(const Form& form, Instruction& inst) {
    for (const Operand& operand : form.operands) {
      switch (operand.role) {
        case Role::kDst:
          inst.dst = any_tile();
          break;
        case Role::kDst2:
          inst.dst2 = any_tile();
          break;
        case Role::kTile:
          inst.src[operand.index] = any_tile();
          break;
        case Role::kIndexTile:
          inst.src[operand.index] = tile_of(static_cast<DType>(pick(4, 8)));
          break;
        case Role::kTileOrValue:
          if (chance(60)) inst.src[operand.index] = any_tile();
          break;
        default:
          break;
      }
    }
    switch (inst.op) {
      case Opcode::m_mma: {
        constexpr DType kAccumulators[] = {DType::f64, DType::f32, DType::f32,
                                           DType::f32, DType::i64, DType::i32,
                                           DType::i64, DType::i32, DType::i32};
        const int in = pick(0, 8);
        inst.src[0] = tile_of(static_cast<DType>(in));
        inst.src[1] = tile_of(static_cast<DType>(in));
        do {
          inst.dst = tile_of(kAccumulators[in]);
        } while (inst.dst == inst.src[0] || inst.dst == inst.src[1]);
        break;
      }
      case Opcode::v_sort:
        inst.dst = tile_of(dtype_of(inst.src[0]));
        do {
          inst.dst2 = tile_of(dtype_of(inst.src[1]));
        } while (inst.dst2 == inst.dst);
        break;
      case Opcode::v_expand:
      case Opcode::v_transpose:
      case Opcode::v_slice:
      case Opcode::v_insert:
      case Opcode::v_gather:
        inst.dst = tile_of(dtype_of(inst.src[0]));
        break;
      case Opcode::v_reduce:
        if (static_cast<ReduceFn>(inst.fn) >= ReduceFn::argmax) inst.dst = tile_of(DType::i64);
        break;
      case Opcode::v_random:
        inst.dst = tile_of(static_cast<RandomFn>(inst.fn) == RandomFn::bits
                               ? (chance(50) ? DType::i32 : DType::i64)
                               : static_cast<DType>(pick(0, 3)));
        break;
      default:
        break;
    }
  }

  Slot constant(bool real) {
    Constant value;
    if (real) {
      const std::vector<double> special = {0.0,
                                           -0.0,
                                           1.0,
                                           -1.5,
                                           1e300,
                                           5e-324,
                                           0.1,
                                           HUGE_VAL,
                                           -HUGE_VAL,
                                           1e16,
                                           123456789012345680.0};
      value = chance(50)
                  ? Constant::number(
                        special[static_cast<size_t>(pick(0, static_cast<int>(special.size()) - 1))])
                  : Constant{true, static_cast<int64_t>(random_())};
      if (chance(10)) value = Constant::number(std::numeric_limits<double>::quiet_NaN());
    } else {
      value = Constant::integer(chance(70) ? pick(-9, 200) : static_cast<int64_t>(random_()));
      if (chance(5)) value = Constant::integer(std::numeric_limits<int64_t>::min());
    }
    program_.constants.push_back(value);
    return static_cast<Slot>(kConstantSlot + program_.constants.size() - 1);
  }

  Slot scalar(bool real) {
    if (chance(40)) return static_cast<Slot>(pick(0, kRegisterCount - 1));
    if (!real && chance(20)) return chance(50) ? kPidSlot : kGridSlot;
    if (chance(30)) {
      const size_t group =
          static_cast<size_t>(pick(0, static_cast<int>(program_.args.size()) / 3 - 1));
      return static_cast<Slot>(kArgSlot + 3 * group + (real ? 2 : 1));
    }
    return constant(real);
  }

  void choose_scalars(const Operand& operand, Instruction& inst) {
    const uint8_t i = operand.index;
    switch (operand.role) {
      case Role::kRegister:
        inst.s[i] = static_cast<Slot>(pick(0, kRegisterCount - 1));
        break;
      case Role::kInteger:
        inst.s[i] = scalar(false);
        break;
      case Role::kReal:
        inst.s[i] = scalar(true);
        break;
      case Role::kAny:
        inst.s[i] = scalar(chance(50));
        break;
      case Role::kValue:
        inst.s[i] = scalar(takes_reals(program_, inst));
        break;
      case Role::kTileOrValue:
        if (inst.src[i] == kNoTile) inst.s[i] = scalar(takes_reals(program_, inst));
        break;
      case Role::kOptional:
        if (chance(50)) inst.s[i] = scalar(false);
        break;
      case Role::kShape:
        inst.s[i] = scalar(false);
        inst.s[i + 1] = scalar(false);
        break;
      case Role::kMemory:
        inst.buffer =
            static_cast<uint8_t>(3 * pick(0, static_cast<int>(program_.args.size()) / 3 - 1));
        inst.s[i] = scalar(false);
        break;
      case Role::kAccess:
        inst.ndim = static_cast<uint8_t>(pick(0, kMaxDims));
        if (inst.op != Opcode::d_gather && inst.op != Opcode::d_scatter) {
          inst.row_dims = static_cast<uint8_t>(pick(0, inst.ndim));
        }
        for (int dim = 0; dim < inst.ndim; ++dim) {
          inst.s[kDmaSizes + dim] = scalar(false);
          inst.s[kDmaStrides + dim] = scalar(false);
        }
        break;
      default:
        break;
    }
  }

  std::mt19937_64 random_;
  Program program_;
  std::vector<Opcode> open_;  // what closes each open loop or if
  std::vector<bool> has_else_;
};

}  // namespace npu::sim
