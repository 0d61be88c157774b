/** What the crowd is asked to do. Each order is answered by an event of the same name. */
export type CrowdOrder =
  /** Enrols this many machines, each with a key of its own, through one join link. */
  | { readonly event: 'enrol'; readonly link: string; readonly count: number }
  /** Opens connections until there are so many. */
  | { readonly event: 'connect'; readonly to: CrowdTarget; readonly count: number }
  /** Everybody sends a heartbeat every so often, evenly spread, for so long. */
  | { readonly event: 'beat'; readonly everyMs: number; readonly forMs: number }
  /** Hangs up. */
  | { readonly event: 'close' }

export type CrowdTarget =
  | { readonly kind: 'pool'; readonly controlPort: number }
  | { readonly kind: 'plain'; readonly port: number; readonly caPem: string }

export type Beaten = { readonly sent: number; readonly acknowledged: number }
