import { expect, test } from 'bun:test'
import { nearestWord } from './nearest-word.ts'

test('a slip of the finger is understood', () => {
  const words = ['approve', 'drain', 'revoke', 'show']
  expect(nearestWord('aprove', words)).toBe('approve')
  expect(nearestWord('dran', words)).toBe('drain')
  expect(nearestWord('revkoe', words)).toBe('revoke')
  expect(nearestWord('SHOW', words)).toBe('show')
})

test('another word is not taken for a slip', () => {
  expect(nearestWord('delete', ['approve', 'drain'])).toBeNull()
  expect(nearestWord('ls', ['rm'])).toBeNull()
  expect(nearestWord('', ['rm'])).toBeNull()
})
