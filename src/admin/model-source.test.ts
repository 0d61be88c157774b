import { expect, test } from 'bun:test'
import { modelSource } from './model-source.ts'

test('a path becomes absolute where the person stands, a URL stays', () => {
  expect(modelSource('m/a.gguf', '/home/ada')).toEqual({ source: '/home/ada/m/a.gguf' })
  expect(modelSource('/m/a.gguf', '/home/ada')).toEqual({ source: '/m/a.gguf' })
  expect(modelSource('https://x.org/a.gguf', '/')).toEqual({ source: 'https://x.org/a.gguf' })
})

test('external: stays as it is', () => {
  expect(modelSource('external:llama3.1:8b', '/')).toEqual({ source: 'external:llama3.1:8b' })
})

test('hf: names a file on Hugging Face, in a folder or not', () => {
  const base = 'https://huggingface.co/org/repo.x/resolve/main'
  expect(modelSource('hf:org/repo.x/a-Q4.gguf', '/')).toEqual({ source: `${base}/a-Q4.gguf` })
  expect(modelSource('hf:org/repo.x/q4/a.gguf', '/')).toEqual({ source: `${base}/q4/a.gguf` })
})

test('hf: without a file, or with what no path has, is refused', () => {
  for (const text of [
    'hf:',
    'hf:org',
    'hf:org/repo',
    'hf:org/repo/',
    'hf:/r/f',
    'hf:o/r/a b',
    'hf:o/r/a?x=1',
  ])
    expect(modelSource(text, '/')).toEqual({ problem: expect.stringContaining('hf:ORG/REPO/FILE') })
})
