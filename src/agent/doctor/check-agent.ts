import { says, type Finding } from './finding.ts'

export type AgentFacts =
  | {
      readonly type: 'running'
      readonly pid: number
      readonly connection: string
      readonly detail: string | null
    }
  | { readonly type: 'none' }
  /** Somebody has the lock of the state directory and does not answer. */
  | { readonly type: 'silent'; readonly pid: number | null; readonly reason: string }

const { ok, warning, failing } = says('agent')

export function checkAgent(facts: AgentFacts): readonly Finding[] {
  switch (facts.type) {
    case 'none':
      return [ok('none is running on this state directory')]
    case 'silent':
      return [
        failing(
          `one has the state directory (pid ${facts.pid ?? 'unknown'}) and does not answer: ${facts.reason}`,
          'end that process and start the agent again',
        ),
      ]
    case 'running': {
      const text = `one is running (pid ${facts.pid}), ${facts.connection.replace('_', ' ')}`
      const why = facts.detail === null ? '' : ` (${facts.detail})`
      return facts.connection === 'online'
        ? [ok(text)]
        : [warning(`${text}${why}`, 'it tries again by itself; the lines below say what is wrong')]
    }
  }
}
