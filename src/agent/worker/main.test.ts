import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { chatJob, demoModel } from '../engine/engine-harness.ts'
import { encodeJsonFrame, FrameReader, frameKindToken, type Frame } from './frames.ts'

const mainPath = join(import.meta.dir, 'main.ts')
const load = encodeJsonFrame({ type: 'load', ...demoModel })
const run = encodeJsonFrame({
  type: 'run',
  stream: 1,
  attempt: 1,
  chat: chatJob('Tell me a short story.', { sampling: { temperature: 2, topP: 1, seed: 1 } }),
  continuation: null,
})

/** Reads a worker's output until a frame satisfies `wanted`. */
async function readUntil(
  output: ReadableStream<Uint8Array<ArrayBuffer>>,
  wanted: (frame: Frame) => boolean,
): Promise<void> {
  const reader = new FrameReader()
  let found = false
  for await (const chunk of output.values({ preventCancel: true })) {
    const problem = reader.push(chunk, frame => {
      found ||= wanted(frame)
    })
    expect(problem).toBeNull()
    if (found) return
  }
  throw new Error('the worker ended before it said what was wanted')
}

const says =
  (type: string) =>
  (frame: Frame): boolean =>
    frame.kind !== frameKindToken && new TextDecoder().decode(frame.payload).includes(`"${type}"`)
const isToken = (frame: Frame): boolean => frame.kind === frameKindToken

const moments = [
  ['while it loads', 'loading', says('loading')],
  ['while it answers', 'a token', isToken],
] as const

describe('the worker goes with its agent', () => {
  for (const [when, , wanted] of moments)
    test(`it exits by itself when its input ends ${when}`, async () => {
      const worker = Bun.spawn([process.execPath, mainPath], {
        stdin: 'pipe',
        stdout: 'pipe',
        stderr: 'inherit',
      })
      await worker.stdin.write(load)
      await worker.stdin.write(run)
      await worker.stdin.flush()
      await readUntil(worker.stdout, wanted)
      await worker.stdin.end()
      expect(await worker.exited).toBe(0)
    })

  for (const [when, , wanted] of moments)
    test.skipIf(process.platform !== 'linux')(
      `on Linux it dies with its parent ${when}, though its input stays open`,
      async () => {
        // The shell is the parent that gets killed; the worker's input and output are pipes of this test.
        const shell = Bun.spawn(
          ['sh', '-c', '"$0" "$1" <&3 3<&- & wait', process.execPath, mainPath],
          {
            stdio: ['ignore', 'pipe', 'inherit', 'pipe'],
          },
        )
        const input = Bun.file(shell.stdio[3] as number).writer()
        await input.write(load)
        await input.write(run)
        await input.flush()
        await readUntil(shell.stdout, wanted)
        shell.kill('SIGKILL')
        await shell.exited
        // Ends only when nobody holds its other end any more.
        for await (const chunk of shell.stdout) expect(chunk.length).toBeGreaterThan(0)
        await input.end()
      },
    )
})

test('nothing but frames leaves the worker, also when native code prints', async () => {
  const script = `
    const { takeFrameOutput } = await import(${JSON.stringify(join(import.meta.dir, 'native-process.ts'))})
    const { writeSync } = await import('node:fs')
    const { dlopen } = await import('bun:ffi')
    const output = takeFrameOutput()
    const puts = dlopen(process.platform === 'linux' ? 'libc.so.6' : 'libSystem.B.dylib', {
      puts: { args: ['cstring'], returns: 'i32' }, fflush: { args: ['ptr'], returns: 'i32' },
    }).symbols
    puts.puts(Buffer.from('native noise\\0'))
    puts.fflush(null)
    console.log('script noise')
    writeSync(output, 'a frame')
  `
  const child = Bun.spawn([process.execPath, '-e', script], { stdout: 'pipe', stderr: 'pipe' })
  const [output, errors] = await Promise.all([child.stdout.text(), child.stderr.text()])
  expect(output).toBe('a frame')
  expect(errors).toContain('native noise')
  expect(errors).toContain('script noise')
})
