/** A machine that the agent's executable can be made for. */
export type Target = {
  readonly name: string
  /** As `bun build --compile --target` calls it. x64 as baseline builds, which also run on CPUs without AVX2. */
  readonly bunTarget: Bun.Build.CompileTarget
  /** The package whose Bun the executable is made of, and where it lies in it. */
  readonly bunPackage: string
  readonly bunFile: string
  /** As package managers call it. */
  readonly os: 'linux' | 'win32' | 'darwin'
  readonly cpu: 'x64' | 'arm64'
  /** Name of the executable. */
  readonly fileName: string
  /** Workspace with the CUDA libraries for this target, where there are any. */
  readonly cudaWorkspace: string | null
}

export const targets: readonly Target[] = [
  {
    name: 'linux-x64',
    bunTarget: 'bun-linux-x64-baseline',
    bunPackage: '@oven/bun-linux-x64-baseline',
    bunFile: 'bin/bun',
    os: 'linux',
    cpu: 'x64',
    fileName: 'gpupool-agent-linux-x64',
    cudaWorkspace: 'linux-x64-cuda',
  },
  {
    name: 'linux-arm64',
    bunTarget: 'bun-linux-arm64',
    bunPackage: '@oven/bun-linux-aarch64',
    bunFile: 'bin/bun',
    os: 'linux',
    cpu: 'arm64',
    fileName: 'gpupool-agent-linux-arm64',
    cudaWorkspace: null,
  },
  {
    name: 'windows-x64',
    bunTarget: 'bun-windows-x64-baseline',
    bunPackage: '@oven/bun-windows-x64-baseline',
    bunFile: 'bin/bun.exe',
    os: 'win32',
    cpu: 'x64',
    fileName: 'gpupool-agent-windows-x64.exe',
    cudaWorkspace: 'windows-x64-cuda',
  },
  {
    name: 'darwin-arm64',
    bunTarget: 'bun-darwin-arm64',
    bunPackage: '@oven/bun-darwin-aarch64',
    bunFile: 'bin/bun',
    os: 'darwin',
    cpu: 'arm64',
    fileName: 'gpupool-agent-darwin-arm64',
    cudaWorkspace: null,
  },
  {
    name: 'darwin-x64',
    bunTarget: 'bun-darwin-x64',
    bunPackage: '@oven/bun-darwin-x64',
    bunFile: 'bin/bun',
    os: 'darwin',
    cpu: 'x64',
    fileName: 'gpupool-agent-darwin-x64',
    cudaWorkspace: null,
  },
]

/** The target that runs on this machine; undefined when there is none. */
export const hostTarget = (): Target | undefined =>
  targets.find(({ os, cpu }) => os === process.platform && cpu === process.arch)
