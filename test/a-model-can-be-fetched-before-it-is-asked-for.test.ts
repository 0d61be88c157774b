import { afterAll, beforeAll, expect, test } from 'bun:test'
import { createHash } from 'node:crypto'
import { readFileSync } from 'node:fs'
import { Cluster, demoModel, demoModelPath } from './support/cluster.ts'
import { Program } from './support/program.ts'

let cluster: Cluster
let env: Readonly<Record<string, string>>

beforeAll(async () => {
  cluster = await Cluster.start()
  await cluster.addDemoModel()
  env = await cluster.joinAgent('laptop')
}, 60_000)
afterAll(() => cluster.close())

const hashOf = (path: string) => createHash('sha256').update(readFileSync(path)).digest('hex')

async function pull(name: string) {
  const program = new Program('pull', ['src/agent/main.ts', 'models', 'pull', name], env)
  await program.line(line => line.endsWith('.gguf') || line.includes('no model'))
  const code = await program.exited
  const { output } = program
  return { code, output, path: output.split('\n').find(line => line.endsWith('.gguf')) ?? '' }
}

test('models pull fetches a model of the pool into the agent’s folder, and finds it there the next time', async () => {
  const first = await pull(demoModel)
  expect([first.code, first.output]).toEqual([0, expect.stringContaining('100 %')])
  const path = first.path
  expect(path).toStartWith(cluster.folder)
  expect(hashOf(path)).toBe(hashOf(demoModelPath))
  const again = await pull(demoModel)
  expect([again.code, again.path]).toEqual([0, path])
  expect(again.output).not.toContain('%')
  const unknown = await pull('nothing')
  expect(unknown.code).toBe(1)
  expect(unknown.output).toContain(`it has ${demoModel}`)
}, 60_000)
