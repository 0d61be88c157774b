/** Items of one commit, some 200 KB of JSON. */
export const itemsPerCommitMax = 500

export type GroupCommitDeps<Item> = {
  /** Stores all of them or none. */
  readonly commit: (items: readonly Item[]) => Promise<void>
  /** Resolves when the next commit may begin after one of several items began. */
  readonly pause: () => Promise<void>
}

/**
 * One commit for everything that has come while the one before was written: hundreds of streams that end together wait for
 * two commits and not for hundreds. When a commit fails, each of its items is tried alone, so that one that cannot be
 * stored does not take the others along.
 *
 * A commit costs as much as some ten of its items, so where several come at a time the next one waits a little for more of
 * them. Whoever comes alone never waits.
 *
 * @returns stores one item; resolves when its commit is done
 */
export function groupCommit<Item>({
  commit,
  pause,
}: GroupCommitDeps<Item>): (item: Item) => Promise<void> {
  type Waiting = { readonly item: Item; readonly done: PromiseWithResolvers<void> }
  let waiting: Waiting[] = []
  let committing = false
  const commitBatch = (batch: readonly Waiting[]) =>
    commit(batch.map(({ item }) => item)).then(
      () => batch.forEach(({ done }) => done.resolve()),
      () =>
        Promise.all(batch.map(({ item, done }) => commit([item]).then(done.resolve, done.reject))),
    )
  const commitAll = async () => {
    committing = true
    while (waiting.length > 0) {
      const batch = waiting.slice(0, itemsPerCommitMax)
      waiting = waiting.slice(batch.length)
      const paused = batch.length > 1 && waiting.length === 0 ? pause() : null
      await commitBatch(batch)
      await paused
    }
    committing = false
  }
  return item => {
    const done = Promise.withResolvers<void>()
    waiting.push({ item, done })
    if (!committing) void commitAll()
    return done.promise
  }
}
