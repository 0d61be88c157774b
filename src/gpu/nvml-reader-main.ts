import { serveNvml } from './nvml-reader.ts'

/* Entry of the reading process in a checkout; the executable becomes it by its argument `nvml-reader`. */

await serveNvml(process.argv.slice(2))
process.exit(0)
