import { plausible, unknownDevice, type NvidiaDevice } from './nvidia-device.ts'
import { idByBus, toldBusId, toldMig, toldVersion } from './nvidia-smi-text.ts'

/**
 * Reads the table that plain `nvidia-smi` prints: the last resort for drivers whose other outputs fail. It tells no UUID
 * and cuts long names, so that a device is known by its bus address. Figures are whole numbers.
 */
export function parseNvidiaSmiTable(text: string): readonly NvidiaDevice[] {
  const lines = text.split(/\r?\n/)
  const driver = driverOf(lines)
  const devices: NvidiaDevice[] = []
  for (const line of lines) {
    // What follows has rows of the same shape about other things.
    if (/\bProcesses:|\bMIG devices:/.test(line)) break
    const cells = line.split('|').map(cell => cell.trim())
    if (cells.length !== 5) continue
    const [, left = '', middle = '', right = ''] = cells
    const begun = firstRow(left, middle)
    if (begun !== null) devices.push({ ...begun, ...driver })
    const current = devices.at(-1)
    if (begun !== null || current === undefined) continue
    const further = middle === '' ? migRow(right) : secondRow(left, middle, right)
    devices[devices.length - 1] = { ...current, ...further }
  }
  return devices
}

/** `| NVIDIA-SMI 580.65.05  Driver Version: 580.88  CUDA Version: 13.0 |`; since 610 `KMD` and `CUDA UMD Version`. */
function driverOf(lines: readonly string[]): Pick<NvidiaDevice, 'driverVersion' | 'cudaVersion'> {
  const heading = lines.find(line => line.includes('NVIDIA-SMI ')) ?? ''
  const after = (label: RegExp) => toldVersion(label.exec(heading)?.[1])
  return {
    driverVersion: after(/(?:Driver|KMD) Version: (\S{1,32})/),
    cudaVersion: after(/CUDA (?:UMD )?Version: (\S{1,32})/),
  }
}

/** `|   0  Tesla M2090         Off  | 00000000:04:00.0 Off |` */
function firstRow(left: string, middle: string): NvidiaDevice | null {
  const name = /^\d{1,3}\s+(\S.*\S)\s+(?:On|Off|WDDM|TCC|MCDM|N\/A|ERR!)$/.exec(left)?.[1]
  const pciBusId = toldBusId(middle.split(/\s+/)[0])
  if (name === undefined || pciBusId === null) return null
  return { ...unknownDevice(idByBus(pciBusId)), name: name.trim(), pciBusId }
}

/** `| N/A   38C    P0   88W /  700W |      44MiB / 143771MiB |     97%      Default |` */
function secondRow(left: string, middle: string, right: string): Partial<NvidiaDevice> {
  const memory = /^(\d{1,9})MiB \/\s+(\d{1,9})MiB$/.exec(middle)
  const power = /(\d{1,5}|N\/A)W? \/\s+(\d{1,5}|N\/A)W?$/.exec(left)
  return {
    temperatureC: plausible.temperatureC(whole(/\s(\d{1,3})C\s/.exec(` ${left} `)?.[1])),
    powerW: plausible.powerW(whole(power?.[1])),
    powerLimitW: plausible.powerLimitW(whole(power?.[2])),
    vramUsedMb: plausible.memoryMb(whole(memory?.[1])),
    vramTotalMb: plausible.memoryTotalMb(whole(memory?.[2])),
    utilizationPct: plausible.utilizationPct(whole(/^(\d{1,3})%/.exec(right)?.[1])),
  }
}

/** The third row, since driver 450, tells MIG in its last column and nothing else. */
const migRow = (right: string): Partial<NvidiaDevice> => ({ migEnabled: toldMig(right) })

const whole = (text: string | undefined): number | null =>
  text !== undefined && /^\d+$/.test(text) ? Number(text) : null
