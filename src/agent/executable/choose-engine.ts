import type { GpuInventory } from '../../protocol/gpu.ts'

/** The builds of llama.cpp, fastest first where they work. */
export type EngineBuild = 'cuda' | 'metal' | 'vulkan' | 'cpu'

/** What is known about the CUDA libraries. */
export type CudaState =
  | { readonly state: 'ready' }
  /** This executable was built without a pinned CUDA pack. */
  | { readonly state: 'not_built' }
  | { readonly state: 'failed'; readonly reason: string }

export type EngineFacts = {
  readonly platform: NodeJS.Platform
  readonly arch: string
  readonly gpus: readonly Pick<GpuInventory, 'vendor' | 'name' | 'driverVersion'>[]
  /** Asked only when an NVIDIA GPU and its driver are there. */
  readonly cuda: CudaState
  /** Whether the system has the Vulkan loader, which comes with graphics drivers. */
  readonly vulkanLoader: boolean
}

export type EngineChoice = {
  readonly build: EngineBuild
  /** For the owner: why not a faster one; null when this is the best for the machine. */
  readonly word: string | null
}

/** CUDA builds of the engine exist for these. */
export const cudaPlatforms: readonly string[] = ['linux-x64', 'win32-x64']
const vulkanPlatforms: readonly string[] = ['linux-x64', 'win32-x64']

/** Whether the CUDA libraries would be of use here. */
export const wantsCuda = ({
  platform,
  arch,
  gpus,
}: Pick<EngineFacts, 'platform' | 'arch' | 'gpus'>): boolean =>
  cudaPlatforms.includes(`${platform}-${arch}`) &&
  gpus.some(gpu => gpu.vendor === 'nvidia' && gpu.driverVersion !== null)

/**
 * Which build of the engine to expect, and what to tell the owner about it. CUDA, else Vulkan, else the CPU: everything
 * that a machine lacks for one is said once.
 */
export function chooseEngine(facts: EngineFacts): EngineChoice {
  const { platform, arch, gpus, cuda, vulkanLoader } = facts
  if (platform === 'darwin' && arch === 'arm64') return { build: 'metal', word: null }
  if (gpus.length === 0) return { build: 'cpu', word: null }
  const reasons: string[] = []
  if (gpus.some(gpu => gpu.vendor === 'nvidia')) {
    const why = cudaObstacle(facts)
    if (why === null && cuda.state === 'ready') return { build: 'cuda', word: null }
    if (why !== null) reasons.push(why)
  }
  const here = `${platform}-${arch}`
  if (!vulkanPlatforms.includes(here))
    reasons.push(`there is no GPU build of the engine for ${here}`)
  else if (!vulkanLoader)
    reasons.push('the Vulkan loader is not installed (libvulkan1; it comes with graphics drivers)')
  else return { build: 'vulkan', word: said('Vulkan', reasons) }
  return { build: 'cpu', word: said('the CPU', reasons) }
}

function cudaObstacle({ platform, arch, gpus, cuda }: EngineFacts): string | null {
  if (!cudaPlatforms.includes(`${platform}-${arch}`))
    return `there is no CUDA build for ${platform}-${arch}`
  if (!wantsCuda({ platform, arch, gpus })) return 'the NVIDIA driver does not answer'
  if (cuda.state === 'not_built') return 'this agent was built without the CUDA libraries'
  return cuda.state === 'failed' ? `CUDA is not available: ${cuda.reason}` : null
}

const said = (build: string, reasons: readonly string[]): string | null =>
  reasons.length === 0 ? null : `models run on ${build}: ${reasons.join('; ')}`
