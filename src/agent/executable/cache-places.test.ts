import { expect, test } from 'bun:test'
import { cachePlaces, type CacheSurroundings } from './cache-places.ts'

const places = (
  platform: NodeJS.Platform,
  home: string,
  environment: CacheSurroundings['environment'] = {},
) => cachePlaces({ platform, home, environment, stateDir: '/state' })

test.each<[NodeJS.Platform, string, CacheSurroundings['environment'], readonly string[]]>([
  ['linux', '/home/ada', {}, ['/home/ada/.cache/gpupool-agent', '/state/cache']],
  ['linux', '/home/ada', { XDG_CACHE_HOME: '/c' }, ['/c/gpupool-agent', '/state/cache']],
  [
    'linux',
    '/home/ada',
    { XDG_CACHE_HOME: 'here' },
    ['/home/ada/.cache/gpupool-agent', '/state/cache'],
  ],
  ['linux', '', {}, ['/state/cache']],
  ['darwin', '/home/ada', {}, ['/home/ada/Library/Caches/gpupool-agent', '/state/cache']],
  ['win32', '', { LOCALAPPDATA: '/local' }, ['/local/gpupool-agent', '/state/cache']],
  ['linux', '/home/ada', { GPUPOOL_AGENT_CACHE_DIR: '/own' }, ['/own']],
])('on %s with home %p and %j', (platform, home, environment, expected) => {
  expect(places(platform, home, environment)).toEqual(expected)
})
