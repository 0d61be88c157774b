import packageJson from '../../package.json' with { type: 'json' }

/** What this program is, as hello and `version` say it. */
export const software = { name: 'gpupool-agent', version: packageJson.version } as const
