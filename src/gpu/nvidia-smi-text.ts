import { pciDeviceIdOf } from './nvidia-device.ts'

/** What the three forms of nvidia-smi's output have in common. */

/** The devices that nvidia-smi counts and cannot ask; it prints a line for each and goes on. */
export function lostDevicesIn(text: string): readonly string[] {
  const lines = text.split(/\r?\n/).map(line => line.trim())
  return [
    ...new Set(
      lines
        .filter(line => line.startsWith('Unable to determine the device handle for'))
        .map(line => `nvidia-smi: ${line.slice(0, 300)}; if it stays so, restart the machine`),
    ),
  ]
}

/**
 * The text of a field, null where nvidia-smi says in one of its ways that it does not know: `N/A`, `[N/A]`,
 * `[Not Supported]`, `[Unknown Error]`, `[Insufficient Permissions]`, `ERR!`, `Requested functionality has been deprecated`.
 */
export function told(text: string | undefined | null): string | null {
  const cell = text?.trim() ?? ''
  return cell === '' ||
    /^\[|^(?:N\/A|ERR!|None|Unknown Error|Not Supported)$|^Requested func/i.test(cell)
    ? null
    : cell
}

/** `24564`, `24564 MiB`, `38.92 W`, `7 %`; null for anything else. */
export function toldNumber(text: string | undefined | null): number | null {
  const match = /^(\d+(?:\.\d+)?)(?: ?(?:MiB|W|%|C|MHz))?$/.exec(told(text) ?? '')
  const value = Number(match?.[1] ?? NaN)
  return Number.isFinite(value) ? value : null
}

/** Most cards cannot be split, for which nvidia-smi writes N/A; other words mean that it does not know. */
export function toldMig(text: string | undefined | null): boolean | null {
  const cell = text?.trim() ?? ''
  if (/^enabled\*?$/i.test(cell)) return true
  return /^(?:disabled\*?|\[?N\/A\]?|\[?Not Supported\]?)$/i.test(cell) ? false : null
}

/** `0x233510DE` or `233510DE` → `10de:2335` */
export function toldPciDeviceId(text: string | undefined | null): string | null {
  const match = /^(?:0x)?([0-9a-f]{8})$/i.exec(told(text) ?? '')
  return match?.[1] === undefined ? null : pciDeviceIdOf(parseInt(match[1], 16))
}

/** `0000:04:00.0` (before 384) and `00000000:04:00.0` → the latter. */
export function toldBusId(text: string | undefined | null): string | null {
  const match = /^([0-9a-f]{4,8}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-9a-f])$/i.exec(told(text) ?? '')
  if (match === null) return null
  const [, domain = '', bus = '', device = '', part = ''] = match
  return `${domain.padStart(8, '0')}:${bus}:${device}.${part}`.toUpperCase()
}

/** A version such as `580.173.02`, `13.0`; null for words. */
export function toldVersion(text: string | undefined | null): string | null {
  const cell = told(text)
  return cell !== null && /^\d+(?:\.\d+){0,3}$/.test(cell) ? cell : null
}

/** The id of a device whose UUID is not told. */
export const idByBus = (busId: string): string => `pci:${busId}`
