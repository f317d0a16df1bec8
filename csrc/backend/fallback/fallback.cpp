#include "csrc/backend/fallback/fallback.h"

#include <ATen/Context.h>
#include <ATen/core/Generator.h>
#include <ATen/core/stack.h>
#include <ATen/native/CPUFallback.h>
#include <torch/library.h>

#include <algorithm>
#include <cstdlib>
#include <mutex>
#include <set>
#include <string_view>

#include "csrc/backend/runtime/generator.h"

namespace npu::backend {
namespace {

struct Counts {
  std::mutex mutex;
  std::map<std::string, uint64_t> runs;
  std::set<std::string> warned;
};

Counts& counts() {
  static auto* const instance = new Counts;
  return *instance;
}

FallbackMode parse_mode() {
  const char* const variable = std::getenv("NPU_FALLBACK");
  const std::string_view value = variable == nullptr ? "warn" : variable;
  if (value == "warn") return FallbackMode::kWarn;
  if (value == "silent") return FallbackMode::kSilent;
  if (value == "error") return FallbackMode::kError;
  TORCH_CHECK(false, "NPU_FALLBACK=", value, " is not one of warn, silent, error");
}

}  // namespace

FallbackMode fallback_mode() {
  static const FallbackMode mode = parse_mode();
  return mode;
}

void record_fallback(const std::string& op) {
  const FallbackMode mode = fallback_mode();
  TORCH_CHECK_NOT_IMPLEMENTED(
      mode != FallbackMode::kError, op,
      " has no kernel on the npu for these arguments, and NPU_FALLBACK=error forbids running it on "
      "the CPU; NPU_FALLBACK=warn or silent allows it");
  bool warn = false;
  {
    const std::scoped_lock lock(counts().mutex);
    ++counts().runs[op];
    warn = mode == FallbackMode::kWarn && counts().warned.insert(op).second;
  }
  if (warn) {
    TORCH_WARN(op,
               " has no kernel on the npu for these arguments and runs on the CPU, its data going "
               "over the host link (NPU_FALLBACK=silent hides this, error forbids it)");
  }
}

std::map<std::string, uint64_t> fallback_stats() {
  const std::scoped_lock lock(counts().mutex);
  return counts().runs;
}

void reset_fallback_stats() {
  const std::scoped_lock lock(counts().mutex);
  counts().runs.clear();
}

namespace {

// Arguments that operators of other devices take on the CPU as well.
constexpr std::string_view kOftenOnCpu[] = {
    "indices",       "lengths",        "batch_sizes",
    "input_lengths", "target_lengths", "tensor_indices_or_sections",
};

// The tensors' common device, to which results belong: PyTorch's own fallback takes the first
// tensor's, which may be a CPU scalar, and overlooks tensors of other devices.
std::optional<c10::Device> common_device(const c10::OperatorHandle& op,
                                         at::ArrayRef<c10::IValue> arguments) {
  std::optional<c10::Device> common;
  bool on_cpu = false;
  const auto look_at = [&](const at::Tensor& tensor, bool may_be_on_cpu) {
    if (!tensor.defined()) return;
    if (!tensor.device().is_privateuseone()) {
      on_cpu |= tensor.dim() > 0 && !may_be_on_cpu;
      return;
    }
    if (!common) common = tensor.device();
    TORCH_CHECK(tensor.device() == *common, op.operator_name(),
                ": Expected all tensors to be on the same device, but found at least two devices, ",
                *common, " and ", tensor.device(), "!");
  };
  for (size_t i = 0; i < arguments.size(); ++i) {
    const c10::IValue& argument = arguments[i];
    const bool may_be_on_cpu =
        std::ranges::find(kOftenOnCpu, op.schema().arguments()[i].name()) != std::end(kOftenOnCpu);
    if (argument.isTensor()) {
      look_at(argument.toTensor(), may_be_on_cpu);
    } else if (argument.isTensorList()) {
      for (const at::Tensor& tensor : argument.toTensorVector()) look_at(tensor, may_be_on_cpu);
    } else if (argument.isOptionalTensorList()) {
      for (const std::optional<at::Tensor>& tensor : argument.toOptionalTensorVector()) {
        if (tensor) look_at(*tensor, may_be_on_cpu);
      }
    }
  }
  TORCH_CHECK(!common || !on_cpu, op.operator_name(),
              ": Expected all tensors to be on the same device, but found at least two devices, ",
              *common, " and cpu!");
  return common;
}

// CPU kernels refuse the device's generators: one seeded from its next number stands in.
void replace_generators(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const size_t count = op.schema().arguments().size();
  for (size_t i = stack->size() - count; i < stack->size(); ++i) {
    c10::IValue& argument = (*stack)[i];
    if (!argument.isGenerator()) continue;
    const at::Generator generator = argument.toGenerator();
    if (!generator.device().is_privateuseone()) continue;
    const auto [seed, offset] = generator.get<NpuGenerator>()->reserve(1);
    at::Generator host = at::globalContext().defaultGenerator(at::kCPU).clone();
    host.set_current_seed(seed + offset);
    argument = std::move(host);
  }
}

}  // namespace

void cpu_fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto device = common_device(op, torch::jit::last(*stack, op.schema().arguments().size()));
  record_fallback(c10::toString(op.operator_name()));
  replace_generators(op, stack);
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
  if (!device) return;
  for (size_t i = stack->size() - op.schema().returns().size(); i < stack->size(); ++i) {
    c10::IValue& result = (*stack)[i];
    if (result.isTensor() && result.toTensor().defined() && result.toTensor().is_cpu()) {
      result = result.toTensor().to(*device);
    }
  }
}

namespace {

TORCH_LIBRARY_IMPL(_, PrivateUse1, library) {
  library.fallback(torch::CppFunction::makeFromBoxedFunction<cpu_fallback>());
}

}  // namespace
}  // namespace npu::backend
