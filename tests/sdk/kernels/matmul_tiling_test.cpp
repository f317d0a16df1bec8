// Which tiles the library chooses for matrix products.
#include "csrc/sdk/kernels/matmul_tiling.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <limits>
#include <random>

#include "csrc/sdk/kernels/matmul_simulation.h"
#include "csrc/sdk/kernels/tile_walk.h"
#include "sim/arch/machine.h"

namespace npu::kernels::testing {
namespace {

// Cycles of the library's choice.
double chosen_cycles(const sim::Machine& machine, const MatmulProblem& problem) {
  return static_cast<double>(
      simulate_matmul(machine, problem, choose_matmul_tiling(machine, problem)).cycles);
}

using Extents = std::array<int64_t, 3>;  // m, n, k

void expect_no_longer(const sim::Machine& machine, const MatmulForm& form, const Extents& less,
                      const Extents& more) {
  const double longest = chosen_cycles(machine, form.problem(1, more[0], more[1], more[2]));
  EXPECT_LE(chosen_cycles(machine, form.problem(1, less[0], less[1], less[2])), 1.02 * longest)
      << machine.name << ": m, n, k = " << less[0] << ", " << less[1] << ", " << less[2]
      << " instead of " << more[0] << ", " << more[1] << ", " << more[2];
}

// Sums of nothing, single elements, extents that no array width divides.
TEST(MatmulChoice, EveryShapeGetsTilesThatFit) {
  for (const char* preset : {"n1", "n1-edge", "tpu-v6e"}) {
    const sim::Machine machine = sim::load_machine(preset);
    for (const DType type : {DType::bf16, DType::f32, DType::i64}) {
      MatmulForm form;
      form.type = form.out_type = type;
      for (const int64_t m : {1, 5, 20, 130}) {
        for (const int64_t k : {0, 1, 7, 20, 300}) {
          for (const int64_t n : {1, 5, 20, 130}) {
            const MatmulTiling tiling = search_matmul_tiling(machine, form.problem(1, m, n, k));
            EXPECT_GT(tiling.m, 0);
            EXPECT_GT(tiling.n, 0);
            EXPECT_GT(tiling.k, 0);
            EXPECT_TRUE(matmul_fits(machine, form, tiling)) << m << ' ' << k << ' ' << n;
          }
        }
      }
    }
  }
}

TEST(MatmulChoice, LessWorkTakesNoLonger) {
  struct Range {
    const char* preset;
    int64_t limit;
    int pairs;
  };
  for (const auto& [preset, limit, pairs] : {Range{"n1", 4096, 120}, Range{"n1-edge", 512, 60}}) {
    const sim::Machine machine = sim::load_machine(preset);
    std::mt19937 engine(11);
    const auto real = [&](double low, double high) {
      return std::uniform_real_distribution<>(low, high)(engine);
    };
    MatmulForm form;
    form.type = form.out_type = DType::bf16;
    for (int i = 0; i < pairs; ++i) {
      Extents more{};
      for (int64_t& extent : more) {
        extent = static_cast<int64_t>(std::exp(real(0, std::log(static_cast<double>(limit)))));
      }
      Extents less = more;
      const int which = std::uniform_int_distribution<>(1, 7)(engine);
      for (int d = 0; d < 3; ++d) {
        if ((which >> d & 1) == 0) continue;
        const double factor = i % 2 == 0 ? real(0.8, 1) : real(0, 1);
        less[d] = std::max<int64_t>(1, static_cast<int64_t>(factor * static_cast<double>(more[d])));
      }
      expect_no_longer(machine, form, less, more);
    }
  }
}

struct Range {  // of random problems
  const char* preset;
  int64_t limit;
};

// A problem, and one with one extent smaller. Rows of both are whole bursts: a row that is not
// touches one more, and no tiling makes up for that in a small product.
TEST(MatmulChoice, LessOfOneExtentTakesNoLonger) {
  for (const auto& [preset, limit] : {Range{"n1", 4096}, Range{"n1-edge", 1024}}) {
    const sim::Machine machine = sim::load_machine(preset);
    std::mt19937 engine(1);
    const auto real = [&](double low, double high) {
      return std::uniform_real_distribution<>(low, high)(engine);
    };
    MatmulForm form;
    form.type = form.out_type = DType::bf16;
    const Extents unit = {1, machine.dma.burst_bytes / 2, machine.dma.burst_bytes / 2};
    for (int i = 0; i < 1000; ++i) {
      Extents more{};
      for (int d = 0; d < 3; ++d) {
        const double extent = std::exp(real(0, std::log(static_cast<double>(limit))));
        more[d] = ceil_div(static_cast<int64_t>(extent), unit[d]) * unit[d];
      }
      Extents less = more;
      const int d = i % 3;
      const double factor = i % 2 == 0 ? real(0.8, 1) : real(0, 1);
      less[d] = ceil_div(static_cast<int64_t>(factor * static_cast<double>(more[d])), unit[d]);
      less[d] = std::max(less[d], int64_t{1}) * unit[d];
      expect_no_longer(machine, form, less, more);
    }
  }
}

// The tiles that are chosen for a faster memory: docs/tuning.md.
TEST(MatmulChoice, AFasterMemoryTakesNoLonger) {
  for (const auto& [preset, limit] : {Range{"n1", 4096}, Range{"n1-edge", 2048}}) {
    const sim::Machine machine = sim::load_machine(preset);
    std::mt19937 engine(1);
    const auto extent = [&](double least, int64_t unit) {
      std::uniform_real_distribution<> logarithm(std::log(least),
                                                 std::log(static_cast<double>(limit)));
      return ceil_div(static_cast<int64_t>(std::exp(logarithm(engine))), unit) * unit;
    };
    MatmulForm form;
    form.type = form.out_type = DType::bf16;
    const int64_t unit = machine.dma.burst_bytes / 2;
    for (int i = 0; i < 100; ++i) {
      const int64_t m = extent(1, 1), n = extent(64, unit), k = extent(64, unit);
      const MatmulProblem problem = form.problem(1, m, n, k);
      auto least = static_cast<double>(std::numeric_limits<uint64_t>::max());
      for (const double factor : {1.0, 1.25, 1.5, 2.0, 3.0, 4.0, 8.0}) {
        sim::Machine faster = machine;
        faster.hbm.bandwidth_gbps *= factor;
        const MatmulTiling tiling = search_matmul_tiling(faster, problem);
        const auto cycles = static_cast<double>(simulate_matmul(faster, problem, tiling).cycles);
        EXPECT_LE(cycles, 1.03 * least)
            << preset << " " << m << "x" << k << "x" << n << ", bandwidth x" << factor;
        least = std::min(least, cycles);
      }
    }
  }
}

// Whatever number of cores and sides of the array a machine file says: nothing that a machine has
// more of makes products slower, but for what a larger array takes longer to fill.
TEST(MatmulChoice, MoreOfAMachineTakesNoLonger) {
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  const std::array<MatmulProblem, 3> problems = {form.problem(1, 2048, 2048, 2048),
                                                 form.problem(1, 4096, 4096, 4096),
                                                 form.problem(1, 64, 14336, 4096)};
  const auto check = [&](const char* what, std::initializer_list<int> values, double most,
                         auto member) {
    for (const MatmulProblem& problem : problems) {
      auto least = static_cast<double>(std::numeric_limits<uint64_t>::max());
      for (const int value : values) {
        sim::Machine machine = sim::load_machine("n1");
        member(machine) = value;
        const MatmulTiling tiling = search_matmul_tiling(machine, problem);
        const auto cycles = static_cast<double>(simulate_matmul(machine, problem, tiling).cycles);
        EXPECT_LE(cycles, most * least)
            << what << " = " << value << ", " << problem.m << "x" << problem.k << "x" << problem.n;
        least = std::min(least, cycles);
      }
    }
  };
  check("core.count", {8, 12, 13, 15, 16, 17, 19, 21, 22, 23, 31, 32, 33, 47, 61, 64}, 1.02,
        [](sim::Machine& machine) -> int& { return machine.core.count; });
  const auto sides = {64, 80, 96, 112, 128, 144, 160, 192, 256};
  check("matrix.rows", sides, 1.03,
        [](sim::Machine& machine) -> int& { return machine.matrix.rows; });
  check("matrix.cols", sides, 1.04,
        [](sim::Machine& machine) -> int& { return machine.matrix.cols; });
}

TEST(MatmulChoice, SearchesAgree) {
  const sim::Machine machine = sim::load_machine("n1");
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  for (const auto& [m, n, k] :
       {std::array{1000, 1000, 1000}, std::array{1, 128, 9000}, std::array{64, 4096, 512}}) {
    const MatmulProblem problem = form.problem(1, m, n, k);
    EXPECT_EQ(search_matmul_tiling(machine, problem), search_matmul_tiling(machine, problem));
    EXPECT_EQ(choose_matmul_tiling(machine, problem), search_matmul_tiling(machine, problem));
  }
}

// The figures that the project promises.
TEST(MatmulChoice, ReachesTheRoofline) {
  const sim::Machine machine = sim::load_machine("n1");
  MatmulForm form;
  form.type = form.out_type = DType::bf16;
  const auto utilization = [&](int64_t side) {
    const MatmulProblem problem = form.problem(1, side, side, side);
    return simulate_matmul(machine, problem, choose_matmul_tiling(machine, problem))
        .matrix_utilization(machine);
  };
  EXPECT_GE(utilization(4096), 0.90);
  EXPECT_GE(utilization(2048), 0.80);
  const int64_t m = 64, k = 4096, n = 14336;
  const MatmulProblem decode = form.problem(1, m, n, k);
  const double ideal = static_cast<double>(2 * (m * k + k * n + m * n)) /
                       (machine.hbm_bytes_per_cycle() * machine.hbm_stream_efficiency());
  EXPECT_LE(chosen_cycles(machine, decode), ideal / 0.92);
  // 4 MiB of b for 128 outputs: by one core alone they would take 32,768 cycles at its port.
  EXPECT_LE(chosen_cycles(machine, form.problem(1, 1, 128, 16384)), 7000);
}

TEST(MatmulChoice, ProgramsFitTheScratchpad) {
  std::mt19937 engine(7);
  const auto draw = [&](int64_t limit) {
    return std::uniform_int_distribution<int64_t>(1, limit)(engine);
  };
  for (const char* preset : {"n1", "n1-edge", "tpu-v6e"}) {
    const sim::Machine machine = sim::load_machine(preset);
    for (int i = 0; i < 60; ++i) {
      MatmulForm form;
      form.type = std::array{DType::f32, DType::bf16, DType::f64, DType::i64}[i % 4];
      form.out_type = i % 8 < 4 ? form.type : DType::f32;
      if (form.type == DType::i64) form.out_type = DType::i64;
      form.bias = i % 3 == 0 ? MatmulForm::Bias::full : MatmulForm::Bias::none;
      form.bias_type = form.type;
      form.scaled = i % 2 == 0;
      if (form.type != DType::i64) form.activation = Activation::gelu_tanh;
      const auto problem = form.problem(draw(8), draw(5000), draw(5000), draw(5000));
      const MatmulTiling tiling = choose_matmul_tiling(machine, problem);
      ASSERT_GT(tiling.m * tiling.n * tiling.k, 0) << preset << " has no tiling";
      EXPECT_TRUE(matmul_fits(machine, form, tiling));
      const sim::Program program = build_matmul(machine, form, tiling);
      EXPECT_LE(program.scratchpad_bytes, machine.scratchpad_bytes());
      EXPECT_LE(build_matmul_combine(machine, form).scratchpad_bytes, machine.scratchpad_bytes());
    }
  }
}

void expect_grouped_fits(const char* preset, DType type, bool gathers, bool scatters, bool scales,
                         int64_t groups, const Extents& extents) {
  const sim::Machine machine = sim::load_machine(preset);
  MatmulForm form;
  form.type = form.out_type = type;
  form.groups = MatmulForm::Groups::rows;
  form.gathers = gathers;
  form.scatters = scatters;
  form.scales_rows = scales;
  const auto [m, n, k] = extents;
  const MatmulTiling tiling = choose_matmul_tiling(machine, form.problem(groups, m, n, k));
  EXPECT_LE(build_grouped_matmul(machine, form, tiling).scratchpad_bytes,
            machine.scratchpad_bytes())
      << preset << ' ' << m << ' ' << n << ' ' << k;
}

TEST(MatmulChoice, GroupedProgramsFitTheScratchpad) {
  // These fill it to the last hundred bytes.
  expect_grouped_fits("n1", DType::f16, true, true, true, 49, {1792, 227, 62});
  expect_grouped_fits("tpu-v6e", DType::f32, true, false, true, 2, {180224, 3, 75});
  std::mt19937 engine(7);
  for (const char* preset : {"n1", "n1-edge", "tpu-v6e"}) {
    for (int i = 0; i < 200; ++i) {
      const auto draw = [&](double limit) {
        return static_cast<int64_t>(
            std::exp(std::uniform_real_distribution<>(0, std::log(limit))(engine)));
      };
      const DType type = std::array{DType::f32, DType::bf16, DType::f64}[i % 3];
      const int64_t groups = draw(64);
      const Extents extents = {draw(200000), draw(2000), draw(2000)};
      expect_grouped_fits(preset, type, i % 2 == 0, i % 4 < 2, i % 8 < 4, groups, extents);
    }
  }
}

}  // namespace
}  // namespace npu::kernels::testing
