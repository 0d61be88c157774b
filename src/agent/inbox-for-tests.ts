/** Things that arrive one after the other and can be waited for. */
export class Inbox<Item extends object> {
  readonly #items: Item[] = []
  #wake = () => {}

  put(item: Item): void {
    this.#items.push(item)
    this.#wake()
  }
  async next(): Promise<Item> {
    for (;;) {
      const item = this.#items.shift()
      if (item !== undefined) return item
      await new Promise<void>(resolve => (this.#wake = resolve))
    }
  }
  /** The next one of a type; others before it are thrown away. */
  async until<Type extends string>(type: Type): Promise<Extract<Item, { readonly type: Type }>> {
    for (;;) {
      const item = await this.next()
      if (Reflect.get(item, 'type') === type) return item as Extract<Item, { readonly type: Type }>
    }
  }
}
