import { expect, test } from 'bun:test'
import { groupCommit, itemsPerCommitMax } from './group-commit.ts'

function setUp() {
  const commits: {
    readonly items: readonly number[]
    readonly done: PromiseWithResolvers<void>
  }[] = []
  const pauses: PromiseWithResolvers<void>[] = []
  const settled: number[] = []
  const failed: number[] = []
  const store = groupCommit<number>({
    commit: items => {
      const done = Promise.withResolvers<void>()
      commits.push({ items, done })
      return done.promise
    },
    pause: () => {
      const pause = Promise.withResolvers<void>()
      pauses.push(pause)
      return pause.promise
    },
  })
  const add = (...items: readonly number[]) => {
    for (const item of items)
      void store(item).then(
        () => settled.push(item),
        () => failed.push(item),
      )
  }
  /** Everything that follows without a commit or a pause ending has happened. */
  const quiet = () => new Promise<void>(resolve => setImmediate(resolve))
  return { commits, pauses, settled, failed, add, quiet }
}

test('what comes during a commit goes into the next one, and each item settles with its own', async () => {
  const { commits, settled, add, quiet } = setUp()
  add(1, 2, 3)
  expect(commits.map(({ items }) => items)).toEqual([[1]])
  commits[0]?.done.resolve()
  await quiet()
  expect(settled).toEqual([1])
  expect(commits.map(({ items }) => items)).toEqual([[1], [2, 3]])
  commits[1]?.done.resolve()
  await quiet()
  expect(settled).toEqual([1, 2, 3])
})

test('items that come one at a time never wait', async () => {
  const { commits, pauses, add, quiet } = setUp()
  for (let item = 0; item < 5; item++) {
    add(item)
    expect(commits).toHaveLength(item + 1)
    commits[item]?.done.resolve()
    await quiet()
  }
  expect(pauses).toEqual([])
})

test('after a commit of several the next one waits for its pause, which began with that commit', async () => {
  const { commits, pauses, settled, add, quiet } = setUp()
  add(1, 2, 3)
  commits[0]?.done.resolve()
  await quiet()
  expect(pauses).toHaveLength(1)
  commits[1]?.done.resolve()
  await quiet()
  add(4, 5)
  await quiet()
  expect(settled).toEqual([1, 2, 3])
  expect(commits).toHaveLength(2)
  pauses[0]?.resolve()
  await quiet()
  expect(commits[2]?.items).toEqual([4, 5])
})

test('a commit takes so many items and no more, and the rest does not wait for a pause', async () => {
  const { commits, pauses, add, quiet } = setUp()
  const many = Array.from({ length: itemsPerCommitMax + 1 }, (_, i) => i + 1)
  add(0, ...many)
  commits[0]?.done.resolve()
  await quiet()
  expect(commits[1]?.items).toHaveLength(itemsPerCommitMax)
  commits[1]?.done.resolve()
  await quiet()
  expect(commits[2]?.items).toEqual([itemsPerCommitMax + 1])
  expect(pauses).toEqual([])
})

test('when a commit fails each of its items is tried alone', async () => {
  const { commits, settled, failed, add, quiet } = setUp()
  add(1, 2, 3)
  commits[0]?.done.resolve()
  await quiet()
  commits[1]?.done.reject(new Error('one of them is bad'))
  await quiet()
  expect(commits.slice(2).map(({ items }) => items)).toEqual([[2], [3]])
  commits[2]?.done.reject(new Error('this one'))
  commits[3]?.done.resolve()
  await quiet()
  expect(settled).toEqual([1, 3])
  expect(failed).toEqual([2])
})
