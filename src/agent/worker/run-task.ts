import type { EmbedEngineJob, EngineJob } from '../engine/engine.ts'
import { wrongKind, type Embedder } from './embedder.ts'
import type { JobEntry } from './job-table.ts'
import type { LoadedModel } from './load-model.ts'
import { runEmbedJob } from './run-embed-job.ts'
import { runJob } from './run-job.ts'
import type { WorkerOutput } from './worker-output.ts'

/** Runs a job to its end with the model that is there, if it is one for it. Never rejects. */
export async function runTask(
  model: LoadedModel | Embedder,
  entry: JobEntry,
  output: WorkerOutput,
): Promise<void> {
  if (model.kind === 'chat' && isChat(entry)) await runJob(model, entry, output)
  else if (model.kind !== 'chat' && isEmbed(entry)) await runEmbedJob(model, entry, output)
  else {
    const { stream, attempt } = entry.job
    output.say({ type: 'failed', stream, attempt, error: wrongKind(model.kind) })
  }
}

const isChat = (entry: JobEntry): entry is JobEntry<EngineJob> => 'chat' in entry.job
const isEmbed = (entry: JobEntry): entry is JobEntry<EmbedEngineJob> => 'embed' in entry.job
