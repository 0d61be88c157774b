import { expect, test } from 'bun:test'
import { ManualTime } from '../../../test/support/manual-time.ts'
import { demoModelPath } from '../demo-model.ts'
import { processTimers } from '../timers.ts'
import { examineWorker } from './examine-worker.ts'
import { sourceWorker } from './llama-engine.ts'

/** A worker that runs these lines instead of ours. */
const scripted = (code: string) => ({
  command: [process.execPath, '-e', code],
  directory: import.meta.dir,
  environment: {},
})
const report = { backend: 'cpu', devices: [], notes: [], model: null }

test('the real worker loads the engine and computes with the demo model', async () => {
  const model = demoModelPath()
  expect(model).not.toBeNull()
  const examined = await examineWorker(sourceWorker, model, processTimers, 60_000)
  expect(examined).toMatchObject({
    type: 'report',
    report: { model: { layers: 7, tokens: 4 }, devices: expect.any(Array) },
  })
}, 60_000)

test('a model that does not load is in the report, which comes all the same', async () => {
  const examined = await examineWorker(sourceWorker, import.meta.path, processTimers, 60_000)
  expect(examined).toMatchObject({
    type: 'report',
    report: { model: { problem: expect.any(String) } },
  })
}, 60_000)

test('what a driver prints before or after the report is passed over', async () => {
  const line = JSON.stringify(report)
  const code = `console.log('{"driver": 1}'); console.log('${line}'); console.log('bye {')`
  expect(await examineWorker(scripted(code), null, processTimers, 60_000)).toEqual({
    type: 'report',
    report,
  } as never)
})

test('a worker that crashes is a reason with its last words', async () => {
  const code = "console.error('no such device'); process.kill(process.pid, 'SIGKILL')"
  const examined = await examineWorker(scripted(code), null, processTimers, 60_000)
  expect(examined).toMatchObject({
    type: 'failed',
    reason: expect.stringMatching(/SIGKILL.*no such device/),
  })
})

test('a worker that hangs is killed at the deadline', async () => {
  const time = new ManualTime(0)
  const examining = examineWorker(
    scripted('setInterval(() => {}, 1000)'),
    null,
    { after: time.startTimer },
    60_000,
  )
  time.advance(60_000)
  expect(await examining).toEqual({ type: 'failed', reason: 'no answer within 60 s' })
})

test('a program that is not there is a reason', async () => {
  const nothing = { command: ['/nothing/here'], directory: '/', environment: {} }
  expect(await examineWorker(nothing, null, processTimers, 60_000)).toMatchObject({
    type: 'failed',
    reason: expect.stringContaining('does not start'),
  })
})
