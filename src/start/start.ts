/**
 * `npm start`: a whole pool on this machine, with a first answer. Also `--once "PROMPT"`: one answer on stdout and out.
 * Run by Bun, through bootstrap.mjs, in the repository's root.
 */
import { dirname } from 'node:path'
import { bringUp, demoModel, isRefusal, type Pool } from './bring-up.ts'
import { createCrew, type Crew } from './crew.ts'
import { explainHalt, invitation } from './endings.ts'
import { createHalt, type Halt } from './halt.ts'
import { claimOnceFolder } from './once-folder.ts'
import { helpText, parseOptions } from './options.ts'
import { dataDirOf, lastingPlace, oncePlace, type Place } from './place.ts'
import { createStory, type Story } from './story.ts'
import { streamAnswer } from './streamed-answer.ts'

const firstQuestion = 'What is a GPU pool?'
const outputTokensMax = 512
const noticeDeathMs = 300
const interruptedExitCode = { SIGHUP: 129, SIGINT: 130, SIGTERM: 143 } as const

/**
 * The first signal stops in order. Only a second SIGINT ends everything at once: it comes from the keyboard, while
 * a SIGTERM beside a SIGINT is the same Ctrl-C, passed on by the process around us.
 */
function listenForSignals(halt: Halt, crew: Crew): void {
  let interrupts = 0
  process.on('SIGINT', () => {
    interrupts++
    halt.with({ type: 'signal', signal: 'SIGINT' })
    if (interrupts < 2) return
    crew.kill()
    process.exit(interruptedExitCode.SIGINT)
  })
  for (const signal of ['SIGTERM', 'SIGHUP'] as const)
    process.on(signal, () => halt.with({ type: 'signal', signal }))
}

/** A reader that went away (`| head -1`) wants no more of the answer. */
const stopWhenNobodyReads = (halt: Halt): void =>
  void process.stdout.on('error', () => halt.with({ type: 'signal', signal: 'SIGTERM' }))

/** @returns null after a whole answer, else what went wrong */
async function answer(pool: Pool, prompt: string): Promise<string | null> {
  const question = { model: demoModel, prompt, outputTokensMax }
  const problem = await streamAnswer(pool.api, question, text => process.stdout.write(text))
  process.stdout.write('\n')
  return problem
}

type Run = {
  readonly place: Place
  readonly crew: Crew
  readonly halt: Halt
  readonly story: Story
}

type Ending =
  | { readonly type: 'finished'; readonly exitCode: number }
  | { readonly type: 'halted'; readonly wasUp: boolean }

/** Everything between start and stop. */
async function perform(run: Run, once: string | null): Promise<Ending> {
  const { halt, story } = run
  const failed = async (message: string): Promise<Ending> => {
    // A server that dies drops its connections a moment before its end is noticed, and its end explains more.
    await halt.orHalted(Bun.sleep(noticeDeathMs))
    if (halt.signal.aborted) return { type: 'halted', wasUp: false }
    story.say(message)
    return { type: 'finished', exitCode: 1 }
  }
  const pool = await bringUp(run)
  if (pool === undefined) return { type: 'halted', wasUp: false }
  if (isRefusal(pool)) return failed(pool.refused)
  if (once === null) process.stdout.write(`\n> ${firstQuestion}\n`)
  const problem = await answer(pool, once ?? firstQuestion)
  if (problem !== null) return failed(`no whole answer came: ${problem}`)
  if (once !== null) return { type: 'finished', exitCode: 0 }
  const logs = dirname(run.place.serverLog)
  process.stdout.write(invitation({ ...pool, model: demoModel, logs }))
  await halt.halted
  return { type: 'halted', wasUp: true }
}

/** Says why the run was halted. @returns the exit code */
async function explainEnding(run: Run, wasUp: boolean): Promise<number> {
  const { halt, place, story } = run
  const reason = await halt.halted
  story.say(explainHalt(reason, place))
  if (reason.type === 'died') return 1
  // Ctrl-C is how a pool that is up is ended; there is nothing wrong with it.
  return wasUp ? 0 : interruptedExitCode[reason.signal]
}

async function main(args: readonly string[]): Promise<number> {
  const options = parseOptions(args)
  if (options.type === 'help') {
    console.log(helpText)
    return 0
  }
  if (options.type === 'wrong') {
    console.error(options.message)
    return 2
  }
  const { once } = options
  const claimed = once === null ? undefined : claimOnceFolder(dataDirOf(process.env))
  const place = claimed ? oncePlace(process.env, claimed.path) : lastingPlace(process.env)
  const halt = createHalt()
  const crew = createCrew(halt)
  const run = { place, crew, halt, story: createStory(once !== null) }
  listenForSignals(halt, crew)
  stopWhenNobodyReads(halt)
  try {
    const ending = await perform(run, once)
    return ending.type === 'finished' ? ending.exitCode : await explainEnding(run, ending.wasUp)
  } finally {
    await crew.dismiss()
    claimed?.release()
  }
}

process.exit(await main(process.argv.slice(2)))
