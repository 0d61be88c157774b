import { expect, test } from 'bun:test'
import { stripSignature } from './strip-signature.ts'

/** A file of a header and load commands: type and length in bytes. */
function machO(commands: readonly (readonly [number, number])[]): Uint8Array {
  const bytes = new Uint8Array(32 + commands.reduce((sum, [, length]) => sum + length, 0) + 8).fill(
    7,
  )
  const view = new DataView(bytes.buffer)
  view.setUint32(0, 0xfeedfacf, true)
  view.setUint32(16, commands.length, true)
  view.setUint32(20, bytes.length - 40, true)
  let at = 32
  for (const [type, length] of commands) {
    view.setUint32(at, type, true)
    view.setUint32(at + 4, length, true)
    at += length
  }
  return bytes
}

const commandsOf = (bytes: Uint8Array): readonly number[] => {
  const view = new DataView(bytes.buffer)
  const found: number[] = []
  for (let at = 32; found.length < view.getUint32(16, true); at += view.getUint32(at + 4, true))
    found.push(view.getUint32(at, true))
  return found
}

test('the signature goes, every other command stays, and nothing moves behind them', () => {
  const file = machO([
    [0x19, 72],
    [0x1d, 16],
    [0x2a, 16],
  ])
  const stripped = stripSignature(file)
  expect(commandsOf(file)).toEqual([0x19, 0x1d, 0x2a])
  expect(commandsOf(stripped)).toEqual([0x19, 0x2a])
  expect(new DataView(stripped.buffer).getUint32(20, true)).toBe(88)
  expect(stripped).toHaveLength(file.length)
  expect(stripped.slice(-8)).toEqual(file.slice(-8))
})

test('a file without one stays as it is; what is no Mach-O file is refused', () => {
  const file = machO([[0x19, 72]])
  expect(stripSignature(file)).toEqual(file)
  expect(() => stripSignature(new Uint8Array(64))).toThrow('Mach-O')
})
