import { describe, expect, test } from 'bun:test'
import type { Systeminformation } from 'systeminformation'
import { inventoryOfControllers } from './systeminformation-graphics.ts'

const controller = (
  facts: Partial<Systeminformation.GraphicsControllerData>,
): Systeminformation.GraphicsControllerData => ({
  vendor: '',
  model: '',
  bus: '',
  vram: null,
  vramDynamic: false,
  ...facts,
})

const nothing = () => null
const one = (
  facts: Partial<Systeminformation.GraphicsControllerData>,
  platform: NodeJS.Platform,
  read: (path: string) => string | null = nothing,
) => inventoryOfControllers([controller(facts)], platform, read)[0]

describe('graphics controllers of the operating system', () => {
  test("an Intel laptop's memory is not VRAM", () => {
    expect(
      one({ vendor: 'Intel Corporation', model: 'Iris(R) Xe Graphics', vram: 2048 }, 'win32'),
    ).toMatchObject({ vendor: 'intel', kind: 'integrated', vramTotalMb: null })
  })

  test.each([
    ['Intel Corporation', 'Intel(R) Arc(TM) A770 Graphics', 'discrete'],
    ['Intel Corporation', 'Intel(R) Arc(TM) B580 Graphics', 'discrete'],
    ['Intel Corporation', 'Intel(R) Arc(TM) 140V GPU (16GB)', 'integrated'],
    ['Intel Corporation', 'Intel(R) Arc(TM) Graphics', 'integrated'],
    ['Intel Corporation', 'UHD Graphics 630', 'integrated'],
    ['Advanced Micro Devices, Inc.', 'AMD Radeon RX 7900 XTX', 'discrete'],
    ['Advanced Micro Devices, Inc. [AMD/ATI]', 'Navi 21 [Radeon RX 6800/6800 XT]', 'discrete'],
    ['Advanced Micro Devices, Inc.', 'AMD Radeon(TM) Graphics', 'integrated'],
    ['Advanced Micro Devices, Inc.', 'AMD Radeon RX Vega 11 Graphics', 'integrated'],
    ['Advanced Micro Devices, Inc.', 'AMD Radeon 780M Graphics', 'integrated'],
    ['Advanced Micro Devices, Inc.', 'Radeon (TM) RX 480 Graphics', 'discrete'],
    ['Advanced Micro Devices, Inc.', 'AMD Radeon R9 200 Series', 'discrete'],
    ['Intel Corporation', 'Intel(R) Arc(TM) Pro B50 Graphics', 'discrete'],
    ['Intel Corporation', 'Intel(R) Arc(TM) B390 GPU', 'integrated'],
    ['Apple', 'Apple M3 Pro', 'unified'],
    ['NVIDIA Corporation', 'GA104 [GeForce RTX 3070]', 'discrete'],
    ['Qualcomm', 'Adreno X1-85', 'integrated'],
  ] as const)('%s %s is %s', (vendor, model, kind) => {
    expect(one({ vendor, model }, 'win32')?.kind).toBe(kind)
  })

  test("Linux's figure is a PCI window and is not taken; the amdgpu driver's is", () => {
    const card = {
      vendor: 'Advanced Micro Devices, Inc. [AMD/ATI]',
      model: 'Navi 31 [Radeon RX 7900 XT/7900 XTX]',
      busAddress: '03:00.0',
      vram: 256,
    }
    expect(one(card, 'linux')?.vramTotalMb).toBeNull()
    const read = (path: string) =>
      path === '/sys/bus/pci/devices/0000:03:00.0/mem_info_vram_total' ? '25753026560\n' : null
    expect(one(card, 'linux', read)).toMatchObject({ vramTotalMb: 24560, id: 'pci-0000:03:00.0' })
  })

  test('the 32-bit figure of Windows is called unknown', () => {
    const card = { vendor: 'Advanced Micro Devices, Inc.', model: 'AMD Radeon RX 7900 XTX' }
    expect(one({ ...card, vram: 4095 }, 'win32')?.vramTotalMb).toBeNull()
    expect(one({ ...card, vram: 24560 }, 'win32')?.vramTotalMb).toBe(24560)
  })

  test('display adapters of servers and virtual machines are not devices', () => {
    const adapters = [
      controller({ vendor: 'ASPEED Technology, Inc.', model: 'ASPEED Graphics Family' }),
      controller({ vendor: 'Red Hat, Inc.', model: 'Virtio 1.0 GPU' }),
      controller({ vendor: 'Microsoft', model: 'Microsoft Basic Render Driver' }),
    ]
    expect(inventoryOfControllers(adapters, 'linux', nothing)).toEqual([])
  })
})
