/** Classes of requests that wait for the same model, first to last. */
export const priorities = ['high', 'normal', 'low'] as const
export type Priority = (typeof priorities)[number]
