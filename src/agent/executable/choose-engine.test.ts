import { describe, expect, test } from 'bun:test'
import { chooseEngine, wantsCuda, type EngineFacts } from './choose-engine.ts'

const nvidia = { vendor: 'nvidia', name: 'RTX 4090', driverVersion: '570.86' } as const
const amd = { vendor: 'amd', name: 'RX 7900', driverVersion: null } as const
const facts = (changes: Partial<EngineFacts> = {}): EngineFacts => ({
  platform: 'linux',
  arch: 'x64',
  gpus: [nvidia],
  cuda: { state: 'ready' },
  vulkanLoader: true,
  ...changes,
})

test.each<[string, Partial<EngineFacts>, string]>([
  ['an NVIDIA GPU with the CUDA libraries', {}, 'cuda'],
  ['an Apple GPU', { platform: 'darwin', arch: 'arm64', gpus: [] }, 'metal'],
  ['an AMD GPU', { gpus: [amd] }, 'vulkan'],
  ['an AMD GPU on Windows', { platform: 'win32', gpus: [amd] }, 'vulkan'],
  ['no GPU', { gpus: [], vulkanLoader: false }, 'cpu'],
])('%s is used as well as it can be, without a word', (_, changes, build) => {
  expect(chooseEngine(facts(changes))).toEqual({ build, word: null } as never)
})

describe('what is missing is said, and the next best is taken', () => {
  test.each<[Partial<EngineFacts>, string, readonly string[]]>([
    [{ cuda: { state: 'not_built' } }, 'vulkan', ['Vulkan', 'built without the CUDA libraries']],
    [
      { cuda: { state: 'failed', reason: 'the source answers 404' } },
      'vulkan',
      ['CUDA is not available: the source answers 404'],
    ],
    [
      { cuda: { state: 'failed', reason: 'the disk is full' }, vulkanLoader: false },
      'cpu',
      ['the CPU', 'the disk is full', 'Vulkan loader'],
    ],
    [{ gpus: [{ ...nvidia, driverVersion: null }] }, 'vulkan', ['driver does not answer']],
    [{ gpus: [amd], vulkanLoader: false }, 'cpu', ['Vulkan loader']],
    [{ arch: 'arm64' }, 'cpu', ['no CUDA build for linux-arm64', 'no GPU build']],
  ])('%j', (changes, build, words) => {
    const choice = chooseEngine(facts(changes))
    expect(choice.build).toBe(build as never)
    for (const word of words) expect(choice.word).toContain(word)
  })
})

test('CUDA is fetched for an NVIDIA GPU whose driver answers, where there is a build', () => {
  expect(wantsCuda(facts())).toBe(true)
  expect(wantsCuda(facts({ platform: 'win32' }))).toBe(true)
  expect(wantsCuda(facts({ gpus: [amd] }))).toBe(false)
  expect(wantsCuda(facts({ gpus: [{ ...nvidia, driverVersion: null }] }))).toBe(false)
  expect(wantsCuda(facts({ arch: 'arm64' }))).toBe(false)
})
