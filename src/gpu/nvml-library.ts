import { dlopen, ptr, type Pointer } from 'bun:ffi'
import { nvmlSymbols, type NvmlSymbol } from './nvml-ffi.ts'
import { nvmlStatusOf, type NvmlStatus } from './nvml-status.ts'

type Argument = number | bigint | Pointer
type NativeCall = (...args: Argument[]) => number

/** An open library. A call to a function that it does not have is answered like any other error. */
export type NvmlLibrary = {
  readonly path: string
  call(symbol: NvmlSymbol, ...args: readonly (number | bigint | Uint8Array)[]): NvmlStatus
  has(symbol: NvmlSymbol): boolean
}

/**
 * Opens the first library of the list that is one. Symbols are looked up one by one, since dlopen fails as a whole when
 * one of the symbols that it is asked for is missing, and old drivers miss several.
 * @returns the library, or why none of them opens, one line each
 */
export function openNvml(paths: readonly string[]): NvmlLibrary | readonly string[] {
  const reasons: string[] = []
  for (const path of paths) {
    const reason = cannotOpen(path)
    if (reason === null) return createLibrary(path)
    reasons.push(reason)
  }
  return reasons
}

/** nvmlShutdown is in every NVML, so that its absence means another library by the same name. */
function cannotOpen(path: string): string | null {
  try {
    dlopen(path, { nvmlShutdown: nvmlSymbols.nvmlShutdown })
    return null
  } catch (error) {
    return `${path}: ${error instanceof Error ? error.message : String(error)}`
  }
}

function createLibrary(path: string): NvmlLibrary {
  const found = new Map<NvmlSymbol, NativeCall | null>()
  const lookUp = (symbol: NvmlSymbol): NativeCall | null => {
    const known = found.get(symbol)
    if (known !== undefined) return known
    const call = symbolOf(path, symbol)
    found.set(symbol, call)
    return call
  }
  return {
    path,
    has: symbol => lookUp(symbol) !== null,
    call(symbol, ...args) {
      const call = lookUp(symbol)
      if (call === null) return 'MISSING_SYMBOL'
      return nvmlStatusOf(call(...args.map(arg => (arg instanceof Uint8Array ? ptr(arg) : arg))))
    },
  }
}

function symbolOf(path: string, symbol: NvmlSymbol): NativeCall | null {
  try {
    const { symbols } = dlopen(path, { [symbol]: nvmlSymbols[symbol] })
    return symbols[symbol] as unknown as NativeCall
  } catch {
    // Not in this driver: the caller sees MISSING_SYMBOL.
    return null
  }
}
