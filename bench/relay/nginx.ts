import { existsSync } from 'node:fs'
import { mkdir, readdir, writeFile } from 'node:fs/promises'
import { join } from 'node:path'
import { BenchProcess } from '../harness/bench-process.ts'
import { CannotRun } from '../harness/context.ts'
import { childrenOf } from '../harness/process-usage.ts'

const cache = new URL('../../node_modules/.cache/gpupool-bench/', import.meta.url).pathname
const startTimeoutMs = 10_000
const startPollMs = 20

export type Nginx = {
  readonly port: number
  readonly version: string
  /** The worker does all the work; the master sleeps. */
  readonly workerPid: number
  readonly pids: readonly number[]
  stop(): Promise<void>
}

/** Starts nginx as a relay to `upstreamPort`, set up for streams as its manual advises, with one worker. */
export async function startNginx(options: {
  readonly upstreamPort: number
  readonly folder: string
  readonly cpu: number | null
}): Promise<Nginx> {
  const executable = await findNginx()
  const port = freePort()
  const folder = join(options.folder, 'nginx')
  await mkdir(folder)
  const configPath = join(folder, 'nginx.conf')
  await writeFile(configPath, nginxConfig(folder, port, options.upstreamPort))
  const process = new BenchProcess({
    name: 'nginx',
    executable,
    args: ['-p', folder, '-e', 'stderr', '-c', configPath],
    env: {},
    folder: options.folder,
    cpu: options.cpu,
  })
  const workerPid = await firstWorker(process, port)
  return {
    port,
    version: versionOf(executable),
    workerPid,
    pids: [process.pid, workerPid],
    stop: () => process.stop(),
  }
}

/** The one that is installed, or Debian's, unpacked beside the dependencies without being installed. */
async function findNginx(): Promise<string> {
  const installed = Bun.which('nginx', { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin` })
  return installed ?? (await unpackNginx(cache))
}

/** Needs no root: a package that is only unpacked starts no service and changes no system. */
export async function unpackNginx(folder: string): Promise<string> {
  const executable = join(folder, 'usr/sbin/nginx')
  if (existsSync(executable)) return executable
  await mkdir(folder, { recursive: true })
  const run = (command: readonly string[]) =>
    Bun.spawnSync([...command], { cwd: folder, stdout: 'ignore', stderr: 'ignore' }).success
  const canUnpack = Bun.which('apt-get') !== null && Bun.which('dpkg') !== null
  if (canUnpack && run(['apt-get', 'download', 'nginx'])) {
    const packages = (await readdir(folder)).filter(name => name.endsWith('.deb'))
    for (const name of packages) run(['dpkg', '-x', name, '.'])
    if (existsSync(executable)) return executable
  }
  throw new CannotRun(
    'nginx is not installed and could not be fetched; install it (apt-get install nginx-light)',
  )
}

const versionOf = (executable: string): string =>
  /nginx\/(\S+)/.exec(Bun.spawnSync([executable, '-v']).stderr.toString())?.[1] ?? 'unknown'

/** A port that was free a moment ago: nginx cannot choose one itself and tell. */
function freePort(): number {
  const listener = Bun.listen({ hostname: '127.0.0.1', port: 0, socket: { data: () => {} } })
  const { port } = listener
  listener.stop(true)
  return port
}

async function firstWorker(process: BenchProcess, port: number): Promise<number> {
  const deadline = performance.now() + startTimeoutMs
  while (performance.now() < deadline) {
    const worker = childrenOf(process.pid)[0]
    if (worker !== undefined && (await accepts(port))) return worker
    await Bun.sleep(startPollMs)
  }
  throw new CannotRun('nginx did not start')
}

async function accepts(port: number): Promise<boolean> {
  try {
    const socket = await Bun.connect({ hostname: '127.0.0.1', port, socket: { data: () => {} } })
    socket.end()
    return true
  } catch {
    return false
  }
}

const nginxConfig = (folder: string, port: number, upstreamPort: number): string => `
daemon off;
worker_processes 1;
pid ${folder}/nginx.pid;
events { worker_connections 16384; }
http {
  access_log off;
  client_body_temp_path ${folder}/body;
  proxy_temp_path ${folder}/proxy;
  fastcgi_temp_path ${folder}/fastcgi;
  uwsgi_temp_path ${folder}/uwsgi;
  scgi_temp_path ${folder}/scgi;
  keepalive_requests 10000000;
  tcp_nodelay on;
  upstream mock { server 127.0.0.1:${upstreamPort}; keepalive 1024; keepalive_requests 10000000; }
  server {
    listen 127.0.0.1:${port} backlog=4096;
    location / {
      proxy_pass http://mock;
      proxy_http_version 1.1;
      proxy_set_header Connection "";
      proxy_buffering off;
    }
  }
}
`
