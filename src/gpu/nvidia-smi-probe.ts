import type { NvidiaDevice, NvidiaMethod } from './nvidia-device.ts'
import {
  createProbeOver,
  type NvidiaLook,
  type NvidiaProbe,
  type NvidiaSource,
} from './nvidia-look.ts'
import { fieldsWithout, nvidiaSmiFields, parseNvidiaSmiCsv } from './nvidia-smi-csv.ts'
import { createRunNvidiaSmi, type NvidiaSmiAnswer, type RunNvidiaSmi } from './nvidia-smi-run.ts'
import { parseNvidiaSmiTable } from './nvidia-smi-table.ts'
import { lostDevicesIn } from './nvidia-smi-text.ts'
import { parseNvidiaSmiXml } from './nvidia-smi-xml.ts'

/**
 * nvidia-smi as a source of devices. It asks by query first, leaving out one by one the fields that this driver does not
 * know (and remembering them), then for the XML document, then for the plain table; the first form with a device counts.
 */
export function createNvidiaSmiSource(run: RunNvidiaSmi = createRunNvidiaSmi()): NvidiaSource {
  let fields = nvidiaSmiFields
  const query = async (): Promise<NvidiaSmiAnswer> => {
    for (;;) {
      const answer = await run([`--query-gpu=${fields.join(',')}`, '--format=csv'])
      const fewer = answer.type === 'answer' ? fieldsWithout(answer.text, fields) : null
      // Ends: each round has a field less, or an old name in place of a new one, which has no older one.
      if (fewer === null || fewer.length === 0) return answer
      fields = fewer
    }
  }
  const look = async (): Promise<NvidiaLook> => {
    let failure = 'nvidia-smi shows no device'
    for (const { method, ask, parse } of formsOf(run, query)) {
      const answer = await ask()
      if (answer.type === 'absent') return answer
      if (answer.type === 'failed') return { type: 'failed', problem: answer.reason }
      const devices = parse(answer.text)
      const lost = lostDevicesIn(answer.text)
      if (devices.length > 0 || lost.length > 0 || saysNone(answer.text))
        return { type: 'devices', method, devices, goneCount: lost.length, problems: lost }
      if (method === 'nvidia-smi') failure = failureOf(answer.text, answer.status)
    }
    return { type: 'failed', problem: failure }
  }
  let underway: Promise<NvidiaLook> | null = null
  return {
    look() {
      underway ??= look().finally(() => {
        underway = null
      })
      return underway
    },
    close: async () => {},
  }
}

/** Probes NVIDIA devices through nvidia-smi alone. */
export const createNvidiaSmiProbe = (run?: RunNvidiaSmi): NvidiaProbe =>
  createProbeOver([createNvidiaSmiSource(run)])

type Form = {
  readonly method: NvidiaMethod
  readonly ask: () => Promise<NvidiaSmiAnswer>
  readonly parse: (text: string) => readonly NvidiaDevice[]
}

const formsOf = (run: RunNvidiaSmi, query: () => Promise<NvidiaSmiAnswer>): readonly Form[] => [
  { method: 'nvidia-smi', ask: query, parse: parseNvidiaSmiCsv },
  { method: 'nvidia-smi -q -x', ask: () => run(['-q', '-x']), parse: parseNvidiaSmiXml },
  { method: 'nvidia-smi table', ask: () => run([]), parse: parseNvidiaSmiTable },
]

const saysNone = (text: string): boolean => text.includes('No devices were found')

/** nvidia-smi prints its errors on stdout. */
const failureOf = (text: string, status: number): string =>
  `nvidia-smi: ${(text.trim().split('\n')[0] ?? '').slice(0, 300)} (exit status ${status})`
