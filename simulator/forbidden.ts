/** What would make a run depend on something else than its seed, by the object that has it. */
const sources: readonly (readonly [object, readonly string[]])[] = [
  [Date, ['now']],
  [performance, ['now']],
  [Math, ['random']],
  [crypto, ['randomUUID', 'getRandomValues']],
  [globalThis, ['setTimeout', 'setInterval', 'setImmediate', 'fetch']],
]

/** Runs `act`, within which nobody may read a clock, set a timer or draw a number that the seed does not know. */
export function forbidden<Result>(act: () => Result): Result {
  const restores: (() => void)[] = []
  for (const [owner, names] of sources)
    for (const name of names) {
      const own = Object.getOwnPropertyDescriptor(owner, name)
      Object.defineProperty(owner, name, {
        configurable: true,
        writable: true,
        value: () => {
          throw new Error(`${name} was used in a simulated world: time and chance are arguments`)
        },
      })
      restores.push(() => {
        if (own === undefined) Reflect.deleteProperty(owner, name)
        else Object.defineProperty(owner, name, own)
      })
    }
  try {
    return act()
  } finally {
    for (const restore of restores) restore()
  }
}
