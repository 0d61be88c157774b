import type { GpuProbe } from './probe.ts'
import { listDrmCards, sysfsAt, type Sysfs } from './sysfs.ts'

/** What stands between this process and the GPUs of the machine that it runs on. */
export type Surroundings = {
  /** Windows Subsystem for Linux 2: the GPU belongs to Windows and is reached through `/dev/dxg`. */
  readonly wsl: boolean
  /** The paravirtual GPU device of WSL2 is there. */
  readonly dxg: boolean
  /** A container (Docker, Podman, Kubernetes, LXC), in which device nodes must be passed on by hand. */
  readonly container: boolean
}

export function readSurroundings(sysfs: Sysfs): Surroundings {
  const kernel = sysfs.read('/proc/sys/kernel/osrelease') ?? ''
  const cgroup = sysfs.read('/proc/1/cgroup') ?? ''
  return {
    wsl: /microsoft.*wsl2|wsl2.*microsoft/i.test(kernel),
    dxg: sysfs.list('/dev').includes('dxg'),
    container:
      sysfs.read('/.dockerenv') !== null ||
      sysfs.read('/run/.containerenv') !== null ||
      /docker|kubepods|libpod|containerd|\/lxc\//.test(cgroup),
  }
}

/**
 * Says in words why devices that the kernel lists cannot be used from here, one text for each reason; empty when
 * nothing is in the way.
 * @param drivers the drivers of the devices that sysfs lists, for example `amdgpu`
 */
export function accessProblems(
  sysfs: Sysfs,
  surroundings: Surroundings,
  drivers: readonly (string | null)[],
): readonly string[] {
  const problems: string[] = []
  if (surroundings.wsl && !surroundings.dxg)
    problems.push(
      'WSL2 without /dev/dxg: Windows does not share its GPU. Update WSL (wsl --update) and the Windows GPU driver.',
    )
  // The NVIDIA driver of Windows puts its tools there; where they are, its card can be used.
  const nvidia = sysfs.list('/usr/lib/wsl/lib').includes('nvidia-smi')
  if (surroundings.wsl && surroundings.dxg && !nvidia && drivers.length === 0)
    problems.push(
      'In WSL2 only NVIDIA cards can be used by llama.cpp. For an AMD or Intel GPU run the agent on Windows itself.',
    )
  const where = surroundings.container
    ? 'Start the container with --device'
    : 'Check that the driver is loaded:'
  const usesDrm = drivers.some(driver => ['amdgpu', 'i915', 'xe'].includes(driver ?? ''))
  if (usesDrm && !sysfs.list('/dev/dri').some(name => name.startsWith('renderD')))
    problems.push(`A GPU is there, but no /dev/dri/renderD* node. ${where} /dev/dri.`)
  return problems
}

/** Finds no device; says on Linux what keeps the devices that are there from being used. */
export const createAccessProbe = (sysfs: Sysfs = sysfsAt()): GpuProbe => ({
  inventory() {
    const drivers = listDrmCards(sysfs).map(card => card.driver)
    return Promise.resolve({
      gpus: [],
      problems: accessProblems(sysfs, readSurroundings(sysfs), drivers),
    })
  },
  readings: () => Promise.resolve([]),
})
