import type { ModelFacts } from './event.ts'

/** The catalogue by name and by weights; several names may mean the same weights. */
export class ModelNames {
  #byName = new Map<string, ModelFacts>()
  #bySha256 = new Map<string, readonly ModelFacts[]>()

  set(models: readonly ModelFacts[]): void {
    this.#byName = new Map(models.map(model => [model.name, model]))
    this.#bySha256 = Map.groupBy(models, model => model.sha256)
  }

  get(name: string): ModelFacts | undefined {
    return this.#byName.get(name)
  }

  has(name: string): boolean {
    return this.#byName.has(name)
  }

  /** Names of these weights. */
  of(sha256: string): readonly ModelFacts[] {
    return this.#bySha256.get(sha256) ?? none
  }

  all(): Iterable<ModelFacts> {
    return this.#byName.values()
  }
}

const none: readonly ModelFacts[] = []
