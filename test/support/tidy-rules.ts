/** What no line of the listed files may contain, why, and what to write instead. */
export type LineRule = {
  readonly name: string
  readonly reason: string
  readonly applies: (path: string) => boolean
  readonly banned: RegExp
  /** A line that breaks the rule, so that the rule itself is tested. */
  readonly example: string
}

const isTest = (path: string) => /\.test\.(?:ts|mjs)$/.test(path) || path.startsWith('test/')
const isSource = (path: string) => /\.(?:ts|mjs)$/.test(path)
const isStartUp = (path: string) => path === 'bootstrap.mjs' || path.startsWith('script/')

export const lineRules: readonly LineRule[] = [
  {
    name: 'only src/clock.ts reads time',
    reason: 'take `now: Instant` as an argument, or a Clock: the simulator and the tests own time',
    applies: path =>
      isSource(path) &&
      path !== 'src/clock.ts' &&
      !isTest(path) &&
      !isStartUp(path) &&
      !path.startsWith('bench/'),
    banned: /\bDate\.now\b|\bnew Date\(\)|\bperformance\.now\b|\bprocess\.hrtime\b/,
    example: 'const begun = Date.now()',
  },
  {
    name: 'tests do not sleep',
    reason:
      'wait for the event or promise that you mean; a sleep is too short on a busy machine and too long elsewhere',
    applies: path => isSource(path) && isTest(path),
    banned: /\bBun\.sleep(?:Sync)?\(|\bsetTimeout\(|\btimers\/promises\b/,
    example: 'await new Promise(resolve => setTimeout(resolve, 100))',
  },
  {
    name: 'server and agent log through their logger',
    reason:
      'stdout is for what scripts read and belongs to main and the command line; everything else takes a Logger',
    applies: path =>
      /^src\/(?:server|agent)\//.test(path) &&
      isSource(path) &&
      !isTest(path) &&
      !/\/main\.ts$|\/cli\//.test(path),
    banned: /\bconsole\.\w+\(/,
    example: "console.log('connected')",
  },
  {
    name: 'nothing is left for later in the source',
    reason:
      'do it now or write it into the list of open work; a note in the source is read by nobody',
    applies: isSource,
    banned: /\b(?:TODO|FIXME|XXX)\b/,
    example: '// TODO: retry',
  },
  {
    name: 'the type checker is not switched off',
    reason: 'give the value a type, or narrow it with a check that runs',
    applies: isSource,
    banned: /@ts-(?:ignore|nocheck)/,
    example: '// @ts-ignore',
  },
  {
    name: 'no path of somebody’s machine',
    reason: 'it exists nowhere else; make paths from import.meta.dir, tmpdir() or a setting',
    applies: () => true,
    banned: /\/home\/(?!(?:user|ada)\b)\w{2,}|\/Users\/\w{2,}|\/work\/\w|[A-Z]:\\+Users\\/,
    example: "const model = '/home/grace/model.gguf'",
  },
]

/** A version that means one thing only: no range, no tag, no URL. */
export const isExactVersion = (version: string): boolean =>
  /^\d+\.\d+\.\d+(?:-[0-9A-Za-z.]+)?$/.test(version)

/** npm and Bun run these by themselves at install time. */
export const lifecycleScripts = [
  'preinstall',
  'install',
  'postinstall',
  'prepare',
  'preprepare',
  'postprepare',
]
