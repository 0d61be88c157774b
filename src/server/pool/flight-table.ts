import type { AgentId, InstanceId, JobId } from '../../protocol/ids.ts'
import type { Departure, Flight } from './flight.ts'

/** All jobs that run or wait, and vectors on their way, since they are kept until the end. */
export const bytesInFlightMax = 512 * 1024 * 1024
/** Stream numbers are 32 bits on the wire and are used again after they wrap. */
const streamsMax = 2 ** 32

/** An attempt of a flight, as it was at some moment. */
export type Leg = { readonly flight: Flight; readonly attempt: number }

/** Every request in flight, by job and by the number that its stream has on the wire. */
export class FlightTable {
  readonly #byJob = new Map<JobId, Flight>()
  readonly #byStream = new Map<number, Flight>()
  #lastStream: number
  #bytes = 0

  /** @param firstStream where the numbers of streams begin */
  constructor(firstStream: number) {
    this.#lastStream = firstStream
  }

  get size(): number {
    return this.#byJob.size
  }

  [Symbol.iterator](): Iterator<Flight> {
    return this.#byJob.values()
  }

  hasRoomFor({ keptBytes }: Departure): boolean {
    return this.#bytes + keptBytes <= bytesInFlightMax
  }

  add(departure: Departure): Flight {
    const flight: Flight = {
      ...departure,
      stream: this.#newStream(),
      fallbacks: [],
      isCancelled: false,
    }
    this.#bytes += flight.keptBytes
    this.#byJob.set(flight.request.jobId, flight)
    this.#byStream.set(flight.stream, flight)
    return flight
  }

  remove(flight: Flight): void {
    this.#byJob.delete(flight.request.jobId)
    this.#byStream.delete(flight.stream)
    this.#bytes -= flight.keptBytes
  }

  ofJob(jobId: JobId): Flight | undefined {
    return this.#byJob.get(jobId)
  }

  /** What is on the wire under this number, if it is this agent's attempt: nobody may speak for another one. */
  heardFrom(
    agentId: AgentId,
    { stream, attempt }: { readonly stream: number; readonly attempt: number },
  ): Flight | undefined {
    const flight = this.#byStream.get(stream)
    return flight?.relay.isFrom(agentId, attempt) === true ? flight : undefined
  }

  /** The attempts that run on an agent, or on one instance of it. */
  legsOn(agentId: AgentId, instanceId?: InstanceId): readonly Leg[] {
    const legs: Leg[] = []
    for (const flight of this.#byJob.values()) {
      const attempt = flight.relay.attemptOn(agentId, instanceId)
      if (attempt !== null) legs.push({ flight, attempt })
    }
    return legs
  }

  /** Jobs that run on the agent with that model, and so in one worker. */
  jobsOn(agentId: AgentId, model: string): readonly JobId[] {
    const requests = this.legsOn(agentId).map(({ flight }) => flight.request)
    return requests.filter(request => request.model === model).map(({ jobId }) => jobId)
  }

  #newStream(): number {
    do this.#lastStream = (this.#lastStream + 1) % streamsMax
    while (this.#byStream.has(this.#lastStream))
    return this.#lastStream
  }
}
