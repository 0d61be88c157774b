import 'reflect-metadata'
import { createHash, X509Certificate as NodeCertificate } from 'node:crypto'
import { mkdir, readFile, rename, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import * as x509 from '@peculiar/x509'
import type { Instant } from '../../clock.ts'

/** What the TLS listeners and join links need of the pool's own certificate authority. */
export type TlsIdentity = {
  readonly caPem: string
  /** Base64url SHA-256 of the CA certificate in DER; join links carry it. */
  readonly caFingerprint: string
  readonly certPem: string
  readonly keyPem: string
}

const hourMs = 3_600_000
const dayMs = 24 * hourMs
/** Backdated by an hour: the clocks of other people's machines are off, and nothing is gained by punishing them. */
const backdateMs = hourMs
const caLifetimeMs = 3_650 * dayMs
const serverLifetimeMs = 365 * dayMs
/** A server certificate with less than this left is replaced at start. */
const serverRenewBeforeMs = 60 * dayMs

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const

/**
 * Loads the pool's certificate authority from `<dataDir>/tls`, making it at the first start, and a server certificate
 * for the given names, renewed when they change or it runs out. Private keys are mode 0600 and never leave the folder.
 * @param names host names and IP addresses under which agents reach this server
 */
export async function loadTlsIdentity(
  dataDir: string,
  names: readonly string[],
  now: Instant,
): Promise<TlsIdentity> {
  const dir = join(dataDir, 'tls')
  await mkdir(dir, { recursive: true, mode: 0o700 })
  const ca = (await readPair(dir, 'ca')) ?? (await writePair(dir, 'ca', await createAuthority(now)))
  const existing = await readPair(dir, 'server')
  const server =
    existing !== undefined && stillGood(existing.certPem, ca.certPem, names, now)
      ? existing
      : await writePair(dir, 'server', await createServerPair(ca, names, now))
  const der = new x509.X509Certificate(ca.certPem).rawData
  return {
    caPem: ca.certPem,
    caFingerprint: createHash('sha256').update(new Uint8Array(der)).digest('base64url'),
    certPem: server.certPem,
    keyPem: server.keyPem,
  }
}

type Pair = { readonly certPem: string; readonly keyPem: string }

async function createAuthority(now: Instant): Promise<Pair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const cert = await x509.X509CertificateGenerator.createSelfSigned({
    name: 'CN=gpupool certificate authority',
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + caLifetimeMs),
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new x509.BasicConstraintsExtension(true, 0, true),
      new x509.KeyUsagesExtension(
        x509.KeyUsageFlags.keyCertSign | x509.KeyUsageFlags.cRLSign,
        true,
      ),
      await x509.SubjectKeyIdentifierExtension.create(keys.publicKey),
    ],
  })
  return { certPem: cert.toString('pem'), keyPem: await exportKey(keys.privateKey) }
}

async function createServerPair(ca: Pair, names: readonly string[], now: Instant): Promise<Pair> {
  const keys = await crypto.subtle.generateKey(algorithm, true, ['sign', 'verify'])
  const caCert = new x509.X509Certificate(ca.certPem)
  const cert = await x509.X509CertificateGenerator.create({
    subject: 'CN=gpupool server',
    issuer: caCert.subject,
    notBefore: new Date(now - backdateMs),
    notAfter: new Date(now + serverLifetimeMs),
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: await importKey(ca.keyPem),
    extensions: [
      new x509.BasicConstraintsExtension(false, undefined, true),
      new x509.KeyUsagesExtension(x509.KeyUsageFlags.digitalSignature, true),
      new x509.ExtendedKeyUsageExtension([x509.ExtendedKeyUsage.serverAuth]),
      new x509.SubjectAlternativeNameExtension(
        names.map(name => ({ type: isIpAddress(name) ? 'ip' : 'dns', value: name })),
      ),
      await x509.AuthorityKeyIdentifierExtension.create(caCert),
    ],
  })
  return { certPem: cert.toString('pem'), keyPem: await exportKey(keys.privateKey) }
}

function stillGood(
  certPem: string,
  caPem: string,
  names: readonly string[],
  now: Instant,
): boolean {
  const cert = new NodeCertificate(certPem)
  return (
    Date.parse(cert.validTo) - now > serverRenewBeforeMs &&
    cert.verify(new NodeCertificate(caPem).publicKey) &&
    names.every(name => (isIpAddress(name) ? cert.checkIP(name) : cert.checkHost(name)))
  )
}

async function readPair(dir: string, name: string): Promise<Pair | undefined> {
  try {
    const certPem = await readFile(join(dir, `${name}.crt`), 'utf8')
    return { certPem, keyPem: await readFile(join(dir, `${name}.key`), 'utf8') }
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return undefined
    throw error
  }
}

/** The key is in place before the certificate, so that a crash between the two leaves no certificate without its key. */
async function writePair(dir: string, name: string, pair: Pair): Promise<Pair> {
  await writeAtomic(join(dir, `${name}.key`), pair.keyPem, 0o600)
  await writeAtomic(join(dir, `${name}.crt`), pair.certPem, 0o644)
  return pair
}

async function writeAtomic(path: string, text: string, mode: number): Promise<void> {
  const temporary = `${path}.${process.pid}.tmp`
  await writeFile(temporary, text, { mode })
  await rename(temporary, path)
}

async function exportKey(key: CryptoKey): Promise<string> {
  return x509.PemConverter.encode(await crypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')
}

function importKey(pem: string): Promise<CryptoKey> {
  const der = x509.PemConverter.decodeFirst(pem)
  return crypto.subtle.importKey('pkcs8', der, algorithm, false, ['sign'])
}

const isIpAddress = (name: string): boolean =>
  /^\d{1,3}(\.\d{1,3}){3}$/.test(name) || name.includes(':')
