import 'reflect-metadata'
import { X509Certificate } from 'node:crypto'
import * as x509 from '@peculiar/x509'
import { systemClock } from '../clock.ts'

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const
const hourMs = 3_600_000

export type TestAuthority = {
  readonly caPem: string
  /** Base64url SHA-256 of the certificate, as join links carry it. */
  readonly caFingerprint: string
  /** A server certificate for one name or address, with its key, as `Bun.serve` takes them. */
  issue(name: string): Promise<{ readonly cert: string; readonly key: string }>
}

/** Makes a certificate authority for one test: real certificates, checked by the real TLS code. */
export async function createTestAuthority(): Promise<TestAuthority> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const now = systemClock.now()
  const validity = { notBefore: new Date(now - hourMs), notAfter: new Date(now + hourMs) }
  const ca = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=test authority',
    ...validity,
    signingAlgorithm: algorithm,
    keys,
    extensions: [new x509.BasicConstraintsExtension(true, 0, true)],
  })
  const caPem = ca.toString('pem')
  const der = new X509Certificate(caPem).raw
  return {
    caPem,
    caFingerprint: new Bun.CryptoHasher('sha256').update(der).digest('base64url'),
    async issue(name) {
      const own = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
      const type = /^[\d.]+$/.test(name) ? 'ip' : 'dns'
      const cert = await x509.X509CertificateGenerator.create({
        subject: 'CN=test server',
        issuer: ca.subject,
        ...validity,
        signingAlgorithm: algorithm,
        publicKey: own.publicKey,
        signingKey: keys.privateKey,
        extensions: [new x509.SubjectAlternativeNameExtension([{ type, value: name }])],
      })
      const key = await crypto.subtle.exportKey('pkcs8', own.privateKey)
      return { cert: cert.toString('pem'), key: x509.PemConverter.encode(key, 'PRIVATE KEY') }
    },
  }
}
