#include "sim/isa/opcode.h"

#include <iterator>
#include <span>

namespace npu::sim {
namespace {

// Enumerators that would be C++ keywords end in an underscore, which the text form leaves out.
constexpr std::string_view spelling(std::string_view enumerator) {
  if (enumerator.ends_with('_')) enumerator.remove_suffix(1);
  return enumerator;
}

#define NPU_SIM_NAME(e, ...) spelling(#e),
constexpr std::string_view kScalarFns[] = {NPU_SIM_SCALAR_FNS(NPU_SIM_NAME)};
constexpr std::string_view kUnaryFns[] = {NPU_SIM_UNARY_FNS(NPU_SIM_NAME)};
constexpr std::string_view kBinaryFns[] = {NPU_SIM_BINARY_FNS(NPU_SIM_NAME)};
constexpr std::string_view kTernaryFns[] = {NPU_SIM_TERNARY_FNS(NPU_SIM_NAME)};
constexpr std::string_view kReduceFns[] = {NPU_SIM_REDUCE_FNS(NPU_SIM_NAME)};
constexpr std::string_view kScanFns[] = {NPU_SIM_SCAN_FNS(NPU_SIM_NAME)};
constexpr std::string_view kRandomFns[] = {NPU_SIM_RANDOM_FNS(NPU_SIM_NAME)};
#undef NPU_SIM_NAME

#define NPU_SIM_OPERANDS(e, operands) operands,
constexpr int kScalarOperands[] = {NPU_SIM_SCALAR_FNS(NPU_SIM_OPERANDS)};
#undef NPU_SIM_OPERANDS

enum Lanes : bool { simple = false, special = true };
#define NPU_SIM_COST(e, lanes, passes) LaneCost{lanes, passes},
constexpr LaneCost kUnaryCosts[] = {NPU_SIM_UNARY_FNS(NPU_SIM_COST)};
constexpr LaneCost kBinaryCosts[] = {NPU_SIM_BINARY_FNS(NPU_SIM_COST)};
constexpr LaneCost kTernaryCosts[] = {NPU_SIM_TERNARY_FNS(NPU_SIM_COST)};
#undef NPU_SIM_COST

struct OpcodeInfo {
  std::string_view mnemonic;
  Engine engine;
};
#define NPU_SIM_INFO(e, mnemonic, engine) OpcodeInfo{mnemonic, Engine::engine},
constexpr OpcodeInfo kOpcodes[] = {NPU_SIM_OPCODES(NPU_SIM_INFO)};
#undef NPU_SIM_INFO
static_assert(std::size(kOpcodes) == kOpcodeCount);

std::span<const std::string_view> functions(Opcode op) {
  switch (op) {
    case Opcode::s_alu:
      return kScalarFns;
    case Opcode::v_unary:
      return kUnaryFns;
    case Opcode::v_binary:
      return kBinaryFns;
    case Opcode::v_ternary:
      return kTernaryFns;
    case Opcode::v_reduce:
      return kReduceFns;
    case Opcode::v_scan:
      return kScanFns;
    case Opcode::v_random:
      return kRandomFns;
    default:
      return {};
  }
}

}  // namespace

std::string_view name(Engine engine) {
  constexpr std::string_view kNames[] = {"scalar", "vector", "matrix", "dma"};
  static_assert(std::size(kNames) == kEngineCount);
  return kNames[static_cast<size_t>(engine)];
}

std::string_view mnemonic(Opcode op) { return kOpcodes[static_cast<size_t>(op)].mnemonic; }

Engine engine_of(Opcode op) { return kOpcodes[static_cast<size_t>(op)].engine; }

int fn_count(Opcode op) { return static_cast<int>(functions(op).size()); }

std::string_view fn_name(Opcode op, uint8_t fn) {
  const auto names = functions(op);
  return fn < names.size() ? names[fn] : std::string_view();
}

std::optional<uint8_t> parse_fn(Opcode op, std::string_view text) {
  const auto names = functions(op);
  for (size_t fn = 0; fn < names.size(); ++fn) {
    if (names[fn] == text) return static_cast<uint8_t>(fn);
  }
  return std::nullopt;
}

int scalar_operands(ScalarFn fn) { return kScalarOperands[static_cast<size_t>(fn)]; }

bool is_predicate(Opcode op, uint8_t fn) {
  if (op == Opcode::v_unary) {
    switch (static_cast<UnaryFn>(fn)) {
      case UnaryFn::not_:
      case UnaryFn::isnan:
      case UnaryFn::isinf:
      case UnaryFn::isfinite:
      case UnaryFn::isposinf:
      case UnaryFn::isneginf:
      case UnaryFn::signbit:
        return true;
      default:
        return false;
    }
  }
  if (op != Opcode::v_binary) return false;
  switch (static_cast<BinaryFn>(fn)) {
    case BinaryFn::eq:
    case BinaryFn::ne:
    case BinaryFn::lt:
    case BinaryFn::le:
    case BinaryFn::gt:
    case BinaryFn::ge:
    case BinaryFn::land:
    case BinaryFn::lor:
    case BinaryFn::lxor:
      return true;
    default:
      return false;
  }
}

bool takes_reals(ScalarFn fn) {
  switch (fn) {
    case ScalarFn::fadd:
    case ScalarFn::fsub:
    case ScalarFn::fmul:
    case ScalarFn::fdiv:
    case ScalarFn::fmin:
    case ScalarFn::fmax:
    case ScalarFn::flt:
    case ScalarFn::fsqrt:
    case ScalarFn::f2i:
      return true;
    default:
      return false;
  }
}

LaneCost lane_cost(Opcode op, uint8_t fn) {
  switch (op) {
    case Opcode::v_binary:
      return kBinaryCosts[fn];
    case Opcode::v_ternary:
      return kTernaryCosts[fn];
    default:
      return kUnaryCosts[fn];
  }
}

}  // namespace npu::sim
