// What the cursor computes itself: scalar arithmetic and scalar loads.
#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstring>
#include <limits>

#include "sim/exec/cursor.h"

namespace npu::sim {
namespace {

double as_real(int64_t bits) { return std::bit_cast<double>(bits); }
int64_t as_bits(double value) { return std::bit_cast<int64_t>(value); }

// Truncates; out of range saturates and NaN is zero, so that no host behaviour shows through.
int64_t to_integer(double value) {
  if (std::isnan(value)) return 0;
  if (value >= 0x1p63) return std::numeric_limits<int64_t>::max();
  if (value < -0x1p63) return std::numeric_limits<int64_t>::min();
  return static_cast<int64_t>(value);
}

template <class T>
T read(const std::byte* data) {
  T value;
  std::memcpy(&value, data, sizeof(T));
  return value;
}

float half_to_float(uint16_t half) {
  const uint32_t sign = static_cast<uint32_t>(half & 0x8000) << 16;
  const int exponent = (half >> 10) & 0x1f;
  const int mantissa = half & 0x3ff;
  if (exponent == 31) {
    return std::bit_cast<float>(sign | 0x7f800000u | static_cast<uint32_t>(mantissa) << 13);
  }
  const float magnitude = exponent == 0
                              ? std::ldexp(static_cast<float>(mantissa), -24)
                              : std::ldexp(static_cast<float>(mantissa + 1024), exponent - 25);
  return sign ? -magnitude : magnitude;
}

}  // namespace

std::optional<int64_t> scalar_at(const std::byte* data, DType type) {
  switch (type) {
    case DType::f64:
    case DType::i64:
      return read<int64_t>(data);
    case DType::f32:
      return as_bits(read<float>(data));
    case DType::f16:
      return as_bits(half_to_float(read<uint16_t>(data)));
    case DType::bf16:
      return as_bits(std::bit_cast<float>(uint32_t{read<uint16_t>(data)} << 16));
    case DType::i32:
      return read<int32_t>(data);
    case DType::i16:
      return read<int16_t>(data);
    case DType::i8:
      return read<int8_t>(data);
    case DType::u8:
    case DType::b8:
      return read<uint8_t>(data);
    default:
      return std::nullopt;
  }
}

void Cursor::scalar(const Instruction& inst) {
  const auto fn = static_cast<ScalarFn>(inst.fn);
  const int64_t a = value(inst.s[1]);
  const int64_t b = inst.s[2] == kNoSlot ? 0 : value(inst.s[2]);
  const auto ua = static_cast<uint64_t>(a);
  const auto ub = static_cast<uint64_t>(b);
  int64_t& to = values_[inst.s[0]];
  switch (fn) {
    case ScalarFn::mov:
      to = a;
      break;
    case ScalarFn::add:
      to = static_cast<int64_t>(ua + ub);
      break;
    case ScalarFn::sub:
      to = static_cast<int64_t>(ua - ub);
      break;
    case ScalarFn::mul:
      to = static_cast<int64_t>(ua * ub);
      break;
    case ScalarFn::div:
    case ScalarFn::mod:
      if (b == 0) fail(ErrorKind::kShape, "division by zero");
      // The one quotient that does not fit wraps.
      if (b == -1) {
        to = fn == ScalarFn::div ? static_cast<int64_t>(-ua) : 0;
      } else {
        to = fn == ScalarFn::div ? a / b : a % b;
      }
      break;
    case ScalarFn::min:
      to = std::min(a, b);
      break;
    case ScalarFn::max:
      to = std::max(a, b);
      break;
    case ScalarFn::and_:
      to = a & b;
      break;
    case ScalarFn::or_:
      to = a | b;
      break;
    case ScalarFn::xor_:
      to = a ^ b;
      break;
    case ScalarFn::shl:
      to = ub < 64 ? static_cast<int64_t>(ua << ub) : 0;
      break;
    case ScalarFn::shr:
      to = a >> std::min<uint64_t>(ub, 63);
      break;
    case ScalarFn::lt:
      to = a < b;
      break;
    case ScalarFn::le:
      to = a <= b;
      break;
    case ScalarFn::eq:
      to = a == b;
      break;
    case ScalarFn::ne:
      to = a != b;
      break;
    case ScalarFn::fadd:
      to = as_bits(as_real(a) + as_real(b));
      break;
    case ScalarFn::fsub:
      to = as_bits(as_real(a) - as_real(b));
      break;
    case ScalarFn::fmul:
      to = as_bits(as_real(a) * as_real(b));
      break;
    case ScalarFn::fdiv:
      to = as_bits(as_real(a) / as_real(b));
      break;
    case ScalarFn::fmin:
      to = as_bits(std::fmin(as_real(a), as_real(b)));
      break;
    case ScalarFn::fmax:
      to = as_bits(std::fmax(as_real(a), as_real(b)));
      break;
    case ScalarFn::flt:
      to = as_real(a) < as_real(b);
      break;
    case ScalarFn::fsqrt:
      to = as_bits(std::sqrt(as_real(a)));
      break;
    case ScalarFn::i2f:
      to = as_bits(static_cast<double>(a));
      break;
    case ScalarFn::f2i:
      to = to_integer(as_real(a));
      break;
  }
}

void Cursor::scalar_load(const Instruction& inst) {
  const int64_t element = size_of(inst.dtype);
  int64_t offset = 0;
  if (__builtin_mul_overflow(value(inst.s[1]), element, &offset)) {
    fail(ErrorKind::kOutOfBounds, "the offset overflows");
  }
  step_.value[1] = value(inst.s[1]);
  step_.offset = offset;
  step_.bytes = element;
  if (offset > std::numeric_limits<int64_t>::max() - element) {
    fail(ErrorKind::kOutOfBounds, "the offset overflows");
  }
  check_bounds(inst, offset, offset + element);
  const Launch& launch = prepared_->launch();
  const Buffer& buffer = launch.args[inst.buffer].buffer;
  if (!holds_data(launch, buffer, offset, element)) {
    fail(ErrorKind::kPoison,
         fmt::format(
             "data that was skipped would steer the program: argument '{}' at {:#x}, in the "
             "allocation {:#x} of {} bytes",
             prepared_->program().args[inst.buffer].name,
             buffer.address + static_cast<uint64_t>(offset),
             buffer.address + static_cast<uint64_t>(buffer.lower), buffer.upper - buffer.lower));
  }
  const std::optional<int64_t> loaded = scalar_at(buffer.data + offset, inst.dtype);
  if (!loaded) {
    fail(ErrorKind::kUnimplemented,
         fmt::format("scalar loads of {} are not implemented", name(inst.dtype)));
  }
  loading_ |= uint64_t{1} << inst.s[0];
  values_[inst.s[0]] = step_.value[0] = *loaded;
}

}  // namespace npu::sim
