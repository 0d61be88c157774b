import { expect, test } from 'bun:test'
import { styleFor } from '../terminal-style.ts'
import { formatDoctor } from './doctor-text.ts'
import { says, type DoctorReport, type Finding } from './finding.ts'

const report = (findings: Finding[]): DoctorReport => ({
  schemaVersion: 1,
  version: '0.1.0',
  hostname: 'den',
  healthy: findings.every(({ status }) => status !== 'failing'),
  findings,
})
const findings = [
  says('devices').ok('NVIDIA GeForce RTX 4090 answers through nvml'),
  says('devices').failing(
    'GA106 [GeForce RTX 3060] (0000:02:00.0) is there, but its driver (nouveau) does not answer',
    "install NVIDIA's own driver and restart",
  ),
  says('disk').warning('models in /srv/agent/models: 5.0 GB free', 'free space'),
  says('name').ok('pool.example has an address'),
  says('pool').skipped('the server was not reached, or not verified: it was told nothing'),
]
const plain = styleFor(false, {})

test('a person reads it in 80 columns, with what to do under each line that wants something done', () => {
  expect(formatDoctor(report(findings), plain)).toBe(`gpupool-agent 0.1.0 on den

ok       devices       NVIDIA GeForce RTX 4090 answers through nvml
failing                GA106 [GeForce RTX 3060] (0000:02:00.0) is there, but its
                       driver (nouveau) does not answer
                       -> install NVIDIA's own driver and restart
warning  disk          models in /srv/agent/models: 5.0 GB free
                       -> free space

ok       name          pool.example has an address
skipped  pool          the server was not reached, or not verified: it was told
                       nothing

Something is failing: 2 ok, 1 warning, 1 failing, 1 skipped.
`)
  expect(formatDoctor(report([says('disk').ok('well')]), plain)).toEndWith(
    'Nothing is failing: 1 ok, 0 failing.\n',
  )
})

test('colours are for terminals whose owner has not asked for none, and move nothing', () => {
  const coloured = formatDoctor(report(findings), styleFor(true, {}))
  expect(coloured).toContain('\x1b[31mfailing\x1b[0m')
  expect(Bun.stripANSI(coloured)).toBe(formatDoctor(report(findings), plain))
  for (const style of [styleFor(true, { NO_COLOR: '1' }), styleFor(true, { TERM: 'dumb' })])
    expect(formatDoctor(report(findings), style)).not.toContain('\x1b')
  expect(styleFor(true, { NO_COLOR: '' })('red', 'x')).not.toBe('x')
})
