// Writes tile programs in C++: kernels read like the tile code they are.
//
//   Builder b("scale", machine);
//   Pointer x = b.pointer("x"), y = b.pointer("y");
//   Value n = b.integer("n"), alpha = b.real("alpha");
//   Tile t = b.tile("t", DType::f32, 8192, 2), u = b.tile("u", DType::f32, 8192, 2);
//   Value start = b.pid() * 8192;
//   Value len = b.min(n - start, 8192);
//   b.load(t, x, start, {{len, 1}});
//   b.vector(BinaryFn::mul, u, t, alpha);
//   b.store(y, start, {{len, 1}}, u);
//   Program program = b.finish();
#pragma once

#include <functional>
#include <initializer_list>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "sim/arch/machine.h"
#include "sim/isa/program.h"

namespace npu::sdk {

using sim::BinaryFn;
using sim::DType;
using sim::RandomFn;
using sim::ReduceFn;
using sim::ScalarFn;
using sim::ScanFn;
using sim::TernaryFn;
using sim::UnaryFn;

class Builder;

// A scalar: constant, argument or register. Copies share the register, which is free again once the
// last copy dies; arithmetic emits scalar instructions and folds constants.
class Value {
 public:
  Value(int constant);  // NOLINT(google-explicit-constructor)
  Value(int64_t constant);
  Value(double constant);

  bool is_constant() const;
  bool is_real() const;

 private:
  friend class Builder;
  struct Register;  // returns its number to the builder
  enum class Kind : uint8_t { constant, slot };
  Kind kind_ = Kind::constant;
  bool real_ = false;
  int64_t bits_ = 0;  // constant, or slot number
  std::shared_ptr<Register> register_;
  Builder* builder_ = nullptr;

  friend Value operator+(const Value& a, const Value& b);
  friend Value operator-(const Value& a, const Value& b);
  friend Value operator*(const Value& a, const Value& b);
  friend Value operator/(const Value& a, const Value& b);  // integers: truncates, as % does
  friend Value operator%(const Value& a, const Value& b);
  friend Value operator<(const Value& a, const Value& b);
  friend Value operator<=(const Value& a, const Value& b);
  friend Value operator==(const Value& a, const Value& b);
  friend Value operator!=(const Value& a, const Value& b);
  friend Value operator&(const Value& a, const Value& b);
  friend Value operator|(const Value& a, const Value& b);
};

struct Pointer {
  uint8_t index = 0;
};

struct Tile {
  sim::TileId id = sim::kNoTile;
  DType dtype = DType::f32;
  int64_t capacity = 0;
};

// A source of a vector instruction: a tile or a scalar. Real computation wants real scalars,
// integer computation integers; constants become what is wanted, others need to_real().
class Operand {
 public:
  Operand(const Tile& tile) : tile_(tile), value_(0) {}  // NOLINT
  Operand(const Value& value) : value_(value) {}         // NOLINT
  Operand(double value) : value_(value) {}               // NOLINT
  Operand(int value) : value_(value) {}                  // NOLINT
  Operand(int64_t value) : value_(value) {}              // NOLINT

  bool is_tile() const { return tile_.id != sim::kNoTile; }
  const Tile& tile() const { return tile_; }
  const Value& value() const { return value_; }  // of a scalar

 private:
  friend class Builder;
  Tile tile_;
  Value value_;
};

// One dimension of a DMA: elements and element stride.
struct Dim {
  Value size;
  Value stride;
};
// The first list makes the tile's rows, the second its columns; outermost first, at most five in
// all.
struct Region {
  std::vector<Dim> rows;
  std::vector<Dim> cols;
  Region(std::initializer_list<Dim> cols) : cols(cols) {}
  Region(std::vector<Dim> rows, std::vector<Dim> cols)
      : rows(std::move(rows)), cols(std::move(cols)) {}
};

// Which programs of a cluster make a load together: one fetch serves all of them.
enum class Share : uint8_t { none, across, down, all };  // a row, a column, the cluster

class Builder {
 public:
  Builder(std::string name, const sim::Machine& machine);
  ~Builder();
  Builder(const Builder&) = delete;
  Builder& operator=(const Builder&) = delete;

  // Declarations. The launch passes arguments in the order of declaration.
  Pointer pointer(std::string name);
  Value integer(std::string name);
  Value real(std::string name);
  Tile tile(std::string name, DType dtype, int64_t capacity, int buffers = 1);

  // Runs rows * cols consecutive program ids together on neighbouring cores, ids of a row next to
  // each other. The grid must be a multiple of that; cores that fill no cluster stay idle.
  void cluster(int rows, int cols);

  const sim::Machine& machine() const { return machine_; }
  // Bytes of scratchpad that no tile has taken yet.
  int64_t scratchpad_left() const;

  // Scalars.
  Value pid();
  Value grid();
  Value cluster_row();  // of this program in its cluster
  Value cluster_col();
  Value scalar(ScalarFn fn, const Value& a, const Value& b = 0);
  Value min(const Value& a, const Value& b);
  Value max(const Value& a, const Value& b);
  Value ceil_div(const Value& a, const Value& b);
  Value select(const Value& condition, const Value& a, const Value& b);
  Value to_real(const Value& integer);
  Value load_scalar(Pointer pointer, const Value& offset, DType dtype);
  // A register of its own that set() changes.
  Value variable(const Value& initial);
  void set(const Value& variable, const Value& value);
  // The instruction that has just made the value makes it in the variable's register.
  void set(const Value& variable, Value&& value);

  // Control flow.
  void loop(Value count, const std::function<void(Value)>& body);
  void if_(Value condition, const std::function<void()>& then,
           const std::function<void()>& otherwise = {});
  void break_if(const Value& condition);
  void exit();

  // DMA. Offsets and strides count elements of the tile's type.
  // A shared load is the same, address and sizes, in all programs that share it; it starts when the
  // last of them is ready. Programs that have ended take no part, but the first must.
  void load(const Tile& dst, Pointer src, const Value& offset, const Region& region,
            Share share = Share::none);
  void store(Pointer dst, const Value& offset, const Region& region, const Tile& src,
             bool accumulate = false);
  // Row i of dst = region at offset + index[i] * index_stride. masked: negative indices give zeros.
  void gather(const Tile& dst, Pointer src, const Value& offset, const Tile& index,
              const Value& index_stride, const std::vector<Dim>& row, bool masked = false);
  void scatter(Pointer dst, const Value& offset, const Tile& index, const Value& index_stride,
               const std::vector<Dim>& row, const Tile& src, bool masked = false,
               bool accumulate = false);
  void fill_memory(Pointer dst, DType dtype, const Value& offset, const Value& value,
                   const Region& region);

  // Matrix engine.
  struct Mma {
    bool zero = false;         // dst = a @ b instead of +=
    bool transpose_a = false;  // a is [K, M]
    bool transpose_b = false;  // b is [N, K]
  };
  void mma(const Tile& dst, const Tile& a, const Tile& b, Mma form);
  void mma(const Tile& dst, const Tile& a, const Tile& b, Mma form, const Value& useful_outputs);

  // Vector engine.
  void vector(UnaryFn fn, const Tile& dst, const Operand& a);
  void vector(BinaryFn fn, const Tile& dst, const Operand& a, const Operand& b);
  void vector(TernaryFn fn, const Tile& dst, const Operand& a, const Operand& b, const Operand& c);
  void reduce(ReduceFn fn, const Tile& dst, const Tile& src, bool over_rows = false);
  void scan(ScanFn fn, const Tile& dst, const Tile& src);
  void sort(const Tile& keys, const Tile& payload, const Tile& src_keys, const Tile& src_payload,
            bool descending);
  void iota(const Tile& dst, const Value& start, const Value& col_step, const Value& row_step,
            const Value& rows, const Value& cols);
  void random(RandomFn fn, const Tile& dst, const Value& seed, const Value& counter,
              const Value& rows, const Value& cols);
  void fill(const Tile& dst, const Value& value, const Value& rows, const Value& cols);
  void expand(const Tile& dst, const Tile& src, const Value& rows, const Value& cols);
  void transpose(const Tile& dst, const Tile& src);
  void reshape(const Tile& tile, const Value& rows, const Value& cols);
  void slice(const Tile& dst, const Tile& src, const Value& row, const Value& col,
             const Value& rows, const Value& cols);
  void insert(const Tile& dst, const Tile& src, const Value& row, const Value& col);
  void gather_columns(const Tile& dst, const Tile& src, const Tile& index);

  // Appends exit, verifies and hands the program out. Throws sim::MachineError.
  sim::Program finish();

 private:
  friend class Value;
  friend struct Value::Register;
  friend Value operator+(const Value&, const Value&);
  friend Value operator-(const Value&, const Value&);
  friend Value operator*(const Value&, const Value&);
  friend Value operator/(const Value&, const Value&);
  friend Value operator%(const Value&, const Value&);
  friend Value operator<(const Value&, const Value&);
  friend Value operator<=(const Value&, const Value&);
  friend Value operator==(const Value&, const Value&);
  friend Value operator!=(const Value&, const Value&);
  friend Value operator&(const Value&, const Value&);
  friend Value operator|(const Value&, const Value&);

  static Value arithmetic(ScalarFn integer, ScalarFn real, const Value& a, const Value& b);
  sim::Slot slot(const Value& value);
  Value allocate_register(bool real);
  void check_set(const Value& variable, const Value& value) const;
  Value named_slot(sim::Slot slot, bool real);
  // A constant as the kind of number that the instruction wants.
  Value typed_value(const Value& value, bool real) const;
  sim::Instruction& emit(sim::Opcode op);
  void set_dma(sim::Instruction& inst, Pointer pointer, const Value& offset, const Region& region);
  void elementwise(sim::Opcode op, uint8_t fn, const Tile& dst,
                   std::initializer_list<const Operand*> operands);
  sim::Instruction& emit_vector(sim::Opcode op, uint8_t fn, const Tile& dst,
                                std::initializer_list<sim::TileId> sources,
                                std::initializer_list<Value> values);

  sim::Machine machine_;
  sim::Program program_;
  std::vector<bool> registers_used_;
};

}  // namespace npu::sdk
