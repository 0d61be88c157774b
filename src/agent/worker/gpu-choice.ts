/** Tells a worker which builds of llama.cpp the machine's drivers break: names with commas between them. */
export const avoidBackendsVariable = 'GPUPOOL_WORKER_AVOID_BACKENDS'

const excludable = ['metal', 'cuda', 'vulkan'] as const

/**
 * What node-llama-cpp is to choose from: the best build that works here, without those that must not be used.
 * @param environment the worker's own
 */
export function gpuChoice(environment: Readonly<Record<string, string | undefined>>) {
  const avoided = (environment[avoidBackendsVariable] ?? '').split(',')
  return { type: 'auto', exclude: excludable.filter(backend => avoided.includes(backend)) } as const
}
