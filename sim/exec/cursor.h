// Walks one program id and hands out its tile instructions, resolved.
//
// The cursor executes the scalar part of a program (registers, loops, branches, scalar loads) and
// tracks the shapes of tiles and which physical buffer each tile name means. The executor and the
// timer both read from it, so they see the same instructions by construction.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "sim/error.h"
#include "sim/exec/prepared.h"

namespace npu::sim {

struct Shape {
  int32_t rows = 0;
  int32_t cols = 0;
  int64_t elements() const { return int64_t{rows} * cols; }
  bool operator==(const Shape&) const = default;
};

// One resolved instruction of the vector, matrix or DMA engine, or a scalar load. Only the fields
// that the instruction has are set; the others keep what an earlier step left in them, but for the
// buffers, which are kNoBuffer where there is none.
inline constexpr uint32_t kNoWait = ~uint32_t{0};

struct Step {
  const Instruction* inst = nullptr;
  uint32_t pc = 0;
  uint32_t scalar_instructions = 0;  // executed since the last step, this one not counted
  // Of those, how many come before the first instruction (this one, if all do) that names a
  // register which a scalar load has yet to bring; kNoWait if none does.
  uint32_t waits_after = kNoWait;
  BufferId dst = kNoBuffer;
  BufferId dst2 = kNoBuffer;
  std::array<BufferId, 3> src = {kNoBuffer, kNoBuffer, kNoBuffer};
  Shape dst_shape;
  std::array<Shape, 3> src_shape;
  // Values of the instruction's scalar operands s[0..4], where it has them (as 64-bit slots). A
  // matrix step without s[0] has all its output elements there, a scalar load what it loaded.
  std::array<int64_t, 5> value = {};
  // DMA: byte offset from the pointer argument, sizes, byte strides; outermost first.
  int64_t offset = 0;
  std::array<int64_t, kMaxDims> size = {};
  std::array<int64_t, kMaxDims> stride = {};
  int64_t index_stride = 0;  // bytes a unit of index
  int64_t fill = 0;          // d.fill's value
  int64_t bytes = 0;         // moved by the DMA
  // d.load: this program reads the memory. False where it takes part in the multicast load that the
  // first program of its row or column of the cluster makes.
  bool fetches = true;
};

// Instructions, scalar ones included, that one program id may execute before kRunaway.
inline constexpr uint64_t kRunawayLimit = uint64_t{1} << 32;

class Cursor {
 public:
  explicit Cursor(const Prepared& prepared, uint64_t runaway_limit = kRunawayLimit);

  // Starts program `pid` (on `core`, for messages) from its first instruction: registers are zero
  // and no tile is written. Which physical buffer a tile takes next goes on from the program
  // before, so that the loads of a program overlap with what the one before still computes.
  void start(int64_t pid, int core);

  // The next resolved step, or null at the end of the program; then trailing_scalars() counts the
  // scalar instructions after the last step. Shapes, capacities, unwritten tiles and the bounds of
  // all DMAs but gathers and scatters (whose indices only the executor knows) have been checked.
  // Throws MachineError.
  const Step* next();
  uint32_t trailing_scalars() const { return step_.scalar_instructions; }
  uint32_t trailing_wait() const { return step_.waits_after; }

  int64_t pid() const { return pid_; }
  uint32_t pc() const { return pc_; }  // of the next instruction

  // Executes the scalar instructions that program `pid` starts with, up to `end`.
  void start_scalars(int64_t pid, uint32_t end);
  int64_t value_of(Slot slot) const { return value(slot); }
  // Where the program stands and its tiles' shapes, but no values: for comparing two programs.
  void append_state(std::vector<uint64_t>& words) const;
  // Goes on as program `pid` at the same place, with the values that it has.
  void renumber(int64_t pid);

  // "kernel 'gemm', core 3, program 17, instruction 12 (d.load a, x[r0], ...)": for messages.
  std::string where() const;
  [[noreturn]] void fail(ErrorKind kind, const std::string& what) const;

 private:
  struct TileState {
    Shape shape;
    int64_t capacity;
    BufferId first;
    uint16_t buffers;
    uint16_t current;  // which physical buffer
    uint8_t element_size;
    bool written;
  };
  struct LoopFrame {
    uint32_t body;
    int64_t left;  // iterations, the running one included
  };

  bool control(const Instruction& inst);  // false at exit
  void scalar(const Instruction& inst);
  void scalar_load(const Instruction& inst);
  void resolve_dma(const Instruction& inst);
  void resolve_matrix(const Instruction& inst);
  void resolve_elementwise(const Instruction& inst, int operands);
  void resolve_vector(const Instruction& inst);

  void begin(const Instruction& inst);
  void use(int source);
  BufferId define(TileId tile, int64_t rows, int64_t cols);  // renames to the next physical buffer
  BufferId update(TileId tile);                              // the current one, must be written
  Shape dimensions(int64_t rows, int64_t cols) const;
  bool leads(const Instruction& inst) const;
  void check_bounds(const Instruction& inst, int64_t lower, int64_t upper) const;
  int64_t value(Slot slot) const { return values_[slot]; }
  void load_values(const Instruction& inst, int count);

  const Prepared* prepared_;
  const Instruction* code_;
  uint32_t code_size_;
  uint32_t pc_ = 0;
  uint64_t executed_ = 0;
  uint64_t runaway_limit_;
  const uint64_t* registers_;  // that each instruction names, as bits
  uint64_t loading_ = 0;       // registers that scalar loads bring, and nothing has named since
  std::vector<int64_t> values_;
  std::vector<TileState> tiles_;
  std::vector<LoopFrame> loops_;
  Step step_;
  int64_t pid_ = 0;
  int core_ = 0;
};

// What a scalar load gives for the bytes at `data`: an integer, or the bits of a double. Types that
// have no such load give nothing.
std::optional<int64_t> scalar_at(const std::byte* data, DType type);

// Adds what the step did, and the scalar instructions before it.
void count(const Machine& machine, const Step& step, Counters& counters);

}  // namespace npu::sim
