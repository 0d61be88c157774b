import { describe, expect, test } from 'bun:test'
import { architectures, cards, type Card } from './card.ts'
import { figuresOf } from './card-figures.ts'
import { indexCards, lookUpCard, type CardQuery } from './card-table.ts'

const query = (vendor: CardQuery['vendor'], name: string, more: Partial<CardQuery> = {}) => ({
  vendor,
  name,
  vramTotalMb: null,
  ...more,
})
const found = (asked: CardQuery, table?: readonly Card[]) => {
  const lookup = lookUpCard(asked, table && indexCards(table))
  if (lookup.type === 'unknown') return 'unknown'
  return lookup.type === 'card' ? lookup.card.key : lookup.cards.map(card => card.key).sort()
}

/** A part without figures, for rules that need parts the table does not have; PCI ids here are made up. */
const part = (
  key: string,
  vendor: Card['vendor'],
  architectureName: string,
  names: readonly string[],
  more: Partial<Pick<Card, 'laptop' | 'memoryGb' | 'pciIds' | 'gfxTarget'>> = {},
): Card => ({
  key,
  vendor,
  names: [...names],
  architectureName,
  architecture: architectures[architectureName]!,
  laptop: false,
  memoryGb: [],
  gfxTarget: null,
  gpuCores: null,
  pciIds: [],
  shaders: null,
  boostMhz: null,
  busBits: null,
  memoryGbps: null,
  bandwidthGBs: null,
  fp16Tflops: null,
  sources: [],
  ...more,
})

const navi31 = ['1002:0031']
const twins: readonly Card[] = [
  part('4090', 'nvidia', 'ada', ['GeForce RTX 4090'], { memoryGb: [24] }),
  part('4090-laptop', 'nvidia', 'ada', ['GeForce RTX 4090'], { memoryGb: [16], laptop: true }),
  part('4060-ti-8gb', 'nvidia', 'ada', ['GeForce RTX 4060 Ti'], { memoryGb: [8] }),
  part('4060-ti-16gb', 'nvidia', 'ada', ['GeForce RTX 4060 Ti'], { memoryGb: [16] }),
  part('4070-ti-super', 'nvidia', 'ada', ['GeForce RTX 4070 Ti SUPER'], { memoryGb: [16] }),
  part('3050-laptop-4gb', 'nvidia', 'ampere', ['GeForce RTX 3050'], {
    memoryGb: [4],
    laptop: true,
  }),
  part('3050-laptop-6gb', 'nvidia', 'ampere', ['GeForce RTX 3050'], {
    memoryGb: [6],
    laptop: true,
  }),
  part('a2000-6gb', 'nvidia', 'ampere', ['RTX A2000'], { memoryGb: [6] }),
  part('a2000-12gb', 'nvidia', 'ampere', ['RTX A2000'], { memoryGb: [12] }),
  part('2080-ti', 'nvidia', 'turing', ['GeForce RTX 2080 Ti'], { memoryGb: [11] }),
  part('2070', 'nvidia', 'turing', ['GeForce RTX 2070'], { memoryGb: [8] }),
  part('2070-laptop', 'nvidia', 'turing', ['GeForce RTX 2070'], { memoryGb: [8], laptop: true }),
  part('1650-gddr5', 'nvidia', 'turing-tu11x', ['GeForce GTX 1650'], {
    memoryGb: [4],
    pciIds: ['10de:0005'],
  }),
  part('1650-gddr6', 'nvidia', 'turing-tu11x', ['GeForce GTX 1650'], {
    memoryGb: [4],
    pciIds: ['10de:0006'],
  }),
  part('titan-x-pascal', 'nvidia', 'pascal', ['TITAN X (Pascal)'], { memoryGb: [12] }),
  part('v100', 'nvidia', 'volta', ['Tesla V100-SXM2-16GB', 'Tesla V100-SXM2-32GB'], {
    memoryGb: [16, 32],
  }),
  part('6000-ada', 'nvidia', 'ada', ['RTX 6000 Ada Generation'], { memoryGb: [48] }),
  part(
    'pro-6000-max-q-workstation',
    'nvidia',
    'blackwell',
    ['RTX PRO 6000 Blackwell Max-Q Workstation Edition'],
    { memoryGb: [96] },
  ),
  part('7900-xtx', 'amd', 'rdna3', ['Radeon RX 7900 XTX'], { memoryGb: [24], pciIds: navi31 }),
  part('7900-xt', 'amd', 'rdna3', ['Radeon RX 7900 XT'], { memoryGb: [20], pciIds: navi31 }),
  part('7900-gre', 'amd', 'rdna3', ['Radeon RX 7900 GRE'], { memoryGb: [16], pciIds: navi31 }),
  part('7900m-laptop', 'amd', 'rdna3', ['Radeon RX 7900M'], {
    memoryGb: [16],
    laptop: true,
    pciIds: navi31,
  }),
  part('780m', 'amd', 'rdna3', ['Radeon 780M'], {
    laptop: null,
    pciIds: ['1002:0780'],
    gfxTarget: 'gfx1103',
  }),
]

describe('NVIDIA names, as NVML, nvidia-smi and WMI print them', () => {
  test.each<[string, number, string]>([
    ['NVIDIA GeForce RTX 5050', 8_151, 'nvidia-geforce-rtx-5050'],
    ['GeForce RTX 5050', 8_151, 'nvidia-geforce-rtx-5050'],
    ['NVIDIA GeForce RTX 5050 Laptop GPU', 8_151, 'nvidia-geforce-rtx-5050-laptop'],
    ['NVIDIA GeForce RTX 5060 Laptop GPU', 8_151, 'nvidia-geforce-rtx-5060-laptop'],
    ['NVIDIA A100-SXM4-80GB', 81_920, 'nvidia-a100-sxm4-80gb'],
    ['NVIDIA L40S', 46_068, 'nvidia-l40s'],
    ['NVIDIA H200', 143_771, 'nvidia-h200'],
    ['NVIDIA B200', 183_359, 'nvidia-b200'],
  ])('%s with %d MB', (name, vramTotalMb, key) => {
    expect(found(query('nvidia', name, { vramTotalMb }))).toBe(key)
  })

  test.each<[string, number, string]>([
    ['NVIDIA GeForce RTX 4090', 24_564, '4090'],
    ['NVIDIA GeForce RTX 4090 Laptop GPU', 16_376, '4090-laptop'],
    ['NVIDIA GeForce RTX 4070 Ti SUPER', 16_376, '4070-ti-super'],
    ['NVIDIA GeForce RTX 4060 Ti', 16_380, '4060-ti-16gb'],
    ['NVIDIA GeForce RTX 4060 Ti', 8_188, '4060-ti-8gb'],
    ['NVIDIA GeForce RTX 3050 6GB Laptop GPU', 6_144, '3050-laptop-6gb'],
    ['NVIDIA RTX A2000 12GB', 12_282, 'a2000-12gb'],
    ['GeForce RTX 2080 Ti', 22_528, '2080-ti'],
    ['NVIDIA GeForce RTX 2070 with Max-Q Design', 8_192, '2070-laptop'],
    ['NVIDIA TITAN X (Pascal)', 12_288, 'titan-x-pascal'],
    ['NVIDIA RTX 6000 Ada Generation', 49_140, '6000-ada'],
    [
      'NVIDIA RTX PRO 6000 Blackwell Max-Q Workstation Edition',
      97_887,
      'pro-6000-max-q-workstation',
    ],
    ['Tesla V100-SXM2-32GB', 32_510, 'v100'],
  ])('%s with %d MB, among parts of the same name', (name, vramTotalMb, key) => {
    expect(found(query('nvidia', name, { vramTotalMb }), twins)).toBe(key)
  })

  test('a GB10 tells no memory of its own', () => {
    expect(found(query('nvidia', 'NVIDIA GB10'))).toBe('nvidia-gb10')
  })
})

describe('AMD names, as the driver, ROCm, Vulkan, lspci and WMI print them', () => {
  test.each<[string, Partial<CardQuery>, string | string[]]>([
    ['AMD Radeon RX 9060 XT (RADV GFX1200)', {}, 'amd-radeon-rx-9060-xt'],
    ['AMD Radeon RX 9060 XT', { vramTotalMb: 16_304 }, 'amd-radeon-rx-9060-xt'],
    ['Radeon RX 9060 XT Series', {}, 'amd-radeon-rx-9060-xt'],
    ['AMD Radeon(TM) RX 6800M', {}, 'amd-radeon-rx-6800m-laptop'],
    ['Advanced Micro Devices, Inc. Radeon RX 6800M', {}, 'amd-radeon-rx-6800m-laptop'],
    ['AMD Radeon RX 7600M XT', {}, 'amd-radeon-rx-7600m-xt-laptop'],
    [
      'Navi 33 [Radeon RX 7600M/7600M XT]',
      {},
      ['amd-radeon-rx-7600m-laptop', 'amd-radeon-rx-7600m-xt-laptop'],
    ],
    ['Radeon 8060S Graphics', {}, 'amd-radeon-8060s'],
    ['AMD Radeon PRO W7900', { vramTotalMb: 49_136 }, 'amd-radeon-pro-w7900'],
    ['AMD Instinct MI325X', { vramTotalMb: 262_128 }, 'amd-instinct-mi325x'],
  ])('%s', (name, more, key) => {
    expect(found(query('amd', name, more))).toEqual(key)
  })

  test.each<[string, Partial<CardQuery>, string]>([
    ['AMD Radeon RX 7900 XTX (RADV NAVI31)', {}, '7900-xtx'],
    ['Radeon RX 7900 XT', { vramTotalMb: 20_464 }, '7900-xt'],
    ['Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]', { vramTotalMb: 24_560 }, '7900-xtx'],
    ['AMD Radeon Graphics', { pciDeviceId: '1002:0780' }, '780m'],
    ['AMD Radeon(TM) 780M Graphics', { gfxTarget: 'gfx1103:xnack-' }, '780m'],
  ])('%s, among parts of one chip', (name, more, key) => {
    expect(found(query('amd', name, more), twins)).toBe(key)
  })
})

describe('Intel and Apple names', () => {
  test.each<[CardQuery['vendor'], string, Partial<CardQuery>, string]>([
    ['intel', 'Intel(R) Arc(TM) B580 Graphics', { vramTotalMb: 12_216 }, 'intel-arc-b580'],
    ['intel', 'Intel(R) Arc(tm) B570 Graphics (BMG G21)', {}, 'intel-arc-b570'],
    ['intel', 'Battlemage G21 [Arc B580]', {}, 'intel-arc-b580'],
    ['intel', 'Intel(R) Arc(TM) Pro B60 Graphics', {}, 'intel-arc-pro-b60'],
    ['intel', 'Intel(R) Graphics', { pciDeviceId: '8086:E223' }, 'intel-arc-pro-b70'],
    ['apple', 'Apple M1 Pro', { gpuCores: 16 }, 'apple-m1-pro-16-core'],
    ['apple', 'Apple M1 Max', { gpuCores: 24 }, 'apple-m1-max-24-core'],
    ['apple', 'Apple M3 Ultra', { gpuCores: 80 }, 'apple-m3-ultra-80-core'],
    ['apple', 'Apple M4 Max (40 cores)', {}, 'apple-m4-max-40-core'],
  ])('%s %s', (vendor, name, more, key) => {
    expect(found(query(vendor, name, more))).toBe(key)
  })
})

describe('names that drivers print, by the fixtures of src/gpu', () => {
  test.each<[CardQuery['vendor'], string, Partial<CardQuery>, string]>([
    ['nvidia', 'NVIDIA GeForce RTX 2080', { pciDeviceId: '10de:1e87' }, 'geforce-rtx-2080'],
    ['nvidia', 'NVIDIA GeForce RTX 2080', { laptop: true }, 'geforce-rtx-2080-laptop'],
    [
      'nvidia',
      'NVIDIA GeForce RTX 2080 SUPER',
      { pciDeviceId: '10de:1e81' },
      'geforce-rtx-2080-super',
    ],
    ['nvidia', 'NVIDIA GeForce RTX 3080', { vramTotalMb: 10_240 }, 'geforce-rtx-3080-10gb'],
    ['nvidia', 'NVIDIA GeForce RTX 3060', { vramTotalMb: 12_288 }, 'geforce-rtx-3060-12gb'],
    ['nvidia', 'NVIDIA GeForce RTX 4090', { vramTotalMb: 24_564 }, 'geforce-rtx-4090'],
    ['nvidia', 'NVIDIA GeForce GTX 1660', { laptop: false }, 'geforce-gtx-1660'],
    [
      'nvidia',
      'NVIDIA GeForce GTX 1660 Ti',
      { pciDeviceId: '10de:2191' },
      'geforce-gtx-1660-ti-laptop',
    ],
    ['nvidia', 'GeForce GTX 1080', { pciDeviceId: '10de:1b80' }, 'geforce-gtx-1080'],
    ['nvidia', 'Tesla T4', { vramTotalMb: 15_360 }, 'tesla-t4'],
    ['nvidia', 'Quadro P400', { vramTotalMb: 1_998 }, 'quadro-p400'],
    ['nvidia', 'Quadro P2000', { laptop: false }, 'quadro-p2000'],
    ['nvidia', 'NVIDIA A100-SXM4-80GB', { vramTotalMb: 81_920 }, 'a100-sxm4-80gb'],
    ['nvidia', 'NVIDIA H200', { vramTotalMb: 143_771 }, 'h200'],
    ['nvidia', 'NVIDIA GB10', {}, 'gb10'],
    ['amd', 'Radeon Instinct MI50 32GB', {}, 'instinct-mi50'],
    ['amd', 'Arcturus GL-XL [Instinct MI100]', {}, 'instinct-mi100'],
    ['amd', 'Radeon RX 7900 XT', { vramTotalMb: 20_464 }, 'radeon-rx-7900-xt'],
    ['amd', 'AMD Radeon RX 7900 XTX', {}, 'radeon-rx-7900-xtx'],
    ['amd', 'Radeon RX 580 Series', {}, 'radeon-rx-580'],
    ['amd', 'Radeon (TM) RX 480 Graphics', {}, 'radeon-rx-480'],
    ['amd', 'AMD Radeon 780M Graphics', { gfxTarget: 'gfx1103' }, 'radeon-780m'],
    ['intel', 'Intel(R) Arc(TM) A750 Graphics', {}, 'arc-a750'],
    ['intel', 'DG2 [Arc A380]', {}, 'arc-a380'],
    ['apple', 'Apple M1 Pro', { gpuCores: 16 }, 'm1-pro-16-core'],
    ['apple', 'Apple M2 Pro', { gpuCores: 19 }, 'm2-pro-19-core'],
    ['apple', 'Apple M3 Pro', { gpuCores: 18 }, 'm3-pro-18-core'],
    ['apple', 'Apple M4', { gpuCores: 10 }, 'm4-10-core'],
    ['apple', 'Apple M5', { gpuCores: 10 }, 'm5-10-core'],
  ])('%s %s %j', (vendor, name, more, key) => {
    expect(found(query(vendor, name, more))).toBe(`${vendor}-${key}`)
  })

  test.each<[CardQuery['vendor'], string, Partial<CardQuery>, string[]]>([
    [
      'amd',
      'Navi 22 [Radeon RX 6700/6700 XT / 6800M]',
      { vramTotalMb: 12_272 },
      ['amd-radeon-rx-6700-xt', 'amd-radeon-rx-6800m-laptop'],
    ],
    [
      'nvidia',
      'NVIDIA GeForce GTX 1650',
      { laptop: false },
      ['nvidia-geforce-gtx-1650', 'nvidia-geforce-gtx-1650-tu106'],
    ],
  ])('%s %s %j is one of several', (vendor, name, more, keys) => {
    expect(found(query(vendor, name, more))).toEqual(keys)
  })
})

test('a laptop part and a desktop part of one name are found as different parts', () => {
  const asName = (card: Card) => `${card.vendor} ${card.names[0]!.toLowerCase()}`
  const desktops = Map.groupBy(
    cards.filter(card => card.laptop === false),
    asName,
  )
  const laptops = cards.filter(card => card.laptop === true && desktops.has(asName(card)))
  expect(laptops.length).toBeGreaterThanOrEqual(40)
  for (const card of laptops) {
    const vramTotalMb = card.memoryGb[0] === undefined ? null : card.memoryGb[0] * 1024
    const plain = query(card.vendor, card.names[0]!, { vramTotalMb })
    const told = card.architecture.namesSayLaptop
    const laptop = told ? { ...plain, name: `${plain.name} Laptop GPU` } : plain
    expect(found({ ...laptop, laptop: true })).toBe(card.key)
    expect([card.key, found({ ...plain, laptop: false })]).not.toEqual([card.key, card.key])
  }
})

describe('what a name alone does not decide', () => {
  test('an older NVIDIA name fits desktop and laptop, until the probe says which', () => {
    const name = 'NVIDIA GeForce RTX 2070'
    expect(found(query('nvidia', name), twins)).toEqual(['2070', '2070-laptop'])
    expect(found(query('nvidia', name, { laptop: true }), twins)).toBe('2070-laptop')
    expect(found(query('nvidia', name, { laptop: false }), twins)).toBe('2070')
  })

  test('a desktop card beside a laptop stays one: newer names say laptop themselves', () => {
    const asked = query('nvidia', 'NVIDIA GeForce RTX 4090', { laptop: true })
    expect(found(asked, twins)).toBe('4090')
  })

  test('one chip with several core counts is ambiguous, and the least of the figures counts', () => {
    const lookup = lookUpCard(query('apple', 'Apple M4 Max'))
    expect(lookup.type).toBe('ambiguous')
    const figures = figuresOf(lookup, { computeCapability: null, gfxTarget: null })
    expect(figures.bandwidthGBs).toBe(410)
    expect(figures.origin).toContain('the least of')
  })

  test('where one of the candidates has no figure, there is none', () => {
    const figures = figuresOf(lookUpCard(query('apple', 'Apple M2 Ultra')), {
      computeCapability: null,
      gfxTarget: null,
    })
    expect(figures.bandwidthGBs).toBe(800)
    expect(figures.fp16Tflops).toBeNull()
  })

  test('two memories on the same desktop card are told apart by PCI id', () => {
    const name = 'NVIDIA GeForce GTX 1650'
    expect(found(query('nvidia', name), twins)).toEqual(['1650-gddr5', '1650-gddr6'])
    expect(found(query('nvidia', name, { pciDeviceId: '10DE:0005' }), twins)).toBe('1650-gddr5')
  })

  test('a shared PCI id leaves the laptop part in, when the name is the generic one', () => {
    const name = 'Navi 31 [Radeon RX 7900 XT/7900 XTX/7900 GRE/7900M]'
    const asked = query('amd', name, { vramTotalMb: 16_368, pciDeviceId: '1002:0031' })
    expect(found(asked, twins)).toEqual(['7900-gre', '7900m-laptop'])
    expect(found({ ...asked, laptop: true }, twins)).toBe('7900m-laptop')
  })

  test('a part whose instruction set is not known may have any', () => {
    const table = [
      part('known', 'amd', 'rdna3', ['Radeon X'], { gfxTarget: 'gfx1102' }),
      part('other', 'amd', 'rdna3', ['Radeon X'], { gfxTarget: 'gfx1100' }),
      part('not-known', 'amd', 'rdna3', ['Radeon X']),
    ]
    const asked = query('amd', 'Radeon X', { gfxTarget: 'gfx1102' })
    expect(found(asked, table)).toEqual(['known', 'not-known'])
  })

  test.each<[string, CardQuery['vendor'], string, string]>([
    ['a laptop part', 'nvidia', 'NVIDIA GeForce RTX 4090', '4090-laptop'],
    ['a desktop part', 'nvidia', 'NVIDIA GeForce RTX 4090 Laptop GPU', '4090'],
    ['a part with other memory', 'nvidia', 'NVIDIA RTX A2000 6GB', 'a2000-12gb'],
    ['one of its parts', 'amd', 'Navi 31 [Radeon RX 7900 XT/7900M]', '7900m-laptop'],
  ])('where the table has only %s, %s %s is unknown', (_, vendor, name, only) => {
    const table = twins.filter(twin => twin.key === only)
    expect(found(query(vendor, name), table)).toBe('unknown')
  })

  test.each<[CardQuery['vendor'], string]>([
    ['nvidia', 'NVIDIA GeForce RTX 9999'],
    ['amd', 'AMD Radeon Graphics'],
    ['intel', 'Intel(R) UHD Graphics 630'],
    ['other', 'llvmpipe (LLVM 17.0.6, 256 bits)'],
    ['apple', ''],
  ])('%s %p is unknown, with a reason', (vendor, name) => {
    const lookup = lookUpCard(query(vendor, name))
    expect(lookup).toEqual({ type: 'unknown', reason: expect.stringContaining(name) })
  })

  test('an unknown part has the arithmetic of its generation and no speed', () => {
    const lookup = lookUpCard(query('nvidia', 'NVIDIA GeForce RTX 9999'))
    const figures = figuresOf(lookup, { computeCapability: '8.9', gfxTarget: null })
    expect(figures).toMatchObject({ bandwidthGBs: null, fp16Tflops: null, int8: 'matrix' })
  })
})

const everyPart = [
  ...cards,
  ...twins.filter(twin => !cards.some(card => card.names[0] === twin.names[0])),
]
const index = indexCards(everyPart)

test('every part is found by each of its own names, laptop flag, memory, cores and PCI id', () => {
  for (const card of everyPart)
    for (const name of card.names) {
      const asked = {
        vendor: card.vendor,
        name: card.laptop === true ? `${name} Laptop GPU` : name,
        vramTotalMb: card.memoryGb[0] === undefined ? null : card.memoryGb[0] * 1024,
        laptop: card.laptop,
        gfxTarget: card.gfxTarget,
        gpuCores: card.gpuCores,
        pciDeviceId: card.pciIds[0] ?? null,
      }
      const lookup = lookUpCard(asked, index)
      if (lookup.type !== 'card' || lookup.card.key !== card.key)
        throw new Error(`${card.key}: ${JSON.stringify(lookup).slice(0, 300)}`)
    }
})

test('no laptop part is ever found for a name that a desktop driver prints, nor the reverse', () => {
  for (const card of everyPart.filter(one => one.architecture.namesSayLaptop))
    for (const name of card.names)
      for (const saysLaptop of [true, false]) {
        const asked = query(card.vendor, saysLaptop ? `${name} Laptop GPU` : name)
        for (const laptop of [true, false, null]) {
          const lookup = lookUpCard({ ...asked, laptop }, index)
          const fitting =
            lookup.type === 'card' ? [lookup.card] : lookup.type === 'ambiguous' ? lookup.cards : []
          expect([card.key, fitting.filter(one => one.laptop === !saysLaptop)]).toEqual([
            card.key,
            [],
          ])
        }
      }
})
