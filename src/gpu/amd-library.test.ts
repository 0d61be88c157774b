import { afterAll, describe, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { haveForTests } from '../../test/support/needed-programs.ts'
import { busIdOfAmdSmi, busIdOfRocm, openAmdLibrary } from './amd-library.ts'

const dir = mkdtempSync(join(tmpdir(), 'gpupool-amd-'))
afterAll(() => rmSync(dir, { recursive: true }))

/** Compiles a library with the calls of AMD's header files. */
function compile(name: string, code: string): string {
  const source = join(dir, `${name}.c`)
  const library = join(dir, `${name}.so`)
  writeFileSync(source, `#include <stdint.h>\n${code}`)
  const built = Bun.spawnSync(['gcc', '-shared', '-fPIC', '-o', library, source])
  if (built.exitCode !== 0) throw new Error(built.stderr.toString())
  return library
}

/** Two GPUs; of the second most calls fail, as on a card that fell off the bus. */
const rocmSmi = `
uint32_t rsmi_init(uint64_t flags) { return 0; }
uint32_t rsmi_num_monitor_devices(uint32_t *n) { *n = 2; return 0; }
uint32_t rsmi_dev_pci_id_get(uint32_t i, uint64_t *id) { *id = i == 0 ? 0x0300 : 0x10000c300ull; return 0; }
uint32_t rsmi_dev_memory_total_get(uint32_t i, uint32_t t, uint64_t *v) { *v = 25753026560ull; return t == 0 && i == 0 ? 0 : 2; }
uint32_t rsmi_dev_memory_usage_get(uint32_t i, uint32_t t, uint64_t *v) { *v = UINT64_MAX; return 0; }
uint32_t rsmi_dev_temp_metric_get(uint32_t i, uint32_t s, uint32_t m, int64_t *v) { *v = 51500; return i == 0 ? 0 : 2; }
uint32_t rsmi_dev_power_ave_get(uint32_t i, uint32_t s, uint64_t *v) { *v = 87125000; return i == 0 ? 0 : 2; }
`
const busy = `uint32_t rsmi_dev_busy_percent_get(uint32_t i, uint32_t *v) { *v = i == 0 ? 37 : 4294967295u; return 0; }`

const amdSmi = `
uint32_t amdsmi_init(uint64_t flags) { return flags == 2 ? 0 : 1; }
uint32_t amdsmi_get_socket_handles(uint32_t *n, uint64_t *h) { if (h) h[0] = 77; *n = 1; return 0; }
uint32_t amdsmi_get_processor_handles(uint64_t s, uint32_t *n, uint64_t *h) { if (h) h[0] = 99; *n = 1; return s == 77 ? 0 : 1; }
uint32_t amdsmi_get_gpu_device_bdf(uint64_t g, uint64_t *bdf) { *bdf = 0x1c300; return g == 99 ? 0 : 1; }
uint32_t amdsmi_get_gpu_memory_total(uint64_t g, uint32_t t, uint64_t *v) { *v = 34342961152ull; return 0; }
uint32_t amdsmi_get_gpu_memory_usage(uint64_t g, uint32_t t, uint64_t *v) { *v = 1073741824; return 0; }
uint32_t amdsmi_get_temp_metric(uint64_t g, uint32_t s, uint32_t m, int64_t *v) { *v = 44; return 0; }
uint32_t amdsmi_get_gpu_activity(uint64_t g, uint32_t *v) { v[0] = 12; v[1] = 3; v[15] = 9; return 0; }
`

// There is no such library on Windows.
const canCompile = process.platform !== 'win32' && haveForTests('gcc')

describe.skipIf(!canCompile)("AMD's library", () => {
  test('rocm_smi tells what it can; a call that fails leaves its fact unknown', () => {
    const path = compile('rocm_smi', rocmSmi + busy)
    const library = openAmdLibrary({ amdSmi: [], rocmSmi: [join(dir, 'absent.so'), path] })
    expect(library?.name).toBe('rocm_smi')
    expect(library?.read()).toEqual([
      expect.objectContaining({
        pciBusId: '0000:03:00.0',
        vramTotalMb: 24560,
        vramUsedMb: null,
        temperatureC: 51.5,
        powerW: 87.125,
        utilizationPct: 37,
      }),
      expect.objectContaining({
        pciBusId: '0001:c3:00.0',
        vramTotalMb: null,
        temperatureC: null,
        powerW: null,
        utilizationPct: null,
      }),
    ])
  })

  test('amd_smi comes first, and is asked socket by socket', () => {
    const library = openAmdLibrary({
      amdSmi: [compile('amd_smi', amdSmi)],
      rocmSmi: [compile('rocm_smi_second', rocmSmi + busy)],
    })
    expect(library?.name).toBe('amd_smi')
    expect(library?.read()).toEqual([
      expect.objectContaining({
        pciBusId: '0001:c3:00.0',
        vramTotalMb: 32752,
        vramUsedMb: 1024,
        temperatureC: 44,
        powerW: null,
        utilizationPct: 12,
      }),
    ])
  })

  test('that lacks a function, cannot start, or is not there is no library', () => {
    const old = compile('rocm_smi_old', rocmSmi)
    const stuck = compile(
      'rocm_smi_stuck',
      (rocmSmi + busy).replace('flags) { return 0', 'flags) { return 8'),
    )
    expect(openAmdLibrary({ amdSmi: [], rocmSmi: [old, stuck] })).toBeNull()
    expect(openAmdLibrary({ amdSmi: [], rocmSmi: [] })).toBeNull()
  })
})

test('both libraries pack a place on the bus in their own way', () => {
  expect(busIdOfRocm(0x1_0000_c3_09n)).toBe('0001:c3:01.1')
  expect(busIdOfAmdSmi(0x1_c3_09n)).toBe('0001:c3:01.1')
  expect(busIdOfRocm(null)).toBeNull()
})
