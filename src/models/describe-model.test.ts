import { describe, expect, test } from 'bun:test'
import { join } from 'node:path'
import { describeModel } from './describe-model.ts'

const demoDirectory = join(import.meta.dir, '../../models/demo')

describe('describing a model file', () => {
  test('the demo model gives a whole manifest but for its name', async () => {
    expect(await describeModel(join(demoDirectory, 'gpupool-demo.gguf'))).toEqual({
      sha256: 'b5752d108657af54ef8eb94cdef0d87074e51134f4649ccac64aa96aef5b422d',
      sizeBytes: 5_336_512,
      architecture: 'llama',
      quantisation: 'Q8_0',
      contextTokensTrained: 1024,
      chatTemplateSha256: expect.stringMatching(/^[0-9a-f]{64}$/),
      shape: expect.objectContaining({ architecture: 'llama', embedding: 256, vocabulary: 2048 }),
      kind: 'chat',
    })
  })

  test('a file that is no model is refused with its name and the reason', async () => {
    const failure = await describeModel(join(demoDirectory, 'README.md'))
    expect(failure).toMatchObject({ code: 'model_file_invalid' })
    expect('message' in failure && failure.message).toContain('README.md: this is not a GGUF file')
  })

  test('a missing file is a failure, not a throw', async () => {
    expect(await describeModel(join(demoDirectory, 'missing.gguf'))).toMatchObject({
      code: 'model_file_invalid',
    })
  })
})
