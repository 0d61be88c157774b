import { orders, say } from '../harness/orders.ts'

/** Answers every order by a full garbage collection. */
export async function collectOnOrder(): Promise<void> {
  for await (const { event } of orders<{ event: string }>()) {
    Bun.gc(true)
    say({ event })
  }
}
