import { Cluster, demoModel } from '../cluster.ts'
import { askedAnswers } from './answers.ts'
import type { SentFrame } from './gate-message.ts'
import { Gate } from './gate.ts'
import { ask, type Heard } from './heard.ts'
import { Machine } from './machine.ts'
import type { Build } from './other-build.ts'
import { ServerRecords } from './server-record.ts'

/**
 * Streams that a machine has at once, so that one loss cuts all of them. A batch of 32 and fewer is computed alike whatever
 * its size (see prefill.ts), so that company changes no answer.
 */
export const crowdMax = 32

/** An answer that nothing disturbed. */
export type Undisturbed = {
  readonly name: string
  readonly request: object
  readonly heard: Heard
  readonly tokens: number
  /** What the worker sent. */
  readonly frames: readonly SentFrame[]
}

/** One server and machines that are lost and come back, for as many runs as are wanted. */
export class TakeoverPool {
  readonly cluster: Cluster
  readonly gate: Gate
  readonly records: ServerRecords
  readonly machines: ReadonlyMap<string, Machine>
  /** What clients were told that they used, all together. */
  #tokensTold = 0
  #asked = 0

  private constructor(cluster: Cluster, gate: Gate, machines: readonly Machine[]) {
    this.cluster = cluster
    this.gate = gate
    this.records = new ServerRecords(cluster.server)
    this.machines = new Map(machines.map(machine => [machine.name, machine]))
  }

  /** @param builds of each machine's engine, by the machine's name */
  static async start(builds: Readonly<Record<string, Build>>): Promise<TakeoverPool> {
    const cluster = await Cluster.start()
    const gate = new Gate(cluster.folder)
    await cluster.addDemoModel({ slots: crowdMax, contextTokens: 512 })
    const machines: Machine[] = []
    for (const [name, build] of Object.entries(builds))
      machines.push(await Machine.start(cluster, name, { gatePath: gate.path, build }))
    return new TakeoverPool(cluster, gate, machines)
  }

  async close(): Promise<void> {
    for (const machine of this.machines.values()) await machine.line.close()
    await this.cluster.close()
    this.gate.close()
  }

  async ask(request: object): Promise<Heard> {
    const heard = await ask(this.cluster, { model: demoModel, ...request })
    this.#tokensTold += heard.usage?.completion_tokens ?? 0
    this.#asked++
    return heard
  }

  /** Each answer once, alone on one machine. */
  async undisturbed(): Promise<readonly Undisturbed[]> {
    const answers: Undisturbed[] = []
    for (const { name, request } of askedAnswers) {
      const begun = this.gate.nextStream(null)
      const heard = await this.ask(request)
      const frames = await this.gate.ended(await begun)
      answers.push({ name, request, heard, tokens: heard.usage?.completion_tokens ?? 0, frames })
    }
    return answers
  }

  machine(name: string): Machine {
    const machine = this.machines.get(name)
    if (machine === undefined) throw new Error(`there is no machine ${name}`)
    return machine
  }

  /** Ends all machines but one, which is started if need be. */
  async leaveOnly(name: string): Promise<void> {
    for (const machine of this.machines.values()) if (machine.name !== name) await machine.end()
    const machine = this.machine(name)
    if (machine.hasEnded) await machine.restart()
  }

  /** Has the other machines load the model. */
  async loadBeside(machines: readonly Machine[]): Promise<void> {
    for (const machine of this.machines.values())
      if (!machines.includes(machine))
        await this.cluster.admin('POST', `/admin/models/${demoModel}/load`, {
          agentId: machine.id,
        })
  }

  /** Resolves when the server has accepted so many tokens since it started. */
  async accepted(tokens: number): Promise<void> {
    while ((await this.acceptedTokens()) < tokens);
  }

  async acceptedTokens(): Promise<number> {
    const text = await (await this.cluster.request('GET', '/metrics')).text()
    return Number(/^gpupool_tokens_relayed (\d+)$/m.exec(text)?.[1])
  }

  /** The ledger, beside what all clients together were told. */
  async ledger(): Promise<{ readonly stored: Sums; readonly told: Sums }> {
    const { data } = await this.cluster.admin<{ data: readonly Sums[] }>('GET', '/admin/usage')
    const sum = (of: (row: Sums) => number) => data.reduce((all, row) => all + of(row), 0)
    return {
      stored: {
        requests: sum(row => row.requests),
        completionTokens: sum(row => row.completionTokens),
      },
      told: { requests: this.#asked, completionTokens: this.#tokensTold },
    }
  }
}

type Sums = { readonly requests: number; readonly completionTokens: number }
