/**
 * What a contributor is given: where to enrol, a token, and the fingerprint of the pool's certificate authority, so
 * that the very first connection is already proof against a stranger in the middle.
 *
 *     https://pool.example.org:8444/join/gpe_<id>_<secret>#ca=<sha256 of the CA certificate, base64url>
 *
 * The fragment is never sent to a server by browsers, and not by us.
 */
export type JoinLink = {
  /** Origin of the enrolment listener, for example `https://pool.example.org:8444`. */
  readonly origin: string
  readonly token: string
  /** Base64url SHA-256 of the CA certificate in DER. */
  readonly caFingerprint: string
}

const tokenRegex = /^[A-Za-z0-9_-]{16,200}$/
const fingerprintRegex = /^[A-Za-z0-9_-]{43}$/

/** Whether a text has the form of a token; it may still be unknown, expired or used up. */
export const isJoinToken = (text: string): boolean => tokenRegex.test(text)

export const formatJoinLink = (link: JoinLink): string =>
  `${link.origin}/join/${link.token}#ca=${link.caFingerprint}`

/** @returns the parts, or a text for the person who pasted it */
export function parseJoinLink(text: string): JoinLink | string {
  let url: URL
  try {
    url = new URL(text.trim())
  } catch {
    return 'this is not a join link; one looks like https://HOST:PORT/join/TOKEN#ca=FINGERPRINT'
  }
  if (url.protocol !== 'https:') return 'a join link begins with https://'
  const token = /^\/join\/([^/]+)$/.exec(url.pathname)?.[1]
  if (token === undefined || !isJoinToken(token)) return 'the join link has no token in it'
  const caFingerprint = new URLSearchParams(url.hash.slice(1)).get('ca')
  if (caFingerprint === null || !fingerprintRegex.test(caFingerprint))
    return 'the join link has lost its end (#ca=…); copy the whole line, in quotes'
  return { origin: url.origin, token, caFingerprint }
}
