import { homedir, hostname } from 'node:os'
import type { Clock } from '../../clock.ts'
import { buildFacts } from '../executable/build-facts.ts'
import { cachePlaces } from '../executable/cache-places.ts'
import { software } from '../software.ts'
import { readEnrolment, StateError, type Enrolment } from '../state-dir.ts'
import { checkAgent } from './check-agent.ts'
import { checkDisk } from './check-disk.ts'
import { checkServer } from './check-server.ts'
import { examineMachine, type MachineTools } from './examine-machine.ts'
import { checkNames, says, type DoctorReport, type Finding } from './finding.ts'
import { gatherAgent } from './gather-agent.ts'
import { gatherDisk } from './gather-disk.ts'
import { gatherServer } from './gather-server.ts'
import { judged, within } from './told.ts'

export type DoctorTools = MachineTools & { readonly wallClock: Clock }

const stepMs = 10_000
/** Five steps of at most 5 s each. */
const serverMs = 30_000

/** Looks at everything that an agent needs. Bounded in time, changes nothing but the unpacked engine, tells no secret. */
export async function runDoctor(tools: DoctorTools): Promise<DoctorReport> {
  const { stateDir, timers } = tools
  const { enrolment, finding } = identityOf(stateDir)
  const [machine, agent, server] = await Promise.all([
    examineMachine(tools),
    within(timers, stepMs, () => gatherAgent(stateDir)),
    enrolment === null ? null : within(timers, serverMs, () => gatherServer(enrolment, tools)),
  ])
  const disk = await within(timers, stepMs, () =>
    gatherDisk({
      stateDir,
      cacheDir: cacheDirOf(tools),
      wantsCuda: machine.wantsCuda,
      catalogue: server?.type === 'told' ? server.facts.catalogue : null,
    }),
  )
  const findings = [
    ...machine.findings,
    ...judged('agent', agent, checkAgent),
    ...judged('disk', disk, checkDisk),
    finding,
    ...(server === null ? [] : judged('pool', server, ({ facts }) => checkServer(facts))),
  ]
  return {
    schemaVersion: 1,
    version: software.version,
    hostname: hostname(),
    healthy: findings.every(({ status }) => status !== 'failing'),
    findings: findings.toSorted((a, b) => order(a) - order(b)),
  }
}

const order = ({ check }: Finding): number => checkNames.indexOf(check)

function identityOf(stateDir: string): { enrolment: Enrolment | null; finding: Finding } {
  const { ok, skipped, failing } = says('identity')
  try {
    const enrolment = readEnrolment(stateDir) ?? null
    if (enrolment === null)
      return {
        enrolment,
        finding: skipped(`this machine has not joined a pool (${stateDir}): no server is asked`),
      }
    const { name, origin } = enrolment.identity
    return { enrolment, finding: ok(`"${name}" of the pool ${origin}`) }
  } catch (error) {
    if (!(error instanceof StateError)) throw error
    const todo = 'let this user read the state directory, or run "leave" and join with a new link'
    return { enrolment: null, finding: failing(error.message, todo) }
  }
}

/** Only the executable unpacks something. */
function cacheDirOf({ stateDir, platform }: DoctorTools): string | null {
  if (buildFacts === null) return null
  const home = homedir()
  return cachePlaces({ environment: process.env, platform, home, stateDir })[0] ?? null
}
