import { join } from 'node:path'
import {
  lineOf,
  LineReader,
  type Attempt,
  type GateWord,
  type SentFrame,
  type StopAt,
  type WorkerWord,
} from './gate-message.ts'

/** An attempt that a worker has begun. */
export type Begun = Attempt & {
  readonly machine: string
  readonly workerPid: number
  /** Of the attempts before. */
  readonly tokenIds: readonly number[]
}

type Place = {
  readonly begun: PromiseWithResolvers<Begun>
  readonly standing: PromiseWithResolvers<void>
  readonly ended: PromiseWithResolvers<readonly SentFrame[]>
  /** Tells the worker where to go from where it stands; null: it does not stand. */
  go: ((stopAt: StopAt) => void) | null
}

type Line = { readonly reader: LineReader<WorkerWord>; machine: string; pid: number }

/**
 * The test's end of the gate: where every attempt of every stream stops, and when it goes on. Everything here is an event of
 * a worker; nothing looks at a clock.
 */
export class Gate {
  readonly path: string
  readonly #server: Bun.UnixSocketListener<Line>
  readonly #places = new Map<string, Place>()
  /** Stops that were asked for before their attempt began. */
  readonly #stops = new Map<string, StopAt>()
  /** Who waits for the next stream's first attempt, with the place where it is to stop. */
  #next: { readonly stopAt: StopAt; readonly found: (begun: Begun) => void } | null = null

  constructor(folder: string) {
    this.path = join(folder, 'gate.sock')
    this.#server = Bun.listen<Line>({
      unix: this.path,
      socket: {
        open: socket => {
          socket.data = { reader: new LineReader(), machine: '', pid: 0 }
        },
        data: (socket, bytes) => {
          for (const word of socket.data.reader.push(bytes)) this.#hear(socket, word)
        },
      },
    })
  }

  close(): void {
    this.#server.stop(true)
  }

  /** The next first attempt that begins, of a request that is sent only after this call. It stops at `stopAt`. */
  nextStream(stopAt: StopAt): Promise<Begun> {
    if (this.#next !== null) throw new Error('somebody waits for a stream already')
    const { promise, resolve } = Promise.withResolvers<Begun>()
    this.#next = { stopAt, found: resolve }
    return promise
  }

  /** Where an attempt that has not begun is going to stop. */
  stopLater(attempt: Attempt, stopAt: StopAt): void {
    this.#stops.set(keyOf(attempt), stopAt)
  }

  begun(attempt: Attempt): Promise<Begun> {
    return this.#place(attempt).begun.promise
  }

  standing(attempt: Attempt): Promise<void> {
    return this.#place(attempt).standing.promise
  }

  /** @returns what it sent */
  ended(attempt: Attempt): Promise<readonly SentFrame[]> {
    return this.#place(attempt).ended.promise
  }

  /** Lets an attempt go on, if it stands. */
  go(attempt: Attempt, stopAt: StopAt = null): void {
    const place = this.#place(attempt)
    const { go } = place
    place.go = null
    go?.(stopAt)
  }

  #hear(socket: Bun.Socket<Line>, word: WorkerWord): void {
    switch (word.say) {
      case 'here':
        Object.assign(socket.data, { machine: word.machine, pid: word.pid })
        return
      case 'begun':
        this.#begin(socket, word)
        return
      case 'standing': {
        const place = this.#place(word)
        place.go = stopAt => socket.write(lineOf(gateWord(word, stopAt)))
        place.standing.resolve()
        return
      }
      case 'ended':
        this.#place(word).ended.resolve(word.frames)
    }
  }

  #begin(socket: Bun.Socket<Line>, word: Extract<WorkerWord, { say: 'begun' }>): void {
    const { stream, attempt, tokenIds } = word
    const { machine, pid } = socket.data
    const begun = { stream, attempt, tokenIds, machine, workerPid: pid }
    let stopAt = this.#stops.get(keyOf(word)) ?? null
    if (attempt === 0 && this.#next !== null) {
      const { found } = this.#next
      ;({ stopAt } = this.#next)
      this.#next = null
      found(begun)
    }
    this.#place(word).begun.resolve(begun)
    socket.write(lineOf(gateWord(word, stopAt)))
  }

  #place(attempt: Attempt): Place {
    const key = keyOf(attempt)
    const known = this.#places.get(key)
    if (known !== undefined) return known
    const place: Place = {
      begun: Promise.withResolvers(),
      standing: Promise.withResolvers(),
      ended: Promise.withResolvers(),
      go: null,
    }
    this.#places.set(key, place)
    return place
  }
}

const keyOf = ({ stream, attempt }: Attempt): string => `${stream}/${attempt}`

const gateWord = ({ stream, attempt }: Attempt, stopAt: StopAt): GateWord => ({
  stream,
  attempt,
  stopAt,
})
