import { readdir, stat } from 'node:fs/promises'
import { join } from 'node:path'
import { modelsDirOf } from '../state-dir.ts'

/** A larger one takes longer to load than a person wants to wait for a check. */
const bytesMax = 3 * 1024 ** 3

/** @returns the smallest whole model file of the agent; null when it has none that loads quickly */
export async function smallestHeldModel(stateDir: string): Promise<string | null> {
  const dir = modelsDirOf(stateDir)
  const names = await readdir(dir).catch((): string[] => [])
  const files = await Promise.all(
    names
      .filter(name => name.endsWith('.gguf'))
      .map(async name => ({ path: join(dir, name), bytes: (await stat(join(dir, name))).size })),
  )
  const [smallest] = files
    .filter(({ bytes }) => bytes <= bytesMax)
    .toSorted((a, b) => a.bytes - b.bytes)
  return smallest?.path ?? null
}
