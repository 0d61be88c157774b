import { hostname, networkInterfaces } from 'node:os'

/** Names that the certificate can hold; a machine with more addresses than this has a public URL to go by. */
const namesMax = 64

/**
 * Under which names and addresses agents may reach this machine: loopback, its host name, its network addresses, and
 * the host of the public URL.
 * @param publicUrl what join links say, null when the operator did not set it
 */
export function serverNames(publicUrl: string | null): readonly string[] {
  const names = new Set(['localhost', '127.0.0.1', '::1', hostname().toLowerCase()])
  if (publicUrl !== null) names.add(new URL(publicUrl).hostname.replace(/^\[|\]$/g, ''))
  for (const addresses of Object.values(networkInterfaces()))
    for (const { address, scopeid } of addresses ?? [])
      if (scopeid === undefined || scopeid === 0) names.add(address)
  return [...names].slice(0, namesMax)
}

/** The address that other machines most likely reach this one by; loopback when it has no network. */
export function likelyAddress(): string {
  for (const addresses of Object.values(networkInterfaces()))
    for (const { address, family, internal } of addresses ?? [])
      if (family === 'IPv4' && !internal) return address
  return '127.0.0.1'
}
