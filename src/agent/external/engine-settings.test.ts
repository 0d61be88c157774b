import { expect, test } from 'bun:test'
import { readEngineSettings } from './engine-settings.ts'

const here = async () => [{ address: '127.0.0.1' }, { address: '::1' }]
const read = (env: Record<string, string>, lookup = here) => readEngineSettings(env, lookup)
const urlsOf = async (text: string, lookup = here) => {
  const settings = await read({ GPUPOOL_AGENT_ENGINE_URL: text }, lookup)
  return typeof settings === 'string' ? settings : settings.urls
}

test('nothing set is no engine', async () => {
  expect(await read({})).toEqual({ urls: [], apiKey: null, slots: null })
})

test('engines of this machine are taken, each once, with key and slots', async () => {
  expect(
    await read({
      GPUPOOL_AGENT_ENGINE_URL:
        'http://127.0.0.1:11434/v1, http://[::1]:8000/v1/,http://localhost:8080/v1,http://127.0.0.1:11434/v1/',
      GPUPOOL_AGENT_ENGINE_KEY: 'secret',
      GPUPOOL_AGENT_ENGINE_SLOTS: '4',
    }),
  ).toEqual({
    urls: ['http://127.0.0.1:11434/v1', 'http://[::1]:8000/v1', 'http://localhost:8080/v1'],
    apiKey: 'secret',
    slots: 4,
  })
  expect(await urlsOf('http://0x7f.1:80/v1')).toEqual(['http://127.0.0.1/v1'])
})

test.each([
  'http://192.168.1.5:11434/v1',
  'http://0.0.0.0:11434/v1',
  'http://10.127.0.1/v1',
  'https://api.example.org/v1',
  'http://127.0.0.1.example.org/v1',
  'http://localhost.example.org/v1',
  'http://[::ffff:8.8.8.8]/v1',
  'http://[fe80::1]/v1',
])('another machine is refused: %s', async url => {
  expect(await urlsOf(url)).toContain('is not on this machine')
})

test('a localhost that is elsewhere, or nowhere, is refused', async () => {
  const url = 'http://localhost:1/v1'
  expect(
    await urlsOf(url, async () => [{ address: '127.0.0.1' }, { address: '8.8.8.8' }]),
  ).toContain('not on this machine')
  expect(await urlsOf(url, async () => [])).toContain('not on this machine')
  expect(await urlsOf(url, () => Promise.reject(new Error('no such host')))).toContain(
    'not on this machine',
  )
})

test('what is no address of an engine is refused, and a password is not repeated', async () => {
  expect(await urlsOf('127.0.0.1:11434')).toContain('must be a URL')
  expect(await urlsOf('file:///v1')).toContain('must be a URL')
  expect(await urlsOf('http://127.0.0.1/v1?key=1')).toContain('query')
  const withPassword = await urlsOf('http://me:hunter2@127.0.0.1/v1')
  expect(withPassword).toContain('GPUPOOL_AGENT_ENGINE_KEY')
  expect(withPassword).not.toContain('hunter2')
})

test('too many engines and impossible slots are refused', async () => {
  const many = Array.from({ length: 9 }, (_, i) => `http://127.0.0.1:${i + 1}/v1`).join(',')
  expect(await urlsOf(many)).toContain('8 is the limit')
  for (const slots of ['0', '1.5', 'two', '257'])
    expect(await read({ GPUPOOL_AGENT_ENGINE_SLOTS: slots })).toContain(
      'GPUPOOL_AGENT_ENGINE_SLOTS',
    )
})
