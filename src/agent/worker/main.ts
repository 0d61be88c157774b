import { loadModel } from './load-model.ts'
import { runTask } from './run-task.ts'
import { runWorker } from './run-worker.ts'

await runWorker({ loadModel, runTask })
