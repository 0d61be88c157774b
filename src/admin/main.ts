import { runAdmin } from './run-admin.ts'

process.exitCode = await runAdmin(process.argv.slice(2), {
  env: process.env,
  workingDir: process.cwd(),
  output: {
    out: text => void process.stdout.write(text),
    note: text => void process.stderr.write(text),
  },
})
