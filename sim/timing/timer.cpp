#include "sim/timing/timer.h"

#include <algorithm>
#include <utility>

#include "sim/timing/answers.h"
#include "sim/timing/simulation.h"

namespace npu::sim {
namespace {

double share(double part, double whole) { return whole > 0 ? part / whole : 0; }

}  // namespace

std::string_view name(Resource resource) {
  constexpr std::string_view kNames[] = {"matrix", "vector", "load", "store", "scalar"};
  return kNames[static_cast<size_t>(resource)];
}

std::string_view Timing::bound_by() const {
  const auto used = [&](Resource resource) {
    const auto i = static_cast<size_t>(resource);
    return share(static_cast<double>(busy[i]), static_cast<double>(busy[i] + stall[i]));
  };
  const std::pair<double, std::string_view> candidates[] = {
      {used(Resource::matrix), "matrix"},
      {used(Resource::vector), "vector"},
      {share(hbm_busy_cycles, static_cast<double>(cycles)), "memory"},
      {std::max(used(Resource::load), used(Resource::store)), "dma"},
  };
  const auto most =
      *std::max_element(std::begin(candidates), std::end(candidates),
                        [](const auto& a, const auto& b) { return a.first < b.first; });
  return most.first > 0.5 ? most.second : "latency";
}

double Timing::matrix_utilization(const Machine& machine) const {
  const double cells =
      static_cast<double>(machine.core.count) * machine.matrix.rows * machine.matrix.cols;
  return share(cell_cycles, cells * static_cast<double>(cycles));
}

double Timing::hbm_utilization(const Machine& machine) const {
  return share(static_cast<double>(counters.dma_read_bytes + counters.dma_write_bytes),
               machine.hbm_bytes_per_cycle() * static_cast<double>(cycles));
}

struct Timer::Impl {
  explicit Impl(const Machine& described) : machine(described), answers(machine) {}

  Machine machine;
  Answers answers;
};

Timer::Timer(const Machine& machine) : impl_(std::make_unique<Impl>(machine)) {}

Timer::~Timer() = default;

Timing Timer::simulate(const Launch& launch, Folding folding) const {
  return Simulation(impl_->machine, launch, folding).run();
}

std::optional<Timing> Timer::simulate_below(const Launch& launch, const TimeLimit& limit) const {
  return Simulation(impl_->machine, launch, Folding::on).run_below(limit);
}

const Timing& Timer::time(const Launch& launch) {
  if (launch.program != nullptr) {
    if (const Timing* known = impl_->answers.find(launch)) return *known;
  }
  Simulation simulation(impl_->machine, launch, Folding::on);
  Timing timing = simulation.run();
  return impl_->answers.remember(launch, simulation.take_loads(), std::move(timing));
}

}  // namespace npu::sim
