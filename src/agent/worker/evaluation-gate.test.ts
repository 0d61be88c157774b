import { expect, test } from 'bun:test'
import { EvaluationGate } from './evaluation-gate.ts'

test('running jobs pause while one changes its cache, and go on after the last change', async () => {
  const gate = new EvaluationGate()
  gate.enter()
  gate.enter()
  await gate.pass()
  const changes = [Promise.withResolvers<void>(), Promise.withResolvers<void>()]
  const done = changes.map(({ promise }) => gate.change(() => promise))
  let passed = false
  const pass = gate.pass().then(() => {
    passed = true
  })
  expect(gate.running).toBe(1)
  changes[0]?.resolve()
  await done[0]
  expect(passed).toBe(false)
  changes[1]?.resolve()
  await Promise.all([...done, pass])
  expect(passed).toBe(true)
  expect(gate.running).toBe(2)
  gate.leave()
  expect(gate.running).toBe(1)
})

test('a change that fails opens the gate', async () => {
  const gate = new EvaluationGate()
  expect(await gate.change(() => Promise.reject(new Error('broken'))).catch(String)).toContain(
    'broken',
  )
  await gate.pass()
})
