// host_fma THREADS MULTIPLY_ADDS: prints the milliseconds in which the host's threads do so many
// float32 multiply-adds with operands in registers. No product of matrices takes less here, whoever
// computes it: what a wall time of benchmarks/wall_time.py is to be held against.
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <vector>

namespace {

using Vector256 = float __attribute__((vector_size(32)));
using Vector512 = float __attribute__((vector_size(64)));

// Chains side by side: more than any core has multiply-adds under way.
constexpr int kChains = 16;

// Each chain does `steps` multiply-adds of a vector; the sum keeps the compiler from leaving them
// out.
template <class Vector>
[[gnu::always_inline]] inline float run(int64_t steps) {
  Vector chain[kChains];
  for (int i = 0; i < kChains; ++i) chain[i] = Vector{} + static_cast<float>(i);
  for (int64_t step = 0; step < steps; ++step) {
#pragma GCC unroll 16
    for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * 0.5F + 1.0F;
  }
  Vector sum = {};
  for (const Vector& each : chain) sum += each;
  return sum[0];
}

[[gnu::target("avx512f")]] float run_512(int64_t steps) { return run<Vector512>(steps); }
[[gnu::target("avx2,fma")]] float run_256(int64_t steps) { return run<Vector256>(steps); }

double milliseconds(int threads, int64_t multiply_adds) {
  const bool wide = __builtin_cpu_supports("avx512f") != 0;
  const int64_t steps = multiply_adds / ((wide ? 16 : 8) * kChains) / threads;
  std::vector<float> sums(static_cast<size_t>(threads));
  const auto start = std::chrono::steady_clock::now();
  {
    std::vector<std::jthread> workers;
    for (float& sum : sums) {
      workers.emplace_back([&sum, wide, steps] { sum = wide ? run_512(steps) : run_256(steps); });
    }
  }
  const std::chrono::duration<double, std::milli> took = std::chrono::steady_clock::now() - start;
  float total = 0;
  for (const float sum : sums) total += sum;
  if (!(total > 0)) std::puts("no sum");
  return took.count();
}

}  // namespace

int main(int argc, char** argv) {
  const int threads = argc == 3 ? std::atoi(argv[1]) : 0;
  const int64_t multiply_adds = argc == 3 ? std::atoll(argv[2]) : 0;
  if (threads < 1 || multiply_adds < 1) {
    std::fputs("usage: host_fma THREADS MULTIPLY_ADDS\n", stderr);
    return 2;
  }
  if (__builtin_cpu_supports("fma") == 0) {
    std::fputs("host_fma: this processor has no fused multiply-add\n", stderr);
    return 1;
  }
  milliseconds(threads, multiply_adds / 4);  // for the clock to rise
  std::printf("%.3f\n", milliseconds(threads, multiply_adds));
  return 0;
}
