import { gigabytes } from '../size-text.ts'
import { says, type Finding } from './finding.ts'

export type MemoryFacts = {
  readonly totalBytes: number
  readonly availableBytes: number
  /** What the container or service allows; null: no limit. */
  readonly limitBytes: number | null
  readonly limitCpus: number | null
}

/** A worker with the smallest useful model takes about this much; below it the system kills somebody. */
export const memoryMinBytes = 1024 ** 3
/** An 8B model at 4 to 5 bits with its cache and the worker takes about this much on the processor. */
export const memoryComfortableBytes = 7 * 1024 ** 3

const { ok, warning, failing } = says('memory')

export function checkMemory(facts: MemoryFacts): readonly Finding[] {
  const { totalBytes, availableBytes, limitBytes, limitCpus } = facts
  const cpus = limitCpus === null ? '' : `, and ${limitCpus} processors`
  const limit =
    limitBytes === null && limitCpus === null
      ? ''
      : `; the container or service allows ${limitBytes === null ? 'all memory' : gigabytes(limitBytes)}${cpus}`
  const text = `${gigabytes(availableBytes)} of ${gigabytes(totalBytes)} are free${limit}`
  const todo =
    limitBytes === null
      ? 'end programs that take much memory'
      : 'raise the memory limit of the container or service, or end programs in it'
  if (availableBytes < memoryMinBytes) return [failing(`${text}: too little for any model`, todo)]
  if (availableBytes < memoryComfortableBytes)
    return [
      warning(
        `${text}: an 8B model on the processor takes ${gigabytes(memoryComfortableBytes)}`,
        `${todo}; smaller models and models on a GPU still fit`,
      ),
    ]
  return [ok(text)]
}
