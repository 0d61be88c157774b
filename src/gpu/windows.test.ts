import { describe, expect, test } from 'bun:test'
import fc from 'fast-check'
import { readFileSync } from 'node:fs'
import { join } from 'node:path'
import { Compile } from 'typebox/compile'
import { GpuInventorySchema } from '../protocol/gpu.ts'
import { direct3d12Level, parseWindowsReport, windowsInventory } from './windows-controllers.ts'
import { parseDxdiag } from './windows-dxdiag.ts'
import { createWindowsProbe, withDxdiag } from './windows-probe.ts'

const recorded = (name: string) =>
  readFileSync(join(import.meta.dir, 'fixtures', 'windows', name), 'utf8')

/** A controller recorded as `Format-List` prints it, as ConvertTo-Json would. */
const controllerOf = (list: string) => {
  const row: Record<string, unknown> = {}
  for (const line of list.split('\n')) {
    const [, name = '', value = ''] = /^(\w+)\s*: ?(.*)$/.exec(line) ?? []
    if (name === '') continue
    row[name] = value === '' ? null : /^\d+$/.test(value) ? Number(value) : value
  }
  return { Name: row['Caption'], ...row }
}

/** The rows of a table as wmic and Format-Table print it. */
const tableOf = (text: string) => {
  const [head = '', ...lines] = text.split('\n').filter(line => !/^[- ]*$/.test(line))
  const starts = [...head.matchAll(/\S+/g)].map(match => match.index)
  return lines.map(line =>
    Object.fromEntries(
      starts.map((from, at) => {
        const value = line.slice(from, starts[at + 1]).trim()
        return [
          head.slice(from, starts[at + 1]).trim(),
          /^\d+$/.test(value) ? Number(value) : value,
        ]
      }),
    ),
  )
}

const inventoryOf = (report: object) => windowsInventory(parseWindowsReport(JSON.stringify(report)))

describe('the controllers of Windows', () => {
  test('of an Intel processor have no VRAM', () => {
    expect(inventoryOf({ controllers: controllerOf(recorded('wmi-uhd-graphics.txt')) })).toEqual([
      expect.objectContaining({
        name: 'Intel(R) UHD Graphics',
        vendor: 'intel',
        kind: 'integrated',
        pciDeviceId: '8086:9bc4',
        vramTotalMb: null,
        backends: ['vulkan'],
      }),
    ])
  })

  test("of cards never take WMI's 32-bit memory size", () => {
    const controllers = [
      controllerOf(recorded('wmi-gtx1660.txt')),
      ...tableOf(recorded('wmic-rtx4090-and-uhd770.txt')),
    ]
    expect(controllers.map(row => (row as { AdapterRAM?: unknown }).AdapterRAM)).toEqual([
      4_293_918_720, 4_293_918_720, 1_073_741_824,
    ])
    expect(inventoryOf({ controllers }).map(gpu => [gpu.name, gpu.kind, gpu.vramTotalMb])).toEqual([
      ['NVIDIA GeForce GTX 1660', 'discrete', null],
      ['NVIDIA GeForce RTX 4090', 'discrete', null],
      ['Intel(R) UHD Graphics 770', 'integrated', null],
    ])
  })

  test('take the size that the driver of the same card wrote into the registry', () => {
    const controller = {
      ...controllerOf(recorded('wmi-rx580.txt')),
      ClassKey: '{4d36e968-e325-11ce-bfc1-08002be10318}\\0001',
      Location: '@System32\\drivers\\pci.sys,#65536;PCI bus %1, device %2, function %3;(11,0,0)',
    }
    const sized = (qwMemorySize: unknown) =>
      inventoryOf({
        controllers: controller,
        classKeys: [
          { ClassKey: '{4d36e968-e325-11ce-bfc1-08002be10318}\\0000', qwMemorySize: 1 },
          { ClassKey: controller.ClassKey, qwMemorySize },
        ],
      })[0]
    expect(sized(8_589_934_592)).toMatchObject({
      id: 'pci-0000:0b:00.0',
      vendor: 'amd',
      kind: 'discrete',
      vramTotalMb: 8192,
      pciDeviceId: '1002:67df',
    })
    // The same as REG_BINARY: eight bytes, the lowest first.
    expect(sized([0, 0, 0, 0, 2, 0, 0, 0])?.vramTotalMb).toBe(8192)
    expect(sized('unknown')?.vramTotalMb).toBeNull()
    expect(sized(null)?.vramTotalMb).toBeNull()
  })

  test('tell a card from the GPU of its processor, with the driver of both', () => {
    const controllers = tableOf(recorded('wmi-7900xtx-and-igpu.txt'))
    expect(
      inventoryOf({ controllers }).map(gpu => [gpu.name, gpu.kind, gpu.driverVersion]),
    ).toEqual([
      ['AMD Radeon(TM) Graphics', 'integrated', '31.0.24019.1006'],
      ['AMD Radeon RX 7900 XTX', 'discrete', '31.0.24019.1006'],
    ])
  })

  test('that only show a picture are left out', () => {
    const controllers = [
      { Name: 'Microsoft Basic Display Adapter', AdapterCompatibility: '(Standard display types)' },
      { Name: 'Microsoft Remote Display Adapter', AdapterCompatibility: 'Microsoft' },
    ]
    expect(inventoryOf({ controllers })).toEqual([])
  })
})

describe('DirectX', () => {
  const rx580 = controllerOf(recorded('wmi-rx580.txt'))
  const withDirectX = (facts: object) =>
    inventoryOf({
      controllers: [rx580],
      directX: [{ VendorId: 0x1002, DeviceId: 0x67df, ...facts }],
    })[0]

  test('remembers the size of a card and its feature level', () => {
    expect(
      withDirectX({ DedicatedVideoMemory: 8_571_000_000, MaxD3D12FeatureLevel: 0xc000 }),
    ).toMatchObject({
      vramTotalMb: 8174,
      backends: ['vulkan'],
      readBy: { vramTotalMb: 'directx registry' },
    })
    expect(direct3d12Level({ MaxD3D12FeatureLevel: 0xc100 })).toBe('12_1')
    expect(direct3d12Level({ MaxD3D12FeatureLevel: 0xb000 })).toBe('11_0')
    expect(direct3d12Level({ MaxD3D12FeatureLevel: 'none' })).toBeNull()
  })

  test('without Direct3D 12 means a driver that llama.cpp cannot use', () => {
    expect(withDirectX({ MaxD3D12FeatureLevel: 0 })?.backends).toEqual([])
    expect(withDirectX({})?.backends).toEqual(['vulkan'])
    expect(inventoryOf({ controllers: [rx580] })[0]?.backends).toEqual(['vulkan'])
  })
})

describe('dxdiag', () => {
  test('of a desktop card and of an APU tells dedicated memory apart from shared', () => {
    expect(parseDxdiag(recorded('dxdiag-rx480.txt'))).toEqual([
      expect.objectContaining({
        name: 'Radeon (TM) RX 480 Graphics',
        pciDeviceId: '1002:67df',
        dedicatedMb: 8171,
        sharedMb: 8161,
      }),
    ])
    expect(parseDxdiag(recorded('dxdiag-cezanne-apu.txt'))[0]).toMatchObject({
      pciDeviceId: '1002:1638',
      dedicatedMb: 496,
    })
  })

  test('of a hybrid laptop lists both GPUs with their own facts', () => {
    expect(
      parseDxdiag(recorded('dxdiag-hybrid-p630-quadro-m2200.txt')).map(gpu => [
        gpu.pciDeviceId,
        gpu.dedicatedMb,
        gpu.featureLevel,
        gpu.ddiVersion,
        gpu.wddm,
      ]),
    ).toEqual([
      ['8086:591d', 128, null, null, null],
      ['10de:1436', 4053, '12_1', 12, 2.7],
    ])
  })

  test('as XML has the same fields', () => {
    const xml =
      '<?xml version="1.0"?>\n<DxDiag>\n  <DisplayDevices>\n    <DisplayDevice>\n' +
      '      <CardName>AMD Radeon RX 6700 XT</CardName>\n' +
      '      <DeviceKey>Enum\\PCI\\VEN_1002&amp;DEV_73DF&amp;SUBSYS_2409148C&amp;REV_C1</DeviceKey>\n' +
      '      <DedicatedMemory>12243 MB</DedicatedMemory>\n      <DDIVersion>12</DDIVersion>\n' +
      '    </DisplayDevice>\n  </DisplayDevices>\n</DxDiag>\n'
    expect(parseDxdiag(xml)).toEqual([
      expect.objectContaining({ pciDeviceId: '1002:73df', dedicatedMb: 12243, ddiVersion: 12 }),
    ])
  })

  test('of a chip without Direct3D 12 takes its backends away', () => {
    const report = `Card name: Intel(R) HD Graphics 4000\n Device Key: Enum\\PCI\\VEN_8086&DEV_0166&SUBSYS_1\n${recorded('dxdiag-hd4000-dx11.txt')}`
    const [adapter] = parseDxdiag(report)
    expect(adapter).toMatchObject({ ddiVersion: 11.2, featureLevel: '11_0', wddm: 1.3 })
    const [gpu] = inventoryOf({
      controllers: { Name: 'Intel(R) HD Graphics 4000', PNPDeviceID: 'PCI\\VEN_8086&DEV_0166' },
    })
    expect(withDxdiag(gpu!, [adapter!])).toMatchObject({ backends: [], vramTotalMb: null })
  })
})

describe('the probe', () => {
  const answering = (stdout: string) => async () => ({
    type: 'answer' as const,
    status: 0,
    stdout,
  })
  const rx580 = JSON.stringify({ controllers: [controllerOf(recorded('wmi-rx580.txt'))] })

  test('asks dxdiag only when the registry leaves the memory of a card open', async () => {
    let asked = 0
    const dxdiag = () => {
      asked += 1
      return Promise.resolve(parseDxdiag(recorded('dxdiag-rx480.txt')))
    }
    const found = await createWindowsProbe(answering(rx580), dxdiag).inventory()
    expect(found.gpus[0]).toMatchObject({ vramTotalMb: 8171, readBy: { vramTotalMb: 'dxdiag' } })
    const uhd = JSON.stringify({ controllers: [controllerOf(recorded('wmi-uhd-graphics.txt'))] })
    await createWindowsProbe(answering(uhd), dxdiag).inventory()
    expect(asked).toBe(1)
  })

  test('tells the modules of main memory too, with what it cannot read left out', async () => {
    const module = { BankLabel: 'P0 CHANNEL A', DeviceLocator: 'DIMM 1', DataWidth: 64 }
    const modules = [
      { ...module, ConfiguredClockSpeed: 5600 },
      { ...module, DataWidth: 'wide' },
    ]
    const report = JSON.stringify({ controllers: [], modules })
    const none = () => Promise.resolve([])
    const { memoryModules } = await createWindowsProbe(answering(report), none).inventory()
    const place = { bank: 'P0 CHANNEL A', slot: 'DIMM 1' }
    expect(memoryModules).toEqual([
      { ...place, dataWidthBits: 64, megaTransfers: 5600 },
      { ...place, dataWidthBits: null, megaTransfers: null },
    ])
  })

  test('says that Windows stopped a device', async () => {
    const stopped = rx580.replace('"ConfigManagerErrorCode":0', '"ConfigManagerErrorCode":43')
    const none = () => Promise.resolve([])
    const { problems } = await createWindowsProbe(answering(stopped), none).inventory()
    expect(problems[0]).toContain('code 43')
  })
})

test('any text gives an answer that fits the protocol', () => {
  const schema = Compile(GpuInventorySchema)
  const row = fc.record({
    Name: fc.oneof(fc.string(), fc.constant('AMD Radeon RX 7900 XTX'), fc.integer()),
    PNPDeviceID: fc.oneof(fc.string(), fc.constant('PCI\\VEN_1002&DEV_744C')),
    ClassKey: fc.constant('a'),
    Location: fc.oneof(fc.string(), fc.constant('x;(1,99,9)')),
    DriverVersion: fc.oneof(fc.string(), fc.double()),
  })
  const size = fc.oneof(fc.double(), fc.string(), fc.array(fc.integer()), fc.constant(null))
  fc.assert(
    fc.property(fc.string(), fc.array(row), size, (noise, controllers, qwMemorySize) => {
      parseDxdiag(noise)
      const found = [
        ...windowsInventory(parseWindowsReport(noise)),
        ...inventoryOf({ controllers, classKeys: [{ ClassKey: 'a', qwMemorySize }] }),
      ]
      return found.every(gpu => schema.Check(gpu))
    }),
  )
})
