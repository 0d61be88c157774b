import { expect, test } from 'bun:test'
import { checkLibraries, type LibrariesFacts } from './check-libraries.ts'

const nvidia: LibrariesFacts['gpus'][number] = {
  vendor: 'nvidia',
  source: 'nvml',
  backends: ['cuda', 'vulkan'],
}
const amd: LibrariesFacts['gpus'][number] = {
  vendor: 'amd',
  source: 'amdgpu',
  backends: ['vulkan'],
}
const loader = '/usr/lib64/libvulkan.so.1'
const check = (change: Partial<LibrariesFacts>) =>
  checkLibraries({
    platform: 'linux',
    arch: 'x64',
    gpus: [nvidia],
    vulkanLoader: loader,
    cuda: { state: 'ready' },
    packed: true,
    ...change,
  })
const statuses = (change: Partial<LibrariesFacts>) => check(change).map(({ status }) => status)

test('a machine that has everything is told so', () => {
  expect(statuses({})).toEqual(['ok', 'ok', 'ok'])
  expect(statuses({ gpus: [amd] })).toEqual(['ok'])
})

test('without a GPU, and on macOS, nothing is needed', () => {
  expect(statuses({ gpus: [], vulkanLoader: null })).toEqual(['skipped'])
  expect(statuses({ platform: 'darwin', gpus: [], vulkanLoader: null })).toEqual(['ok'])
})

test('an AMD GPU without the Vulkan loader cannot be used: the package is named', () => {
  expect(check({ gpus: [amd], vulkanLoader: null })).toEqual([
    expect.objectContaining({ status: 'failing', todo: expect.stringContaining('libvulkan1') }),
  ])
  const windows = check({ gpus: [amd], vulkanLoader: null, platform: 'win32' })
  expect(windows[0]?.todo).toContain('vulkan-1.dll')
})

test('an NVIDIA GPU does without Vulkan as long as CUDA is there', () => {
  expect(statuses({ vulkanLoader: null })).toEqual(['ok', 'ok', 'warning'])
  expect(statuses({ vulkanLoader: null, cuda: { state: 'not_built' } })).toEqual([
    'ok',
    'warning',
    'failing',
  ])
})

test('CUDA that comes with the first run is no fault; NVML that is silent is a warning', () => {
  expect(statuses({ cuda: { state: 'not_fetched', sizeBytes: 233e6 } })).toEqual(['ok', 'ok', 'ok'])
  expect(check({ cuda: { state: 'failed', reason: 'no line' } })[1]?.text).toContain('no line')
  expect(check({ gpus: [{ ...nvidia, source: 'nvidia-smi' }] })[0]).toMatchObject({
    status: 'warning',
    text: expect.stringContaining('nvidia-smi'),
  })
})

test('on a processor for which there is no GPU build, that is said', () => {
  expect(check({ gpus: [amd], arch: 'arm64' })).toEqual([
    expect.objectContaining({ status: 'warning', text: expect.stringContaining('linux-arm64') }),
  ])
})
