import type { Surroundings } from '../../gpu/wsl.ts'
import { says, type Finding } from './finding.ts'

export type SurroundingsFacts = {
  /** Linux's; null elsewhere. */
  readonly surroundings: Surroundings | null
  /** Why devices that the kernel lists cannot be used from here (`accessProblems`). */
  readonly problems: readonly string[]
}

const { ok, failing } = says('surroundings')

/** What stands between this process and the machine's devices: a container, or Windows around a Linux. */
export function checkSurroundings({
  surroundings,
  problems,
}: SurroundingsFacts): readonly Finding[] {
  const where =
    surroundings === null || (!surroundings.wsl && !surroundings.container)
      ? 'directly on the machine'
      : surroundings.wsl
        ? 'in WSL2: the GPU is the one of Windows'
        : 'in a container: only devices that are passed on to it are seen'
  if (problems.length === 0) return [ok(where)]
  // Each begins with what is wrong and ends with what to do.
  return problems.map(problem => {
    const end = problem.indexOf('. ')
    const [what, todo] =
      end < 0
        ? [problem, 'run the agent outside']
        : [problem.slice(0, end), problem.slice(end + 2).replace(/\.$/, '')]
    return failing(what, todo)
  })
}
