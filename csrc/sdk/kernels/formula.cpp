#include "csrc/sdk/kernels/formula.h"

#include <algorithm>
#include <optional>
#include <stdexcept>

namespace npu::kernels {
namespace {

using sdk::Builder;
using sdk::Operand;
using sdk::Tile;
using sdk::Value;

// What the vector engine computes in, given one of the tiles that take part.
DType widen(DType compute, DType tile) {
  if (compute == DType::f64 || tile == DType::f64) return DType::f64;
  if (compute == DType::f32 || sim::is_float(tile)) return DType::f32;
  return DType::i64;
}

bool has_scalar_form(BinaryFn fn, bool integers) {
  switch (fn) {
    case BinaryFn::add:
    case BinaryFn::sub:
    case BinaryFn::mul:
      return true;
    case BinaryFn::div:
      return !integers;
    default:
      return false;
  }
}

Value scalar_arithmetic(BinaryFn fn, const Value& a, const Value& b) {
  switch (fn) {
    case BinaryFn::add:
      return a + b;
    case BinaryFn::sub:
      return a - b;
    case BinaryFn::mul:
      return a * b;
    default:
      return a / b;
  }
}

}  // namespace

Formula::Formula(DType compute, std::span<const DType> inputs, uint32_t scalar_inputs)
    : compute_(compute), inputs_(inputs.begin(), inputs.end()), scalar_inputs_(scalar_inputs) {}

int Formula::add(Node node) {
  nodes_.push_back(node);
  return static_cast<int>(nodes_.size()) - 1;
}

Expr Formula::in(int index) {
  Node node{.kind = Node::Kind::input, .index = index};
  node.is_value = (scalar_inputs_ >> index & 1) != 0;
  return {this, add(node)};
}

Expr Formula::scalar(int index) {
  return {this, add({.kind = Node::Kind::scalar, .index = index, .is_value = true})};
}

int Formula::node_of(const Expr& expr) {
  if (expr.formula_ != nullptr) return expr.node_;
  return add({.kind = Node::Kind::constant, .constant = expr.constant_, .is_value = true});
}

Formula* Formula::owner(std::initializer_list<const Expr*> operands) {
  for (const Expr* operand : operands) {
    if (operand->formula_ != nullptr) return operand->formula_;
  }
  throw std::logic_error("an expression of constants alone belongs to no formula");
}

Expr Formula::unary(UnaryFn fn, const Expr& a) {
  Formula* formula = owner({&a});
  const int x = formula->node_of(a);
  if (fn == UnaryFn::neg && formula->nodes_[x].is_value) return 0 - a;
  return {formula,
          formula->add(
              {.kind = Node::Kind::unary, .fn = static_cast<uint8_t>(fn), .args = {x, -1, -1}})};
}

Expr Formula::binary(BinaryFn fn, const Expr& a, const Expr& b) {
  Formula* formula = owner({&a, &b});
  const int x = formula->node_of(a);
  const int y = formula->node_of(b);
  const bool is_value = formula->nodes_[x].is_value && formula->nodes_[y].is_value &&
                        has_scalar_form(fn, formula->computes_integers());
  return {formula, formula->add({.kind = Node::Kind::binary,
                                 .fn = static_cast<uint8_t>(fn),
                                 .args = {x, y, -1},
                                 .is_value = is_value})};
}

Expr Formula::ternary(TernaryFn fn, const Expr& a, const Expr& b, const Expr& c) {
  Formula* formula = owner({&a, &b, &c});
  const int x = formula->node_of(a);
  const int y = formula->node_of(b);
  const int z = formula->node_of(c);
  return {formula,
          formula->add(
              {.kind = Node::Kind::ternary, .fn = static_cast<uint8_t>(fn), .args = {x, y, z}})};
}

void Formula::set_result(const Expr& result, DType type) {
  result_type_ = type;
  root_ = node_of(result);
  convert_predicate_sources();
  const Node& root = nodes_[root_];
  const bool is_operation = root.kind >= Node::Kind::unary && !root.is_value;
  // The last operation writes the result's type, unless that would change what it computes in.
  const DType engine = widen(engine_type(root).value_or(DType::i64), type);
  if (!is_operation || engine != compute_) {
    root_ = add({.kind = Node::Kind::unary,
                 .fn = static_cast<uint8_t>(UnaryFn::copy),
                 .args = {root_, -1, -1}});
  }
  schedule();
}

std::optional<DType> Formula::engine_type(const Node& node) const {
  const bool is_where =
      node.kind == Node::Kind::ternary && static_cast<TernaryFn>(node.fn) == TernaryFn::where;
  std::optional<DType> engine;
  for (size_t i = is_where ? 1 : 0; i < node.args.size(); ++i) {
    if (node.args[i] < 0) continue;
    const Node& source = nodes_[node.args[i]];
    if (source.is_value) continue;
    const DType type = source.kind == Node::Kind::input ? inputs_[source.index] : compute_;
    engine = widen(engine.value_or(DType::i64), type);
  }
  return engine;
}

// Predicates compute as their sources ask, whatever they write: where that is less than the formula
// computes in, one source is converted first.
void Formula::convert_predicate_sources() {
  const size_t count = nodes_.size();
  for (size_t n = 0; n < count; ++n) {
    const Node node = nodes_[n];
    const bool is_predicate =
        (node.kind == Node::Kind::unary && sim::is_predicate(sim::Opcode::v_unary, node.fn)) ||
        (node.kind == Node::Kind::binary && sim::is_predicate(sim::Opcode::v_binary, node.fn));
    if (!is_predicate) continue;
    if (engine_type(node).value_or(compute_) == compute_) continue;
    const auto source = std::find_if(node.args.begin(), node.args.end(),
                                     [&](int arg) { return arg >= 0 && !nodes_[arg].is_value; });
    const int converted = add({.kind = Node::Kind::unary,
                               .fn = static_cast<uint8_t>(UnaryFn::copy),
                               .args = {*source, -1, -1}});
    nodes_[n].args[static_cast<size_t>(source - node.args.begin())] = converted;
  }
}

bool Formula::is_input(int* index) const {
  const Node& root = nodes_[root_];
  if (root.kind != Node::Kind::unary || static_cast<UnaryFn>(root.fn) != UnaryFn::copy) {
    return false;
  }
  const Node& source = nodes_[root.args[0]];
  if (source.kind != Node::Kind::input || source.is_value) return false;
  *index = source.index;
  return inputs_[source.index] == result_type_;
}

void Formula::visit(int node, std::vector<int>& order) {
  Node& current = nodes_[node];
  if (current.uses++ > 0 || current.is_value || current.kind < Node::Kind::unary) return;
  for (int arg : current.args) {
    if (arg >= 0) visit(arg, order);
  }
  order.push_back(node);
}

// Gives each operation a tile: the lowest that no live result holds. An operation never writes the
// tile of its own sources, since those may be of a smaller, broadcast shape.
void Formula::schedule() {
  visit(root_, order_);
  std::vector<bool> busy;
  for (int number : order_) {
    Node& node = nodes_[number];
    if (number == root_) {
      node.tile = kResult;
    } else {
      const auto free = std::find(busy.begin(), busy.end(), false);
      node.tile = static_cast<int>(free - busy.begin());
      if (free == busy.end()) {
        busy.push_back(true);
      } else {
        *free = true;
      }
    }
    for (int arg : node.args) {
      if (arg < 0) continue;
      Node& source = nodes_[arg];
      if (--source.uses == 0 && source.tile >= 0) busy[static_cast<size_t>(source.tile)] = false;
    }
  }
  temporaries_ = static_cast<int>(busy.size());
}

void Formula::emit(Builder& builder, std::span<const Operand> inputs,
                   std::span<const Value> scalars, std::span<const Tile> temporaries,
                   const Tile& dst) const {
  std::vector<std::optional<Value>> values(nodes_.size());
  const auto operand = [&](auto&& self, int number) -> Operand {
    const Node& node = nodes_[static_cast<size_t>(number)];
    if (node.tile >= 0) return temporaries[static_cast<size_t>(node.tile)];
    switch (node.kind) {
      case Node::Kind::input:
        return inputs[static_cast<size_t>(node.index)];
      case Node::Kind::scalar:
        return scalars[static_cast<size_t>(node.index)];
      case Node::Kind::constant:
        if (computes_integers()) return Value(static_cast<int64_t>(node.constant));
        return Value(node.constant);
      default: {
        auto& value = values[static_cast<size_t>(number)];
        if (!value) {
          value =
              scalar_arithmetic(static_cast<BinaryFn>(node.fn), self(self, node.args[0]).value(),
                                self(self, node.args[1]).value());
        }
        return *value;
      }
    }
  };
  for (int number : order_) {
    const Node& node = nodes_[static_cast<size_t>(number)];
    const Tile& to = node.tile == kResult ? dst : temporaries[static_cast<size_t>(node.tile)];
    const Operand a = operand(operand, node.args[0]);
    switch (node.kind) {
      case Node::Kind::unary:
        builder.vector(static_cast<UnaryFn>(node.fn), to, a);
        break;
      case Node::Kind::binary:
        builder.vector(static_cast<BinaryFn>(node.fn), to, a, operand(operand, node.args[1]));
        break;
      default:
        builder.vector(static_cast<TernaryFn>(node.fn), to, a, operand(operand, node.args[1]),
                       operand(operand, node.args[2]));
        break;
    }
  }
}

Expr operator+(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::add, a, b); }
Expr operator-(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::sub, a, b); }
Expr operator*(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::mul, a, b); }
Expr operator/(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::div, a, b); }
Expr operator-(const Expr& a) { return Formula::unary(UnaryFn::neg, a); }
Expr operator<(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::lt, a, b); }
Expr operator<=(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::le, a, b); }
Expr operator>(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::gt, a, b); }
Expr operator>=(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::ge, a, b); }
Expr operator==(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::eq, a, b); }
Expr operator!=(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::ne, a, b); }
Expr operator&&(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::land, a, b); }
Expr operator||(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::lor, a, b); }
Expr where(const Expr& condition, const Expr& a, const Expr& b) {
  return Formula::ternary(TernaryFn::where, condition, a, b);
}
Expr max(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::max, a, b); }
Expr min(const Expr& a, const Expr& b) { return Formula::binary(BinaryFn::min, a, b); }
Expr fma(const Expr& a, const Expr& b, const Expr& c) {
  return Formula::ternary(TernaryFn::fma, a, b, c);
}
Expr distance_of_exponents(const Expr& a, const Expr& b) { return where(a == b, 0, abs(a - b)); }
Expr log_add_exp(const Expr& a, const Expr& b) {
  return max(a, b) + log1p(exp(-distance_of_exponents(a, b)));
}

}  // namespace npu::kernels
