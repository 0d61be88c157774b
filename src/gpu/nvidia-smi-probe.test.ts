import { afterAll, describe, expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { createNvidiaSmiProbe, createNvidiaSmiSource } from './nvidia-smi-probe.ts'
import { createRunNvidiaSmi, findNvidiaSmi, type RunNvidiaSmi } from './nvidia-smi-run.ts'

const fixture = (name: string) =>
  readFileSync(join(import.meta.dir, 'fixtures', 'nvidia', name), 'utf8')

const answer = (text: string, status = 0) => ({ type: 'answer', text, status }) as const

/** A driver that knows some fields of the query, as drivers do: it refuses all when it does not know one. */
function driverWith(knownFields: readonly string[], asked: string[][]): RunNvidiaSmi {
  return args => {
    const fields = args[0]!.replace('--query-gpu=', '').split(',')
    asked.push(fields)
    const unknown = fields.find(field => !knownFields.includes(field))
    if (unknown !== undefined)
      return Promise.resolve(answer(`Field "${unknown}" is not a valid field to query.\n\n`, 2))
    const cell = (field: string) =>
      field === 'uuid' ? 'GPU-1' : field === 'name' ? 'Tesla K80' : '1'
    return Promise.resolve(answer(`${fields.join(', ')}\n${fields.map(cell).join(', ')}\n`))
  }
}

describe('asking nvidia-smi for devices', () => {
  test('leaves out what an old driver does not know, and does not ask for it again', async () => {
    const asked: string[][] = []
    const known = ['uuid', 'name', 'memory.total', 'memory.used', 'clocks_throttle_reasons.active']
    const source = createNvidiaSmiSource(driverWith(known, asked))
    expect(await source.look()).toMatchObject({
      type: 'devices',
      method: 'nvidia-smi',
      devices: [{ id: 'GPU-1', name: 'Tesla K80', vramTotalMb: 1, temperatureC: null }],
    })
    expect(asked.at(-1)!.toSorted()).toEqual(known.toSorted())
    const rounds = asked.length
    await source.look()
    expect(asked).toHaveLength(rounds + 1)
  })

  test('tells the newest method that worked: query, document, table', async () => {
    const broken = answer('Invalid combination of input arguments.\n', 2)
    const withXml = createNvidiaSmiSource(args =>
      Promise.resolve(args[0] === '-q' ? answer(fixture('470-gt-1030.xml')) : broken),
    )
    expect(await withXml.look()).toMatchObject({ method: 'nvidia-smi -q -x', goneCount: 0 })
    const withTable = createNvidiaSmiSource(args =>
      Promise.resolve(args.length === 0 ? answer(fixture('390-tesla-m2090.table.txt')) : broken),
    )
    expect(await withTable.look()).toMatchObject({ method: 'nvidia-smi table' })
  })

  test('keeps the healthy device and counts the lost one', async () => {
    const probe = createNvidiaSmiProbe(() =>
      Promise.resolve(answer(fixture('synthetic-one-of-two-lost.csv'), 255)),
    )
    const { gpus, problems } = await probe.inventory()
    expect(gpus).toMatchObject([{ name: 'NVIDIA GeForce RTX 3080', source: 'nvidia-smi' }])
    expect(problems).toEqual([
      'nvidia-smi: Unable to determine the device handle for GPU0000:04:00.0: Unknown Error; if it stays so, restart the machine',
    ])
  })

  test('memory of a GPU that works in the machine’s own is unknown, not zero', async () => {
    const probe = createNvidiaSmiProbe(() =>
      Promise.resolve(answer(fixture('synthetic-gb10-unified-memory.csv'))),
    )
    expect((await probe.inventory()).gpus).toMatchObject([
      { kind: 'unified', vramTotalMb: null, memoryUsableMb: null },
    ])
  })

  test('tells what it said when it fails', async () => {
    const text = "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."
    const source = createNvidiaSmiSource(() => Promise.resolve(answer(text, 9)))
    expect(await source.look()).toEqual({
      type: 'failed',
      problem: `nvidia-smi: ${text} (exit status 9)`,
    })
  })

  test('a driver without a device is no problem', async () => {
    const source = createNvidiaSmiSource(() =>
      Promise.resolve(answer('No devices were found\n', 6)),
    )
    expect(await source.look()).toMatchObject({ type: 'devices', devices: [], problems: [] })
  })
})

describe('running nvidia-smi', () => {
  const directory = mkdtempSync(join(tmpdir(), 'gpupool-smi-'))
  afterAll(() => rmSync(directory, { recursive: true }))
  const script = (name: string, body: string): string => {
    const path = join(directory, name)
    writeFileSync(path, `#!/bin/sh\n${body}\n`)
    chmodSync(path, 0o755)
    return path
  }
  const never = () => () => {}

  test('passes the arguments on and hands back what it printed, with its status', async () => {
    const run = createRunNvidiaSmi({
      executable: script('echo', 'echo "$1 $2"; exit 3'),
      after: never,
    })
    expect(await run(['-q', '-x'])).toEqual({ type: 'answer', text: '-q -x\n', status: 3 })
  })

  test('does not wait for one that hangs, and starts no other beside it', async () => {
    let passDeadline = () => {}
    const run = createRunNvidiaSmi({
      executable: script('hang', 'exec tail -f /dev/null'),
      after(_ms, callback) {
        passDeadline = callback
        return () => {}
      },
    })
    const answered = run([])
    passDeadline()
    expect(await answered).toEqual({
      type: 'failed',
      reason: 'nvidia-smi gave no answer within 20 s',
    })
    expect(await run([])).toEqual({
      type: 'failed',
      reason: 'nvidia-smi still hangs inside the driver',
    })
  })

  test('is no failure on a machine without it', async () => {
    const run = createRunNvidiaSmi({ executable: null, after: never })
    expect(await createNvidiaSmiSource(run).look()).toEqual({ type: 'absent' })
  })

  test('that does not start is a failure, not a crash', async () => {
    const run = createRunNvidiaSmi({ executable: '/nonexistent/nvidia-smi', after: never })
    expect(await run([])).toMatchObject({ type: 'failed' })
  })

  test('finds it where WSL2 and Windows keep it', () => {
    const wsl = '/usr/lib/wsl/lib/nvidia-smi'
    expect(findNvidiaSmi('linux', { PATH: directory }, path => path === wsl)).toBe(wsl)
    const windows = 'D:\\Windows\\System32\\nvidia-smi.exe'
    expect(findNvidiaSmi('win32', { SystemRoot: 'D:\\Windows' }, path => path === windows)).toBe(
      windows,
    )
    expect(findNvidiaSmi('linux', { PATH: directory }, () => false)).toBeNull()
  })
})
