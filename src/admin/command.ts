import type { ApiClient } from './api-client.ts'

/** Where a command writes: `out` gets what a script wants and nothing else, `note` is for the person. */
export type Output = {
  readonly out: (text: string) => void
  readonly note: (text: string) => void
}

export type Option = {
  readonly type: 'string' | 'boolean'
  /** Placeholder of the value, for the help; absent for a switch. */
  readonly value?: string
  readonly what: string
}

export type Invocation = {
  readonly options: Readonly<Record<string, string | boolean | undefined>>
  readonly args: readonly string[]
  readonly api: ApiClient
  readonly output: Output
  readonly workingDir: string
}

/** Null: all went well. `wrongUsage` when the person has to write the command differently. */
export type Problem = { readonly problem: string; readonly wrongUsage?: true }

export type Command = {
  /** The words that name it, for example `keys create`. */
  readonly name: string
  /** Placeholders of its arguments; every one is required. */
  readonly args: readonly string[]
  readonly options: Readonly<Record<string, Option>>
  readonly summary: string
  readonly examples: readonly string[]
  run(invocation: Invocation): Promise<Problem | null>
}

export const jsonOption = {
  json: { type: 'boolean', what: 'print JSON' },
} as const satisfies Record<string, Option>

export const wrongUsage = (problem: string): Problem => ({ problem, wrongUsage: true })

/** @returns the text of a string option; null when it was not given */
export const textOption = ({ options }: Invocation, name: string): string | null => {
  const value = options[name]
  return typeof value === 'string' ? value : null
}

/** @returns the number of an option, null when it was not given, or a problem */
export function countOption(invocation: Invocation, name: string): number | null | Problem {
  const text = textOption(invocation, name)
  if (text === null) return null
  return /^[1-9]\d{0,8}$/.test(text)
    ? Number(text)
    : wrongUsage(`--${name} is '${text}'; it must be a number from 1`)
}

/** JSON for scripts, the table for people. */
export function list<Row>(
  { options, output }: Invocation,
  rows: readonly Row[],
  table: (rows: readonly Row[]) => string,
): null {
  output.out(options['json'] === true ? `${JSON.stringify(rows, null, 2)}\n` : table(rows))
  return null
}
