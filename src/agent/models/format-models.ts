import { gigabytes } from '../size-text.ts'
import type { ShelfAnswer } from './shelf-request.ts'

/** The list for people: one line a file. */
export function formatModels(models: ShelfAnswer['models'], dir: string): string {
  if (models.length === 0) return `No models are in ${dir}.\n`
  const rows = models.map(({ name, sha256, sizeBytes, lastUsedAt, inUse, own, whole }) => [
    name ?? '(name unknown)',
    sha256.slice(0, 12),
    gigabytes(sizeBytes),
    inUse ? 'in use' : `last used ${dateText(lastUsedAt)}`,
    [whole ? '' : 'not whole yet', own ? '' : 'stays until you remove it']
      .filter(note => note !== '')
      .join(', '),
  ])
  const widths = [0, 1, 2, 3].map(at => Math.max(...rows.map(row => row[at]?.length ?? 0)))
  const lines = rows.map(row =>
    row
      .map((cell, at) => cell.padEnd(widths[at] ?? 0))
      .join('  ')
      .trimEnd(),
  )
  const totalBytes = models.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0)
  return `${lines.join('\n')}\n${gigabytes(totalBytes)} in ${dir}\n`
}

const dateText = (ms: number): string => new Date(ms).toISOString().slice(0, 16).replace('T', ' ')
