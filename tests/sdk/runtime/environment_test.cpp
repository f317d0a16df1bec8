#include "csrc/sdk/runtime/environment.h"

#include <gtest/gtest.h>

#include <map>
#include <string>
#include <thread>

#include "csrc/sdk/runtime/status.h"
#include "sim/isa/opcode.h"

namespace npu::sdk {
namespace {

Environment parse(const std::map<std::string, std::string>& variables) {
  return parse_environment([&](const char* name) {
    const auto it = variables.find(name);
    return it == variables.end() ? nullptr : it->second.c_str();
  });
}

std::string error_of(const std::string& name, const std::string& value) {
  try {
    parse({{name, value}});
  } catch (const StatusError& error) {
    EXPECT_EQ(error.status(), NPU_ERROR_ENVIRONMENT);
    return error.what();
  }
  return "no error";
}

TEST(Environment, Defaults) {
  const Environment environment = parse({});
  EXPECT_EQ(environment.arch, "n1");
  EXPECT_EQ(environment.devices, (std::vector<int>{0, 1}));
  EXPECT_FALSE(environment.hbm_limit);
  EXPECT_EQ(environment.host_threads, static_cast<int>(std::thread::hardware_concurrency()));
  EXPECT_EQ(environment.disabled_engines, 0);
  EXPECT_TRUE(environment.timing);
  EXPECT_FALSE(environment.launch_blocking);
  EXPECT_EQ(environment.cache_dir, "");
}

TEST(Environment, RightValues) {
  EXPECT_EQ(parse({{"NPU_ARCH", "/tmp/x.toml"}}).arch, "/tmp/x.toml");
  EXPECT_EQ(parse({{"NPU_DEVICE_COUNT", "64"}}).devices.size(), 64u);
  EXPECT_EQ(parse({{"NPU_DEVICE_COUNT", "4"}, {"NPU_VISIBLE_DEVICES", "3,1"}}).devices,
            (std::vector<int>{3, 1}));
  EXPECT_EQ(parse({{"NPU_VISIBLE_DEVICES", ""}}).devices, std::vector<int>{});
  EXPECT_EQ(parse({{"NPU_HBM_LIMIT", "12345"}}).hbm_limit, 12345);
  EXPECT_EQ(parse({{"NPU_HBM_LIMIT", "3k"}}).hbm_limit, 3 << 10);
  EXPECT_EQ(parse({{"NPU_HBM_LIMIT", "5M"}}).hbm_limit, 5 << 20);
  EXPECT_EQ(parse({{"NPU_HBM_LIMIT", "8G"}}).hbm_limit, int64_t{8} << 30);
  EXPECT_EQ(parse({{"NPU_HOST_THREADS", "3"}}).host_threads, 3);
  const auto bit = [](sim::Engine engine) { return 1 << static_cast<int>(engine); };
  EXPECT_EQ(parse({{"NPU_DISABLE", "matrix,dma"}}).disabled_engines,
            bit(sim::Engine::matrix) | bit(sim::Engine::dma));
  EXPECT_EQ(parse({{"NPU_DISABLE", ""}}).disabled_engines, 0);
  EXPECT_FALSE(parse({{"NPU_TIMING", "off"}}).timing);
  EXPECT_TRUE(parse({{"NPU_LAUNCH_BLOCKING", "1"}}).launch_blocking);
  EXPECT_EQ(parse({{"NPU_CACHE_DIR", "/tmp"}}).cache_dir, "/tmp");
  EXPECT_EQ(parse({{"NPU_CACHE_DIR", "/none/yet"}}).cache_dir, "/none/yet");
  EXPECT_EQ(parse({{"HOME", "/home/a"}}).cache_dir, "/home/a/.cache/npu_torch");
  EXPECT_EQ(parse({{"HOME", "/home/a"}, {"XDG_CACHE_HOME", "/c"}}).cache_dir, "/c/npu_torch");
  EXPECT_EQ(parse({{"HOME", "/home/a"}, {"XDG_CACHE_HOME", "not/absolute"}}).cache_dir,
            "/home/a/.cache/npu_torch");
  EXPECT_EQ(parse({{"HOME", "/home/a"}, {"NPU_CACHE_DIR", ""}}).cache_dir, "");
}

TEST(Environment, WrongValuesListTheRightOnes) {
  const struct {
    const char* name;
    std::vector<const char*> values;
    const char* right;
  } cases[] = {
      {"NPU_ARCH", {""}, "preset"},
      {"NPU_DEVICE_COUNT", {"", "0", "65", "2x", "-1", "1.5", "two"}, "from 1 to 64"},
      {"NPU_VISIBLE_DEVICES", {"2", "0,0", "0,", ",", "a", "-1", "0;1"}, "numbers from 0 to 1"},
      {"NPU_HBM_LIMIT", {"", "0", "-5", "G", "1T", "1.5G", "99999999999G"}, "K, M or G"},
      {"NPU_HOST_THREADS", {"", "0", "x", "1025"}, "from 1 to 1024"},
      {"NPU_DISABLE", {"scalar", "matrix;dma", "Matrix", "dma,"}, "'matrix', 'vector' and 'dma'"},
      {"NPU_TIMING", {"", "0", "ON"}, "'on' or 'off'"},
      {"NPU_LAUNCH_BLOCKING", {"", "true", "2"}, "'1' or '0'"},
      {"NPU_CACHE_DIR", {"/dev/null"}, "folder"},
  };
  for (const auto& wrong : cases) {
    for (const char* value : wrong.values) {
      const std::string error = error_of(wrong.name, value);
      EXPECT_EQ(error.find(std::string(wrong.name) + "=" + value + ": want "), 0u) << error;
      EXPECT_NE(error.find(wrong.right), std::string::npos) << error;
    }
  }
}

}  // namespace
}  // namespace npu::sdk
