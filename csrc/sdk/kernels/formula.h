// Formulas over the elements of tiles, written as expressions:
//
//   Expr silu(Formula& f) { return f.in(0) * sigmoid(f.in(0)); }
//
// A formula records what is computed; emitting it gives one vector instruction for each operation,
// with as few scratchpad tiles for intermediate results as their lifetimes allow. Intermediate
// results are of the compute type (f32 for 16-bit floats), so that results are rounded once.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "csrc/sdk/builder/builder.h"

namespace npu::kernels {

using sdk::BinaryFn;
using sdk::DType;
using sdk::TernaryFn;
using sdk::UnaryFn;

class Formula;

// A node of a formula: an input, a scalar or the result of an operation.
class Expr {
 public:
  Expr(double constant) : constant_(constant) {}  // NOLINT(google-explicit-constructor)
  Expr(int constant) : constant_(constant) {}     // NOLINT(google-explicit-constructor)

 private:
  friend class Formula;
  Expr(Formula* formula, int node) : formula_(formula), node_(node) {}

  Formula* formula_ = nullptr;  // null: a constant that no formula knows yet
  int node_ = -1;
  double constant_ = 0;
};

class Formula {
 public:
  // `compute`: f32, f64 or i64. Inputs whose bit is set in `scalar_inputs` come as values.
  Formula(DType compute, std::span<const DType> inputs, uint32_t scalar_inputs);

  Expr in(int index);
  Expr scalar(int index);
  bool computes_integers() const { return compute_ == DType::i64; }
  DType input_type(int index) const { return inputs_[static_cast<size_t>(index)]; }

  void set_result(const Expr& result, DType type);
  // Is the result an input as it is?
  bool is_input(int* index) const;
  // Tiles of the compute type that emit() needs beside inputs and result.
  int temporaries() const { return temporaries_; }

  // Writes the instructions. An input's operand is a tile or a value, as promised. `dst` gets the
  // shape that the inputs broadcast to.
  void emit(sdk::Builder& builder, std::span<const sdk::Operand> inputs,
            std::span<const sdk::Value> scalars, std::span<const sdk::Tile> temporaries,
            const sdk::Tile& dst) const;

  static Expr unary(UnaryFn fn, const Expr& a);
  static Expr binary(BinaryFn fn, const Expr& a, const Expr& b);
  static Expr ternary(TernaryFn fn, const Expr& a, const Expr& b, const Expr& c);

 private:
  struct Node {
    enum class Kind : uint8_t { input, scalar, constant, unary, binary, ternary } kind;
    uint8_t fn = 0;
    std::array<int, 3> args = {-1, -1, -1};
    int index = 0;          // of the input or scalar
    double constant = 0;    // constants
    bool is_value = false;  // known before any element: scalar arithmetic, no tile
    int uses = 0;
    int tile = -1;  // temporary that holds the result; kResult: the destination
  };
  static constexpr int kResult = -2;

  int add(Node node);
  int node_of(const Expr& expr);
  static Formula* owner(std::initializer_list<const Expr*> operands);
  void schedule();
  void visit(int node, std::vector<int>& order);
  void convert_predicate_sources();
  // What the engine computes the operation in, by its sources; nothing where it has no tile.
  std::optional<DType> engine_type(const Node& node) const;

  DType compute_;
  std::vector<DType> inputs_;
  uint32_t scalar_inputs_;
  DType result_type_ = DType::f32;
  std::vector<Node> nodes_;
  std::vector<int> order_;  // of the operations
  int root_ = -1;
  int temporaries_ = 0;
};

Expr operator+(const Expr& a, const Expr& b);
Expr operator-(const Expr& a, const Expr& b);
Expr operator*(const Expr& a, const Expr& b);
Expr operator/(const Expr& a, const Expr& b);
Expr operator-(const Expr& a);
Expr operator<(const Expr& a, const Expr& b);
Expr operator<=(const Expr& a, const Expr& b);
Expr operator>(const Expr& a, const Expr& b);
Expr operator>=(const Expr& a, const Expr& b);
Expr operator==(const Expr& a, const Expr& b);
Expr operator!=(const Expr& a, const Expr& b);
Expr operator&&(const Expr& a, const Expr& b);
Expr operator||(const Expr& a, const Expr& b);
Expr where(const Expr& condition, const Expr& a, const Expr& b);
Expr max(const Expr& a, const Expr& b);  // propagates NaN
Expr min(const Expr& a, const Expr& b);
Expr fma(const Expr& a, const Expr& b, const Expr& c);  // a * b + c

// log(exp(a) + exp(b)).
Expr log_add_exp(const Expr& a, const Expr& b);
// |a - b|, equal infinities being at distance 0.
Expr distance_of_exponents(const Expr& a, const Expr& b);

// One function of the vector engine each, by its name there.
#define NPU_EXPR_UNARY(name) \
  inline Expr name(const Expr& a) { return Formula::unary(UnaryFn::name, a); }
NPU_EXPR_UNARY(abs)
NPU_EXPR_UNARY(square)
NPU_EXPR_UNARY(trunc)
NPU_EXPR_UNARY(round)
NPU_EXPR_UNARY(exp)
NPU_EXPR_UNARY(exp2)
NPU_EXPR_UNARY(expm1)
NPU_EXPR_UNARY(log)
NPU_EXPR_UNARY(log1p)
NPU_EXPR_UNARY(sin)
NPU_EXPR_UNARY(tanh)
NPU_EXPR_UNARY(erf)
NPU_EXPR_UNARY(erfc)
NPU_EXPR_UNARY(erfinv)
NPU_EXPR_UNARY(sigmoid)
NPU_EXPR_UNARY(isnan)
NPU_EXPR_UNARY(isposinf)
NPU_EXPR_UNARY(isneginf)
#undef NPU_EXPR_UNARY

}  // namespace npu::kernels
