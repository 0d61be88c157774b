import { textBytes, valueNotAvailable, type NvmlSymbol } from './nvml-ffi.ts'
import type { NvmlLibrary } from './nvml-library.ts'
import type { NvmlStatus } from './nvml-status.ts'

/** The newest function that this driver has; its answer counts, whatever it is. */
export function firstOf(
  library: NvmlLibrary,
  symbols: readonly NvmlSymbol[],
  args: readonly (number | bigint | Uint8Array)[],
): NvmlStatus {
  for (const symbol of symbols) if (library.has(symbol)) return library.call(symbol, ...args)
  return 'MISSING_SYMBOL'
}

/** An unsigned int that a call writes, or why it does not. */
export function uintOf(ask: (slot: Uint8Array) => NvmlStatus): number | NvmlStatus {
  const slot = new Uint8Array(4)
  const status = ask(slot)
  if (status !== 'SUCCESS') return status
  const value = new DataView(slot.buffer).getUint32(0, true)
  return value === valueNotAvailable ? 'NO_DATA' : value
}

/** A text that a call writes; null when it does not or when the text is empty. */
export function textOf(ask: (buffer: Uint8Array, length: number) => NvmlStatus): {
  readonly status: NvmlStatus
  readonly text: string | null
} {
  const buffer = new Uint8Array(textBytes)
  const status = ask(buffer, textBytes)
  if (status !== 'SUCCESS') return { status, text: null }
  const end = buffer.indexOf(0)
  const text = new TextDecoder().decode(buffer.subarray(0, end < 0 ? textBytes : end)).trim()
  return { status, text: text === '' ? null : text }
}
