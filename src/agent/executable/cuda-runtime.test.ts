import { expect, test } from 'bun:test'
import { dirname, join } from 'node:path'
import { findCudaRuntime, type CudaSurroundings } from './cuda-runtime.ts'

const find = (
  platform: NodeJS.Platform,
  environment: CudaSurroundings['environment'],
  paths: readonly string[],
): number | null =>
  findCudaRuntime({
    platform,
    environment,
    exists: path => paths.includes(path),
    list: folder =>
      paths.flatMap(path =>
        path.startsWith(`${folder}/`) ? [path.slice(folder.length + 1).split('/')[0] ?? ''] : [],
      ),
  })

const linux = (folder: string, version: number) =>
  ['cudart', 'cublas', 'cublasLt'].map(name => join(folder, `lib${name}.so.${version}`))
const windows = (folder: string, version: number) =>
  ['cudart', 'cublas', 'cublasLt'].map(name => join(folder, `${name}64_${version}.dll`))

test.each<[string, CudaSurroundings['environment'], string, number]>([
  ['a package of the distribution', {}, '/usr/lib/x86_64-linux-gnu', 12],
  ['a toolkit of NVIDIA’s', {}, '/usr/local/cuda-13.0/targets/x86_64-linux/lib', 13],
  ['a toolkit elsewhere', { CUDA_PATH: '/opt/cuda' }, '/opt/cuda/targets/x86_64-linux/lib', 13],
  ['libraries that the owner points to', { LD_LIBRARY_PATH: '/a:/b' }, '/b', 12],
])('on Linux %s is found', (_, environment, folder, version) => {
  expect(find('linux', environment, linux(folder, version))).toBe(version)
})

test.each<[CudaSurroundings['environment'], string]>([
  [{ Path: '/windows;/toolkit/bin/x64' }, '/toolkit/bin/x64'],
  [{ CUDA_PATH: '/toolkit' }, '/toolkit/bin'],
])('on Windows with %j too', (environment, folder) => {
  expect(find('win32', environment, windows(folder, 13))).toBe(13)
})

test('the driver alone, an old runtime, a part of one or two halves are not enough', () => {
  const folder = '/usr/lib/x86_64-linux-gnu'
  const [cudart = '', cublas = '', cublasLt = ''] = linux(folder, 13)
  expect(find('linux', {}, [join(folder, 'libcuda.so.1')])).toBe(null)
  expect(find('linux', {}, linux(folder, 11))).toBe(null)
  expect(find('linux', {}, [cudart, cublas])).toBe(null)
  expect(find('linux', {}, [cudart, ...linux(folder, 12).slice(1)])).toBe(null)
  expect(dirname(cublasLt)).toBe(folder)
  expect(find('linux', {}, [...linux(folder, 12), cudart, cublas, cublasLt])).toBe(13)
})
