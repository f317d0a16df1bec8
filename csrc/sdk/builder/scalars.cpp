// Scalar values of a program: registers, constants, arithmetic and variables.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <memory>
#include <optional>
#include <utility>

#include "csrc/sdk/builder/builder.h"
#include "sim/error.h"

namespace npu::sdk {
namespace {

using sim::Constant;
using sim::ErrorKind;
using sim::Instruction;
using sim::MachineError;
using sim::Opcode;
using sim::Slot;
using sim::takes_reals;

double as_real(int64_t bits) { return std::bit_cast<double>(bits); }
int64_t as_bits(double value) { return std::bit_cast<int64_t>(value); }

bool gives_real(ScalarFn fn) {
  return (takes_reals(fn) && fn != ScalarFn::flt && fn != ScalarFn::f2i) || fn == ScalarFn::i2f;
}

// What the machine would compute from two constants; nothing where it would fail.
std::optional<int64_t> fold(ScalarFn fn, int64_t a, int64_t b) {
  const auto ua = static_cast<uint64_t>(a);
  const auto ub = static_cast<uint64_t>(b);
  switch (fn) {
    case ScalarFn::add:
      return static_cast<int64_t>(ua + ub);
    case ScalarFn::sub:
      return static_cast<int64_t>(ua - ub);
    case ScalarFn::mul:
      return static_cast<int64_t>(ua * ub);
    case ScalarFn::div:
      if (b == 0 || b == -1) return std::nullopt;
      return a / b;
    case ScalarFn::mod:
      if (b == 0 || b == -1) return std::nullopt;
      return a % b;
    case ScalarFn::min:
      return std::min(a, b);
    case ScalarFn::max:
      return std::max(a, b);
    case ScalarFn::and_:
      return a & b;
    case ScalarFn::or_:
      return a | b;
    case ScalarFn::xor_:
      return a ^ b;
    case ScalarFn::lt:
      return a < b;
    case ScalarFn::le:
      return a <= b;
    case ScalarFn::eq:
      return a == b;
    case ScalarFn::ne:
      return a != b;
    case ScalarFn::fadd:
      return as_bits(as_real(a) + as_real(b));
    case ScalarFn::fsub:
      return as_bits(as_real(a) - as_real(b));
    case ScalarFn::fmul:
      return as_bits(as_real(a) * as_real(b));
    case ScalarFn::fdiv:
      return as_bits(as_real(a) / as_real(b));
    case ScalarFn::fmin:
      return as_bits(std::fmin(as_real(a), as_real(b)));
    case ScalarFn::fmax:
      return as_bits(std::fmax(as_real(a), as_real(b)));
    case ScalarFn::flt:
      return as_real(a) < as_real(b);
    case ScalarFn::fsqrt:
      return as_bits(std::sqrt(as_real(a)));
    case ScalarFn::i2f:
      return as_bits(static_cast<double>(a));
    default:
      return std::nullopt;
  }
}

}  // namespace

// ---- Registers and constants --------------------------------------------------------------------

struct Value::Register {
  Register(Builder* builder, int number) : builder(builder), number(number) {}
  Register(const Register&) = delete;
  Register& operator=(const Register&) = delete;
  ~Register() { builder->registers_used_[static_cast<size_t>(number)] = false; }

  Builder* builder;
  int number;
  bool variable = false;  // set() may change it: arithmetic must not hand out the register itself
};

Value::Value(int constant) : Value(static_cast<int64_t>(constant)) {}
Value::Value(int64_t constant) : bits_(constant) {}
Value::Value(double constant) : real_(true), bits_(as_bits(constant)) {}

bool Value::is_constant() const { return kind_ == Kind::constant; }
bool Value::is_real() const { return real_; }

Value Builder::allocate_register(bool real) {
  const auto free = std::find(registers_used_.begin(), registers_used_.end(), false);
  if (free == registers_used_.end()) {
    throw MachineError(
        ErrorKind::kAssembly,
        fmt::format("kernel '{}': more than {} registers are in use at instruction {}",
                    program_.name, sim::kRegisterCount, program_.code.size()));
  }
  *free = true;
  const auto number = static_cast<int>(free - registers_used_.begin());
  Value value(0);
  value.kind_ = Value::Kind::slot;
  value.real_ = real;
  value.bits_ = number;
  value.register_ = std::make_shared<Value::Register>(this, number);
  value.builder_ = this;
  return value;
}

Slot Builder::slot(const Value& value) {
  if (!value.is_constant()) return static_cast<Slot>(value.bits_);
  const Constant constant{value.real_, value.bits_};
  auto& constants = program_.constants;
  const auto found = std::find(constants.begin(), constants.end(), constant);
  const auto number = found - constants.begin();
  if (found == constants.end()) constants.push_back(constant);
  return static_cast<Slot>(sim::kConstantSlot + number);
}

Value Builder::named_slot(Slot slot, bool real) {
  Value value(0);
  value.kind_ = Value::Kind::slot;
  value.real_ = real;
  value.bits_ = slot;
  value.builder_ = this;
  return value;
}

// ---- Arithmetic ---------------------------------------------------------------------------------

Value Builder::scalar(ScalarFn fn, const Value& a, const Value& b) {
  const int operands = sim::scalar_operands(fn);
  if (a.is_constant() && b.is_constant()) {
    if (const auto bits = fold(fn, a.bits_, b.bits_)) {
      return gives_real(fn) ? Value(as_real(*bits)) : Value(*bits);
    }
  }
  Value result = allocate_register(fn == ScalarFn::mov ? a.real_ : gives_real(fn));
  Instruction& inst = emit(Opcode::s_alu);
  inst.fn = static_cast<uint8_t>(fn);
  inst.s[0] = slot(result);
  inst.s[1] = slot(a);
  if (operands == 2) inst.s[2] = slot(b);
  return result;
}

Value Builder::arithmetic(ScalarFn integer, ScalarFn real, const Value& a, const Value& b) {
  Builder* builder = a.is_constant() ? b.builder_ : a.builder_;
  const bool reals = a.real_ || b.real_;
  const ScalarFn fn = reals ? real : integer;
  const auto convert = [&](const Value& value) {
    if (!reals || value.real_) return value;
    if (value.is_constant()) return Value(static_cast<double>(value.bits_));
    return builder->to_real(value);
  };
  const Value x = convert(a);
  const Value y = convert(b);
  if (builder == nullptr) {
    if (const auto bits = fold(fn, x.bits_, y.bits_)) {
      return gives_real(fn) ? Value(as_real(*bits)) : Value(*bits);
    }
    throw MachineError(ErrorKind::kAssembly, "arithmetic on constants that has no result");
  }
  const auto is = [](const Value& value, int64_t number) {
    return value.is_constant() && !value.real_ && value.bits_ == number;
  };
  const auto stable = [](const Value& value) {
    return value.register_ == nullptr || !value.register_->variable;
  };
  if ((fn == ScalarFn::add || fn == ScalarFn::sub) && is(y, 0) && stable(x)) return x;
  if (fn == ScalarFn::add && is(x, 0) && stable(y)) return y;
  if (fn == ScalarFn::mul && (is(x, 0) || is(y, 0))) return 0;
  if ((fn == ScalarFn::mul || fn == ScalarFn::div) && is(y, 1) && stable(x)) return x;
  if (fn == ScalarFn::mul && is(x, 1) && stable(y)) return y;
  return builder->scalar(fn, x, y);
}

Value operator+(const Value& a, const Value& b) {
  return Builder::arithmetic(ScalarFn::add, ScalarFn::fadd, a, b);
}
Value operator-(const Value& a, const Value& b) {
  return Builder::arithmetic(ScalarFn::sub, ScalarFn::fsub, a, b);
}
Value operator*(const Value& a, const Value& b) {
  return Builder::arithmetic(ScalarFn::mul, ScalarFn::fmul, a, b);
}
Value operator/(const Value& a, const Value& b) {
  return Builder::arithmetic(ScalarFn::div, ScalarFn::fdiv, a, b);
}
Value operator%(const Value& a, const Value& b) {
  if (a.real_ || b.real_) {
    throw MachineError(ErrorKind::kAssembly, "the remainder of real scalars does not exist");
  }
  return Builder::arithmetic(ScalarFn::mod, ScalarFn::mod, a, b);
}
Value operator<(const Value& a, const Value& b) {
  return Builder::arithmetic(ScalarFn::lt, ScalarFn::flt, a, b);
}
// The machine compares reals by `less` alone; the others are made from it.
Value operator<=(const Value& a, const Value& b) {
  if (a.real_ || b.real_) return (b < a) == Value(0);
  return Builder::arithmetic(ScalarFn::le, ScalarFn::le, a, b);
}
Value operator==(const Value& a, const Value& b) {
  if (a.real_ || b.real_) return (a != b) == Value(0);
  return Builder::arithmetic(ScalarFn::eq, ScalarFn::eq, a, b);
}
Value operator!=(const Value& a, const Value& b) {
  if (a.real_ || b.real_) return (a < b) | (b < a);
  return Builder::arithmetic(ScalarFn::ne, ScalarFn::ne, a, b);
}
Value operator&(const Value& a, const Value& b) {
  return Builder::arithmetic(ScalarFn::and_, ScalarFn::and_, a, b);
}
Value operator|(const Value& a, const Value& b) {
  return Builder::arithmetic(ScalarFn::or_, ScalarFn::or_, a, b);
}

Value Builder::pid() { return named_slot(sim::kPidSlot, false); }
Value Builder::cluster_row() { return pid() % program_.cluster.size() / program_.cluster.cols; }
Value Builder::cluster_col() { return pid() % program_.cluster.cols; }
Value Builder::grid() { return named_slot(sim::kGridSlot, false); }

Value Builder::min(const Value& a, const Value& b) {
  return arithmetic(ScalarFn::min, ScalarFn::fmin, a, b);
}
Value Builder::max(const Value& a, const Value& b) {
  return arithmetic(ScalarFn::max, ScalarFn::fmax, a, b);
}
Value Builder::ceil_div(const Value& a, const Value& b) { return (a + (b - 1)) / b; }

Value Builder::select(const Value& condition, const Value& a, const Value& b) {
  if (condition.is_constant()) return condition.bits_ != 0 ? a : b;
  const bool reals = a.real_ || b.real_;
  const Value x = reals ? to_real(a) : a;
  const Value y = reals ? to_real(b) : b;
  Value result = allocate_register(reals);
  Instruction& inst = emit(Opcode::s_select);
  inst.s[0] = slot(result);
  inst.s[1] = slot(condition);
  inst.s[2] = slot(x);
  inst.s[3] = slot(y);
  return result;
}

Value Builder::to_real(const Value& integer) {
  return integer.real_ ? integer : scalar(ScalarFn::i2f, integer);
}

Value Builder::load_scalar(Pointer pointer, const Value& offset, DType dtype) {
  Value result = allocate_register(sim::is_float(dtype));
  Instruction& inst = emit(Opcode::s_load);
  inst.dtype = dtype;
  inst.buffer = pointer.index;
  inst.s[0] = slot(result);
  inst.s[1] = slot(offset);
  return result;
}

// ---- Variables ----------------------------------------------------------------------------------

Value Builder::variable(const Value& initial) {
  Value result = allocate_register(initial.real_);
  result.register_->variable = true;
  set(result, initial);
  return result;
}

void Builder::check_set(const Value& variable, const Value& value) const {
  if (variable.register_ == nullptr || !variable.register_->variable) {
    throw MachineError(ErrorKind::kAssembly,
                       fmt::format("kernel '{}': set() of what is no variable", program_.name));
  }
  if (value.real_ && !variable.real_) {
    throw MachineError(
        ErrorKind::kAssembly,
        fmt::format("kernel '{}': an integer variable is set to a real number", program_.name));
  }
}

void Builder::set(const Value& variable, const Value& value) {
  check_set(variable, value);
  const Value converted = variable.real_ ? to_real(value) : value;
  Instruction& inst = emit(Opcode::s_alu);
  inst.fn = static_cast<uint8_t>(ScalarFn::mov);
  inst.s[0] = slot(variable);
  inst.s[1] = slot(converted);
}

void Builder::set(const Value& variable, Value&& value) {
  check_set(variable, value);
  const Value made = std::move(value);
  const auto is_scalar = [](Opcode op) {
    return op == Opcode::s_alu || op == Opcode::s_select || op == Opcode::s_load;
  };
  const bool is_temporary =
      made.register_.use_count() == 1 && !made.register_->variable && made.real_ == variable.real_;
  if (is_temporary && is_scalar(program_.code.back().op) &&
      program_.code.back().s[0] == slot(made)) {
    program_.code.back().s[0] = slot(variable);
  } else {
    set(variable, made);
  }
}

}  // namespace npu::sdk
