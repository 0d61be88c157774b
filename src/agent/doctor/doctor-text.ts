import type { Colour, Style } from '../terminal-style.ts'
import { hanging } from '../wrap-text.ts'
import type { DoctorReport, Finding } from './finding.ts'

const colours: Readonly<Record<Finding['status'], Colour>> = {
  ok: 'green',
  warning: 'yellow',
  failing: 'red',
  skipped: 'dim',
}
const statusWidth = 9
const indent = 23

/** The report for people, in 80 columns. */
export function formatDoctor(report: DoctorReport, style: Style): string {
  const { findings, hostname, version, healthy } = report
  const counts = (['ok', 'warning', 'failing', 'skipped'] as const)
    .map(status => [status, findings.filter(finding => finding.status === status).length] as const)
    .filter(([status, count]) => count > 0 || status === 'failing')
    .map(([status, count]) => `${count} ${status}`)
  const lines = [
    style('bold', `gpupool-agent ${version} on ${hostname}`),
    '',
    ...findings.flatMap((finding, at) => [
      ...(at > 0 && isOfServer(finding) && !isOfServer(findings[at - 1]) ? [''] : []),
      line(finding, findings[at - 1], style),
    ]),
    '',
    `${healthy ? 'Nothing is failing' : 'Something is failing'}: ${counts.join(', ')}.`,
  ]
  return `${lines.join('\n')}\n`
}

/** Two parts: this machine, and the way to the pool. */
const isOfServer = (finding: Finding | undefined): boolean =>
  ['identity', 'name', 'ports', 'certificate', 'clock', 'pool'].includes(finding?.check ?? '')

function line(finding: Finding, before: Finding | undefined, style: Style): string {
  const { check, status, text, todo } = finding
  // The name of a check stands once before all that it says.
  const name = before?.check === check ? '' : check
  const label = `${status.padEnd(statusWidth)}${name}`
  const said = hanging(label, text, indent)
  const coloured = style(colours[status], status) + said.slice(status.length)
  return todo === null ? coloured : `${coloured}\n${hanging('', `-> ${todo}`, indent)}`
}
