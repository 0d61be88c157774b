import { describe, expect, test } from 'bun:test'
import { readFileSync } from 'node:fs'

const root = new URL('..', import.meta.url)
const table = readFileSync(new URL('docs/specification.md', root), 'utf8')
const rows = [...table.matchAll(/^\| (.+?) *\| `([^`]+)` *\| (.+?) *\|$/gm)].map(
  ([, line = '', path = '', name = '']) => ({ line, path, name }),
)

test('every line of the specification’s sections 2.2 and 5 stands in the table', () => {
  const sections = [...table.matchAll(/^## (\S+)/gm)].map(([, number]) => number)
  expect(sections).toEqual(['2.2', '5.1', '5.2', '5.3', '5.4', '5.5'])
  const numbered = (section: string) =>
    new Set(
      [...(table.split(`## ${section}`)[1]?.split('\n## ')[0] ?? '').matchAll(/^\| (\d)\./gm)].map(
        ([, number]) => Number(number),
      ),
    ).size
  expect(sections.map(section => numbered(section ?? ''))).toEqual([5, 4, 4, 4, 4, 4])
})

describe('the test that keeps it exists:', () => {
  test.each(rows)('$line', ({ path, name }) => {
    const names = readFileSync(new URL(path, root), 'utf8').match(/(['"]).+\1/g) ?? []
    expect(names.some(each => each.slice(1, -1) === name || each.startsWith(`'${name}'`))).toBe(
      true,
    )
  })
})
