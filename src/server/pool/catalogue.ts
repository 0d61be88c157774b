import { splitPaths } from '../../models/split-gguf.ts'
import type { InstanceId } from '../../protocol/ids.ts'
import type { ServerMessage } from '../../protocol/server-message.ts'
import type { ModelFacts } from '../../scheduler/event.ts'
import type { TokenIds } from '../relay/accepted-answer.ts'
import type { ModelRecord, Store } from '../store/store.ts'

/** The models that clients may ask for, as last read from the store. */
export class Catalogue {
  readonly #store: Pick<Store, 'listModels'>
  #byName = new Map<string, ModelRecord>()

  constructor(store: Pick<Store, 'listModels'>) {
    this.#store = store
  }

  async reload(): Promise<readonly ModelFacts[]> {
    const models = await this.#store.listModels()
    this.#byName = new Map(models.map(model => [model.manifest.name, model]))
    return models.map(factsOf)
  }

  get(name: string): ModelRecord | undefined {
    return this.#byName.get(name)
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** Whether a stream of this model has token ids; a model that is not there has none to stream. */
  tokenIdsOf(name: string): TokenIds {
    return this.#byName.get(name)?.source.kind === 'external' ? 'unknown' : 'known'
  }

  sha256Of(name: string): string | undefined {
    return this.#byName.get(name)?.manifest.sha256
  }

  /** Where a file lies on the server's disk: a model, or a part of a split one. */
  pathOf(sha256: string): string | undefined {
    for (const { manifest, source } of this.#byName.values()) {
      if (source.kind !== 'path') continue
      const { parts } = manifest
      if (parts === undefined && manifest.sha256 === sha256) return source.path
      const at = parts?.findIndex(part => part.sha256 === sha256) ?? -1
      const paths = at < 0 ? null : splitPaths(source.path)
      if (paths !== null && typeof paths !== 'string' && paths[at] !== undefined) return paths[at]
    }
    return undefined
  }

  /** All of it, by name. */
  list(): readonly ModelRecord[] {
    return [...this.#byName.values()]
  }

  /** The order to load a model; undefined when it has left the catalogue meanwhile. */
  loadMessage(
    model: ModelFacts,
    instanceId: InstanceId,
    withoutGpu: boolean,
  ): ServerMessage | undefined {
    const record = this.#byName.get(model.name)
    if (record === undefined) return undefined
    const { manifest: whole, source, contextTokens, slots, pinned, idleUnloadMs } = record
    // The agent reads the shape from the file itself.
    const { shape: _, ...manifest } = whole
    // An agent on the server's own machine reads the file where it lies; any other fetches it from the server.
    const download = { kind: 'url', url: `/models/${manifest.sha256}` } as const
    const sources = source.kind === 'path' ? [source, download] : [source]
    const stay = {
      ...(pinned && { pinned }),
      ...(idleUnloadMs !== null && { idleUnloadMs }),
    }
    const only = { ...(withoutGpu && { withoutGpu }), ...stay }
    return { type: 'load', instanceId, manifest, sources, contextTokens, slots, ...only }
  }
}

/** What placement needs of a model. */
export function factsOf({ manifest, source, contextTokens, slots }: ModelRecord): ModelFacts {
  const { name, sha256, sizeBytes, contextTokensTrained, shape = null, kind = 'chat' } = manifest
  // No agent gives a slot more than the model was trained for.
  const contextTokensServed = Math.min(contextTokens, contextTokensTrained)
  const external = source.kind === 'external' ? { external: source } : {}
  return {
    name,
    sha256,
    sizeBytes,
    shape,
    contextTokens: contextTokensServed,
    slots,
    kind,
    ...external,
  }
}
