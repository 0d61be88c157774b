import { systemClock } from '../../clock.ts'
import { readMachine, readMemory } from '../../gpu/machine.ts'
import { createSystemProbe } from '../../gpu/system-probe.ts'
import { fetchCatalogue } from '../fetch-catalogue.ts'
import { programName } from '../software.ts'
import { buildFacts } from '../executable/build-facts.ts'
import { readEnrolment } from '../state-dir.ts'
import { styleFor } from '../terminal-style.ts'
import { readCalibration } from '../calibration/calibration-file.ts'
import { withMeasurements } from '../calibration/devices.ts'
import { buildReport, type ProbeFacts } from './build-report.ts'
import { listLocalModels, modelsOfCatalogue, modelsOfFiles } from './models-to-fit.ts'
import { formatProbe } from './probe-text.ts'

/** A server that takes longer to list its models is not waited for: the rest of the report needs none. */
const catalogueMs = 5_000

/** `probe`. @returns the exit code */
export async function probe(json: boolean, stateDir: string): Promise<number> {
  const [found, models] = await Promise.all([createSystemProbe().inventory(), findModels(stateDir)])
  const inventory = await readMachine(found)
  const measured = readCalibration(stateDir)
  const facts = {
    inventory:
      measured === null
        ? inventory
        : withMeasurements(inventory, measured.engineVersion, measured.calibrated),
    memoryAvailableBytes: readMemory().availableBytes,
    ...models,
    problems: found.problems,
  }
  const report = buildReport(facts, systemClock.now())
  process.stdout.write(
    json
      ? `${JSON.stringify(report)}\n`
      : formatProbe(report, styleFor(process.stdout.isTTY, process.env)),
  )
  return 0
}

type FoundModels = Pick<ProbeFacts, 'models' | 'modelsFrom' | 'modelsNote'>

async function findModels(stateDir: string): Promise<FoundModels> {
  const files = await listLocalModels(stateDir)
  const local = (modelsNote: string): FoundModels => ({
    models: modelsOfFiles(files),
    modelsFrom: 'local',
    modelsNote,
  })
  const enrolment = readEnrolment(stateDir)
  if (enrolment === undefined)
    return local(
      `This machine has not joined a pool; "${programName(buildFacts)} join LINK" does, and its models are listed then.`,
    )
  const { origin } = enrolment.identity
  const fetched = await fetchCatalogue(enrolment, AbortSignal.timeout(catalogueMs))
  switch (fetched.type) {
    case 'refused':
      return local(`${origin} does not tell its models: ${fetched.message}.`)
    case 'older':
      return local(`${origin} is older than this agent and does not tell its models.`)
    case 'unreachable':
      return local(`${origin} does not tell its models: ${fetched.problem}. "doctor" says why.`)
    case 'catalogue': {
      const { catalogue } = fetched
      const leftOut = catalogue.leftOut === 0 ? null : `${catalogue.leftOut} more are not listed.`
      return {
        models: modelsOfCatalogue(catalogue, files),
        modelsFrom: 'pool',
        modelsNote: leftOut,
      }
    }
  }
}
