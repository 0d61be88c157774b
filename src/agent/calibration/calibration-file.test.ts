import { afterEach, beforeEach, expect, test } from 'bun:test'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { readCalibration, writeCalibration } from './calibration-file.ts'

let dir = ''
beforeEach(() => {
  dir = mkdtempSync(join(tmpdir(), 'gpupool-calibrated-'))
})
afterEach(() => rmSync(dir, { recursive: true }))

const known = {
  deviceId: 'processor',
  fingerprint: 'f',
  attempts: 1,
  measured: {
    decode: { tokensPerS: 1, workPerToken: 2 },
    prefill: null,
    memoryUsableMb: null,
    threads: 2,
    busyCores: 0,
    engine: 'test',
    atMs: 1,
    reason: null,
  },
}

test('what was written comes back', () => {
  const remembered = { engineVersion: 'test 1', calibrated: [known] }
  writeCalibration(dir, remembered)
  expect(readCalibration(dir)).toEqual(remembered)
})

test('a file that is absent or damaged is as good as none', () => {
  expect(readCalibration(dir)).toBeNull()
  const wrong = ['', '{', 'null', '[]', '{"calibrated":[{"deviceId":1}]}', '{"calibrated":{}}']
  for (const text of wrong) {
    writeFileSync(join(dir, 'calibration.json'), text)
    expect(readCalibration(dir)).toBeNull()
  }
})

test('an attempt that never ended says that it took the agent or the machine down', () => {
  writeCalibration(dir, { engineVersion: 'test 1', calibrated: [{ ...known, measured: null }] })
  expect(readCalibration(dir)?.calibrated).toMatchObject([
    { attempts: 1, measured: { decode: null, reason: expect.stringContaining('went down') } },
  ])
})
