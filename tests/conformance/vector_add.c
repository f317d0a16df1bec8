/* Adds two vectors on device 0. */
#include <npu/npu.h>
#include <stdio.h>
#include <stdlib.h>

static const char* const program =
    ".kernel vector_add\n"
    ".arg a ptr\n"
    ".arg b ptr\n"
    ".arg c ptr\n"
    ".arg n i64\n"
    ".tile x f32 1024 x2\n"
    ".tile y f32 1024 x2\n"
    ".tile z f32 1024 x2\n"
    "  s.mul r0, %pid, 1024       ; this program's first element\n"
    "  s.sub r1, n, r0\n"
    "  s.min r1, r1, 1024         ; how many it has\n"
    "  d.load x, a[r0], (r1) : (1)\n"
    "  d.load y, b[r0], (r1) : (1)\n"
    "  v.add z, x, y\n"
    "  d.store c[r0], z, (r1) : (1)\n";

static void check(npuStatus status) {
  if (status == NPU_SUCCESS) return;
  fprintf(stderr, "%s: %s\n", npuGetStatusName(status), npuGetLastErrorString());
  exit(EXIT_FAILURE);
}

int main(void) {
  enum { kCount = 5000 };
  static float host[3][kCount];
  for (int i = 0; i < kCount; ++i) {
    host[0][i] = (float)i;
    host[1][i] = 0.5f;
  }

  npuStream stream;
  check(npuDeviceGetDefaultStream(0, &stream));
  void* device[3];
  for (int i = 0; i < 3; ++i) check(npuMalloc(0, sizeof(host[i]), &device[i]));
  for (int i = 0; i < 2; ++i) {
    check(npuMemcpyAsync(device[i], host[i], sizeof(host[i]), NPU_HOST_TO_DEVICE, stream));
  }

  npuModule module;
  npuKernel kernel;
  check(npuModuleLoadText(program, &module));
  check(npuModuleGetKernel(module, "vector_add", &kernel));
  const npuArg args[] = {{NPU_ARG_POINTER, {.pointer = device[0]}},
                         {NPU_ARG_POINTER, {.pointer = device[1]}},
                         {NPU_ARG_POINTER, {.pointer = device[2]}},
                         {NPU_ARG_INTEGER, {.integer = kCount}}};
  check(npuLaunchKernel(kernel, (kCount + 1023) / 1024, args, 4, stream));
  check(npuMemcpyAsync(host[2], device[2], sizeof(host[2]), NPU_DEVICE_TO_HOST, stream));

  double nanoseconds;
  check(npuGetSimulatedTime(0, &nanoseconds));
  printf("c[%d] = %g after %g simulated microseconds\n", kCount - 1, host[2][kCount - 1],
         nanoseconds / 1e3);

  check(npuModuleUnload(module));
  for (int i = 0; i < 3; ++i) check(npuFree(device[i]));
  return host[2][kCount - 1] == kCount - 0.5f ? EXIT_SUCCESS : EXIT_FAILURE;
}
