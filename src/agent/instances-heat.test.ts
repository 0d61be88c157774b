import { describe, expect, test } from 'bun:test'
import { newInstanceId } from '../protocol/ids.ts'
import { loadOf, assignOf, Bench, ready, startedEngine, brief } from './instances-for-tests.ts'

const a = newInstanceId()

describe('a GPU that is too hot', () => {
  const refusal = 'a GPU was above 95 °C; work goes on below 85 °C'
  const hot = (bench: Bench) => brief(bench.handle({ type: 'heat', refusal }))

  test('ends what runs and what waits, and takes nothing new until it has cooled', () => {
    const bench = new Bench()
    bench.ready(a)
    for (const stream of [1, 2, 3]) bench.order(assignOf(a, stream))
    expect(hot(bench)).toEqual([
      'cancel 1',
      'cancel 2',
      'failed 1 overheated',
      'failed 2 overheated',
      'failed 3 overheated',
    ])
    expect(brief(bench.order(assignOf(a, 4)))).toEqual(['failed 4 overheated'])
    expect(brief(bench.handle({ type: 'heat', refusal: null }))).toEqual([])
    expect(brief(bench.order(assignOf(a, 5)))).toEqual(['run 5'])
  })

  test('is no concern of a model that was loaded without it', () => {
    const bench = new Bench()
    bench.order({ ...loadOf(a), withoutGpu: true })
    bench.word(startedEngine(bench.fileReady(a)), ready)
    bench.order(assignOf(a, 1))
    expect(hot(bench)).toEqual([])
    expect(brief(bench.order(assignOf(a, 2)))).toEqual(['run 2'])
  })
})
