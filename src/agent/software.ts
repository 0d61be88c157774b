import packageJson from '../../package.json' with { type: 'json' }
import { protocolVersionsSpoken } from '../protocol/version.ts'
import type { BuildFacts } from './executable/build-facts.ts'

/** What this program is, as hello and `version` say it. */
export const software = { name: 'gpupool-agent', version: packageJson.version } as const

/** How a person calls this program again. */
export const programName = (facts: BuildFacts | null): string =>
  facts === null
    ? 'bun run agent'
    : facts.target.startsWith('windows')
      ? '.\\gpupool-agent'
      : './gpupool-agent'

/** The answer of `version`: the version alone on the first line, what else is known below. */
export function formatVersion(facts: BuildFacts | null): string {
  const lines = [software.version, `protocol  ${protocolVersionsSpoken.join(', ')}`]
  if (facts !== null)
    lines.push(
      `commit    ${facts.commit ?? 'unknown'}`,
      `build     ${facts.target}, Bun ${Bun.version}, node-llama-cpp ${facts.engineVersion}`,
      `CUDA      ${facts.cuda === null ? 'not in this build' : `fetched when needed (${Math.round(facts.cuda.sizeBytes / 1e6)} MB)`}`,
    )
  return `${lines.join('\n')}\n`
}
