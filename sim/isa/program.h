// A tile program: declarations and a flat list of instructions.
#pragma once

#include <array>
#include <bit>
#include <cstdint>
#include <string>
#include <vector>

#include "sim/isa/dtype.h"
#include "sim/isa/opcode.h"

namespace npu::sim {

// A scalar operand is an index into a core's value file: registers, then the launch's position,
// then its arguments, then the program's constants. Values are 64 bits; where an instruction wants
// a real number they are the bits of a double.
using Slot = uint16_t;
inline constexpr int kRegisterCount = 64;
inline constexpr int kMaxArgs = 128;
inline constexpr Slot kPidSlot = kRegisterCount;       // program id
inline constexpr Slot kGridSlot = kRegisterCount + 1;  // number of programs
inline constexpr Slot kArgSlot = kRegisterCount + 2;
inline constexpr Slot kConstantSlot = kArgSlot + kMaxArgs;
inline constexpr Slot kNoSlot = 0xffff;

using TileId = uint16_t;
inline constexpr TileId kNoTile = 0xffff;

inline constexpr int kMaxDims = 5;

enum class ArgKind : uint8_t { pointer, integer, real };

struct ArgDecl {
  std::string name;
  ArgKind kind;
  bool operator==(const ArgDecl&) const = default;
};

// `buffers` physical buffers of `capacity` elements each. An instruction that defines the tile
// (writes it without reading it) moves on to the next buffer, so straight-line code is
// double-buffered by declaring x2. A tile's shape (rows x cols, at most `capacity` elements) is
// dynamic: it is set by the instruction that defines it.
struct TileDecl {
  std::string name;
  DType dtype;
  int64_t capacity;  // elements
  int buffers = 1;
  bool operator==(const TileDecl&) const = default;
};

namespace flags {
inline constexpr uint16_t kTransposeA = 1;  // m.mma.ta: a is [K, M]
inline constexpr uint16_t kTransposeB = 2;  // m.mma.tb: b is [N, K]
inline constexpr uint16_t kZero = 4;        // m.mma.zero: dst = a @ b (defines) instead of +=
inline constexpr uint16_t kRows = 8;        // v.reduce.*.rows: over rows to [1, C]; else [R, 1]
inline constexpr uint16_t kMasked = 16;  // d.gather/d.scatter.masked: skips index < 0 (gather: 0)
inline constexpr uint16_t kAdd = 32;     // d.scatter.add/d.store.add: adds, in program order
inline constexpr uint16_t kDescending = 64;  // v.sort.desc
inline constexpr uint16_t kAcross = 128;     // d.load.across: once for a row of the cluster
inline constexpr uint16_t kDown = 256;       // d.load.down: once for a column; both: for all of it
}  // namespace flags

// One instruction. Which fields count depends on `op`:
//
//   loop      s[0] counter register, s[1] count            endloop, else, endif, exit: none
//   if        s[0] condition       break_if  s[0]
//   s_alu     fn; s[0] destination register, s[1], s[2]    s_select  s[0] = s[1] ? s[2] : s[3]
//   s_load    dtype, buffer, s[0] destination register, s[1] element offset
//   d_load    dst <- buffer        d_store  buffer <- src[0]          (see DMA below)
//   d_gather  dst <- buffer, src[0] index tile     d_scatter  buffer <- src[0], src[1] index tile
//   d_fill    buffer <- value s[kDmaValue], dtype
//   m_mma     dst, src[0] a, src[1] b, s[0] useful output elements or kNoSlot (all)
//   v_unary   dst, src[0] or scalar s[0]       v_binary, v_ternary: src[i] or, if kNoTile, s[i]
//   v_reduce  dst, src[0]          v_scan  dst, src[0]
//   v_sort    dst keys, dst2 payload, src[0] keys, src[1] payload; each row, stable, NaN largest
//   v_iota    dst; s[0] start, s[1] column step, s[2] row step, s[3] rows, s[4] cols
//   v_random  fn, dst; s[0] seed, s[1] counter of the first element, s[2] rows, s[3] cols
//   v_fill    dst; s[0] value, s[1] rows, s[2] cols
//   v_expand  dst, src[0]; s[0] rows, s[1] cols
//   v_transpose  dst, src[0]       v_reshape dst (in place); s[0] rows, s[1] cols
//   v_slice   dst, src[0]; s[0] row, s[1] col, s[2] rows, s[3] cols
//   v_insert  dst (updated), src[0]; s[0] row, s[1] col
//   v_gather  dst[r, c] = src[0][r, src[1][r, c]]
//
// DMA: s[kDmaOffset] element offset from the buffer argument's pointer, `ndim` sizes and strides
// (elements) from s[kDmaSizes] and s[kDmaStrides], outermost first. The first `row_dims` dimensions
// make the tile's rows, the others its columns. Gather and scatter add index * s[kDmaIndexStride]
// for each row, the indices standing in src order (row_dims is 0: the index gives the rows).
struct Instruction {
  Opcode op = Opcode::exit;
  uint8_t fn = 0;
  DType dtype = DType::f32;
  uint16_t flags = 0;
  uint8_t buffer = 0;  // pointer argument's number
  uint8_t ndim = 0;
  uint8_t row_dims = 0;
  TileId dst = kNoTile;
  TileId dst2 = kNoTile;
  std::array<TileId, 3> src = {kNoTile, kNoTile, kNoTile};
  uint32_t jump = 0;  // set by finalize(): where control flow goes on
  std::array<Slot, 13> s = {kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot,
                            kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot, kNoSlot};
  bool operator==(const Instruction&) const = default;
};

inline constexpr int kDmaOffset = 0;
inline constexpr int kDmaSizes = 1;
inline constexpr int kDmaStrides = kDmaSizes + kMaxDims;
inline constexpr int kDmaIndexStride = kDmaStrides + kMaxDims;  // d_gather, d_scatter
inline constexpr int kDmaValue = kDmaIndexStride;               // d_fill

struct Constant {
  bool real = false;  // how the text form writes it
  int64_t bits = 0;
  static Constant integer(int64_t value) { return {false, value}; }
  static Constant number(double value) { return {true, std::bit_cast<int64_t>(value)}; }
  bool operator==(const Constant&) const = default;
};

// Programs that run together, on neighbouring cores: rows x cols consecutive program ids, the ids
// of a row next to each other.
struct Cluster {
  int rows = 1;
  int cols = 1;
  int size() const { return rows * cols; }
  bool operator==(const Cluster&) const = default;
};
inline constexpr int kMaxClusterSize = 1024;

struct Program {
  std::string name;
  Cluster cluster;
  std::vector<ArgDecl> args;
  std::vector<TileDecl> tiles;
  std::vector<Constant> constants;
  std::vector<Instruction> code;

  // Set by finalize().
  uint64_t id = 0;  // no other program of this process has it, dead ones included; copies do
  int64_t scratchpad_bytes = 0;
  uint8_t engines = 0;               // bit of each Engine that the code uses
  bool has_atomics = false;          // kAdd: programs then run in program-id order
  bool has_scalar_loads = false;     // time depends on device memory
  bool has_multicast = false;        // programs of a cluster wait for each other's loads
  std::vector<uint64_t> registers;   // per instruction: the registers it names, as bits
  std::vector<uint8_t> arg_read;     // per argument: a DMA or s.load reads through it
  std::vector<uint8_t> arg_written;  // per argument: a DMA writes through it
  // Per argument: bytes of the tiles that plain stores write through it, each full and once.
  std::vector<int64_t> arg_store_bytes;
  std::vector<uint8_t> last_reads;  // per instruction: see last_reads_of()
  std::vector<uint8_t> arg_steers;  // per argument: see steering_arguments_of()

  bool operator==(const Program& other) const {
    return name == other.name && cluster == other.cluster && args == other.args &&
           tiles == other.tiles && constants == other.constants && code == other.code;
  }
};

// Bytes that one physical buffer of the tile takes in the scratchpad (64-byte aligned).
int64_t buffer_bytes(const TileDecl& tile);

// Checks every operand, matches control flow and fills the derived fields.
// Throws MachineError (kAssembly) naming kernel and instruction.
void finalize(Program& program);

}  // namespace npu::sim
