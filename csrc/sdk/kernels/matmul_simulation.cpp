#include "csrc/sdk/kernels/matmul_simulation.h"

#include <initializer_list>
#include <limits>
#include <utility>
#include <vector>

#include "csrc/sdk/kernels/tile_walk.h"

namespace npu::kernels {
namespace {

// The arguments of a launch, in the order of their declarations.
class ArgumentList {
 public:
  explicit ArgumentList(const MatmulProblem& problem) : p_(problem) {}

  void pointer(int64_t bytes) {
    args_.push_back(sim::Arg::pointer({.data = nullptr, .lower = 0, .upper = bytes, .address = 0}));
  }
  void integers(std::initializer_list<int64_t> values) {
    for (const int64_t value : values) args_.push_back(sim::Arg::integer(value));
  }
  void strides(int64_t rows, int64_t cols, bool transposed) {
    integers({rows * cols, transposed ? 1 : cols, transposed ? rows : 1});
  }
  void bias() {
    if (p_.form.bias != MatmulForm::Bias::none) {
      pointer(p_.batch * p_.m * p_.n * sim::size_of(p_.form.bias_type));
    }
  }
  void bias_strides() {
    switch (p_.form.bias) {
      case MatmulForm::Bias::none:
        return;
      case MatmulForm::Bias::row:
        return integers({0, 0, 1});
      case MatmulForm::Bias::column:
        return integers({0, 1, 0});
      case MatmulForm::Bias::full:
        return integers({p_.m * p_.n, p_.n, 1});
    }
  }
  void scalars() {
    if (!p_.form.scaled) return;
    const bool reals = sim::is_float(p_.form.accumulator());
    for (int i = 0; i < 2; ++i) {
      args_.push_back(reals ? sim::Arg::real(1) : sim::Arg::integer(1));
    }
  }
  std::vector<sim::Arg> take() { return std::move(args_); }

 private:
  const MatmulProblem& p_;
  std::vector<sim::Arg> args_;
};

}  // namespace

std::optional<sim::Timing> MatmulSimulation::products(uint64_t limit,
                                                      const MatmulTiling& tiling) const {
  const double memory = model_.least_product_memory(tiling);
  if (memory >= static_cast<double>(limit)) return std::nullopt;
  const bool split = tiling.splits > 1;
  const int64_t element = sim::size_of(p_.form.type);
  const int64_t outputs = p_.batch * p_.m * p_.n;
  ArgumentList args(p_);
  args.pointer(split ? outputs * tiling.splits * sim::size_of(p_.form.accumulator())
                     : outputs * sim::size_of(p_.form.out_type));
  args.pointer(p_.batch * p_.m * p_.k * element);
  args.pointer(p_.batch * p_.k * p_.n * element);
  if (!split) args.bias();
  args.integers({p_.m, p_.n, p_.k});
  args.strides(p_.m, p_.n, false);
  args.strides(p_.m, p_.k, p_.form.transpose_a);
  args.strides(p_.k, p_.n, p_.form.transpose_b);
  if (split) {
    args.integers({matmul_split_length(machine_, p_.k, tiling.splits), p_.batch});
  } else {
    args.bias_strides();
    args.scalars();
  }
  const sim::Program program = build_matmul(machine_, p_.form.ungrouped(), tiling);
  return timer_.simulate_below({&program, matmul_grid(p_, tiling), args.take()}, {limit, memory});
}

const sim::Timing& MatmulSimulation::sums(int splits) {
  const auto [entry, inserted] = sums_.try_emplace(splits);
  if (!inserted) return entry->second;
  const int64_t outputs = p_.batch * p_.m * p_.n;
  const int64_t columns = matmul_combine_columns(machine_, p_, splits);
  ArgumentList args(p_);
  args.pointer(outputs * sim::size_of(p_.form.out_type));
  args.pointer(outputs * splits * sim::size_of(p_.form.accumulator()));
  args.bias();
  args.integers({splits, p_.batch * p_.m, p_.m, p_.n, columns});
  args.strides(p_.m, p_.n, false);
  args.bias_strides();
  args.scalars();
  const sim::Program program = build_matmul_combine(machine_, p_.form);
  const int64_t grid = p_.batch * p_.m * ceil_div(p_.n, columns);
  return entry->second = timer_.simulate({&program, grid, args.take()});
}

std::optional<sim::Timing> MatmulSimulation::below(uint64_t limit, const MatmulTiling& tiling) {
  if (tiling.splits == 1) return products(limit, tiling);
  const double memory =
      model_.least_product_memory(tiling) + model_.least_sums_memory(tiling.splits);
  if (memory >= static_cast<double>(limit)) return std::nullopt;
  const sim::Timing& after = sums(tiling.splits);
  if (after.cycles >= limit) return std::nullopt;
  std::optional<sim::Timing> timing = products(limit - after.cycles, tiling);
  if (!timing) return timing;
  timing->cycles += after.cycles;
  timing->counters += after.counters;
  for (size_t i = 0; i < timing->busy.size(); ++i) {
    timing->busy[i] += after.busy[i];
    timing->stall[i] += after.stall[i];
  }
  timing->cell_cycles += after.cell_cycles;
  timing->hbm_busy_cycles += after.hbm_busy_cycles;
  return timing;
}

sim::Timing simulate_matmul(const sim::Machine& machine, const MatmulProblem& problem,
                            const MatmulTiling& tiling) {
  constexpr uint64_t kNever = std::numeric_limits<uint64_t>::max();
  return *MatmulSimulation(machine, problem).below(kNever, tiling);
}

}  // namespace npu::kernels
