/*
 * A stand-in for libnvidia-ml with the real binary interface: functions, error codes and struct layouts as nvml.h has
 * them, so that the C compiler lays out what the program under test reads by offsets. Built at test time, with:
 *
 *   -DFAKE_STATE="..."   path of a file that the test writes; its first word says what is wrong with the driver:
 *                        lost        device 1 has fallen off the bus, until the word is gone and NVML started anew
 *                        hang        the next temperature never comes; opens FAKE_STATE.fifo first, to say so
 *                        crash       the next temperature ends the process
 *                        hot         every temperature is 97
 *                        init-CODE   starting NVML fails with this code
 *   -DFAKE_OLD           a driver that lacks what newer ones have
 *   -DFAKE_MIG           one card, split into instances
 *   -DFAKE_LAPTOP        one laptop part that tells no power
 */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef enum {
  NVML_SUCCESS = 0,
  NVML_ERROR_UNINITIALIZED = 1,
  NVML_ERROR_INVALID_ARGUMENT = 2,
  NVML_ERROR_NOT_SUPPORTED = 3,
  NVML_ERROR_INSUFFICIENT_SIZE = 7,
  NVML_ERROR_GPU_IS_LOST = 15,
  NVML_ERROR_ARGUMENT_VERSION_MISMATCH = 25
} nvmlReturn_t;

typedef struct nvmlDevice_st *nvmlDevice_t;
typedef enum { NVML_TEMPERATURE_GPU = 0 } nvmlTemperatureSensors_t;
typedef enum { NVML_CLOCK_GRAPHICS = 0, NVML_CLOCK_SM = 1, NVML_CLOCK_MEM = 2 } nvmlClockType_t;

typedef struct {
  unsigned long long total, free, used;
} nvmlMemory_t;

typedef struct {
  unsigned int version;
  unsigned long long total, reserved, free, used;
} nvmlMemory_v2_t;

typedef struct {
  unsigned int gpu, memory;
} nvmlUtilization_t;

typedef struct {
  char busIdLegacy[16];
  unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
  char busId[32];
} nvmlPciInfo_t;

typedef struct {
  char busId[16];
  unsigned int domain, bus, device, pciDeviceId, pciSubSystemId;
  unsigned int reserved0, reserved1, reserved2, reserved3;
} nvmlPciInfo_v2_t;

#define MIB (1024ull * 1024ull)

struct nvmlDevice_st {
  const char *name, *uuid;
  unsigned int bus, pciDeviceId;
  int major, minor;
  unsigned long long totalMib, reservedMib, usedMib;
  unsigned int utilization, temperature, powerMw, limitMw, graphicsMhz, memoryMhz;
  unsigned long long reasons;
};

static struct nvmlDevice_st devices[] = {
#if defined(FAKE_MIG)
    {"NVIDIA A100-SXM4-80GB", "GPU-aaaaaaaa-0000-0000-0000-000000000001", 0x01, 0x20B210DE, 8, 0,
     81920, 869, 50, 0, 27, 67030, 500000, 1275, 1593, 0},
#elif defined(FAKE_LAPTOP)
    {"NVIDIA GeForce RTX 4070 Laptop GPU", "GPU-bbbbbbbb-0000-0000-0000-000000000001", 0x01,
     0x286010DE, 8, 9, 8188, 250, 400, 3, 48, 0, 0, 1605, 8000, 0x4},
#elif defined(FAKE_OLD)
    {"GeForce GTX 1080 Ti", "GPU-cccccccc-0000-0000-0000-000000000001", 0x0B, 0x1B0610DE, 6, 1,
     11178, 0, 410, 12, 52, 61250, 250000, 1480, 5505, 0x1},
#else
    {"NVIDIA GeForce RTX 4090", "GPU-dddddddd-0000-0000-0000-000000000001", 0x01, 0x268410DE, 8, 9,
     24564, 400, 1523, 7, 41, 28430, 450000, 210, 405, 0x1},
    {"NVIDIA RTX A6000", "GPU-dddddddd-0000-0000-0000-000000000002", 0x41, 0x223010DE, 8, 6,
     49140, 500, 30000, 99, 83, 299990, 300000, 1410, 8000, 0x4 | 0x20},
#endif
};
#define COUNT (sizeof devices / sizeof devices[0])

static int started = 0;
static int lost = 0;

static void readState(char word[32]) {
  word[0] = 0;
  FILE *file = fopen(FAKE_STATE, "r");
  if (file == NULL) return;
  if (fscanf(file, "%31s", word) != 1) word[0] = 0;
  fclose(file);
}

static int is(const char *expected) {
  char word[32];
  readState(word);
  return strcmp(word, expected) == 0;
}

/* What every call about a device answers first. */
static nvmlReturn_t check(nvmlDevice_t device) {
  if (!started) return NVML_ERROR_UNINITIALIZED;
  if (device < devices || device >= devices + COUNT) return NVML_ERROR_INVALID_ARGUMENT;
  if (is("lost")) lost = 1;
  return lost && device == devices + 1 ? NVML_ERROR_GPU_IS_LOST : NVML_SUCCESS;
}

static nvmlReturn_t copy(char *to, unsigned int length, const char *from) {
  if (strlen(from) + 1 > length) return NVML_ERROR_INSUFFICIENT_SIZE;
  strcpy(to, from);
  return NVML_SUCCESS;
}

static nvmlReturn_t init(void) {
  char word[32];
  readState(word);
  if (strncmp(word, "init-", 5) == 0) return (nvmlReturn_t)atoi(word + 5);
  lost = strcmp(word, "lost") == 0;
  started = 1;
  return NVML_SUCCESS;
}

static nvmlReturn_t count(unsigned int *to) {
  if (!started) return NVML_ERROR_UNINITIALIZED;
  *to = COUNT;
  return NVML_SUCCESS;
}

static nvmlReturn_t handle(unsigned int index, nvmlDevice_t *to) {
  if (index >= COUNT) return NVML_ERROR_INVALID_ARGUMENT;
  *to = devices + index;
  return check(*to);
}

nvmlReturn_t nvmlInit(void) { return init(); }

nvmlReturn_t nvmlShutdown(void) {
  if (!started) return NVML_ERROR_UNINITIALIZED;
  started = 0;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlSystemGetDriverVersion(char *to, unsigned int length) {
#ifdef FAKE_OLD
  return copy(to, length, "375.66");
#else
  return copy(to, length, "580.95.05");
#endif
}

nvmlReturn_t nvmlDeviceGetCount(unsigned int *to) { return count(to); }
nvmlReturn_t nvmlDeviceGetHandleByIndex(unsigned int index, nvmlDevice_t *to) {
  return handle(index, to);
}

nvmlReturn_t nvmlDeviceGetName(nvmlDevice_t device, char *to, unsigned int length) {
  nvmlReturn_t checked = check(device);
  return checked != NVML_SUCCESS ? checked : copy(to, length, device->name);
}

nvmlReturn_t nvmlDeviceGetUUID(nvmlDevice_t device, char *to, unsigned int length) {
  nvmlReturn_t checked = check(device);
  return checked != NVML_SUCCESS ? checked : copy(to, length, device->uuid);
}

nvmlReturn_t nvmlDeviceGetPciInfo(nvmlDevice_t device, nvmlPciInfo_v2_t *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  memset(to, 0, sizeof *to);
  snprintf(to->busId, sizeof to->busId, "0000:%02X:00.0", device->bus);
  to->bus = device->bus;
  to->pciDeviceId = device->pciDeviceId;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo(nvmlDevice_t device, nvmlMemory_t *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  to->total = device->totalMib * MIB;
  to->used = (device->usedMib + device->reservedMib) * MIB;
  to->free = to->total - to->used;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetUtilizationRates(nvmlDevice_t device, nvmlUtilization_t *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
#ifdef FAKE_MIG
  (void)to;
  return NVML_ERROR_NOT_SUPPORTED;
#else
  to->gpu = device->utilization;
  to->memory = 0;
  return NVML_SUCCESS;
#endif
}

nvmlReturn_t nvmlDeviceGetTemperature(nvmlDevice_t device, nvmlTemperatureSensors_t sensor,
                                      unsigned int *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  if (sensor != NVML_TEMPERATURE_GPU) return NVML_ERROR_INVALID_ARGUMENT;
  if (is("crash")) *(volatile int *)8 = 0;
  if (is("hang")) {
    close(open(FAKE_STATE ".fifo", O_WRONLY));
    for (;;) pause();
  }
  *to = is("hot") ? 97 : device->temperature;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerUsage(nvmlDevice_t device, unsigned int *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  if (device->powerMw == 0) return NVML_ERROR_NOT_SUPPORTED;
  *to = device->powerMw;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPowerManagementLimit(nvmlDevice_t device, unsigned int *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  if (device->limitMw == 0) return NVML_ERROR_NOT_SUPPORTED;
  *to = device->limitMw;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetClockInfo(nvmlDevice_t device, nvmlClockType_t type, unsigned int *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  if (type != NVML_CLOCK_GRAPHICS && type != NVML_CLOCK_MEM) return NVML_ERROR_INVALID_ARGUMENT;
  *to = type == NVML_CLOCK_MEM ? device->memoryMhz : device->graphicsMhz;
  return NVML_SUCCESS;
}

#ifdef FAKE_OLD
nvmlReturn_t nvmlDeviceGetCurrentClocksThrottleReasons(nvmlDevice_t device,
                                                       unsigned long long *to) {
#else
nvmlReturn_t nvmlDeviceGetCurrentClocksEventReasons(nvmlDevice_t device, unsigned long long *to) {
#endif
  nvmlReturn_t checked = check(device);
  if (checked == NVML_SUCCESS) *to = device->reasons;
  return checked;
}

#ifndef FAKE_OLD

nvmlReturn_t nvmlInit_v2(void) { return init(); }
nvmlReturn_t nvmlDeviceGetCount_v2(unsigned int *to) { return count(to); }
nvmlReturn_t nvmlDeviceGetHandleByIndex_v2(unsigned int index, nvmlDevice_t *to) {
  return handle(index, to);
}

nvmlReturn_t nvmlSystemGetCudaDriverVersion_v2(int *to) {
  *to = 13000;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetPciInfo_v3(nvmlDevice_t device, nvmlPciInfo_t *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  memset(to, 0, sizeof *to);
  snprintf(to->busIdLegacy, sizeof to->busIdLegacy, "0000:%02X:00.0", device->bus);
  snprintf(to->busId, sizeof to->busId, "00000000:%02X:00.0", device->bus);
  to->bus = device->bus;
  to->pciDeviceId = device->pciDeviceId;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetCudaComputeCapability(nvmlDevice_t device, int *major, int *minor) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  *major = device->major;
  *minor = device->minor;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetMemoryInfo_v2(nvmlDevice_t device, nvmlMemory_v2_t *to) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
  if (to->version != (sizeof *to | 2u << 24)) return NVML_ERROR_ARGUMENT_VERSION_MISMATCH;
  to->total = device->totalMib * MIB;
  to->reserved = device->reservedMib * MIB;
  to->used = device->usedMib * MIB;
  to->free = to->total - to->reserved - to->used;
  return NVML_SUCCESS;
}

nvmlReturn_t nvmlDeviceGetEnforcedPowerLimit(nvmlDevice_t device, unsigned int *to) {
  return nvmlDeviceGetPowerManagementLimit(device, to);
}

nvmlReturn_t nvmlDeviceGetMigMode(nvmlDevice_t device, unsigned int *current,
                                  unsigned int *pending) {
  nvmlReturn_t checked = check(device);
  if (checked != NVML_SUCCESS) return checked;
#ifdef FAKE_MIG
  *current = *pending = 1;
  return NVML_SUCCESS;
#else
  (void)current;
  (void)pending;
  return NVML_ERROR_NOT_SUPPORTED;
#endif
}

#endif
