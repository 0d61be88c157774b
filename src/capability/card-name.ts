/** A device's name without what differs between the tools that print it. */
export type CardName = {
  /** Lower case, without vendor, trademarks, "Graphics" and "Series". */
  readonly base: string
  /** True when the name says laptop, mobile or Max-Q; false means only that it does not say so. */
  readonly saysLaptop: boolean
  /** GiB, where the name ends in a size that only tells variants apart. */
  readonly memoryGb: number | null
  /** Where the name carries Apple's count. */
  readonly gpuCores: number | null
}

const marks = /\((r|tm|c)\)|[®™©]/gi
const laptopWords = /\b(laptop( gpu)?|mobile|(with )?max-q( design)?|notebook)\b/gi
// "Max-Q" is part of the name of one desktop card, NVIDIA's workstation edition.
const desktopMaxQ = /max-q workstation/i
const vendorWords =
  /\b(nvidia( corporation)?|amd|advanced micro devices,? inc|ati|intel( corporation)?)\b\.?/gi
const sizeWord = /\b(\d{1,3}) ?gb\b/i
const coresWord = /\b(\d{1,3})[- ]?(?:gpu[- ])?cores?(?: gpu)?\b/i

export function parseCardName(printed: string): CardName {
  const plain = printed.replace(marks, ' ')
  const saysLaptop = !desktopMaxQ.test(plain) && plain.search(laptopWords) !== -1
  const gpuCores = coresWord.exec(plain)?.[1]
  const memoryGb = sizeWord.exec(plain)?.[1]
  const base = (saysLaptop ? plain.replace(laptopWords, ' ') : plain)
    .replace(coresWord, ' ')
    .replace(sizeWord, ' ')
    .replace(vendorWords, ' ')
    .replace(/\b(graphics|series)\b/gi, ' ')
    .toLowerCase()
    .replace(/[^a-z0-9.]+/g, ' ')
    .trim()
  return {
    base,
    saysLaptop,
    memoryGb: memoryGb === undefined ? null : Number(memoryGb),
    gpuCores: gpuCores === undefined ? null : Number(gpuCores),
  }
}

/**
 * The parts that one printed text may mean, each with the names to try. The PCI id database, lspci and sysfs give one
 * text for several parts, as `Navi 21 [Radeon RX 6800/6800 XT / 6900 XT]`; a chip's name in round brackets
 * (`RADV NAVI31`, `DG2`) says no more.
 */
export function partsIn(printed: string): readonly (readonly string[])[] {
  const inner = /\[(?<list>[^\]]+)\](?!.*\])/.exec(printed)?.groups?.['list']
  const text = inner ?? withoutChip(printed)
  const [first = '', ...others] = text.split(/\s*[/,]\s*/).filter(part => part !== '')
  const family = /^\D+/.exec(first)?.[0] ?? ''
  const spelled = others.map(part =>
    /^\d/.test(part) ? [family + part] : [part, `Radeon ${part}`],
  )
  return [[first], ...spelled]
}

/** Not the marks, and not what tells a part from another, as `TITAN X (Pascal)` and `Apple M1 Pro (16 cores)`. */
const withoutChip = (printed: string): string =>
  printed.replace(
    /\s*\((?:radv|llvm|navi|vega|dg\d|bmg|adl|rpl|mtl|lnl|raven|renoir|tgl)[^)]*\)/i,
    '',
  )
