const headerBytes = 32
const machO64 = 0xfeedfacf
const codeSignature = 0x1d

/**
 * Takes the code signature off a Mach-O file. Bun signs what it compiles for darwin-arm64 anew, but what it compiles for
 * darwin-x64 keeps the signature of the Bun it was made of, which fits no longer (75 of 23,797 pages differ, and it asks
 * for the hardened runtime, where that is fatal). Intel Macs run programs without a signature.
 * @returns the file without it; the signature's bytes stay, but nothing refers to them
 */
export function stripSignature(file: Uint8Array): Uint8Array {
  const result = new Uint8Array(file)
  const view = new DataView(result.buffer)
  if (view.getUint32(0, true) !== machO64) throw new Error('this is no 64-bit Mach-O file')
  const commands = view.getUint32(16, true)
  const commandsBytes = view.getUint32(20, true)
  const end = headerBytes + commandsBytes
  for (let at = headerBytes, left = commands; left > 0; left--) {
    const bytes = view.getUint32(at + 4, true)
    if (view.getUint32(at, true) === codeSignature) {
      result.copyWithin(at, at + bytes, end)
      result.fill(0, end - bytes, end)
      view.setUint32(16, commands - 1, true)
      view.setUint32(20, commandsBytes - bytes, true)
      return result
    }
    at += bytes
  }
  return result
}
