import type { Logger } from 'pino'
import { driverFactsOf, judgeDriver } from '../../capability/driver-blacklist.ts'
import { systemClock } from '../../clock.ts'
import { readCgroupLimits } from '../../gpu/cgroup.ts'
import { readMachine, readMemory } from '../../gpu/machine.ts'
import type { GpuProbe } from '../../gpu/probe.ts'
import { listDrmCards, type Sysfs } from '../../gpu/sysfs.ts'
import { accessProblems, readSurroundings } from '../../gpu/wsl.ts'
import type { Inventory } from '../../protocol/gpu.ts'
import { demoModelPath } from '../demo-model.ts'
import { driverWorkarounds, withWorkarounds } from '../engine/driver-workarounds.ts'
import { examineWorker } from '../engine/examine-worker.ts'
import type { PrepareWorker, ReadyWorker } from '../engine/worker-program.ts'
import { buildFacts } from '../executable/build-facts.ts'
import { wantsCuda } from '../executable/choose-engine.ts'
import { vulkanLoaderPath } from '../executable/vulkan-loader.ts'
import { judgeDevice } from '../../capability/judge-device.ts'
import type { Timers } from '../timers.ts'
import { checkDevices } from './check-devices.ts'
import { checkDriver } from './check-driver.ts'
import { checkEngine } from './check-engine.ts'
import { checkLibraries } from './check-libraries.ts'
import { checkMemory } from './check-memory.ts'
import { checkPermissions } from './check-permissions.ts'
import { checkServing } from './check-serving.ts'
import { checkSurroundings, type SurroundingsFacts } from './check-surroundings.ts'
import { says, type Finding } from './finding.ts'
import { gatherDisplays, gatherPermissions } from './gather-devices.ts'
import { smallestHeldModel } from './smallest-held-model.ts'
import { judged, within } from './told.ts'

/** dxdiag, which Windows machines without a better source are asked by, takes up to 40 s. */
const devicesMs = 60_000
const factsMs = 10_000
/** The worker is killed before its check gives up, so that no process is left behind. */
const engineMs = 60_000

export type MachineTools = {
  readonly stateDir: string
  readonly sysfs: Sysfs
  readonly platform: NodeJS.Platform
  readonly arch: string
  readonly probe: GpuProbe
  readonly prepareWorker: PrepareWorker
  readonly timers: Timers
  readonly log: Logger
}

export type ExaminedMachine = {
  readonly findings: readonly Finding[]
  /** Whether the CUDA libraries are of use here. */
  readonly wantsCuda: boolean
}

/** Everything about this machine that needs no server. */
export async function examineMachine(tools: MachineTools): Promise<ExaminedMachine> {
  const { sysfs, platform, arch, probe, timers } = tools
  const [displays, devices] = await Promise.all([
    within(timers, factsMs * 3, () => gatherDisplays(sysfs, platform)),
    within(timers, devicesMs, async () => {
      const found = await probe.inventory()
      return { inventory: await readMachine(found, sysfs), problems: found.problems }
    }),
  ])
  const surroundings = surroundingsOf(sysfs, platform)
  const cards = displays.type === 'told' ? displays.facts : null
  const inventory = devices.type === 'told' ? devices.facts.inventory : null
  const permissions = await within(timers, factsMs, () =>
    gatherPermissions(sysfs, platform, cards ?? []),
  )
  return {
    findings: [
      ...checkSurroundings(surroundings),
      ...judged('devices', devices, ({ inventory: { gpus }, problems }) =>
        checkDevices({
          platform,
          displays: cards,
          gpus,
          problems: problems.filter(problem => !surroundings.problems.includes(problem)),
        }),
      ),
      ...(inventory === null ? [] : checkFigures(inventory)),
      ...judged('permissions', permissions, checkPermissions),
      ...(await examineEngine(tools, inventory)),
      ...checkMemory(memoryFacts(sysfs)),
    ],
    wantsCuda: wantsCuda({ platform, arch, gpus: inventory?.gpus ?? [] }),
  }
}

function surroundingsOf(sysfs: Sysfs, platform: NodeJS.Platform): SurroundingsFacts {
  if (platform !== 'linux') return { surroundings: null, problems: [] }
  const surroundings = readSurroundings(sysfs)
  const drivers = listDrmCards(sysfs).map(card => card.driver)
  return { surroundings, problems: accessProblems(sysfs, surroundings, drivers) }
}

function checkFigures(inventory: Inventory): readonly Finding[] {
  const now = systemClock.now()
  return [
    ...checkDriver(
      inventory.gpus.map(gpu => ({
        ...gpu,
        judgement: judgeDriver(driverFactsOf(inventory, gpu)),
      })),
    ),
    ...checkServing(
      inventory.gpus.map(gpu => ({ name: gpu.name, ...judgeDevice(inventory, gpu, now) })),
    ),
  ]
}

function memoryFacts(sysfs: Sysfs) {
  const { memoryBytes, cpus } = readCgroupLimits(sysfs.read)
  return { ...readMemory(sysfs.read), limitBytes: memoryBytes, limitCpus: cpus }
}

/** The libraries and the engine, which need the worker made ready. */
async function examineEngine(
  { stateDir, platform, arch, prepareWorker, timers, log }: MachineTools,
  inventory: Inventory | null,
): Promise<readonly Finding[]> {
  const gpus = inventory?.gpus ?? []
  const ready = await within(timers, engineMs, () => prepareWorker({ stateDir, gpus, timers, log }))
  if (ready.type !== 'told') return judged('engine', ready, () => [])
  if ('problem' in ready.facts)
    return [says('engine').failing(ready.facts.problem, 'let this user write there, or free space')]
  const worker: ReadyWorker = ready.facts
  const modelPath = demoModelPath() ?? (await smallestHeldModel(stateDir))
  const program =
    inventory === null
      ? worker.program
      : withWorkarounds(worker.program, driverWorkarounds(inventory))
  const examination = await examineWorker(program, modelPath, timers, engineMs)
  const now = systemClock.now()
  const serving = gpus.filter(
    gpu => inventory !== null && judgeDevice(inventory, gpu, now).eligible,
  )
  return [
    ...checkLibraries({
      platform,
      arch,
      gpus,
      vulkanLoader: vulkanLoaderPath(),
      cuda: worker.cuda,
      packed: buildFacts !== null,
    }),
    ...checkEngine({ gpus: serving, examination }),
  ]
}
