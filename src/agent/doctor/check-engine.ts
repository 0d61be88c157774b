import type { GpuInventory } from '../../protocol/gpu.ts'
import type { EngineExamination } from '../engine/examine-worker.ts'
import { says, type Finding } from './finding.ts'

export type EngineFacts = {
  /** Devices that may serve. */
  readonly gpus: readonly Pick<GpuInventory, 'name'>[]
  readonly examination: EngineExamination
}

const { ok, warning, failing } = says('engine')

/** Whether llama.cpp really computes, and on what. */
export function checkEngine(facts: EngineFacts): readonly Finding[] {
  const { examination, gpus } = facts
  if (examination.type === 'failed')
    return [
      failing(
        `llama.cpp does not start: ${examination.reason}`,
        gpus.length > 0
          ? 'update the graphics driver; if it stays, tell the developers the line above'
          : 'tell the developers the line above, with the system and processor (probe)',
      ),
    ]
  const { backend, devices, model, notes } = examination.report
  const on = backend === 'cpu' ? 'on the processor' : `on ${names[backend]}: ${devices.join(', ')}`
  if (model !== null && 'problem' in model)
    return [
      failing(
        `llama.cpp starts ${on}, but a small model does not run: ${model.problem}`,
        backend === 'cpu'
          ? 'free some memory and look again'
          : 'update the graphics driver and end other programs that use the GPU',
      ),
    ]
  const proof =
    model === null
      ? '; no model is here to compute with'
      : model.tokens === 0
        ? '; a small model was loaded'
        : backend === 'cpu'
          ? '; a small model made tokens'
          : `; a small model made tokens with ${model.gpuLayers} of its ${model.layers} layers on the GPU`
  const text = `llama.cpp runs ${on}${proof}`
  if (backend === 'cpu' && gpus.length > 0)
    return [
      failing(
        `${text}, and not on ${gpus.map(gpu => gpu.name).join(', ')}${notes.length > 0 ? ` (${notes[0]})` : ''}`,
        'put right what fails or warns above (driver, libraries, permissions), then look again',
      ),
    ]
  if (backend !== 'cpu' && model !== null && model.gpuLayers === 0)
    return [
      warning(
        `${text}: the model is not on the GPU`,
        'end other programs that use the memory of the GPU',
      ),
    ]
  return [ok(text)]
}

const names = { cuda: 'CUDA', metal: 'Metal', vulkan: 'Vulkan' } as const
