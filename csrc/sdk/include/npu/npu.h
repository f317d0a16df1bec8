/* The NPU's host API: devices, memory, streams, events, modules and launches.
 *
 * Every call returns a status; npuGetLastErrorString() explains the calling thread's last failure.
 * All calls are thread-safe. Device pointers are addresses of the device: the host must not
 * dereference them. Work on a stream runs asynchronously, in order. Times are simulated: they come
 * from the machine file, never from the host's clock.
 *
 * An asynchronous failure (an out-of-bounds program, say) is sticky: every later call on that
 * device returns the same status until npuDeviceReset(). Exempt are calls that only describe
 * (properties, a default stream, a stream's device, pointer attributes) and those that give
 * something back (npuFree, npuHostFree, destroying, unloading).
 */
#ifndef NPU_NPU_H_
#define NPU_NPU_H_

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define NPU_API __attribute__((visibility("default")))

typedef enum npuStatus {
  NPU_SUCCESS = 0,
  NPU_ERROR_INVALID_VALUE = 1,    /* an argument is out of range or of the wrong kind */
  NPU_ERROR_INVALID_DEVICE = 2,   /* no such device */
  NPU_ERROR_INVALID_HANDLE = 3,   /* a stream, event, module or kernel that does not exist */
  NPU_ERROR_OUT_OF_MEMORY = 4,    /* requested, free and total stand in the error string */
  NPU_ERROR_NOT_READY = 5,        /* query: work is still under way */
  NPU_ERROR_NOT_FOUND = 6,        /* no kernel of that name */
  NPU_ERROR_ASSEMBLY = 7,         /* program text that does not assemble or verify */
  NPU_ERROR_MACHINE_FILE = 8,     /* machine file, key and allowed range stand in the string */
  NPU_ERROR_ENVIRONMENT = 9,      /* a wrong NPU_* variable; the right values stand in the string */
  NPU_ERROR_OUT_OF_BOUNDS = 10,   /* sticky: an instruction touched memory outside its allocation */
  NPU_ERROR_ILLEGAL_PROGRAM = 11, /* sticky: shape, overflow, unwritten read, runaway, poison */
  NPU_ERROR_DISABLED_ENGINE = 12, /* sticky: NPU_DISABLE names an engine that the launch uses */
  NPU_ERROR_UNIMPLEMENTED = 13,   /* a dtype or form that has a code but no implementation yet */
  NPU_ERROR_STALE = 14            /* a pointer from before npuDeviceReset() */
} npuStatus;

/* Codes equal npu::sim::DType. */
typedef enum npuDataType {
  NPU_F64 = 0,
  NPU_F32 = 1,
  NPU_F16 = 2,
  NPU_BF16 = 3,
  NPU_I64 = 4,
  NPU_I32 = 5,
  NPU_I16 = 6,
  NPU_I8 = 7,
  NPU_U8 = 8,
  NPU_BOOL = 9,
  NPU_F8E4M3 = 10,
  NPU_F8E5M2 = 11,
  NPU_I4 = 12
} npuDataType;

typedef struct npuStream_st* npuStream; /* NULL is not a stream: see npuDeviceGetDefaultStream */
typedef struct npuEvent_st* npuEvent;
typedef struct npuModule_st* npuModule;
typedef struct npuKernel_st* npuKernel;

NPU_API const char* npuGetStatusName(npuStatus status);
/* Of the calling thread's last failing call; empty if none failed. Valid until its next call. */
NPU_API const char* npuGetLastErrorString(void);

/* ---- Devices ------------------------------------------------------------------------------- */

typedef struct npuDeviceProperties {
  char name[64]; /* the machine's name, "n1" */
  double clock_ghz;
  int core_count;
  int64_t scratchpad_bytes; /* a core */
  int matrix_rows, matrix_cols;
  int vector_lanes, special_lanes;
  int64_t total_memory; /* bytes, NPU_HBM_LIMIT applied */
  double hbm_bandwidth_gbps;
  double hbm_stream_efficiency; /* share of the bandwidth that streams get, by the timing model */
  double launch_ns;
  double peak_macs_per_second; /* 16-bit, all cores */
} npuDeviceProperties;

/* NPU_DEVICE_COUNT (default 2), filtered by NPU_VISIBLE_DEVICES. */
NPU_API npuStatus npuGetDeviceCount(int* count);
NPU_API npuStatus npuGetDeviceProperties(int device, npuDeviceProperties* properties);
/* Waits for all work of the device and moves the caller's simulated clock past it. */
NPU_API npuStatus npuDeviceSynchronize(int device);
/* Clears a sticky error and frees the device: pending work is dropped, all allocations end (their
 * pointers become stale), counters and clocks start anew. Streams and events stay valid. */
NPU_API npuStatus npuDeviceReset(int device);
/* The sticky error, or NPU_SUCCESS. Does not wait. */
NPU_API npuStatus npuDeviceGetStatus(int device);

/* ---- Memory -------------------------------------------------------------------------------- */

/* Starts on an HBM row. bytes == 0 gives a valid unique pointer. Untouched memory costs the host
 * nothing. */
NPU_API npuStatus npuMalloc(int device, size_t bytes, void** pointer);
/* Waits for the device's pending work first, as it may still use the memory. */
NPU_API npuStatus npuFree(void* pointer);
NPU_API npuStatus npuMemGetInfo(int device, size_t* free_bytes, size_t* total_bytes);

/* Page-locked host memory. */
NPU_API npuStatus npuHostAlloc(size_t bytes, void** pointer);
NPU_API npuStatus npuHostFree(void* pointer); /* waits for all devices' pending work */

typedef struct npuPointerAttributes {
  int device;  /* -1: pinned host memory */
  void* base;  /* of the allocation */
  size_t size; /* of the allocation */
} npuPointerAttributes;
/* NPU_ERROR_INVALID_VALUE for pointers that neither npuMalloc nor npuHostAlloc gave. */
NPU_API npuStatus npuPointerGetAttributes(const void* pointer, npuPointerAttributes* attributes);

typedef enum npuMemcpyKind {
  NPU_HOST_TO_DEVICE = 0,
  NPU_DEVICE_TO_HOST = 1,
  NPU_DEVICE_TO_DEVICE = 2 /* of one device or two: peers copy over the host link */
} npuMemcpyKind;
/* Host to device: a pageable source is staged before the call returns; a pinned one is read when
 * its turn comes. Device to host: with a pageable destination the call waits for the copy. */
NPU_API npuStatus npuMemcpyAsync(void* dst, const void* src, size_t bytes, npuMemcpyKind kind,
                                 npuStream stream);
/* `value` repeated in every byte. Zero over whole pages gives the pages back to the host. */
NPU_API npuStatus npuMemsetAsync(void* dst, int value, size_t bytes, npuStream stream);

/* ---- Streams and events -------------------------------------------------------------------- */

NPU_API npuStatus npuDeviceGetDefaultStream(int device, npuStream* stream);
NPU_API npuStatus npuStreamCreate(int device, npuStream* stream);
NPU_API npuStatus npuStreamDestroy(npuStream stream); /* waits for its work */
NPU_API npuStatus npuStreamGetDevice(npuStream stream, int* device);
NPU_API npuStatus npuStreamQuery(npuStream stream); /* NPU_SUCCESS or NPU_ERROR_NOT_READY */
NPU_API npuStatus npuStreamSynchronize(npuStream stream);
NPU_API npuStatus npuStreamWaitEvent(npuStream stream, npuEvent event);
/* Calls `function(user)` on the device's worker when the stream gets there. It must not call the
 * API. */
NPU_API npuStatus npuStreamAddCallback(npuStream stream, void (*function)(void*), void* user);

NPU_API npuStatus npuEventCreate(npuEvent* event);
NPU_API npuStatus npuEventDestroy(npuEvent event);
NPU_API npuStatus npuEventRecord(npuEvent event, npuStream stream);
NPU_API npuStatus npuEventQuery(npuEvent event); /* never recorded: NPU_SUCCESS */
NPU_API npuStatus npuEventSynchronize(npuEvent event);
/* Simulated nanoseconds between two recorded events; waits for neither: NPU_ERROR_NOT_READY. */
NPU_API npuStatus npuEventElapsedTime(npuEvent start, npuEvent end, double* nanoseconds);

/* ---- Programs ------------------------------------------------------------------------------ */

/* Assembles program text (docs/isa.md). A module holds one kernel for each `.kernel`. */
NPU_API npuStatus npuModuleLoadText(const char* text, npuModule* module);
NPU_API npuStatus npuModuleUnload(npuModule module); /* waits for all devices' pending work */
NPU_API npuStatus npuModuleGetKernel(npuModule module, const char* name, npuKernel* kernel);
/* The kernel's text. Writes at most `capacity` bytes, terminator included, and the full length
 * (without terminator) to `length`. */
NPU_API npuStatus npuKernelGetText(npuKernel kernel, char* buffer, size_t capacity, size_t* length);
NPU_API npuStatus npuKernelGetArgCount(npuKernel kernel, int* count);

typedef enum npuArgKind { NPU_ARG_POINTER = 0, NPU_ARG_INTEGER = 1, NPU_ARG_REAL = 2 } npuArgKind;
typedef struct npuArg {
  npuArgKind kind;
  union {
    void* pointer; /* any address inside an allocation of the stream's device, or NULL: nothing may
                      be read or written through it */
    int64_t integer;
    double real;
  } value;
} npuArg;

/* Runs program ids 0 to grid - 1. Arguments are checked against the kernel's declarations before
 * the call returns; what goes wrong later is sticky. Adds host.launch_ns to the calling thread's
 * simulated clock. */
NPU_API npuStatus npuLaunchKernel(npuKernel kernel, int64_t grid, const npuArg* args, int arg_count,
                                  npuStream stream);

/* ---- Time and counts ----------------------------------------------------------------------- */

typedef struct npuCounters {
  uint64_t launches;
  uint64_t scalar_instructions, vector_instructions, matrix_instructions, dma_instructions;
  uint64_t dma_read_bytes, dma_write_bytes; /* between HBM and scratchpads */
  uint64_t macs;                            /* useful multiply-accumulates */
  uint64_t padded_macs;                     /* done beyond them */
  uint64_t host_to_device_bytes, device_to_host_bytes;
} npuCounters;
/* Sums since the last reset. Both wait for the device's work. */
NPU_API npuStatus npuGetCounters(int device, npuCounters* counters);
NPU_API npuStatus npuResetCounters(int device);

/* Simulated nanoseconds since start or npuDeviceReset(): waits for the device's work, moves the
 * calling thread's clock past it and returns it. */
NPU_API npuStatus npuGetSimulatedTime(int device, double* nanoseconds);

/* What a launch keeps busy. */
typedef enum npuEngine {
  NPU_ENGINE_MATRIX = 0,
  NPU_ENGINE_VECTOR = 1,
  NPU_ENGINE_LOAD = 2,  /* the DMA's load queues */
  NPU_ENGINE_STORE = 3, /* and its store queues */
  NPU_ENGINE_SCALAR = 4
} npuEngine;
#define NPU_ENGINE_COUNT 5

/* Of one kind of engine, summed over the cores (and queues) that the launch uses: busy + stall is
 * the launch's cycles for each of them. */
typedef struct npuEngineCycles {
  uint64_t busy, stall;
} npuEngineCycles;

/* One finished launch or copy, as profilers see it. Strings live as long as the callback. */
typedef struct npuActivity {
  int device;
  uint64_t stream;   /* a stream's number on its device; 0 is the default stream */
  uint64_t sequence; /* order of enqueueing on the device */
  const char* name;  /* kernel, or "copy host to device", ... */
  double enqueue_ns; /* the host clock when it was enqueued */
  double start_ns;
  double duration_ns; /* on the device, launch cost apart */
  uint64_t cycles;
  double hbm_utilization, matrix_utilization; /* 0 to 1 of the peaks */
  const char* bound_by;
  npuCounters counters;
  int64_t grid;
  npuEngineCycles engines[NPU_ENGINE_COUNT];
} npuActivity;
typedef void (*npuActivityCallback)(const npuActivity* activity, void* user);
/* Called on the device's worker in execution order; must not call the API. NULL unsubscribes. */
NPU_API npuStatus npuSetActivityCallback(npuActivityCallback callback, void* user);

/* ---- Estimating ---------------------------------------------------------------------------- */

/* Opens a device that says how long work takes and does none of it. `machine` is a preset or the
 * path of a machine file, changed by `overrides` ("key=VALUE" or "key=xFACTOR"; NULL with a count
 * of 0). The calls above take its number like one of the process's devices, which it is not counted
 * among, and do their work before they return: allocations are addresses (the capacity holds),
 * launches are timed, counted and not executed. NPU_* variables do not concern it. `callback`,
 * which may be NULL, gets its activities, from the thread that makes the call.
 *
 * Its memory holds what host copies and npuMemsetAsync() of at most 16 MiB wrote (zeros of any
 * size), up to the next launch that writes to the allocation: enough for the integers that steer
 * programs. To steer by other data, or to copy it to the host, is an error
 * (NPU_ERROR_ILLEGAL_PROGRAM, sticky). */
NPU_API npuStatus npuEstimatorOpen(const char* machine, const char* const* overrides,
                                   int override_count, npuActivityCallback callback, void* user,
                                   int* device);
/* Ends its allocations and streams. No other call may be using it. */
NPU_API npuStatus npuEstimatorClose(int device);

#ifdef __cplusplus
}
#endif

#endif /* NPU_NPU_H_ */
