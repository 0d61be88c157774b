import { expect, test } from 'bun:test'
import { runCommand } from './machine-command.ts'

test('what a program printed is handed back, whatever it ended with', async () => {
  expect(await runCommand(['sh', '-c', 'echo known; exit 3'], 5_000)).toEqual({
    type: 'answer',
    stdout: 'known\n',
    status: 3,
  })
})

test('a program that is not there is no failure', async () => {
  expect(await runCommand(['gpupool-no-such-program'], 5_000)).toEqual({ type: 'absent' })
})

test('a program that hangs is ended at the limit', async () => {
  const answer = await runCommand(['sh', '-c', 'exec tail -f /dev/null'], 50)
  expect(answer).toMatchObject({ type: 'failed', reason: expect.stringContaining('0.05 s') })
})
