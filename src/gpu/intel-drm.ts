import { dlopen, ptr } from 'bun:ffi'
import { closeSync, openSync } from 'node:fs'

/** A GPU's own memory as its driver counts it. */
export type LocalMemory = {
  readonly totalBytes: number
  /** Null without the right to see other processes' use (CAP_PERFMON), where the drivers show none. */
  readonly usedBytes: number | null
}

/** Asks the driver of a render node for its local memory; null when it has none or does not tell. */
export type ReadLocalMemory = (renderNode: string, driver: 'i915' | 'xe') => LocalMemory | null

/**
 * Neither xe nor i915 shows the size of a card's memory in sysfs (the attributes were removed before they reached a
 * release), and the PCI window is a power of two or 256 MB, so the driver is asked by ioctl:
 * `include/uapi/drm/xe_drm.h` (DRM_XE_DEVICE_QUERY) and `i915_drm.h` (DRM_I915_QUERY).
 */
export const readLocalMemory: ReadLocalMemory = (renderNode, driver) => {
  let file: number
  try {
    file = openSync(renderNode, 'r+')
  } catch {
    return null
  }
  try {
    const { symbols } = dlopen('libc.so.6', {
      ioctl: { args: ['i32', 'u64', 'ptr'], returns: 'i32' },
    })
    const ioctl = (request: bigint, argument: Uint8Array) =>
      symbols.ioctl(file, request, ptr(argument)) === 0
    return driver === 'xe' ? queryXe(ioctl) : queryI915(ioctl)
  } catch {
    return null
  } finally {
    closeSync(file)
  }
}

type Ioctl = (request: bigint, argument: Uint8Array) => boolean

const answerBytesMax = 64 * 1024

/** `DRM_IOWR(0x40, struct drm_xe_device_query)`, 40 bytes. */
const xeDeviceQuery = 0xc028_6440n
const xeQueryMemRegions = 1

/** Asks twice: with no room for the size, then for the answer. */
function queryXe(ioctl: Ioctl): LocalMemory | null {
  const query = new Uint8Array(40)
  const view = new DataView(query.buffer)
  view.setUint32(8, xeQueryMemRegions, true)
  if (!ioctl(xeDeviceQuery, query)) return null
  const size = view.getUint32(12, true)
  if (size === 0 || size > answerBytesMax) return null
  const answer = new Uint8Array(size)
  view.setBigUint64(16, BigInt(ptr(answer)), true)
  return ioctl(xeDeviceQuery, query) ? localMemoryOfXe(answer) : null
}

/** `DRM_IOWR(0x40 + 0x39, struct drm_i915_query)`, 16 bytes. */
const i915Query = 0xc010_6479n
const i915QueryMemoryRegions = 4n

function queryI915(ioctl: Ioctl): LocalMemory | null {
  const item = new Uint8Array(24)
  const itemView = new DataView(item.buffer)
  itemView.setBigUint64(0, i915QueryMemoryRegions, true)
  const query = new Uint8Array(16)
  const queryView = new DataView(query.buffer)
  queryView.setUint32(0, 1, true)
  queryView.setBigUint64(8, BigInt(ptr(item)), true)
  if (!ioctl(i915Query, query)) return null
  const size = itemView.getInt32(8, true)
  if (size <= 0 || size > answerBytesMax) return null
  const answer = new Uint8Array(size)
  itemView.setBigUint64(16, BigInt(ptr(answer)), true)
  return ioctl(i915Query, query) && itemView.getInt32(8, true) > 0
    ? localMemoryOfI915(answer)
    : null
}

const regionBytes = 88
const deviceMemory = 1

/**
 * `struct drm_xe_query_mem_regions`: the count in 8 bytes, then per region class (u16), instance (u16), page size
 * (u32), total, used. Without CAP_PERFMON `used` is always zero, so zero means unknown.
 */
export function localMemoryOfXe(answer: Uint8Array): LocalMemory | null {
  return sumRegions(answer, 8, (view, at) => {
    const used = view.getBigUint64(at + 16, true)
    return {
      total: view.getBigUint64(at + 8, true),
      used: used === 0n ? null : used,
    }
  })
}

/**
 * `struct drm_i915_query_memory_regions`: the count in 16 bytes, then per region class (u16), instance (u16), 4 bytes,
 * probed and unallocated size. Without CAP_PERFMON the two are always equal, so equal means unknown.
 */
export function localMemoryOfI915(answer: Uint8Array): LocalMemory | null {
  return sumRegions(answer, 16, (view, at) => {
    const total = view.getBigUint64(at + 8, true)
    const free = view.getBigUint64(at + 16, true)
    return { total, used: free >= total ? null : total - free }
  })
}

function sumRegions(
  answer: Uint8Array,
  headerBytes: number,
  read: (view: DataView, at: number) => { readonly total: bigint; readonly used: bigint | null },
): LocalMemory | null {
  if (answer.byteLength < headerBytes) return null
  const view = new DataView(answer.buffer, answer.byteOffset, answer.byteLength)
  const room = Math.floor((answer.byteLength - headerBytes) / regionBytes)
  const count = Math.min(view.getUint32(0, true), room)
  let total = 0n
  let used: bigint | null = 0n
  for (let region = 0; region < count; region += 1) {
    const at = headerBytes + region * regionBytes
    if (view.getUint16(at, true) !== deviceMemory) continue
    const sizes = read(view, at)
    total += sizes.total
    used = used === null || sizes.used === null ? null : used + sizes.used
  }
  if (total === 0n || total > BigInt(Number.MAX_SAFE_INTEGER)) return null
  return { totalBytes: Number(total), usedBytes: used === null ? null : Number(used) }
}
