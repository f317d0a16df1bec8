// One launch, instruction by instruction over all cores (docs/timing.md).
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "sim/timing/answers.h"
#include "sim/timing/durations.h"
#include "sim/timing/machine_state.h"
#include "sim/timing/steady_state.h"
#include "sim/timing/timer.h"
#include "sim/timing/transfer.h"

namespace npu::sim {

class Simulation {
 public:
  Simulation(const Machine& machine, const Launch& launch, Folding folding);

  Timing run() { return *run_below({}); }  // throws MachineError
  std::optional<Timing> run_below(const TimeLimit& limit);
  // What its scalar loads gave.
  std::vector<ScalarLoad> take_loads() { return std::move(loads_); }

 private:
  // Why a core stops: its next DMA belongs after others', it waits for its cluster, it has no more
  // to do.
  enum class Pause : uint8_t { turn, blocked, done };
  struct Transfer {
    CoreState* core;
    EngineQueue* queue;
    const Step* step;
    uint64_t start;
  };
  struct Members {  // of a multicast load
    CoreState* first;
    int step;
    int count;
    CoreState& operator[](int i) const { return first[i * step]; }
  };

  Pause advance(CoreState& core, Turn until, Turn& next);
  bool next_program(CoreState& core);
  uint64_t issue(CoreState& core, const EngineQueue& queue, const Step& step);
  static uint64_t ready(const CoreState& core, const Step& step, uint64_t start);
  void run_matrix(CoreState& core, const Step& step);
  void run_vector(CoreState& core, const Step& step);
  void run_scalar_load(CoreState& core, const Step& step);
  Transfer begin_transfer(CoreState& core, const Step& step);
  void transfer(std::span<const Transfer> members);

  // Multicast.
  bool is_shared(const Step& step) const;
  Members members_of(const CoreState& core);
  bool try_multicast(CoreState& core);
  void release_cluster(const CoreState& core);
  void check_same(const CoreState& member, const Step& a, const CoreState& leader,
                  const Step& b) const;
  void check_none_blocked();
  void retire(uint64_t ticks);

  bool exceeds(const TimeLimit& limit) const;
  Timing account() const;

  Prepared prepared_;
  const Machine& machine_;
  MachineState state_;
  TransferCosts costs_;
  Bandwidth port_bandwidth_;
  Bandwidth trunk_bandwidth_;
  bool has_trunk_;
  bool has_multicast_;
  uint64_t latency_;
  std::optional<SteadyState> steady_;
  bool round_began_ = false;  // the first core has begun a program
  std::vector<Transfer> transfers_;
  std::vector<ScalarLoad> loads_;
  std::vector<Turn> woken_;  // cores that a multicast load has set free
  // What each vector instruction did last, by instruction: most do it again.
  struct VectorWork {
    Shape dst{-1, -1};
    Shape src{-1, -1};
    Duration duration;
  };
  std::vector<VectorWork> vector_work_;
  // The last product's form: a program repeats few.
  struct {
    DType type;
    int64_t m = -1, k = -1, n = -1;
    Duration duration;
  } product_;
};

}  // namespace npu::sim
