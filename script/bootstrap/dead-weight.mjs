import { existsSync, readdirSync, rmSync } from 'node:fs'
import { join } from 'node:path'

/** Paths in node_modules that nothing here ever reads, with the reason. */
const deadWeight = [
  // 35 MB of llama.cpp's history, for building it from source; we use the prebuilt engines only.
  'node-llama-cpp/llama/gitRelease.bundle',
  // A second copy as TypeScript sources; programs import the built one.
  'openai/src',
  'bun-types/docs',
  'bintrees/test',
]

const sourceMap = /\.(?:[cm]?[jt]s|css)\.map$/

function removeSourceMaps(folder) {
  for (const entry of readdirSync(folder, { withFileTypes: true })) {
    const path = join(folder, entry.name)
    if (entry.isDirectory()) removeSourceMaps(path)
    else if (entry.isFile() && sourceMap.test(entry.name)) rmSync(path)
  }
}

/** Takes about 75 MB out of node_modules. Bun links files from its cache, which keeps them. */
export function pruneDeadWeight(nodeModules) {
  for (const path of deadWeight) {
    const full = join(nodeModules, ...path.split('/'))
    if (existsSync(full)) rmSync(full, { recursive: true, force: true })
  }
  removeSourceMaps(nodeModules)
}
