import { existsSync, readdirSync, readFileSync } from 'node:fs'

/** `linux-x64`, `darwin-arm64`, `win32-x64` … */
export const platform = `${process.platform}-${process.arch}`

const isMusl = () =>
  process.platform === 'linux' &&
  readdirSync('/lib').some(name => name.startsWith('ld-musl-')) &&
  !['/lib64/ld-linux-x86-64.so.2', '/lib/ld-linux-aarch64.so.1'].some(existsSync)

/** The npm package that carries Bun for this machine; x64 as baseline builds, which also run on CPUs without AVX2. */
export function bunPackage() {
  const os = { linux: 'linux', darwin: 'darwin', win32: 'windows' }[process.platform]
  const cpu = { x64: 'x64', arm64: 'aarch64' }[process.arch]
  if (os === undefined || cpu === undefined) return undefined
  return `@oven/bun-${os}-${cpu}${isMusl() ? '-musl' : ''}${cpu === 'x64' ? '-baseline' : ''}`
}

const nvidiaDrivers = [
  '/proc/driver/nvidia/version',
  '/dev/nvidiactl',
  '/usr/lib/wsl/lib/libcuda.so.1',
]
const vulkanLoaders = ['/usr/lib/x86_64-linux-gnu', '/usr/lib64', '/usr/lib', '/lib64'].map(
  folder => `${folder}/libvulkan.so.1`,
)
/** PCI vendors of GPUs that the Vulkan engine is for; NVIDIA's go by CUDA, virtual ones cannot compute. */
const vulkanVendors = ['0x1002', '0x8086']

function hasVulkanGpu() {
  if (!vulkanLoaders.some(existsSync) || !existsSync('/sys/class/drm')) return false
  return readdirSync('/sys/class/drm')
    .filter(name => name.startsWith('renderD'))
    .map(name => `/sys/class/drm/${name}/device/vendor`)
    .some(path => existsSync(path) && vulkanVendors.includes(readFileSync(path, 'utf8').trim()))
}

/** Folders of native/ whose engine builds this machine can use. */
export function nativeWorkspaces() {
  if (platform === 'linux-arm64') return ['linux-arm64']
  if (platform !== 'linux-x64') return []
  const chosen = ['linux-x64']
  if (nvidiaDrivers.some(existsSync)) chosen.push('linux-x64-cuda')
  if (hasVulkanGpu()) chosen.push('linux-x64-vulkan')
  return chosen
}

const nvidiaOnWindows = () =>
  existsSync(`${process.env.SystemRoot ?? 'C:\\Windows'}\\System32\\nvidia-smi.exe`)

/**
 * Platform packages that bun.lock does not hold, by the package that names them as its optional dependencies (there
 * their exact versions are read): outside Linux they are fetched one by one.
 */
export function unlockedPackages(forTests) {
  const engines = {
    'darwin-arm64': ['mac-arm64-metal'],
    'darwin-x64': ['mac-x64'],
    'win32-arm64': ['win-arm64'],
    'win32-x64': [
      'win-x64',
      ...(nvidiaOnWindows() ? ['win-x64-cuda', 'win-x64-cuda-ext'] : ['win-x64-vulkan']),
    ],
  }[platform]
  if (engines === undefined) return []
  const lint = process.platform === 'win32' ? `${platform}-msvc` : platform
  return [
    ...engines.map(name => ({ parent: 'node-llama-cpp', name: `@node-llama-cpp/${name}` })),
    ...(forTests
      ? [
          { parent: 'oxlint', name: `@oxlint/binding-${lint}` },
          { parent: 'oxlint-tsgolint', name: `@oxlint-tsgolint/${platform}` },
          { parent: 'typescript', name: `@typescript/typescript-${platform}` },
        ]
      : []),
  ]
}
