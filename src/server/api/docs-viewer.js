/*
 * The page behind /swagger. It shows the OpenAPI document that this server serves and lets a reader send requests; it
 * loads nothing from anywhere else, so that it works on a machine without internet. Text from the document is only ever
 * set as text, never as HTML.
 */

const documentUrl = new URL('json', document.currentScript.src)
const keyStore = 'gpupool-api-key'

const style = `
  body { margin: 0 auto; max-width: 60rem; padding: 1rem; color: #1b1f24; background: #fff }
  h2 { margin: 2rem 0 .25rem }
  details.route { border: 1px solid #d0d7de; border-radius: 6px; margin: .5rem 0 }
  details.route > summary { cursor: pointer; padding: .5rem .75rem }
  details.route > div { padding: 0 .75rem .75rem }
  .method { display: inline-block; min-width: 4.5rem; font-weight: 700 }
  .path, pre, textarea, input { font: 14px/1.45 ui-monospace, monospace }
  .path { overflow-wrap: anywhere }
  .quiet { color: #59636e }
  pre { background: #f6f8fa; border-radius: 6px; overflow: auto; padding: .75rem; max-height: 24rem; white-space: pre-wrap }
  textarea, input { box-sizing: border-box; width: 100%; padding: .4rem }
  textarea { min-height: 8rem }
  button { padding: .4rem 1rem; margin: .25rem .25rem .25rem 0 }
  @media (prefers-color-scheme: dark) {
    body { color: #e6edf3; background: #0d1117 } pre { background: #161b22 } .quiet { color: #9198a1 }
    details.route { border-color: #3d444d } textarea, input { color: inherit; background: #161b22; border: 1px solid #3d444d }
  }`

function element(tag, properties = {}, ...children) {
  const node = Object.assign(document.createElement(tag), properties)
  node.append(...children)
  return node
}

const pretty = value => (typeof value === 'string' ? value : JSON.stringify(value, null, 2))

/** Examples of a media type, by name. */
function examplesOf(media) {
  if (media.examples)
    return Object.entries(media.examples).map(([name, { value }]) => [name, value])
  return media.example === undefined ? [] : [['', media.example]]
}

/** A schema in one line per field. */
function schemaLines(schema, indent = '') {
  const lines = []
  for (const [name, field] of Object.entries(schema.properties ?? {})) {
    const mark = schema.required?.includes(name) ? '' : '?'
    const about = [typeOf(field), limitsOf(field), field.description].filter(Boolean).join(' · ')
    lines.push(`${indent}${name}${mark}: ${about}`)
    const inner = field.type === 'array' ? field.items : field
    if (inner?.properties) lines.push(...schemaLines(inner, `${indent}  `))
  }
  return lines
}

function typeOf(schema) {
  if (schema.const !== undefined) return JSON.stringify(schema.const)
  if (schema.anyOf) return schema.anyOf.map(typeOf).join(' | ')
  if (schema.type === 'array') return `${typeOf(schema.items ?? {})}[]`
  return schema.format ? `${schema.type} (${schema.format})` : (schema.type ?? 'any')
}

function limitsOf(schema) {
  const parts = []
  if (schema.minimum !== undefined) parts.push(`≥ ${schema.minimum}`)
  if (schema.maximum !== undefined) parts.push(`≤ ${schema.maximum}`)
  if (schema.default !== undefined) parts.push(`default ${JSON.stringify(schema.default)}`)
  return parts.join(', ')
}

function showMedia(content) {
  return Object.entries(content ?? {}).flatMap(([type, media]) => {
    const fields = schemaLines(media.schema ?? {})
    return [
      element('div', { className: 'quiet', textContent: type }),
      ...(fields.length > 0 ? [element('pre', { textContent: fields.join('\n') })] : []),
      ...examplesOf(media).flatMap(([name, value]) => [
        element('div', { className: 'quiet', textContent: name ? `Example: ${name}` : 'Example' }),
        element('pre', { textContent: pretty(value) }),
      ]),
    ]
  })
}

function showRoute(method, path, operation, keyInput) {
  const body = element('div', {}, element('p', { textContent: operation.description ?? '' }))
  if (operation.requestBody) {
    body.append(
      element('h4', { textContent: 'Request' }),
      ...showMedia(operation.requestBody.content),
    )
  }
  for (const [status, response] of Object.entries(operation.responses ?? {})) {
    const title = `${status} – ${response.description ?? ''}`
    const shown = element('details', {}, element('summary', { textContent: title }))
    shown.append(...showMedia(response.content))
    body.append(shown)
  }
  body.append(tryRoute(method, path, operation, keyInput))
  return element(
    'details',
    { className: 'route', id: `${method}-${path}` },
    element(
      'summary',
      {},
      element('span', { className: 'method', textContent: method.toUpperCase() }),
      element('span', { className: 'path', textContent: path }),
      element('div', { className: 'quiet', textContent: operation.summary ?? '' }),
    ),
    body,
  )
}

/** Fields for path and body, a button, and the answer as it arrives. */
function tryRoute(method, path, operation, keyInput) {
  const pathInput = element('input', { value: path })
  const media = operation.requestBody?.content?.['application/json']
  const bodyInput = element('textarea', {
    value: media ? pretty(examplesOf(media)[0]?.[1] ?? {}) : '',
  })
  const answer = element('pre', { hidden: true })
  const send = element('button', { textContent: 'Send' })
  send.onclick = async () => {
    answer.hidden = false
    answer.textContent = '…'
    try {
      const headers = keyInput.value ? { authorization: `Bearer ${keyInput.value}` } : {}
      const response = await fetch(pathInput.value, {
        method: method.toUpperCase(),
        headers: media ? { ...headers, 'content-type': 'application/json' } : headers,
        ...(media ? { body: bodyInput.value } : {}),
      })
      answer.textContent = `${response.status} ${response.statusText}\n\n`
      const reader = response.body?.pipeThrough(new TextDecoderStream()).getReader()
      for (let read = await reader?.read(); read && !read.done; read = await reader.read())
        answer.textContent += read.value
    } catch (error) {
      answer.textContent = String(error)
    }
  }
  const shown = element('details', {}, element('summary', { textContent: 'Try it' }), pathInput)
  if (media) shown.append(bodyInput)
  shown.append(send, answer)
  return shown
}

async function show() {
  document.head.append(element('style', { textContent: style }))
  const response = await fetch(documentUrl)
  const { info, tags, paths } = await response.json()
  const keyInput = element('input', { type: 'password', placeholder: 'API key, for “Try it”' })
  keyInput.value = sessionStorage.getItem(keyStore) ?? ''
  keyInput.oninput = () => sessionStorage.setItem(keyStore, keyInput.value)
  document.body.append(
    element('h1', { textContent: `${info.title} ${info.version}` }),
    element('p', { textContent: info.description }),
    keyInput,
  )
  for (const tag of tags) {
    document.body.append(
      element('h2', { textContent: tag.name }),
      element('div', { className: 'quiet', textContent: tag.description }),
    )
    for (const [path, methods] of Object.entries(paths))
      for (const [method, operation] of Object.entries(methods))
        if (operation.tags?.includes(tag.name))
          document.body.append(showRoute(method, path, operation, keyInput))
  }
}

show().catch(error => {
  document.body.append(
    element('p', { textContent: `The documentation could not be shown: ${error}` }),
  )
})
