import { FrameReader, frameKindJson } from '../src/agent/worker/frames.ts'
import { dieWithParent, takeFrameOutput } from '../src/agent/worker/native-process.ts'
import { decodeWorkerRequest, type WorkerRequest } from '../src/agent/worker/worker-message.ts'
import { createWorkerOutput } from '../src/agent/worker/worker-output.ts'
import { encodeTokenFrame, type Segment } from '../src/protocol/token-frame.ts'
import { continuedText, paceAnswer, tokenText } from './relay/paced-answer.ts'

/*
 * Stands in for src/agent/worker/main.ts and speaks its protocol on the same pipes, but computes nothing: every job is
 * answered with `maxTokens` equal tokens, one every `top_p` seconds (a mock has no other use for it, and the server
 * passes it on as it came). It goes on with what another agent began, at once and in other words: its prefill takes no time.
 */

const output = createWorkerOutput(takeFrameOutput())
dieWithParent()

const running = new Map<string, () => void>()
const segments: readonly Segment[] = [{ kind: 'answer', text: tokenText }]
const continuedSegments: readonly Segment[] = [{ kind: 'answer', text: continuedText }]
const promptSha256 = '0'.repeat(64)
const tokenId = 1

function run({
  stream,
  attempt,
  chat,
  continuation,
}: Extract<WorkerRequest, { type: 'run' }>): void {
  const tokens = chat.maxTokens ?? 1
  const from = continuation?.tokenIds.length ?? 0
  const text = continuation === null ? segments : continuedSegments
  const job = `${stream}/${attempt}`
  output.say({ type: 'started', stream, attempt, promptTokens: 1, promptSha256 })
  let ended = false
  const stop = paceAnswer(
    { tokens, intervalMs: chat.sampling.topP * 1_000, from },
    index => {
      output.sendTokenFrame(
        encodeTokenFrame({ stream, attempt, choice: 0, index, tokenId, segments: text }),
      )
    },
    () => {
      ended = true
      running.delete(job)
      output.say({ type: 'finished', stream, attempt, reason: 'length', tokens })
    },
  )
  if (!ended) running.set(job, stop)
}

function handle(request: WorkerRequest): void {
  switch (request.type) {
    case 'load': {
      const { contextTokens, slots } = request
      output.say({ type: 'ready', contextTokens, slots, loadMs: 0 })
      return
    }
    case 'run':
      run(request)
      return
    case 'cancel': {
      const job = `${request.stream}/${request.attempt}`
      running.get(job)?.()
      running.delete(job)
      return
    }
    case 'embed':
    case 'ask_statistics':
    case 'measure':
      throw new Error('a mock computes nothing')
  }
}

const reader = new FrameReader()
for await (const chunk of Bun.stdin.stream()) {
  const problem = reader.push(chunk, frame => {
    const request =
      frame.kind === frameKindJson ? decodeWorkerRequest(frame.payload) : 'only JSON comes in here'
    if (typeof request === 'string') throw new Error(request)
    handle(request)
  })
  if (problem !== null) throw new Error(problem)
}
process.exit(0)
