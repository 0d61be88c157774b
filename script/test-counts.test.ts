import { expect, test } from 'bun:test'
import { summarise } from './test-counts.ts'

const report = (attributes: string) =>
  `<?xml version="1.0"?>\n<testsuites name="bun test" ${attributes} time="0.8">\n<testsuite tests="99"></testsuite></testsuites>`

test('the counts are those of the whole run', () => {
  expect(summarise(report('tests="10" assertions="12" failures="2" skipped="1"'), 1)).toEqual({
    passed: 7,
    failed: 2,
    skipped: 1,
  })
})

test('a run that breaks off without a failed test is one failure', () => {
  expect(summarise(report('tests="3" assertions="3" failures="0" skipped="0"'), 1).failed).toBe(1)
  expect(summarise('', 139)).toEqual({ passed: 0, failed: 1, skipped: 0 })
})

test('no tests at all are not a success', () => {
  expect(summarise(report('tests="0" assertions="0" failures="0" skipped="0"'), 0).failed).toBe(1)
})
