#include "sim/arch/machine.h"

#include <gtest/gtest.h>

#include <cstdio>
#include <fstream>
#include <string>

#include "sim/arch/machine_keys.h"
#include "sim/error.h"

namespace npu::sim {
namespace {

// n1's text with one piece replaced.
std::string n1_with(const std::string& from, const std::string& to) {
  std::string text = to_toml(load_machine("n1"));
  const size_t at = text.find(from);
  EXPECT_NE(at, std::string::npos) << from;
  if (at == std::string::npos) return text;
  return text.replace(at, text.find('\n', at) - at, to);
}

std::string error_of(const std::string& text) {
  try {
    parse_machine(text, "x.toml");
  } catch (const MachineError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMachineFile);
    return error.what();
  }
  return "no error";
}

std::string override_error(const std::string& assignment) {
  Machine machine = load_machine("n1");
  const Machine before = machine;
  try {
    apply_override(machine, assignment);
  } catch (const MachineError& error) {
    EXPECT_EQ(error.kind(), ErrorKind::kMachineFile);
    EXPECT_EQ(machine, before);
    return error.what();
  }
  return "no error";
}

TEST(Machine, N1) {
  const Machine n1 = load_machine("n1");
  EXPECT_EQ(n1.name, "n1");
  EXPECT_EQ(n1.clock_ghz, 1.4);
  EXPECT_EQ(n1.core.count, 16);
  EXPECT_EQ(n1.scratchpad_bytes(), 4 << 20);
  EXPECT_EQ(n1.capacity_bytes(), int64_t{64} << 30);
  EXPECT_NEAR(n1.hbm_bytes_per_cycle(), 2400 / 1.4, 1e-9);
  EXPECT_DOUBLE_EQ(n1.cycles_to_ns(1400), 1000);
  // 734 TFLOP/s in 16 bits.
  EXPECT_NEAR(n1.core.count * n1.matrix.rows * n1.matrix.cols * n1.matrix_rate(DType::bf16) * 2 *
                  n1.clock_ghz,
              734e3, 0.1e3);
  EXPECT_EQ(n1.matrix_rate(DType::i8), 2);
  EXPECT_EQ(n1.matrix_rate(DType::f32), 0.125);
  EXPECT_EQ(n1.matrix_rate(DType::f64), n1.matrix.rate_64bit);
  EXPECT_EQ(n1.matrix_rate(DType::i32), n1.matrix.rate_64bit);
}

TEST(Machine, Edge) {
  const Machine edge = load_machine("n1-edge");
  EXPECT_EQ(edge.core.count, 1);
  EXPECT_EQ(edge.matrix.rows, 16);
  EXPECT_EQ(edge.scratchpad_bytes(), 64 << 10);
  EXPECT_EQ(edge.hbm.bandwidth_gbps, 25.6);
  EXPECT_EQ(edge.hbm.channels, 1);
  EXPECT_EQ(edge.host.launch_ns, 10000);
}

TEST(Machine, TpuV6e) {
  const Machine tpu = load_machine("tpu-v6e");
  EXPECT_EQ(tpu.scratchpad_bytes(), 128 << 20);
  // The published peaks: 918 TFLOP/s in bf16, twice as many in int8, 1640 GB/s.
  const double cells = tpu.core.count * tpu.matrix.rows * tpu.matrix.cols * 2 * tpu.clock_ghz;
  EXPECT_NEAR(cells * tpu.matrix_rate(DType::bf16), 918e3, 1e3);
  EXPECT_NEAR(cells * tpu.matrix_rate(DType::i8), 1836e3, 2e3);
  EXPECT_EQ(tpu.hbm.bandwidth_gbps, 1640);
  EXPECT_EQ(tpu.capacity_bytes(), int64_t{32} << 30);
}

TEST(Machine, StreamEfficiencyFollowsFromTheKeys) {
  Machine n1 = load_machine("n1");
  // A row of 2048 bytes takes a channel 27.3 ns.
  EXPECT_NEAR(n1.hbm_stream_efficiency(), 0.955 / (1 + 0.4 / 27.3067), 1e-6);
  EXPECT_NEAR(n1.hbm_efficiency(256), 0.955 / (1 + 0.4 / 3.41333), 1e-6);
  EXPECT_EQ(n1.hbm_efficiency(1 << 20), n1.hbm_stream_efficiency());
  EXPECT_GE(n1.hbm_stream_efficiency(), 0.90);
  EXPECT_GE(load_machine("n1-edge").hbm_stream_efficiency(), 0.90);
  n1.hbm.activate_ns = 2 * 27.3067;
  EXPECT_NEAR(n1.hbm_stream_efficiency(), 0.955 / (2 + 0.4 / 27.3067), 1e-5);
  n1.hbm.activate_ns = n1.hbm.row_miss_ns = n1.hbm.refresh_fraction = 0;
  EXPECT_EQ(n1.hbm_stream_efficiency(), 1);
}

TEST(Machine, PresetsRoundTrip) {
  ASSERT_EQ(preset_names(), (std::vector<std::string>{"n1-edge", "n1", "tpu-v6e"}));
  for (const std::string& name : preset_names()) {
    const Machine machine = load_machine(name);
    EXPECT_EQ(parse_machine(to_toml(machine), name), machine);
  }
  Machine odd = load_machine("n1");
  odd.name = "a \"quoted\" \\ name\twith\x01 controls";
  odd.clock_ghz = 0.1 + 0.2;
  odd.matrix.preload = false;
  EXPECT_EQ(parse_machine(to_toml(odd), "odd"), odd);
}

TEST(Machine, FileByPath) {
  const std::string path = testing::TempDir() + "npu_machine_test.toml";
  std::ofstream(path) << n1_with("channels", "channels = 8");
  EXPECT_EQ(load_machine(path).hbm.channels, 8);
  std::remove(path.c_str());
  try {
    load_machine(path);
    FAIL();
  } catch (const MachineError& error) {
    EXPECT_EQ(error.what(), "machine '" + path +
                                "': no preset of this name and no readable file; presets are "
                                "n1-edge, n1, tpu-v6e");
  }
}

TEST(Machine, KernelsHaveRoom) {
  EXPECT_NE(override_error("core.scratchpad_kib=31").find("32"), std::string::npos);
  EXPECT_EQ(override_error("core.scratchpad_kib=32"), "no error");
}

TEST(Machine, EveryKeyIsRequiredAndChecked) {
  for (const MachineKey& key : machine_keys()) {
    SCOPED_TRACE(key.path);
    const std::string path(key.path);
    const std::string leaf =
        path.substr(path.find('.') == std::string::npos ? 0 : path.find('.') + 1);
    // The line of the key in its own section.
    std::string text = to_toml(load_machine("n1"));
    const size_t section =
        leaf == path ? 0 : text.find("\n[" + path.substr(0, path.find('.')) + "]\n");
    const size_t line = text.find("\n" + leaf + " ", section) + 1;
    const size_t length = text.find('\n', line) - line;
    const auto with = [&](const std::string& to) {
      return std::string(text).replace(line, length, to);
    };
    const std::string prefix = "machine file 'x.toml': " + path;
    EXPECT_TRUE(error_of(with("")).starts_with(prefix + ": missing (")) << error_of(with(""));
    EXPECT_TRUE(error_of(with(leaf + " = \"many\"")).starts_with(prefix + " (line "));
    EXPECT_NE(error_of(with(leaf + " = -1")).find("allowed are"), std::string::npos);
    EXPECT_NE(error_of(with(leaf + " = nan")).find("allowed are"), std::string::npos);
    EXPECT_NE(error_of(with(leaf + " = 1e12")).find("allowed are"), std::string::npos);
  }
}

TEST(Machine, Messages) {
  EXPECT_EQ(error_of(n1_with("channels ", "channels = 0")),
            "machine file 'x.toml': hbm.channels = 0: allowed are 1 to 1024");
  EXPECT_EQ(error_of(n1_with("channels ", "channels = 2.5")),
            "machine file 'x.toml': hbm.channels = 2.5: wants an integer, allowed are 1 to 1024");
  EXPECT_EQ(
      error_of(n1_with("channels ", "channels = \"x\"")),
      "machine file 'x.toml': hbm.channels (line 40) is of type string: allowed are 1 to 1024");
  EXPECT_EQ(error_of(n1_with("preload ", "preload = 2")),
            "machine file 'x.toml': matrix.preload (line 13) is of type integer: allowed are true "
            "and false");
  EXPECT_EQ(error_of(n1_with("channels ", "channels = 4\nbanks = 3")),
            "machine file 'x.toml': hbm.banks (line 41): unknown key; known are hbm.capacity_gib, "
            "hbm.channels, hbm.bandwidth_gbps, hbm.latency_ns, hbm.row_bytes, "
            "hbm.interleave_bytes, hbm.activate_ns, hbm.row_miss_ns, hbm.turnaround_ns, "
            "hbm.write_batch_bytes, hbm.refresh_fraction");
  EXPECT_EQ(error_of(n1_with("[noc]", "[nocs]")),
            "machine file 'x.toml': nocs.bytes_per_cycle (line 35): unknown key; known are name, "
            "clock_ghz and the sections compiler, core, dma, hbm, host, matrix, noc, vector");
  EXPECT_EQ(
      error_of(n1_with("special_lanes", "special_lanes = 513")),
      "machine file 'x.toml': vector.special_lanes = 513: allowed are 1 to vector.lanes = 512");
  EXPECT_EQ(error_of(n1_with("row_bytes", "row_bytes = 100")),
            "machine file 'x.toml': hbm.row_bytes = 100: allowed are powers of two");
  EXPECT_EQ(error_of(n1_with("burst_bytes", "burst_bytes = 48")),
            "machine file 'x.toml': dma.burst_bytes = 48: allowed are powers of two");
  EXPECT_EQ(error_of(n1_with("burst_bytes", "burst_bytes = 4096")),
            "machine file 'x.toml': hbm.row_bytes = 2048: allowed are at least dma.burst_bytes = "
            "4096");
  EXPECT_EQ(error_of(n1_with("interleave_bytes", "interleave_bytes = 32")),
            "machine file 'x.toml': hbm.interleave_bytes = 32: allowed are dma.burst_bytes = 64 to "
            "hbm.row_bytes = 2048");
  EXPECT_EQ(error_of(n1_with("interleave_bytes", "interleave_bytes = 4096")),
            "machine file 'x.toml': hbm.interleave_bytes = 4096: allowed are dma.burst_bytes = 64 "
            "to hbm.row_bytes = 2048");
  EXPECT_EQ(error_of(n1_with("total_bytes_per_cycle", "total_bytes_per_cycle = 64")),
            "machine file 'x.toml': noc.total_bytes_per_cycle = 64: allowed are at least "
            "noc.bytes_per_cycle = 128");
  EXPECT_TRUE(error_of(n1_with("name", "name = 3")).ends_with("name: wants a string"));
  EXPECT_TRUE(error_of(n1_with("name", "")).find("name: missing") != std::string::npos);
  EXPECT_TRUE(error_of("name = \"a\"\nclock_ghz = = 3")
                  .starts_with("machine file 'x.toml', line 2, column "));
}

TEST(Machine, Overrides) {
  Machine machine = load_machine("n1");
  apply_override(machine, "hbm.bandwidth_gbps=1200");
  EXPECT_EQ(machine.hbm.bandwidth_gbps, 1200);
  apply_override(machine, "hbm.bandwidth_gbps=x0.5");
  EXPECT_EQ(machine.hbm.bandwidth_gbps, 600);
  apply_override(machine, "core.count=x2");
  EXPECT_EQ(machine.core.count, 32);
  apply_override(machine, "matrix.preload=false");
  EXPECT_FALSE(machine.matrix.preload);
  apply_override(machine, "clock_ghz=2");
  EXPECT_EQ(machine.clock_ghz, 2);

  // What keys demand of each other counts in the end.
  const std::string_view fewer_lanes[] = {"vector.lanes=64", "vector.special_lanes=64"};
  apply_overrides(machine, fewer_lanes);
  EXPECT_EQ(machine.vector.lanes, 64);
  EXPECT_EQ(machine.vector.special_lanes, 64);
  EXPECT_THROW(apply_override(machine, "vector.lanes=32"), MachineError);

  EXPECT_EQ(override_error("hbm.channels=0"),
            "override 'hbm.channels=0': hbm.channels = 0: allowed are 1 to 1024");
  EXPECT_EQ(
      override_error("core.count=x0.1"),
      "override 'core.count=x0.1': core.count = 1.6: wants an integer, allowed are 1 to 1024");
  EXPECT_NE(override_error("hbm.banks=1").find("unknown key; known are hbm.capacity_gib"),
            std::string::npos);
  EXPECT_NE(override_error("hbm.channels").find("wants key=VALUE or key=xFACTOR"),
            std::string::npos);
  EXPECT_NE(override_error("hbm.channels=many").find("allowed are 1 to 1024"), std::string::npos);
  EXPECT_NE(override_error("matrix.preload=1").find("true and false"), std::string::npos);
  EXPECT_NE(override_error("vector.lanes=64").find("allowed are 1 to vector.lanes = 64"),
            std::string::npos);
}

}  // namespace
}  // namespace npu::sim
