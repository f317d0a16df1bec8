#include "sim/exec/cursor.h"

#include <fmt/format.h>

#include <algorithm>

#include "sim/isa/text.h"

namespace npu::sim {

Cursor::Cursor(const Prepared& prepared, uint64_t runaway_limit)
    : prepared_(&prepared),
      code_(prepared.program().code.data()),
      code_size_(static_cast<uint32_t>(prepared.program().code.size())),
      runaway_limit_(runaway_limit),
      registers_(prepared.program().registers.data()),
      values_(prepared.values()) {
  const Program& program = prepared.program();
  tiles_.reserve(program.tiles.size());
  for (TileId tile = 0; tile < program.tiles.size(); ++tile) {
    const TileDecl& declaration = program.tiles[tile];
    const auto buffers = static_cast<uint16_t>(declaration.buffers);
    tiles_.push_back({.shape = {},
                      .capacity = declaration.capacity,
                      .first = prepared.first_buffer(tile),
                      .buffers = buffers,
                      .current = static_cast<uint16_t>(buffers - 1),
                      .element_size = static_cast<uint8_t>(size_of(declaration.dtype)),
                      .written = false});
  }
}

void Cursor::start(int64_t pid, int core) {
  pid_ = pid;
  core_ = core;
  pc_ = 0;
  executed_ = 0;
  std::fill_n(values_.begin(), kRegisterCount, 0);
  values_[kPidSlot] = pid;
  for (TileState& tile : tiles_) tile.written = false;
  loops_.clear();
  loading_ = 0;
}

void Cursor::start_scalars(int64_t pid, uint32_t end) {
  pid_ = pid;
  std::fill_n(values_.begin(), kRegisterCount, 0);
  values_[kPidSlot] = pid;
  for (pc_ = 0; pc_ < end;) {
    const Instruction& inst = code_[pc_];
    step_.pc = pc_++;
    if (inst.op == Opcode::s_alu) {
      scalar(inst);
    } else {
      values_[inst.s[0]] = value(inst.s[1]) != 0 ? value(inst.s[2]) : value(inst.s[3]);
    }
  }
}

void Cursor::append_state(std::vector<uint64_t>& words) const {
  words.push_back(uint64_t{pc_} << 32 | step_.scalar_instructions);
  words.push_back(loops_.size());
  for (const LoopFrame& loop : loops_) {
    words.push_back(loop.body);
    words.push_back(static_cast<uint64_t>(loop.left));
  }
  for (const TileState& tile : tiles_) {
    words.push_back(uint64_t{tile.current} << 1 | static_cast<uint64_t>(tile.written));
    words.push_back(static_cast<uint64_t>(tile.shape.rows) << 32 |
                    static_cast<uint32_t>(tile.shape.cols));
  }
}

void Cursor::renumber(int64_t pid) {
  pid_ = pid;
  values_[kPidSlot] = pid;
}

std::string Cursor::where() const {
  const Program& program = prepared_->program();
  const std::string place =
      fmt::format("kernel '{}', core {}, program {}", program.name, core_, pid_);
  if (step_.pc >= code_size_) return place;
  return fmt::format("{}, instruction {} ({})", place, step_.pc,
                     disassemble(program, code_[step_.pc]));
}

void Cursor::fail(ErrorKind kind, const std::string& what) const {
  throw MachineError(kind, fmt::format("{}: {}", where(), what));
}

const Step* Cursor::next() {
  step_.scalar_instructions = 0;
  step_.waits_after = kNoWait;
  while (pc_ < code_size_) {
    const Instruction& inst = code_[pc_];
    step_.pc = pc_++;
    if (++executed_ > runaway_limit_) {
      fail(ErrorKind::kRunaway, fmt::format("more than {} instructions", runaway_limit_));
    }
    if (loading_ != 0 && (loading_ & registers_[step_.pc]) != 0) {
      loading_ = 0;  // loads come back in order, all about the same time
      step_.waits_after = step_.scalar_instructions;
    }
    switch (inst.op) {
      case Opcode::exit:
      case Opcode::loop:
      case Opcode::endloop:
      case Opcode::break_if:
      case Opcode::if_:
      case Opcode::else_:
      case Opcode::endif:
        ++step_.scalar_instructions;
        if (!control(inst)) pc_ = code_size_;
        continue;
      case Opcode::s_alu:
        ++step_.scalar_instructions;
        scalar(inst);
        continue;
      case Opcode::s_select:
        ++step_.scalar_instructions;
        values_[inst.s[0]] = value(inst.s[1]) != 0 ? value(inst.s[2]) : value(inst.s[3]);
        continue;
      case Opcode::s_load:
        begin(inst);
        scalar_load(inst);
        return &step_;
      case Opcode::d_load:
      case Opcode::d_store:
      case Opcode::d_gather:
      case Opcode::d_scatter:
      case Opcode::d_fill:
        begin(inst);
        resolve_dma(inst);
        return &step_;
      case Opcode::m_mma:
        begin(inst);
        resolve_matrix(inst);
        return &step_;
      case Opcode::v_unary:
        begin(inst);
        resolve_elementwise(inst, 1);
        return &step_;
      case Opcode::v_binary:
        begin(inst);
        resolve_elementwise(inst, 2);
        return &step_;
      case Opcode::v_ternary:
        begin(inst);
        resolve_elementwise(inst, 3);
        return &step_;
      default:
        begin(inst);
        resolve_vector(inst);
        return &step_;
    }
  }
  return nullptr;
}

inline void Cursor::begin(const Instruction& inst) {
  step_.inst = &inst;
  step_.dst = step_.dst2 = kNoBuffer;
  step_.src = {kNoBuffer, kNoBuffer, kNoBuffer};
}

bool Cursor::control(const Instruction& inst) {
  switch (inst.op) {
    case Opcode::loop: {
      const int64_t times = value(inst.s[1]);
      values_[inst.s[0]] = 0;
      if (times > 0) {
        loops_.push_back({pc_, times});
      } else {
        pc_ = inst.jump;
      }
      return true;
    }
    case Opcode::endloop: {
      LoopFrame& frame = loops_.back();
      if (--frame.left > 0) {
        ++values_[code_[frame.body - 1].s[0]];
        pc_ = frame.body;
      } else {
        loops_.pop_back();
      }
      return true;
    }
    case Opcode::break_if:
      if (value(inst.s[0]) != 0) {
        loops_.pop_back();
        pc_ = inst.jump;
      }
      return true;
    case Opcode::if_:
      if (value(inst.s[0]) == 0) pc_ = inst.jump;
      return true;
    case Opcode::else_:
      pc_ = inst.jump;
      return true;
    case Opcode::endif:
      return true;
    default:
      return false;
  }
}

}  // namespace npu::sim
