import type { GpuInventory } from '../../protocol/gpu.ts'
import type { ReadyWorker } from '../engine/worker-program.ts'
import { gigabytes } from '../size-text.ts'
import { says, type Finding } from './finding.ts'

export type LibrariesFacts = {
  readonly platform: NodeJS.Platform
  readonly arch: string
  readonly gpus: readonly Pick<GpuInventory, 'vendor' | 'source' | 'backends'>[]
  /** Where the loader of Vulkan lies; null: it is not installed. */
  readonly vulkanLoader: string | null
  readonly cuda: ReadyWorker['cuda']
  /** Whether this is the executable; a checkout has its libraries in node_modules. */
  readonly packed: boolean
}

const { ok, warning, failing, skipped } = says('libraries')

/** What llama.cpp loads at run time, as far as the machine's GPUs need it. */
export function checkLibraries(facts: LibrariesFacts): readonly Finding[] {
  const { gpus, platform } = facts
  if (platform === 'darwin') return [ok('Metal is part of macOS')]
  if (gpus.length === 0) return [skipped('without a GPU none is needed')]
  const nvidia = gpus.filter(gpu => gpu.vendor === 'nvidia')
  return [
    ...(nvidia.length > 0 ? [checkNvml(nvidia), checkCuda(facts)] : []),
    checkVulkan(facts, nvidia.length > 0 && facts.cuda.state === 'ready'),
  ]
}

function checkNvml(nvidia: LibrariesFacts['gpus']): Finding {
  return nvidia.some(gpu => gpu.source === 'nvml')
    ? ok('NVML (libnvidia-ml) answers')
    : warning(
        `NVML (libnvidia-ml) does not answer; devices are read by ${nvidia[0]?.source ?? 'other means'}`,
        'install the library of the same version as the driver (Debian and Ubuntu: libnvidia-compute-VERSION or libnvidia-ml1)',
      )
}

function checkCuda({ cuda, packed }: LibrariesFacts): Finding {
  switch (cuda.state) {
    case 'ready':
      return ok('the CUDA build of the engine is here')
    case 'not_fetched':
      return ok(
        `the CUDA build of the engine (${gigabytes(cuda.sizeBytes)}) is fetched from the pool at the first "run"`,
      )
    case 'failed':
      return warning(
        `the CUDA build of the engine is not here: ${cuda.reason}`,
        'Vulkan is used meanwhile; start the agent again to fetch it',
      )
    case 'not_built':
      return warning(
        'the CUDA build of the engine is not here',
        packed
          ? 'Vulkan is used; get an agent from a pool that offers the CUDA libraries (build:agent --cuda)'
          : 'Vulkan is used; delete node_modules and start again with the NVIDIA driver in place: it is installed where a GPU is seen',
      )
  }
}

/** AMD's and Intel's GPUs are driven by Vulkan alone (the engine has no ROCm build), NVIDIA's when there is no CUDA. */
function checkVulkan(facts: LibrariesFacts, spare: boolean): Finding {
  const { platform, arch, vulkanLoader, gpus } = facts
  if (arch !== 'x64')
    return warning(
      `there is no GPU build of the engine for ${platform}-${arch}`,
      'nothing to repair: this machine serves on its processor',
    )
  if (vulkanLoader !== null) return ok(`Vulkan's loader is ${vulkanLoader}`)
  const text = "Vulkan's loader is not installed"
  const todo =
    platform === 'win32'
      ? "install the newest driver of the card's maker: vulkan-1.dll comes with it"
      : 'install it (Debian and Ubuntu: libvulkan1; Fedora: vulkan-loader; Arch: vulkan-icd-loader) and, for AMD and Intel, mesa-vulkan-drivers'
  const wanted = gpus.some(gpu => gpu.backends?.includes('vulkan') !== false)
  return spare || !wanted ? warning(`${text}; CUDA does without it`, todo) : failing(text, todo)
}
