/** A memory module as the firmware (SMBIOS type 17) or Windows (Win32_PhysicalMemory) lists it. */
export type MemoryModule = {
  /** Where it sits, for example `P0 CHANNEL A`. */
  readonly bank: string | null
  readonly slot: string | null
  readonly dataWidthBits: number | null
  /** Million transfers a second at which it runs now. */
  readonly megaTransfers: number | null
}

const memoryDevice = 17
const endOfTable = 127

/**
 * Reads the memory modules of a raw SMBIOS table (`/sys/firmware/dmi/tables/DMI`); empty slots are left out. Offsets
 * are those of the DMTF's DSP0134, section "Memory Device (Type 17)".
 */
export function parseDmiMemory(table: Uint8Array): MemoryModule[] {
  const modules: MemoryModule[] = []
  const view = new DataView(table.buffer, table.byteOffset, table.byteLength)
  let at = 0
  while (at + 4 <= table.byteLength) {
    const [type = endOfTable, length = 0] = [table[at], table[at + 1]]
    if (length < 4 || at + length > table.byteLength || type === endOfTable) break
    const { strings, end } = stringsAt(table, at + length)
    if (type === memoryDevice) {
      const word = (offset: number) =>
        offset + 2 <= length ? view.getUint16(at + offset, true) : 0
      const text = (offset: number) =>
        offset < length ? (strings[(table[at + offset] ?? 0) - 1] ?? null) : null
      const speed = known(word(0x20)) ?? known(word(0x15))
      if (word(0x0c) !== 0)
        modules.push({
          bank: text(0x11),
          slot: text(0x10),
          dataWidthBits: known(word(0x0a)),
          megaTransfers: speed,
        })
    }
    at = end
  }
  return modules
}

/** 0 and all bits set are SMBIOS for unknown. */
const known = (word: number): number | null => (word === 0 || word === 0xffff ? null : word)

/** Strings follow a structure, each ended by a zero, all by another. */
function stringsAt(table: Uint8Array, from: number): { strings: string[]; end: number } {
  const strings: string[] = []
  let at = from
  while (at < table.byteLength && table[at] !== 0) {
    const zero = table.indexOf(0, at)
    const stop = zero < 0 ? table.byteLength : zero
    strings.push(new TextDecoder('latin1').decode(table.subarray(at, stop)).trim().slice(0, 64))
    at = stop + 1
  }
  return { strings, end: strings.length === 0 ? from + 2 : at + 1 }
}
