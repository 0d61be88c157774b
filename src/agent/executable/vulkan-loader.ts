import { existsSync } from 'node:fs'

/** Where Vulkan's loader lies when it is installed; a driver that nobody can load is no driver. */
const places: readonly string[] = [
  '/usr/lib/x86_64-linux-gnu/libvulkan.so.1',
  '/usr/lib64/libvulkan.so.1',
  '/usr/lib/libvulkan.so.1',
  `${process.env['SystemRoot'] ?? 'C:\\Windows'}\\System32\\vulkan-1.dll`,
]

/** @returns the Vulkan loader's file, or null when it is not installed */
export const vulkanLoaderPath = (): string | null => places.find(existsSync) ?? null
