import { expect, test } from 'bun:test'
import { formatJoinLink, parseJoinLink } from './join-link.ts'

const link = {
  origin: 'https://pool.example.org:8444',
  token: 'gpe_abcdefgh_0123456789-_',
  caFingerprint: 'A'.repeat(43),
}

test('a link comes back as it was, also with spaces around it', () => {
  expect(parseJoinLink(`  ${formatJoinLink(link)}\n`)).toEqual(link)
  const ipv6 = { ...link, origin: 'https://[::1]:8444' }
  expect(parseJoinLink(formatJoinLink(ipv6))).toEqual(ipv6)
})

test('what a person may have done to it is told', () => {
  const text = formatJoinLink(link)
  expect(parseJoinLink('hello')).toContain('not a join link')
  expect(parseJoinLink(text.replace('https', 'http'))).toContain('https://')
  expect(parseJoinLink(text.replace(/#.*/, ''))).toContain('lost its end')
  expect(parseJoinLink(text.slice(0, -1))).toContain('lost its end')
  expect(parseJoinLink('https://pool.example.org/#ca=x')).toContain('no token')
})
