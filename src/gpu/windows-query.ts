import { runCommand, type CommandAnswer, type RunCommand } from './machine-command.ts'

/**
 * Everything about GPUs and memory modules in one start of PowerShell, which alone takes most of a second:
 * - `controllers`: Win32_VideoController; with each, from its Enum key in the registry, the class key of its driver and
 *   its place on the bus, so that two equal cards are not mixed up (their names are equal, and the order of class keys
 *   is not that of WMI: glpi-project/glpi-agent#199).
 * - `classKeys`: the drivers' class keys with `HardwareInformation.qwMemorySize`, 64 bits, where WMI's AdapterRAM has
 *   32 and shows 4095 MB or less for every larger card.
 * - `directX`: what DirectX remembers of each adapter, its highest Direct3D 12 feature level included.
 */
const script = `
$ErrorActionPreference = 'SilentlyContinue'
$ProgressPreference = 'SilentlyContinue'
[Console]::OutputEncoding = [Text.Encoding]::UTF8
$enum = 'HKLM:\\SYSTEM\\CurrentControlSet\\Enum\\'
$class = 'HKLM:\\SYSTEM\\CurrentControlSet\\Control\\Class\\'
$controllers = @(Get-CimInstance Win32_VideoController | ForEach-Object {
  $key = Get-ItemProperty -LiteralPath ($enum + $_.PNPDeviceID)
  $_ | Select-Object Name, AdapterCompatibility, AdapterRAM, DriverVersion, PNPDeviceID, Status, ConfigManagerErrorCode,
    @{ n = 'ClassKey'; e = { $key.Driver } }, @{ n = 'Location'; e = { $key.LocationInformation } }
})
$classKeys = @($controllers | Where-Object { $_.ClassKey } | ForEach-Object {
  $found = Get-ItemProperty -LiteralPath ($class + $_.ClassKey)
  [pscustomobject]@{ ClassKey = $_.ClassKey; DriverDesc = $found.DriverDesc;
    qwMemorySize = $found.'HardwareInformation.qwMemorySize' }
})
$directX = @(Get-ChildItem 'HKLM:\\SOFTWARE\\Microsoft\\DirectX' | Get-ItemProperty | Where-Object { $_.VendorId } |
  Select-Object Description, VendorId, DeviceId, DedicatedVideoMemory, SharedSystemMemory, MaxD3D12FeatureLevel)
$modules = @(Get-CimInstance Win32_PhysicalMemory | Select-Object BankLabel, DeviceLocator, Capacity, DataWidth,
  ConfiguredClockSpeed)
[pscustomobject]@{ controllers = $controllers; classKeys = $classKeys; directX = $directX;
  modules = $modules } | ConvertTo-Json -Depth 4 -Compress
`

/** WMI can be slow for a while after the machine started. */
const timeLimitMs = 20_000

/** Asks Windows once. */
export const queryWindows = (run: RunCommand = runCommand): Promise<CommandAnswer> =>
  run(
    ['powershell.exe', '-NoLogo', '-NoProfile', '-NonInteractive', '-Command', script],
    timeLimitMs,
  )
