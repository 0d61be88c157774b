import { LastLines } from './last-lines.ts'

/** What is kept of a line's beginning; everything that is told is near it. */
const lineCharactersMax = 512
const toldLinesMax = 12

/**
 * What a worker's standard error may say about its death. llama.cpp prints the whole text of a grammar that it cannot read
 * (`parse: error parsing grammar: …`, llama-grammar.cpp), and exceptions name pieces of answers: what a client wrote. So
 * as soon as there are jobs, only lines of known shapes are told, in words of our own with nothing of the line but names of
 * the engine's source files and numbers.
 */
export class DeathLines {
  readonly #beforeJobs = new LastLines()
  readonly #decoder = new TextDecoder()
  readonly #told: string[] = []
  #hasJobs = false
  #line = ''

  /** From here on a client's text may be in what comes. */
  jobsBegin(): void {
    this.#hasJobs = true
  }

  push(chunk: Uint8Array): void {
    if (!this.#hasJobs) {
      this.#beforeJobs.push(chunk)
      return
    }
    const [first = '', ...further] = this.#decoder.decode(chunk, { stream: true }).split('\n')
    this.#extend(first)
    for (const part of further) {
      this.#endLine()
      this.#extend(part)
    }
  }

  /** Without white space at its ends; empty when nothing can be told. */
  get text(): string {
    this.#endLine()
    return [this.#beforeJobs.text, ...this.#told].filter(text => text !== '').join('\n')
  }

  #extend(part: string): void {
    if (this.#line.length < lineCharactersMax)
      this.#line += part.slice(0, lineCharactersMax - this.#line.length)
  }

  #endLine(): void {
    const told = tellLine(this.#line)
    this.#line = ''
    if (told === null || this.#told.at(-1) === told) return
    this.#told.push(told)
    if (this.#told.length > toldLinesMax) this.#told.shift()
  }
}

const sourceFile = String.raw`(?:^|[\\/])([\w-]{1,40}\.(?:cpp|cuh|cu|c|hpp|h|mm|m)):(\d{1,6}): `
const assertion = new RegExp(`${sourceFile}GGML_ASSERT\\(`)
const abort = new RegExp(sourceFile)
const segfault =
  /^(?:panic(?:\(main thread\))?: )?segmentation fault(?: at address (0x[\da-f]{1,16}))?/i
const thrown = /^terminate called after throwing an instance of '(.{1,64})'/
const outOfMemory =
  /^(?:CUDA error: out of memory|ggml_\w{1,60}: .{0,80}out of memory|\s*what\(\):\s+std::bad_alloc)/

/** Source files that a running model is computed by (llama.cpp 0.5.0); a name that is not here could be anything. */
const sourceFiles: ReadonlySet<string> = new Set(
  `
  ggml.c ggml.cpp ggml-alloc.c ggml-backend.cpp ggml-backend-reg.cpp ggml-threading.cpp
  ggml-quants.c ggml-cpu.c ggml-cpu.cpp ops.cpp binary-ops.cpp unary-ops.cpp vec.cpp repack.cpp
  quants.c sgemm.cpp gguf.cpp unicode.cpp ggml-cuda.cu common.cuh mmq.cu mmq.cuh mmvq.cu fattn.cu
  fattn-common.cuh ggml-vulkan.cpp ggml-metal.m ggml-metal.cpp ggml-metal-device.m ggml-sycl.cpp
  ggml-metal-context.m ggml-metal-ops.cpp llama.cpp llama-batch.cpp llama-graph.cpp
  llama-context.cpp llama-grammar.cpp llama-kv-cache.cpp llama-kv-cache-iswa.cpp llama-memory.cpp
  llama-memory-hybrid.cpp llama-memory-recurrent.cpp llama-vocab.cpp llama-model.cpp
  llama-model-loader.cpp llama-mmap.cpp llama-sampling.cpp llama-sampler.cpp llama-io.cpp
  llama-adapter.cpp llama-hparams.cpp
  `
    .trim()
    .split(/\s+/),
)

/** Names of exceptions: a name that is not here could be anything. */
const exceptions: ReadonlySet<string> = new Set([
  'std::bad_alloc',
  'std::runtime_error',
  'std::logic_error',
  'std::length_error',
  'std::out_of_range',
  'std::invalid_argument',
  'std::system_error',
  'std::regex_error',
  'Napi::Error',
  'vk::DeviceLostError',
  'vk::OutOfDeviceMemoryError',
  'vk::OutOfHostMemoryError',
  'vk::SystemError',
])

/** Source: cudaGetErrorString of CUDA 12, those that a running model can end with. */
const cudaErrors: readonly string[] = [
  'an illegal memory access was encountered',
  'an illegal instruction was encountered',
  'device-side assert triggered',
  'misaligned address',
  'operation not supported',
  'the launch timed out and was terminated',
  'uncorrectable ECC error encountered',
  'unspecified launch failure',
  'unknown error',
]

/** @returns what may be told of a line; null: nothing */
export function tellLine(line: string): string | null {
  const asserted = assertion.exec(line)
  if (asserted !== null) return `${place(asserted)}: an assertion failed`
  if (outOfMemory.test(line)) return 'out of memory'
  const aborted = abort.exec(line)
  if (aborted !== null) return `${place(aborted)}: it gave up`
  const fault = segfault.exec(line)
  if (fault !== null) return `segmentation fault${fault[1] === undefined ? '' : ` at ${fault[1]}`}`
  const exception = thrown.exec(line)?.[1]
  if (exception !== undefined && exceptions.has(exception)) return `an exception: ${exception}`
  const cuda = cudaErrors.find(error => line.startsWith(`CUDA error: ${error}`))
  return cuda === undefined ? null : `CUDA error: ${cuda}`
}

const place = ([, file = '', line = '']: readonly string[]): string =>
  `${sourceFiles.has(file) ? file : 'another source file'}:${line}`
