import { pino } from 'pino'
import { fetchCatalogue } from '../fetch-catalogue.ts'
import { ModelFiles } from '../model-files.ts'
import { gigabytes } from '../size-text.ts'
import { modelsDirOf, prepareStateDir, readEnrolment } from '../state-dir.ts'
import { processTimers } from '../timers.ts'
import { progressBar } from './progress-bar.ts'

const catalogueTimeoutMs = 30_000

/**
 * `models pull NAME`: fetches a model of the pool before somebody asks for it. A running agent that wants the same file
 * waits for it. What is pulled by hand stays until it is removed by hand.
 * @returns the exit code
 * @throws StateError when the state directory cannot be used
 */
export async function pullCommand(name: string, dir: string): Promise<number> {
  const fail = (problem: string) => {
    process.stderr.write(`${problem}\n`)
    return 1
  }
  const enrolment = readEnrolment(dir)
  if (enrolment === undefined) return fail('this machine has not joined a pool: join LINK first')
  const fetched = await fetchCatalogue(enrolment, AbortSignal.timeout(catalogueTimeoutMs))
  if (fetched.type === 'older')
    return fail('the pool’s server is too old to say what models it has')
  if (fetched.type !== 'catalogue')
    return fail(fetched.type === 'refused' ? fetched.message : fetched.problem)
  const { models } = fetched.catalogue
  const manifest = models.find(model => model.manifest.name === name)?.manifest
  if (manifest === undefined)
    return fail(
      `the pool has no model ${name}; it has ${models.map(model => model.manifest.name).join(', ') || 'none'}`,
    )
  prepareStateDir(dir)
  const modelsDir = modelsDirOf(dir)
  const files = new ModelFiles({
    modelsDir,
    identity: enrolment.identity,
    caPem: enrolment.caPem,
    timers: processTimers,
    log: pino({ level: 'silent' }),
  })
  const bar = progressBar(`${name}, ${gigabytes(manifest.sizeBytes)}`, process.stderr)
  const sources = [{ kind: 'url', url: `/models/${manifest.sha256}` } as const]
  const found = await files.obtain({ manifest, sources }, bar.show, new AbortController().signal)
  bar.end()
  if ('code' in found) return fail(found.message)
  process.stdout.write(`${found.path}\n`)
  return 0
}
