import { expect, test } from 'bun:test'
import { parseCommandLine, type Command } from './command-line.ts'

test.each<[string[], Command]>([
  [
    ['join', 'https://x/join/t#ca=f', '--name', 'desk', '--region', 'eu'],
    { name: 'join', link: 'https://x/join/t#ca=f', machineName: 'desk', region: 'eu' },
  ],
  [['join', 'L'], { name: 'join', link: 'L', machineName: null, region: null }],
  [['run'], { name: 'run' }],
  [['status', '--json'], { name: 'status', json: true }],
  [['leave', '--yes'], { name: 'leave', yes: true }],
  [['probe'], { name: 'probe', json: false }],
  [['doctor', '--json'], { name: 'doctor', json: true }],
  [['models'], { name: 'models', remove: null, json: false }],
  [['models', 'rm', 'demo', '--json'], { name: 'models', remove: 'demo', json: true }],
  [['models', 'pull', 'demo'], { name: 'models pull', model: 'demo' }],
  [['version'], { name: 'version' }],
  [['--version'], { name: 'version' }],
  [['licenses'], { name: 'licenses' }],
  [['--help'], { name: 'help' }],
  [['run', '-h'], { name: 'help' }],
])('%p is understood', (argv, command) => {
  expect(parseCommandLine(argv)).toEqual(command)
})

test.each([
  [[]],
  [['fly']],
  [['join']],
  [['join', 'a', 'b']],
  [['join', 'a', '--name', '']],
  [['run', 'now']],
  [['doctor', 'all']],
  [['models', 'rm']],
  [['models', 'list']],
  [['models', 'pull']],
  [['run', '--fast']],
  [['status', '--json=yes']],
])('%p is refused with a reason', argv => {
  expect(parseCommandLine(argv)).toEqual({ problem: expect.any(String) })
})
