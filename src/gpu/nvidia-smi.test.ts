import { describe, expect, test } from 'bun:test'
import { chmodSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import {
  nvidiaInventoryFields,
  nvidiaInventoryFieldsOldDriver,
  nvidiaReadingFields,
  parseNvidiaInventory,
  parseNvidiaReadings,
  queryNvidiaSmi,
} from './nvidia-smi.ts'

describe('the inventory of nvidia-smi', () => {
  test('lists every device of a desktop with two, with Windows line ends', () => {
    const csv =
      'GPU-3f1c9ad2-6a0e-5b0f-9a53-0c1a6d1d7e11, 00000000:01:00.0, 572.83, 24564, 8.9, NVIDIA GeForce RTX 4090\r\n' +
      'GPU-8e0b7c44-1f8d-2c56-8f39-72a3c1e95b02, 00000000:41:00.0, 572.83, 49140, 8.6, NVIDIA RTX A6000\r\n'
    expect(parseNvidiaInventory(csv, nvidiaInventoryFields)).toEqual([
      {
        id: 'GPU-3f1c9ad2-6a0e-5b0f-9a53-0c1a6d1d7e11',
        vendor: 'nvidia',
        kind: 'discrete',
        name: 'NVIDIA GeForce RTX 4090',
        vramTotalMb: 24564,
        driverVersion: '572.83',
        computeCapability: '8.9',
        pciBusId: '00000000:01:00.0',
        source: 'nvidia-smi',
      },
      expect.objectContaining({ name: 'NVIDIA RTX A6000', vramTotalMb: 49140 }),
    ])
  })

  test('calls memory that the driver does not tell unknown, not zero', () => {
    const csv =
      'GPU-5b6f0c7e-2a49-9d11-b6a4-17d9a3f0c9d8, 0000000F:01:00.0, 580.95.05, [N/A], 12.1, NVIDIA GB10\n'
    const [gpu] = parseNvidiaInventory(csv, nvidiaInventoryFields)
    expect(gpu).toMatchObject({ vramTotalMb: null, kind: 'unified', computeCapability: '12.1' })
  })

  test('keeps the healthy devices when one of them has fallen off the bus', () => {
    const csv =
      'Unable to determine the device handle for GPU3: 0000:04:00.0: Unknown Error\n' +
      'GPU-b41dd5b8-4a3a-4c0a-9f2e-2f4a7d0c1e55, 00000000:01:00.0, 550.54.14, 10240, 8.6, NVIDIA GeForce RTX 3080\n'
    expect(parseNvidiaInventory(csv, nvidiaInventoryFields)).toHaveLength(1)
  })

  test('works with the fields of a driver that has no compute_cap', () => {
    const csv =
      'GPU-c2c9e0aa-0f5d-3a41-8d5c-6f3f5a3d2b90, 00000000:0B:00.0, 470.256.02, 11178, NVIDIA GeForce GTX 1080 Ti\n'
    const [gpu] = parseNvidiaInventory(csv, nvidiaInventoryFieldsOldDriver)
    expect(gpu).toMatchObject({ name: 'NVIDIA GeForce GTX 1080 Ti', computeCapability: null })
  })

  test('finds no device in an error text', () => {
    const text =
      "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver. Make sure that the latest NVIDIA driver is installed and running.\n"
    expect(parseNvidiaInventory(text, nvidiaInventoryFields)).toEqual([])
    expect(parseNvidiaInventory('No devices were found\n', nvidiaInventoryFields)).toEqual([])
  })
})

describe('the readings of nvidia-smi', () => {
  test('are numbers where the driver tells them', () => {
    const csv = 'GPU-3f1c9ad2-6a0e-5b0f-9a53-0c1a6d1d7e11, 41, 1523, 24564, 7, 28.43\n'
    expect(parseNvidiaReadings(csv)).toEqual([
      {
        id: 'GPU-3f1c9ad2-6a0e-5b0f-9a53-0c1a6d1d7e11',
        temperature_c: 41,
        vram_used_mb: 1523,
        vram_total_mb: 24564,
        utilization_pct: 7,
        power_w: 28.43,
      },
    ])
  })

  test('are null on a device in MIG mode, where utilisation and memory are not told', () => {
    const csv =
      'GPU-e6d1c9f0-77a2-1c3b-8a3e-0d5b6f9a4c21, 33, [Insufficient Permissions], [Insufficient Permissions], [N/A], 68.12\n'
    expect(parseNvidiaReadings(csv)[0]).toMatchObject({
      temperature_c: 33,
      vram_used_mb: null,
      vram_total_mb: null,
      utilization_pct: null,
    })
  })

  test('are null where an old driver writes its longer words', () => {
    const csv =
      'GPU-c2c9e0aa-0f5d-3a41-8d5c-6f3f5a3d2b90, 52, 410, 11178, [Not Supported], [Unknown Error]\n'
    expect(parseNvidiaReadings(csv)[0]).toMatchObject({ utilization_pct: null, power_w: null })
  })
})

describe('asking nvidia-smi', () => {
  const script = (body: string): { path: string; remove: () => void } => {
    const dir = mkdtempSync(join(tmpdir(), 'gpupool-smi-'))
    const path = join(dir, 'nvidia-smi')
    writeFileSync(path, `#!/bin/sh\n${body}\n`)
    chmodSync(path, 0o755)
    return { path, remove: () => rmSync(dir, { recursive: true }) }
  }

  test('passes the fields on and hands back what it printed', async () => {
    const smi = script('echo "GPU-1, $1 $2"')
    expect(await queryNvidiaSmi(nvidiaReadingFields, smi.path)).toEqual({
      type: 'answer',
      csv: `GPU-1, --query-gpu=${nvidiaReadingFields.join(',')} --format=csv,noheader,nounits\n`,
    })
    smi.remove()
  })

  test('tells what it said when it fails', async () => {
    const smi = script(
      `echo "NVIDIA-SMI has failed because it couldn't communicate with the NVIDIA driver."; exit 9`,
    )
    const answer = await queryNvidiaSmi(nvidiaReadingFields, smi.path)
    expect(answer).toMatchObject({
      type: 'failed',
      reason: expect.stringContaining('exit status 9'),
    })
    smi.remove()
  })

  test('is no failure on a machine without it', async () => {
    expect(await queryNvidiaSmi(nvidiaReadingFields, null)).toEqual({ type: 'absent' })
  })
})
