import type { OfferedFile } from '../download/download-files.ts'
import { installLines } from './install-lines.ts'

/** What the page needs: the whole link (the server knows its own fingerprint) and the files it can offer. */
export type JoinPageFacts = {
  readonly link: string
  readonly caFingerprint: string
  readonly files: readonly OfferedFile[]
}

/** The answer to programs and to `curl`. */
export const joinText = (link: string): string =>
  `This is a join link of a gpupool server. It is used by the agent:

    ./gpupool-agent join '${link}'
    ./gpupool-agent run

A browser shows what to paste on a machine that has no agent yet.
`

const style = `
:root { color-scheme: light dark; font: 16px/1.5 system-ui, sans-serif }
body { max-width: 46rem; margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.5rem } h2 { font-size: 1.1rem; margin: 1.6rem 0 .4rem }
pre { margin: 0; padding: .8rem; border: 1px solid #8886; border-radius: 6px; background: #8881;
  white-space: pre-wrap; overflow-wrap: anywhere; font: 13px/1.5 ui-monospace, monospace }
button { font: inherit; margin-top: .4rem; padding: .2rem .8rem }
#wrong { border: 2px solid #c33; border-radius: 6px; padding: .8rem }
small { opacity: .8 }
`

/** The fragment never reaches the server, so only the browser can compare it. */
const script = `
const pinned = document.documentElement.dataset.ca
const said = new URLSearchParams(location.hash.slice(1)).get('ca')
if (said !== null && said !== pinned) {
  document.getElementById('wrong').hidden = false
  document.getElementById('lines').remove()
}
for (const button of document.querySelectorAll('button')) button.onclick = async () => {
  const text = button.previousElementSibling
  getSelection().selectAllChildren(text)
  try { await navigator.clipboard.writeText(text.textContent); button.textContent = 'Copied' }
  catch { button.textContent = 'Selected; press Ctrl-C' }
}
const system = /Win/.test(navigator.platform) ? 'windows' : /Mac/.test(navigator.platform) ? 'macos' : 'linux'
const own = document.getElementById(system)
if (own !== null) own.parentElement.prepend(own)
`

const hashOf = (text: string): string =>
  `'sha256-${new Bun.CryptoHasher('sha256').update(text).digest('base64')}'`

/** Headers of the page: it may run its own script and nothing else, and tells nobody its address, which is a secret. */
export const joinPageHeaders: Readonly<Record<string, string>> = {
  'content-type': 'text/html; charset=utf-8',
  'cache-control': 'no-store',
  'referrer-policy': 'no-referrer',
  'x-content-type-options': 'nosniff',
  'content-security-policy': `default-src 'none'; style-src ${hashOf(style)}; script-src ${hashOf(script)}; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`,
}

/** What a browser shows for a join link. */
export function joinPage({ link, caFingerprint, files }: JoinPageFacts): string {
  const lines = installLines(link, files)
  const sections = [
    section('linux', 'Linux', 'in a terminal', lines.linux),
    section('macos', 'macOS', 'in Terminal', lines.macos),
    section('windows', 'Windows', 'in PowerShell', lines.windows),
  ].filter(text => text !== '')
  const offer =
    sections.length > 0
      ? sections.join('\n')
      : `<section><h2>In a checkout of gpupool</h2>${line(`bun run agent join '${link}' && bun run agent run`)}
<p><small>This server offers no executables. Its operator makes them with <code>bun run build:agent --all</code>.</small></p></section>`
  return `<!doctype html>
<html lang="en" data-ca="${escape(caFingerprint)}">
<head><meta charset="utf-8"><meta name="viewport" content="width=device-width"><title>Join this gpupool</title>
<style>${style}</style></head>
<body>
<h1>Join this pool with your machine</h1>
<p>Paste one line. It fetches the agent into the folder you are in, checks it, joins, and serves until you press Ctrl-C.
The agent opens no port.</p>
<p id="wrong" hidden><strong>Do not go on.</strong> This page comes from another server than the one your link was made
by. Ask whoever gave you the link.</p>
<div id="lines">
${offer}
</div>
<p><small>Your browser does not know this pool and had to be told to go on, so this page proves nothing by itself. Where
that matters, use the line that the operator gets from <code>admin join-link</code>: it holds the same hash and comes to
you by a way that you trust. The link works for as long and as often as the operator said; keep it to yourself.</small></p>
<script>${script}</script>
</body></html>
`
}

const section = (id: string, name: string, where: string, text: string | null): string =>
  text === null ? '' : `<section id="${id}"><h2>${name}, ${where}</h2>${line(text)}</section>`

const line = (text: string): string =>
  `<pre>${escape(text)}</pre><button type="button">Copy</button>`

const escape = (text: string): string =>
  text.replace(/[&<>"']/g, character => `&#${character.charCodeAt(0)};`)
