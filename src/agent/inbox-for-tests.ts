/** Things that arrive one after the other and can be waited for. */
export class Inbox<Item> {
  readonly #items: Item[] = []
  #wake = () => {}

  put(item: Item): void {
    this.#items.push(item)
    this.#wake()
  }
  async next(): Promise<Item> {
    while (this.#items.length === 0) await new Promise<void>(resolve => (this.#wake = resolve))
    return this.#items.shift()!
  }
  /** The next one of a type; others before it are thrown away. */
  async until<Type extends string>(type: Type): Promise<Extract<Item, { readonly type: Type }>> {
    for (;;) {
      const item = await this.next()
      if (Reflect.get(item as object, 'type') === type)
        return item as Extract<Item, { readonly type: Type }>
    }
  }
}
