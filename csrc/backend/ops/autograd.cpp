// Gradients of torch.ops.npu are not written yet: backward through one says so instead of giving
// none, also where the op writes its arguments and returns nothing.
#include <ATen/core/dispatch/Dispatcher.h>
#include <torch/csrc/autograd/VariableTypeUtils.h>
#include <torch/csrc/autograd/function.h>
#include <torch/library.h>

#include <algorithm>
#include <string>
#include <vector>

namespace npu::backend {
namespace {

using at::Tensor;
using torch::autograd::Node;
using torch::autograd::variable_list;

class NoGradient : public Node {
 public:
  NoGradient(std::string op, torch::autograd::edge_list edges)
      : Node(std::move(edges)), op_(std::move(op)) {}

  variable_list apply(variable_list&& /*gradients*/) override {
    TORCH_CHECK_NOT_IMPLEMENTED(false, "derivative for ", op_, " is not implemented");
  }
  std::string name() const override { return op_ + "NoGradient"; }

 private:
  std::string op_;
};

void run_without_gradient(const c10::OperatorHandle& op, c10::DispatchKeySet keys,
                          torch::jit::Stack* stack) {
  const auto& schema = op.schema();
  const auto arguments = torch::jit::last(*stack, schema.arguments().size());
  variable_list inputs;
  std::vector<Tensor> written;
  for (size_t i = 0; i < arguments.size(); ++i) {
    if (!arguments[i].isTensor() || !arguments[i].toTensor().defined()) continue;
    inputs.push_back(arguments[i].toTensor());
    const auto* alias = schema.arguments()[i].alias_info();
    if (alias != nullptr && alias->isWrite()) written.push_back(inputs.back());
  }
  const bool wanted = torch::autograd::compute_requires_grad(inputs);
  c10::intrusive_ptr<Node> node;
  if (wanted) {
    for (const Tensor& tensor : written) torch::autograd::check_inplace(tensor, true);
    node =
        c10::make_intrusive<NoGradient>(schema.name(), torch::autograd::collect_next_edges(inputs));
  }
  {
    const at::AutoDispatchBelowAutograd guard;
    op.redispatchBoxed(keys & c10::after_autograd_keyset, stack);
  }
  for (const Tensor& tensor : written) torch::autograd::increment_version(tensor);
  if (!wanted) return;
  for (const Tensor& tensor : written) {
    if (at::isFloatingType(tensor.scalar_type())) torch::autograd::rebase_history(tensor, node);
  }
  for (const c10::IValue& result : torch::jit::last(*stack, schema.returns().size())) {
    // An out= argument comes back as the result and has its history already.
    const Tensor& tensor = result.toTensor();
    const auto same = [&tensor](const Tensor& other) { return other.is_same(tensor); };
    if (std::ranges::none_of(written, same)) torch::autograd::set_history(tensor, node);
  }
}

}  // namespace

TORCH_LIBRARY_IMPL(npu, Autograd, m) {
  for (const char* op : {"gemm", "grouped_gemm", "rms_norm", "fused_add_rms_norm",
                         "rotary_embedding", "silu_and_mul", "gelu_and_mul", "reshape_and_cache",
                         "flash_attention", "paged_attention", "paged_attention.out"}) {
    m.impl(op, torch::CppFunction::makeFromBoxedFunction<&run_without_gradient>());
  }
}

}  // namespace npu::backend
