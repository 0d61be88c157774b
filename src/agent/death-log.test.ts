import { describe, expect, test } from 'bun:test'
import { newJobId, type JobId } from '../protocol/ids.ts'
import {
  becameReady,
  blame,
  jobFinished,
  noDeaths,
  noteDeath,
  type Death,
  type DeathLog,
} from './death-log.ts'

const [a, b, c] = [newJobId(), newJobId(), newJobId()] as const
const atWork = (...jobs: JobId[]): Death => ({ during: 'work', jobs: new Set(jobs) })
const loading: Death = { during: 'load', jobs: new Set() }

const judge = (deaths: readonly Death[], log: DeathLog = noDeaths) =>
  blame(deaths.reduce(noteDeath, log))

describe('a worker that dies', () => {
  test('twice while it loads a file that was never in memory: the file is to blame', () => {
    expect(judge([loading])).toBeNull()
    expect(judge([loading, loading])).toContain('2 times while it was loaded')
    expect(judge([loading, loading, loading], becameReady(noDeaths))).toBeNull()
    expect(judge([loading], becameReady(noteDeath(noDeaths, loading)))).toBeNull()
  })

  test('at the first jobs of two requests: the file is to blame', () => {
    expect(judge([atWork(a)])).toBeNull()
    expect(judge([atWork(a), atWork(b)])).toContain('at other requests')
    expect(judge([atWork(a, b), atWork(c)])).toContain('at other requests')
  })

  test('each time with the same request: the request may be to blame, so the file is not', () => {
    expect(judge([atWork(a), atWork(a), atWork(a)])).toBeNull()
    expect(judge([atWork(a, b), atWork(b, c)])).toBeNull()
  })

  test('after a finished job, or with nothing to do: the file is not to blame', () => {
    expect(judge([atWork(b), atWork(c)], jobFinished(noteDeath(noDeaths, atWork(a))))).toBeNull()
    expect(judge([atWork(), atWork(), atWork()])).toBeNull()
  })
})
