import { defineConfig } from 'drizzle-kit'

// drizzle-kit takes its configuration from the default export only.
// oxlint-disable-next-line import/no-default-export
export default defineConfig({
  dialect: 'postgresql',
  schema: './src/server/store/schema.ts',
  out: './drizzle',
})
