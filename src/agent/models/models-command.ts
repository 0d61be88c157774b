import { pino } from 'pino'
import { wallClock } from '../../clock.ts'
import { takeAgentLock } from '../agent-lock.ts'
import { askLocal, localControlPath } from '../local-control.ts'
import { ModelShelf } from '../model-shelf.ts'
import { modelsDirOf, prepareStateDir, StateError } from '../state-dir.ts'
import { formatModels } from './format-models.ts'
import {
  answerShelf,
  encodeShelfRequest,
  parseShelfAnswer,
  type ShelfAnswer,
  type ShelfRequest,
} from './shelf-request.ts'

export type ModelsCommand = { readonly remove: string | null; readonly json: boolean }

/**
 * `models` and `models rm`: what a running agent says and does, else what this process finds and does itself.
 * @returns the exit code
 * @throws StateError when the running agent cannot be asked
 */
export async function modelsCommand(command: ModelsCommand, dir: string): Promise<number> {
  const { remove, json } = command
  const answer = await ask(remove === null ? { list: true } : { remove }, dir)
  if (json) process.stdout.write(`${JSON.stringify(answer)}\n`)
  else if (answer.problem !== null) process.stderr.write(`${answer.problem}\n`)
  else if (remove === null) process.stdout.write(formatModels(answer.models, modelsDirOf(dir)))
  else
    for (const { name, sha256 } of answer.models)
      process.stdout.write(`removed ${name ?? '(name unknown)'} ${sha256.slice(0, 12)}\n`)
  return answer.problem === null ? 0 : 1
}

async function ask(request: ShelfRequest, dir: string): Promise<ShelfAnswer> {
  const line = encodeShelfRequest(request)
  const text = await askLocal(localControlPath(dir), line)
  if (text !== undefined) {
    const answer = parseShelfAnswer(text)
    if (answer === undefined) throw new StateError('the running agent answers another language')
    return answer
  }
  const shelf = new ModelShelf({
    modelsDir: modelsDirOf(dir),
    budgetBytes: null,
    inUse: () => new Set(),
    wallClock,
    log: pino({ level: 'silent' }),
  })
  if ('list' in request) return await answered(shelf, line)
  // An agent that starts now must not load what goes.
  prepareStateDir(dir)
  const held = takeAgentLock(dir)
  if ('ownerPid' in held)
    return { models: [], problem: 'the agent is just starting or stopping; try again' }
  try {
    return await answered(shelf, line)
  } finally {
    held.lock.release()
  }
}

async function answered(shelf: ModelShelf, line: string): Promise<ShelfAnswer> {
  const answer = await answerShelf(shelf, line)
  return answer ?? { models: [], problem: 'a name has 1 to 200 characters' }
}
