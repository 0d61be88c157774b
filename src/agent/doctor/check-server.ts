import { says, type Finding } from './finding.ts'

/** What came of each step towards the server; null: not tried, because an earlier one failed. */
export type ServerFacts = {
  readonly host: string
  readonly name: Outcome | null
  readonly ports: readonly PortFacts[]
  readonly clock: ClockFacts
  readonly pool: PoolAnswer | null
}

/** A failed step has the reason in the system's words. */
export type Outcome = { readonly problem: string | null }

export type PortFacts = {
  readonly port: number
  readonly use: 'enrolment' | 'control'
  readonly reached: Outcome | null
  /** OpenSSL's name of what is wrong with the certificate, for example `CERT_HAS_EXPIRED`. */
  readonly trusted: Outcome | null
}

export type ClockFacts = {
  /** How far this machine's clock is ahead of the server's; null: the server did not tell. */
  readonly aheadMs: number | null
}

export type PoolAnswer =
  | { readonly type: 'accepted'; readonly models: number }
  | { readonly type: 'refused'; readonly message: string }
  /** A server from before there was a catalogue to ask for. */
  | { readonly type: 'older' }
  | { readonly type: 'unreachable'; readonly problem: string }

const minuteMs = 60_000
const hourMs = 60 * minuteMs

/** Every step of the way told apart, so that the first that fails names its cause. */
export function checkServer(facts: ServerFacts): readonly Finding[] {
  return [
    ...checkName(facts),
    ...facts.ports.map(port => checkPort(port, facts.host)),
    ...facts.ports.map(checkCertificate),
    checkClock(facts.clock),
    checkPool(facts.pool),
  ]
}

function checkName({ host, name }: ServerFacts): readonly Finding[] {
  const { ok, failing } = says('name')
  if (name === null) return []
  if (name.problem === null) return [ok(`${host} has an address`)]
  return [
    failing(
      `${host} has no address: ${name.problem}`,
      "check this machine's network and DNS; if the server has moved, ask its operator for a new join link",
    ),
  ]
}

function checkPort({ port, use, reached }: PortFacts, host: string): Finding {
  const { ok, skipped, failing } = says('ports')
  if (reached === null) return skipped(`port ${port} (${use}): the server has no address`)
  if (reached.problem === null) return ok(`port ${port} (${use}) is open`)
  const todo = /refused/i.test(reached.problem)
    ? `nothing listens there: is the server up? Ask its operator`
    : `a firewall is in between, or the server is off: outgoing TCP to ${host}:${port} must be allowed`
  return failing(`port ${port} (${use}) cannot be reached: ${reached.problem}`, todo)
}

function checkCertificate({ port, trusted }: PortFacts): Finding {
  const { ok, skipped, failing } = says('certificate')
  if (trusted === null) return skipped(`port ${port}: not reached`)
  if (trusted.problem === null) return ok(`port ${port}: it is the server of this pool`)
  return failing(
    `port ${port}: not verified: ${trusted.problem}`,
    certificateRemedy(trusted.problem),
  )
}

function certificateRemedy(problem: string): string {
  if (/NOT_YET_VALID|HAS_EXPIRED/.test(problem))
    return "set this machine's clock right (see the line about it); if it is right, the operator restarts the server, which renews its certificate"
  if (/ALTNAME/.test(problem))
    return 'the operator sets GPUPOOL_PUBLIC_URL to the name in the join link and restarts the server'
  if (/SIGNATURE|ISSUER|SELF_SIGNED|VERIFY/.test(problem))
    return 'this is another server than the one that was joined, or it was set up anew: run "leave" and join with a new link; if nothing was changed, somebody is in between'
  return 'ask the operator whether a gpupool server listens there, and whether a proxy opens TLS on the way'
}

/** The agent itself takes no time from this clock but for certificates, which are valid from one time to another. */
function checkClock({ aheadMs }: ClockFacts): Finding {
  const { ok, warning, failing, skipped } = says('clock')
  if (aheadMs === null) return skipped('the server did not tell the time')
  const off = Math.abs(aheadMs)
  if (off < minuteMs) return ok("within a minute of the server's")
  const direction = aheadMs > 0 ? 'ahead of' : 'behind'
  const text = `${duration(off)} ${direction} the server's`
  const todo = 'turn on time synchronisation (Linux: timedatectl set-ntp true)'
  return off < hourMs
    ? warning(`${text}; the pool does not use it, and certificates are still accepted`, todo)
    : failing(
        `${text}: certificates can look expired or not valid yet, and the connection is refused then`,
        todo,
      )
}

function checkPool(pool: PoolAnswer | null): Finding {
  const { ok, skipped, failing } = says('pool')
  switch (pool?.type) {
    case undefined:
      return skipped('the server was not reached, or not verified: it was told nothing')
    case 'accepted':
      return ok(
        `it knows this machine; ${pool.models} ${pool.models === 1 ? 'model' : 'models'} in its catalogue`,
      )
    case 'older':
      return skipped('the server is older than this agent and does not tell its catalogue')
    case 'refused':
      return failing(
        `it does not accept this machine: ${pool.message}`,
        'ask the operator whether the machine is approved; if it was removed, run "leave" and join with a new link',
      )
    case 'unreachable':
      return failing(`no answer: ${pool.problem}`, "the server's log says more; ask its operator")
  }
}

function duration(ms: number): string {
  const minutes = Math.round(ms / minuteMs)
  if (minutes < 120) return `${minutes} min`
  const hours = Math.round(ms / hourMs)
  return hours < 48 ? `${hours} h` : `${Math.round(hours / 24)} days`
}
