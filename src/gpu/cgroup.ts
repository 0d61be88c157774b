/** Reads a small text file; null when it is not there or may not be read. */
export type ReadText = (path: string) => string | null

/** What the container or service that this process runs in allows it; null: no limit. */
export type CgroupLimits = {
  /** Processors' worth of time, for example 1.5. */
  readonly cpus: number | null
  readonly memoryBytes: number | null
  /** Memory already used within the limit, page cache that can be dropped not counted; null without a limit. */
  readonly memoryUsedBytes: number | null
}

/**
 * Reads the limits of this process's control group and all groups above it (cgroup v2, else v1): the tightest counts.
 * The kernel shows all processors and all memory inside a container, so without this an agent in a container that
 * may use 2 of 64 cores would start 63 threads.
 */
export function readCgroupLimits(read: ReadText): CgroupLimits {
  const membership = read('/proc/self/cgroup') ?? ''
  const cpus: number[] = []
  const memory: { limit: number; used: number | null }[] = []
  for (const dir of ladder('/sys/fs/cgroup', pathOf(membership, ''))) {
    const cpu = cpusOfV2(read(`${dir}/cpu.max`))
    if (cpu !== null) cpus.push(cpu)
    const limit = bytesOf(read(`${dir}/memory.max`))
    if (limit !== null)
      memory.push({
        limit,
        used: usedBytes(read(`${dir}/memory.current`), read(`${dir}/memory.stat`), 'inactive_file'),
      })
  }
  for (const dir of ladder('/sys/fs/cgroup/cpu', pathOf(membership, 'cpu'))) {
    const quota = Number(read(`${dir}/cpu.cfs_quota_us`) ?? -1)
    const period = Number(read(`${dir}/cpu.cfs_period_us`) ?? 0)
    if (quota > 0 && period > 0) cpus.push(quota / period)
  }
  for (const dir of ladder('/sys/fs/cgroup/memory', pathOf(membership, 'memory'))) {
    const limit = bytesOf(read(`${dir}/memory.limit_in_bytes`))
    if (limit !== null && limit < unlimitedV1Bytes)
      memory.push({
        limit,
        used: usedBytes(
          read(`${dir}/memory.usage_in_bytes`),
          read(`${dir}/memory.stat`),
          'total_inactive_file',
        ),
      })
  }
  const tightest = memory.toSorted((a, b) => a.limit - b.limit)[0]
  return {
    cpus: cpus.length === 0 ? null : Math.min(...cpus),
    memoryBytes: tightest?.limit ?? null,
    memoryUsedBytes: tightest?.used ?? null,
  }
}

/** cgroup v1 writes "no limit" as the largest multiple of a page in 63 bits. */
const unlimitedV1Bytes = 2 ** 62

/** The group's folder and every one above it, up to the mount; inside a container the mount is the group itself. */
function ladder(mount: string, path: string): string[] {
  const parts = path.split('/').filter(part => part !== '' && part !== '..')
  return Array.from({ length: parts.length + 1 }, (_, up) =>
    [mount, ...parts.slice(0, parts.length - up)].join('/'),
  )
}

/** The path in a line such as `0::/user.slice` (v2, no controller) or `1:cpu,cpuacct:/docker/abc` (v1). */
function pathOf(membership: string, controller: string): string {
  for (const line of membership.split('\n')) {
    const [, controllers, path] = /^\d+:([^:]*):(.*)$/.exec(line) ?? []
    if (controllers?.split(',').includes(controller) && path !== undefined) return path
  }
  return '/'
}

/** `200000 100000` is two processors; `max 100000` is no limit. */
function cpusOfV2(text: string | null): number | null {
  const [quota, period] = (text ?? '').trim().split(' ').map(Number)
  return quota !== undefined && period !== undefined && quota > 0 && period > 0
    ? quota / period
    : null
}

function bytesOf(text: string | null): number | null {
  const value = Number(text?.trim() || Number.NaN)
  return Number.isFinite(value) ? value : null
}

function usedBytes(current: string | null, stat: string | null, cacheKey: string): number | null {
  const used = bytesOf(current)
  if (used === null) return null
  const cache = new RegExp(`^${cacheKey} (\\d+)$`, 'm').exec(stat ?? '')?.[1]
  return Math.max(0, used - Number(cache ?? 0))
}
