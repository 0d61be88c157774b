import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { haveForTests } from './needed-programs.ts'
import { nvmlProcessOptions, type NvmlProcessOptions } from '../../src/gpu/nvml-process.ts'

/** Kinds of driver and card that the stand-in library can be built as; see fake-nvml.c. */
export type FakeNvmlVariant = 'two_gpus' | 'old_driver' | 'mig' | 'laptop'

const defines: Readonly<Record<FakeNvmlVariant, readonly string[]>> = {
  two_gpus: [],
  old_driver: ['-DFAKE_OLD'],
  mig: ['-DFAKE_MIG'],
  laptop: ['-DFAKE_LAPTOP'],
}

/** Whether the library can be compiled here. */
export const canBuildFakeNvml = process.platform !== 'win32' && haveForTests('gcc')

export type FakeNvml = Disposable & {
  readonly library: string
  /** For the reading process: this library, and a deadline that passes only when `passDeadline` is called. */
  readonly options: NvmlProcessOptions
  passDeadline(): void
  /** What is wrong with the driver from now on; an empty word heals it. */
  setState(word: string): void
  /** Resolves when a call of the library hangs. */
  hangs(): Promise<void>
}

/** Compiles the library anew, so that each test has a driver of its own. */
export function buildFakeNvml(variant: FakeNvmlVariant): FakeNvml {
  const directory = mkdtempSync(join(tmpdir(), 'gpupool-nvml-'))
  const library = join(directory, 'libnvidia-ml.so.1')
  const state = join(directory, 'state')
  const fifo = `${state}.fifo`
  const built = Bun.spawnSync([
    'gcc',
    '-shared',
    '-fPIC',
    '-Wall',
    '-Wextra',
    '-Werror',
    ...defines[variant],
    `-DFAKE_STATE="${state}"`,
    '-o',
    library,
    join(import.meta.dir, 'fake-nvml.c'),
  ])
  if (!built.success) throw new Error(built.stderr.toString())
  if (!Bun.spawnSync(['mkfifo', fifo]).success) throw new Error('mkfifo fails')
  let passDeadline = () => {}
  const usual = nvmlProcessOptions()
  return {
    library,
    options: {
      ...usual,
      command: [...usual.command, library],
      after(_ms, callback) {
        passDeadline = callback
        return () => {
          passDeadline = () => {}
        }
      },
    },
    passDeadline: () => passDeadline(),
    setState: word => writeFileSync(state, word),
    hangs: async () => {
      // Opening a FIFO waits for its other end.
      await Bun.spawn(['cat', fifo]).exited
    },
    [Symbol.dispose]: () => rmSync(directory, { recursive: true }),
  }
}
