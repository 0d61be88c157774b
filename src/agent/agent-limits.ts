import { limits } from '../protocol/limits.ts'

/** Bounds that concern the agent alone; what both sides must agree on is in protocol/limits.ts. */
export const agentLimits = {
  /** Output that may wait in one socket. A connection this far behind is hopeless: the server has given up on it. */
  socketBufferedBytesMax: 16 * 1024 * 1024,
  /** Time a closing handshake may take before the socket is dropped. */
  socketCloseTimeoutMs: 1_000,
  /** A machine that was away for longer has lost its connection: the server's ping and pong deadline have passed. */
  sleepNoticeMs: 10_000,
  /** How often the clocks are compared to notice sleep. */
  sleepCheckIntervalMs: 5_000,
  /**
   * Jobs that wait for a loading model or a free slot, per instance; beyond it the pool is told to go elsewhere. While a
   * model loads, the pool sends as many as it asked slots for.
   */
  jobsWaitingPerInstanceMax: limits.slotsPerInstanceMax,
  /** A worker that dies more often than this within the window stays down until the pool loads the model again. */
  workerDeathsMax: 3,
  workerDeathWindowMs: 60_000,
  /**
   * When a silent worker counts as hung (engine/engine-watch.ts). A driver may compile its shaders for minutes at the first
   * load, a disk may read 20 MB/s, and a slow processor may read four tokens of a prompt in a second.
   */
  workerSilence: {
    loadMs: 180_000,
    loadPerMegabyteMs: 50,
    firstTokenMs: 60_000,
    promptTokenMs: 250,
    gapMs: 10_000,
    gapFactor: 20,
  },
  /** A model that nobody has used for so long is unloaded, unless the owner says otherwise; it is looked for this often. */
  idleUnloadMs: 30 * 60_000,
  idleCheckMs: 60_000,
  /** A model that needs the memory of models in use waits so long for them to be idle; it looks this often. */
  roomWaitMs: 30_000,
  roomLookMs: 500,
  /** Memory of a process that has ended is back within so long, or somebody else has it. */
  memorySettleMs: 5_000,
  /** Deaths during the load, or at the first jobs of different requests, that put a file into quarantine. */
  loadDeathsMax: 2,
  firstJobDeathsMax: 2,
  deathLogsMax: 256,
  quarantinedFilesMax: 64,
  /** Models whose speeds are remembered. */
  modelFiguresMax: 256,
  /** Smallest step of loading progress that is worth a message. */
  progressStepRatio: 0.05,
  /** Attempts of one download that bring less than `downloadProgressBytes`, before it is given up. */
  downloadAttemptsMax: 6,
  downloadProgressBytes: 1024 * 1024,
  downloadRetryMinMs: 1_000,
  downloadRetryMaxMs: 30_000,
  /** A download that brings nothing for this long is cut and tried again. */
  downloadStallMs: 60_000,
  downloadRedirectsMax: 5,
  /** Another agent on the same folder fetches the file: whether it is done is looked for this often. */
  downloadClaimPollMs: 2_500,
  /** Room that a download leaves on the disk. */
  diskHeadroomBytes: 256 * 1024 ** 2,
  /** Files whose hash is remembered. */
  hashesRememberedMax: 1_024,
  /** Devices are read this often; a reading older than the second figure is called unknown. */
  readingsIntervalMs: 10_000,
  readingsAgeMaxMs: 60_000,
  /** A lost device is one whose readings were all unknown so often in a row, after it had answered before. */
  silentReadingsMax: 3,
  /** While a device is lost, whether it is back is looked for this often. */
  lostDeviceLookMs: 60_000,
  /** Nobody wants anything of the agent for so long before it measures; each interruption doubles it, up to the second. */
  calibrationQuietMs: 15_000,
  calibrationQuietMaxMs: 600_000,
  /** No new figure of a device is begun after this. */
  calibrationBudgetMs: 10_000,
  /** From the start of the process, driver and shaders included, to its being killed. */
  calibrationTimeoutMs: { cpu: 30_000, gpu: 90_000 },
  /** Attempts that fail, until hardware, driver or engine change; and the wait after the first, doubled tenfold. */
  calibrationAttemptsMax: 3,
  calibrationRetryMs: 60_000,
  calibrationRetryFactor: 10,
  /** Figures that were taken on a busier machine are taken again when so many cores fewer are busy, this late. */
  calibrationFewerBusyCores: 1,
  calibrationRecheckMs: 600_000,
  /** Devices remembered: those of all machines that this state directory was ever on. */
  calibrationsRememberedMax: 128,
  /** Answers of the enrolment listener. */
  enrolmentAnswerBytesMax: 64 * 1024,
  enrolmentTimeoutMs: 30_000,
  /** Requests and answers of local control. */
  localControlBytesMax: 1024 * 1024,
  localControlTimeoutMs: 5_000,
  /** From the signal to the end of the process, workers included. */
  shutdownTimeoutMs: 3_000,
} as const
