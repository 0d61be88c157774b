/**
 * `bun run test:hostile-files`: a thousand spoilt model files (or as many as the argument says) loaded one after another by
 * the agent's instance host with real workers; `npm test` has a share of 25. A second argument is the first seed.
 */
const [count = '1000', firstSeed = '1'] = process.argv.slice(2)
const child = Bun.spawn(
  [process.execPath, 'test', 'test/hostile-model-files-do-not-end-the-agent.test.ts'],
  {
    stdio: ['ignore', 'inherit', 'inherit'],
    env: {
      ...process.env,
      GPUPOOL_TEST_HOSTILE_FILES: count,
      GPUPOOL_TEST_HOSTILE_SEED: firstSeed,
    },
  },
)
process.exit(await child.exited)
