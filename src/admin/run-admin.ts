import { parseArgs } from 'node:util'
import { nearestWord } from '../nearest-word.ts'
import { ApiClient } from './api-client.ts'
import type { Command, Invocation, Output, Problem } from './command.ts'
import { wrongUsage } from './command.ts'
import { agentCommands } from './commands/agents.ts'
import { eventCommands } from './commands/events.ts'
import { joinLinkCommands } from './commands/join-link.ts'
import { keyCommands } from './commands/keys.ts'
import { modelStayCommands } from './commands/model-stay.ts'
import { modelCommands } from './commands/models.ts'
import { queueCommands } from './commands/queue.ts'
import { usageCommands } from './commands/usage.ts'
import { findConnection } from './connection.ts'
import { commandHelp, overview } from './help.ts'

const commands: readonly Command[] = [
  ...joinLinkCommands,
  ...keyCommands,
  ...agentCommands,
  ...modelCommands,
  ...modelStayCommands,
  ...usageCommands,
  ...queueCommands,
  ...eventCommands,
]

/** 0: done. 1: it could not be done. 2: the command line is wrong. */
export type ExitCode = 0 | 1 | 2

export type Surroundings = {
  readonly env: Readonly<Record<string, string | undefined>>
  readonly workingDir: string
  readonly output: Output
}

/** Runs one admin command to its end. */
export async function runAdmin(
  argv: readonly string[],
  surroundings: Surroundings,
): Promise<ExitCode> {
  const { output } = surroundings
  const wantsHelp = argv.includes('--help') || argv.includes('-h')
  const words = argv.filter(word => !word.startsWith('-'))
  const command = findCommand(words)
  if (command === undefined) {
    const group = commands.filter(each => each.name.startsWith(`${words[0]} `))
    if (wantsHelp && (words.length === 0 || group.length > 0)) {
      output.out(overview(group.length > 0 ? group : commands))
      return 0
    }
    output.note(words.length === 0 ? overview(commands) : `${unknownCommand(words, group)}\n`)
    return 2
  }
  if (wantsHelp) {
    output.out(commandHelp(command))
    return 0
  }
  const problem = await runCommand(command, argv, surroundings)
  if (problem === null) return 0
  output.note(`error: ${problem.problem}\n`)
  if (problem.wrongUsage !== true) return 1
  output.note(`See: bun run admin ${command.name} --help\n`)
  return 2
}

const findCommand = (words: readonly string[]): Command | undefined =>
  commands.find(({ name }) => name.split(' ').every((word, index) => words[index] === word))

function unknownCommand(words: readonly string[], group: readonly Command[]): string {
  const written = words.slice(0, 2).join(' ')
  const names = commands.map(command => command.name)
  const meant = nearestWord(written, names) ?? nearestWord(words[0] ?? '', names)
  const known = group.map(each => each.name).join(', ')
  if (group.length > 0 && words.length === 1) return `error: say which of: ${known}`
  const hint = meant === null ? 'See: bun run admin --help' : `Did you mean: ${meant}?`
  return `error: there is no command '${written}'. ${hint}`
}

async function runCommand(
  command: Command,
  argv: readonly string[],
  { env, workingDir, output }: Surroundings,
): Promise<Problem | null> {
  const parsed = parseCommandLine(command, argv)
  if ('problem' in parsed) return parsed
  const connection = await findConnection(env)
  if ('problem' in connection) return connection
  return command.run({ ...parsed, api: new ApiClient(connection), output, workingDir })
}

function parseCommandLine(
  command: Command,
  argv: readonly string[],
): Pick<Invocation, 'options' | 'args'> | Problem {
  const { options, args } = command
  const unknown = argv
    .filter(word => word.startsWith('--'))
    .map(word => word.slice(2).split('=', 1)[0] ?? '')
    .find(name => !Object.hasOwn(options, name))
  if (unknown !== undefined) {
    const meant = nearestWord(unknown, Object.keys(options))
    return wrongUsage(
      `'${command.name}' has no option --${unknown}${meant === null ? '' : `; did you mean --${meant}?`}`,
    )
  }
  const config = Object.fromEntries(
    Object.entries(options).map(([name, { type }]) => [name, { type }]),
  )
  let parsed: ReturnType<typeof parseArgs>
  try {
    parsed = parseArgs({ args: [...argv], options: config, allowPositionals: true, strict: true })
  } catch (error) {
    // parseArgs reports what a person mistyped by throwing.
    return wrongUsage(error instanceof Error ? error.message : String(error))
  }
  const given = parsed.positionals.slice(command.name.split(' ').length)
  if (given.length < args.length)
    return wrongUsage(`${args.slice(given.length).join(' ')} is missing after '${command.name}'`)
  if (given.length > args.length)
    return wrongUsage(`'${given[args.length]}' is too much after '${command.name}'`)
  return { options: toPlain(parsed.values), args: given }
}

/** `parseArgs` also allows lists, which no option here is. */
const toPlain = (values: ReturnType<typeof parseArgs>['values']): Invocation['options'] =>
  Object.fromEntries(
    Object.entries(values).map(([name, value]) => [name, Array.isArray(value) ? undefined : value]),
  )
