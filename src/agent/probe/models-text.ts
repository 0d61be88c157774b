import { gigabytes } from '../size-text.ts'
import type { Style } from '../terminal-style.ts'
import { hanging, wrapText } from '../wrap-text.ts'
import type { ModelFit } from './model-fit.ts'
import type { ProbeReport } from './probe-report.ts'

const fitIndent = 18

/** Which models fit where, with the figures. */
export function formatModels(report: ProbeReport, style: Style): readonly string[] {
  const { models, modelsFrom, modelsNote } = report
  const heading = modelsFrom === 'pool' ? 'Models of the pool' : 'Models in files on this machine'
  return [
    style('bold', heading),
    ...(modelsNote === null ? [] : wrapText(modelsNote, 78).map(text => `  ${text}`)),
    ...(models.length === 0 ? ['  none'] : []),
    ...models.flatMap(model => [
      `  ${model.name}, ${gigabytes(model.sizeBytes)}, ${slots(model)}`,
      ...Object.entries(model.fits).map(([id, fit]) =>
        hanging(`    ${deviceName(id, report)}`, fitText(fit, model.contextTokens), fitIndent),
      ),
    ]),
  ]
}

const slots = (model: ProbeReport['models'][number]): string =>
  `${model.slots} ${model.slots === 1 ? 'slot' : 'slots'} of ${model.contextTokens} tokens`

/** What tells the devices of a machine apart in little room: `processor`, `GPU`, or `GPU 2` of several. */
function deviceName(id: string, { inventory: { gpus } }: ProbeReport): string {
  if (id === 'cpu') return 'processor'
  return gpus.length === 1 ? 'GPU' : `GPU ${gpus.findIndex(gpu => gpu.id === id) + 1}`
}

/** @param wantedTokens of a slot, as the pool wants them */
export function fitText(fit: ModelFit, wantedTokens: number): string {
  switch (fit.type) {
    case 'whole': {
      const memory = `${gigabytes(fit.needBytes)} of ${gigabytes(fit.haveBytes)}`
      if (fit.contextTokens < wantedTokens)
        return `fits whole, but with ${fit.contextTokens} tokens only: ${memory}`
      const more =
        fit.contextTokensMax > wantedTokens ? `; up to ${fit.contextTokensMax} tokens` : ''
      return `fits whole: ${memory}${more}`
    }
    case 'partly':
      return `${fit.gpuLayers} of ${fit.layers} layers on the GPU: ${gigabytes(fit.gpuBytes)} there, ${gigabytes(fit.cpuBytes)} in main memory`
    case 'not':
      return `does not fit: ${gigabytes(fit.needBytes)} needed, ${gigabytes(fit.haveBytes)} there`
    case 'size_only': {
      const than = fit.weightsBytes < fit.haveBytes ? 'of' : 'too large for'
      return `size only: weights of ${gigabytes(fit.weightsBytes)}, ${than} ${gigabytes(fit.haveBytes)}; what it needs besides is not known`
    }
    case 'unknown':
      return `not known: ${fit.reason}`
  }
}
