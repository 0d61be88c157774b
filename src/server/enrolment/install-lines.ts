import type { OfferedFile } from '../download/download-files.ts'

/** One line to paste per system; null where no executable was built for it. */
export type InstallLines = {
  readonly linux: string | null
  readonly macos: string | null
  readonly windows: string | null
}

/**
 * What a contributor pastes: fetch, check, join, run. The machine does not know the pool's authority, so curl is told
 * not to ask who answers (`-k`); what is fetched is compared with the hash in the line before anything of it runs. The
 * line is thus as trustworthy as the way it came, and a wrong file is refused. `join` then checks the authority itself.
 */
export function installLines(link: string, files: readonly OfferedFile[]): InstallLines {
  const origin = new URL(link).origin
  const agents = new Map(
    files.filter(file => file.kind === 'agent').map(file => [file.target, file]),
  )
  const unix = (check: string, usual: string, other: string, otherNames: string): string | null => {
    const [first, second] = [agents.get(usual), agents.get(other)]
    const only = first ?? second
    if (only === undefined) return null
    const choice =
      first !== undefined && second !== undefined
        ? `f=${first.name} s=${first.sha256}; case $(uname -m) in ${otherNames}) f=${second.name} s=${second.sha256};; esac`
        : `f=${only.name} s=${only.sha256}`
    return (
      `${choice}; curl -fko gpupool-agent ${origin}/download/$f && echo "$s  gpupool-agent" | ${check} && ` +
      `chmod +x gpupool-agent && ./gpupool-agent join '${link}' && ./gpupool-agent run`
    )
  }
  const windows = agents.get('windows-x64')
  return {
    linux: unix('sha256sum -c', 'linux-x64', 'linux-arm64', 'aarch64|arm64'),
    macos: unix('shasum -a 256 -c', 'darwin-arm64', 'darwin-x64', 'x86_64'),
    windows:
      windows === undefined
        ? null
        : `curl.exe -fko gpupool-agent.exe ${origin}/download/${windows.name}; ` +
          `if ((Get-FileHash gpupool-agent.exe).Hash -eq '${windows.sha256}') ` +
          `{ .\\gpupool-agent.exe join '${link}'; if ($?) { .\\gpupool-agent.exe run } } ` +
          `else { 'This is not the file that the pool offers.' }`,
  }
}
