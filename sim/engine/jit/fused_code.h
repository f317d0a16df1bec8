// Runs of element-wise instructions in f32, compiled into one loop over registers.
//
// A stage after the other costs a pass through the L1 cache for each; here a vector of elements
// passes all of them before the next one is loaded. The machine code is for hosts with the
// instruction sets of the avx512 table and gives the same bits as that table's functions.
#pragma once

#include <algorithm>
#include <array>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <unordered_map>

#include "sim/isa/dtype.h"
#include "sim/isa/opcode.h"

namespace npu::sim {

// What a compiled loop can do: element-wise functions, and types of elements in memory.
bool fuses(Opcode op, uint8_t fn);
bool fuses(DType type);

struct FusedOperand {
  enum Kind : uint8_t {
    kNone,
    kStep,      // result of an earlier step
    kMemory,    // elements of FusedProgram::memory[index]
    kBroadcast  // one f32 value for the whole line: number `index` of them
  };
  Kind kind = kNone;
  uint8_t index = 0;
};

struct FusedStep {
  Opcode op = Opcode::v_unary;
  uint8_t fn = 0;
  DType type = DType::f32;  // in which the result is kept: 16-bit ones are rounded
  int8_t result = -1;       // where it is stored: number of the memory, or nowhere
  bool stream = false;      // past the host's caches; the memory is aligned to 64 bytes
  std::array<FusedOperand, 3> operands;
};

inline constexpr int kFusedSteps = 16;
inline constexpr int kFusedMemories = 11;  // sources and results: pointers in registers
inline constexpr int kFusedBroadcasts = 8;

// A program in few words, for looking it up.
struct FusedKey {
  size_t words = 0;
  std::array<uint64_t, 2 + 2 * kFusedSteps> word;

  bool operator==(const FusedKey& other) const {
    return std::equal(word.begin(), word.begin() + words, other.word.begin(),
                      other.word.begin() + other.words);
  }
};

struct FusedProgram {
  int steps = 0;
  int memories = 0;
  int broadcasts = 0;
  int prefetch = 0;  // bytes ahead of the sources to fetch into the host's L2 cache, or 0
  std::array<FusedStep, kFusedSteps> step;
  std::array<DType, kFusedMemories> memory;

  FusedKey key() const;
};

// One line of elements: where each memory's are, and the values to broadcast.
struct FusedLine {
  std::array<std::byte*, kFusedMemories> memory;
  std::array<const float*, kFusedBroadcasts> broadcast;
  int64_t elements = 0;
};

using FusedFunction = void (*)(const FusedLine*);

// Compiled programs, each at its first use. Belongs to one host thread.
class FusedCache {
 public:
  FusedCache();
  ~FusedCache();
  FusedCache(FusedCache&&) noexcept;
  FusedCache& operator=(FusedCache&&) noexcept;

  // Null where the program needs more registers than there are, or the host has no memory for code.
  FusedFunction find(const FusedProgram& program);
  // Forgets all programs where there are too many. No function found before may be called again.
  void bound();

 private:
  static constexpr size_t kMostPrograms = 2048;  // some tens of megabytes
  struct Code;
  struct KeyHash {
    size_t operator()(const FusedKey& key) const;
  };
  std::unordered_map<FusedKey, std::unique_ptr<Code>, KeyHash> codes_;
};

}  // namespace npu::sim
