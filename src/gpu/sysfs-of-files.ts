import type { Sysfs } from './sysfs.ts'

/** A kernel tree from recorded files: absolute path → text. What is not in the record is not there. */
export function sysfsOfFiles(files: Readonly<Record<string, string>>): Sysfs {
  const paths = Object.keys(files)
  return {
    read: path => (Object.hasOwn(files, path) ? (files[path] ?? null) : null),
    list(path) {
      const names = new Set<string>()
      for (const file of paths) {
        if (file.startsWith(`${path}/`)) names.add(file.slice(path.length + 1).split('/')[0] ?? '')
      }
      return [...names].sort()
    },
  }
}
