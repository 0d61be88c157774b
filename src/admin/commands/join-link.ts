import { countOption, textOption, wrongUsage, type Command } from '../command.ts'
import { parseDuration } from '../duration.ts'

export const joinLinkCommands: readonly Command[] = [
  {
    name: 'join-link',
    args: [],
    options: {
      uses: { type: 'string', value: 'N', what: 'machines that may join with it (1)' },
      ttl: { type: 'string', value: 'TIME', what: 'how long it works: 90s, 15m, 2h, 7d (15m)' },
      'auto-approve': { type: 'boolean', what: 'they get work without your approval' },
    },
    summary: 'print a link that lets a machine join the pool',
    examples: ['join-link', 'join-link --uses 30 --ttl 2h --auto-approve'],
    async run(invocation) {
      const uses = countOption(invocation, 'uses')
      if (uses !== null && typeof uses !== 'number') return uses
      const ttl = textOption(invocation, 'ttl')
      const ttlMs = ttl === null ? null : parseDuration(ttl)
      if (ttl !== null && ttlMs === null)
        return wrongUsage(`--ttl is '${ttl}'; it must look like 90s, 15m, 2h or 7d`)
      const answer = await invocation.api.post<{
        link: string
        expiresAt: string
        /** By system; absent from servers that offer no files. */
        install?: Readonly<Record<string, string | null>>
      }>('/admin/join-links', {
        uses,
        ttlMs,
        autoApprove: invocation.options['auto-approve'] === true,
      })
      if ('problem' in answer) return answer
      invocation.output.out(`${answer.body.link}\n`)
      invocation.output.note(`Works until ${answer.body.expiresAt}.\n`)
      for (const [system, line] of Object.entries(answer.body.install ?? {}))
        if (line !== null)
          invocation.output.note(`\nTo paste on ${systemNames[system] ?? system}:\n${line}\n`)
      return null
    },
  },
]

const systemNames: Readonly<Record<string, string>> = {
  linux: 'Linux',
  macos: 'macOS',
  windows: 'Windows (PowerShell)',
}
