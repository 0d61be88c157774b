/** A size for people: `24.1 GB`, `512 MB`. Binary multiples, as drivers and `nvidia-smi` mean them. */
export function gigabytes(bytes: number): string {
  const mb = bytes / 1024 ** 2
  if (mb < 1) return `${Math.max(0, Math.ceil(bytes / 1024))} KB`
  return mb < 1000 ? `${Math.round(mb)} MB` : `${(mb / 1024).toFixed(1)} GB`
}
