import type { HaltReason } from './halt.ts'
import type { Place } from './place.ts'

const linesShown = 15

const lineCharsMax = 200

/** Log lines are JSON: people read the message, and the fields that come with it. */
export function readableLine(line: string): string {
  if (!line.startsWith('{')) return line
  try {
    const entry: unknown = JSON.parse(line)
    if (typeof entry !== 'object' || entry === null || !('msg' in entry)) return line
    const { msg, level: _level, time: _time, ...fields } = { level: '', time: '', ...entry }
    const rest = Object.entries(fields).map(([name, value]) => `${name}=${JSON.stringify(value)}`)
    return [String(msg), ...rest].join(' ').slice(0, lineCharsMax)
  } catch {
    // Half a line of JSON is shown as it is.
    return line
  }
}

/** What is said when a run ends before its work was done. */
export function explainHalt(reason: HaltReason, place: Place): string {
  if (reason.type === 'signal') return 'Stopping …'
  const lines = reason.process.lastLines()
  // The server ends with 2 for settings and ports, and has said so in plain words.
  const plain = lines.filter(line => !line.startsWith('{'))
  if (reason.code === 2 && plain.length > 0) return plain.join('\n')
  return [
    `The ${reason.process.name} ended unexpectedly (exit code ${reason.code}). Its last lines:`,
    ...lines.slice(-linesShown).map(line => `  ${readableLine(line)}`),
    `All of it: ${reason.process.name === 'server' ? place.serverLog : place.agentLog}`,
  ].join('\n')
}

/** What a pool that stays up offers, once it is up. */
export function invitation(pool: {
  readonly apiUrl: string
  readonly adminKey: string
  readonly model: string
  readonly logs: string
}): string {
  const { apiUrl, adminKey, model, logs } = pool
  const body = JSON.stringify({
    model,
    stream: true,
    messages: [{ role: 'user', content: 'How do agents connect?' }],
  })
  return `
The pool is up. Ctrl-C stops it.

  API      ${apiUrl}/v1   (base URL for any OpenAI client)
  Swagger  ${apiUrl}/swagger
  Metrics  ${apiUrl}/metrics
  Logs     ${logs}

Ask it yourself, in another terminal:

curl -N ${apiUrl}/v1/chat/completions \\
  -H 'Authorization: Bearer ${adminKey}' \\
  -H 'Content-Type: application/json' \\
  -d '${body}'
`
}
