import { worldBegins, type World } from './world.ts'

/** What a world has been through, for people: a line for everything that is worth telling. */
export class Story {
  readonly #world: World
  readonly #tell: ((line: string) => void) | null

  /** @param tell gets each line; null: nobody listens */
  constructor(world: World, tell: ((line: string) => void) | null) {
    this.#world = world
    this.#tell = tell
  }

  /** @param what is put together only if somebody listens */
  tell(who: string, what: () => string): void {
    if (this.#tell === null) return
    const at = timeOfDay(this.#world.now() - worldBegins)
    this.#tell(`${at}  ${who.padEnd(10)} ${what()}`)
  }
}

/** Hours, minutes, seconds and milliseconds since the world began. */
function timeOfDay(ms: number): string {
  const part = (value: number, digits = 2) => String(Math.floor(value)).padStart(digits, '0')
  const time = [ms / 3_600_000, (ms / 60_000) % 60, (ms / 1_000) % 60].map(value => part(value))
  return `${time.join(':')}.${part(ms % 1_000, 3)}`
}
