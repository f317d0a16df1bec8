#include "sim/isa/liveness.h"

#include <algorithm>
#include <cstddef>
#include <span>

namespace npu::sim {
namespace {

using Tiles = std::span<uint64_t>;  // a bit for each

bool has(Tiles tiles, TileId id) { return tiles[id / 64] >> id % 64 & 1; }
void add(Tiles tiles, TileId id) { tiles[id / 64] |= uint64_t{1} << id % 64; }
void remove(Tiles tiles, TileId id) { tiles[id / 64] &= ~(uint64_t{1} << id % 64); }

// Does it change the destination's contents rather than define them anew?
bool updates(const Instruction& inst) {
  return inst.op == Opcode::v_insert || inst.op == Opcode::v_reshape ||
         (inst.op == Opcode::m_mma && (inst.flags & flags::kZero) == 0);
}

bool defines(const Instruction& inst, TileId id) {
  return id != kNoTile && ((inst.dst == id && !updates(inst)) || inst.dst2 == id);
}

// What is read after it, from what is read after those that may come next.
void merge_next(const Program& program, size_t pc, std::span<const uint64_t> before, Tiles after) {
  const auto merge = [&](size_t next) {
    for (size_t word = 0; word < after.size(); ++word) {
      after[word] |= before[next * after.size() + word];
    }
  };
  const Instruction& inst = program.code[pc];
  switch (inst.op) {
    case Opcode::exit:
      return;
    case Opcode::else_:
      return merge(inst.jump);
    case Opcode::loop:
    case Opcode::endloop:
    case Opcode::break_if:
    case Opcode::if_:
      merge(inst.jump);
      [[fallthrough]];
    default:
      return merge(pc + 1);
  }
}

}  // namespace

std::vector<uint8_t> last_reads_of(const Program& program) {
  const size_t size = program.code.size();
  const size_t words = (program.tiles.size() + 63) / 64;
  std::vector<uint64_t> before(size * words);  // what is read from each instruction on
  std::vector<uint64_t> bits(words);
  const Tiles live = bits;
  std::vector<uint8_t> last(size, 0);
  for (bool changed = true; changed;) {
    changed = false;
    for (size_t pc = size; pc-- > 0;) {
      const Instruction& inst = program.code[pc];
      std::ranges::fill(live, 0);
      merge_next(program, pc, before, live);
      last[pc] = 0;
      for (size_t i = 0; i < inst.src.size(); ++i) {
        const TileId id = inst.src[i];
        if (id != kNoTile && (defines(inst, id) || !has(live, id))) {
          last[pc] |= static_cast<uint8_t>(1 << i);
        }
      }
      for (const TileId id : {inst.dst, inst.dst2}) {
        if (defines(inst, id)) remove(live, id);
      }
      if (updates(inst)) add(live, inst.dst);
      for (const TileId id : inst.src) {
        if (id != kNoTile) add(live, id);
      }
      const Tiles known(before.data() + pc * words, words);
      if (!std::ranges::equal(live, known)) {
        std::ranges::copy(live, known.begin());
        changed = true;
      }
    }
  }
  return last;
}

}  // namespace npu::sim
