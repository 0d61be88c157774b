/**
 * Which layers see only a window of the context.
 * `listed`: the header names them one by one. Otherwise every `period`-th layer sees everything: the last of each
 * group, or the first where `denseFirst`; a number or a list in the header overrides the period.
 */
export type WindowRule = {
  /** Tokens where the header says nothing; `required`: the header must say; null: without a figure there is no window. */
  readonly tokens: number | 'required' | null
  /** The header's figure is only a switch; this many tokens are used (Llama 4, SmallThinker). */
  readonly fixedTokens?: number
  readonly period: number | 'listed'
  readonly denseFirst?: boolean
  /** Only models with this many layers have the window (EXAONE 4). */
  readonly onlyLayers?: number
}

/** Which layers keep a state of fixed size: those without key/value heads, all but every n-th, or all. */
export type StateRule = {
  readonly layers: 'without heads' | 'interval' | 'all'
  /** Layers with a state have attention and its cache too (Falcon H1). */
  readonly withAttention?: boolean
  /** The layer must have no feed-forward part either (Nemotron H keeps those in layers of their own). */
  readonly withoutFeedForward?: boolean
  readonly kind: 'mamba' | 'delta' | 'convolution' | 'rwkv'
}

/** What an architecture's name says that its header does not; `load_arch_hparams` in `src/models/*.cpp` of llama.cpp v0.5.0. */
export type ArchitectureRule = {
  readonly window?: WindowRule
  readonly state?: StateRule
  /** Keys and values share one latent vector per token when the header has the sizes for it. */
  readonly latent?: boolean
  /** Layers from here on reuse the cache of earlier ones: a number of layers, or the header's `attention.shared_kv_layers`. */
  readonly cacheFromStart?: number | 'header'
  /** The estimate was compared with what llama.cpp took for a model of this architecture (`bench/memory.ts`). */
  readonly measured?: boolean
}

const plain = [
  'apertus',
  'arcee',
  'arctic',
  'baichuan',
  'bailingmoe',
  'bailingmoe2',
  'bitnet',
  'bloom',
  'chameleon',
  'chatglm',
  'codeshell',
  'cogvlm',
  'command-r',
  'dbrx',
  'deci',
  'deepseek',
  'dots1',
  'ernie4_5',
  'ernie4_5-moe',
  'exaone',
  'falcon',
  'gemma',
  'glm4',
  'glm4moe',
  'gpt2',
  'gptneox',
  'granite',
  'granitemoe',
  'grok',
  'grovemoe',
  'hunyuan-dense',
  'hunyuan-moe',
  'internlm2',
  'jais',
  'jais2',
  'maincoder',
  'minicpm',
  'minicpm3',
  'minimax-m2',
  'mistral3',
  'mpt',
  'nemotron',
  'olmo',
  'olmoe',
  'openelm',
  'orion',
  'paddleocr',
  'pangu-embedded',
  'phi2',
  // Phi 3 and Phi MoE have a window in their headers that llama.cpp switches off.
  'phi3',
  'phimoe',
  'plamo',
  'plm',
  'qwen',
  'qwen2',
  'qwen2moe',
  'qwen2vl',
  'qwen3',
  'qwen3vl',
  'qwen3vlmoe',
  'refact',
  'seed_oss',
  'smollm3',
  'stablelm',
  'starcoder',
  'starcoder2',
  'xverse',
] as const

const optionalWindow = (period: number, denseFirst = false): ArchitectureRule => ({
  window: { tokens: null, period, denseFirst },
})
const requiredWindow = (period: number | 'listed', denseFirst = false): ArchitectureRule => ({
  window: { tokens: 'required', period, denseFirst },
})
const withoutHeads = (kind: StateRule['kind']): ArchitectureRule => ({
  state: { layers: 'without heads', kind },
})
const onlyState = (kind: StateRule['kind']): ArchitectureRule => ({
  state: { layers: 'all', kind },
})
const deltaNet: ArchitectureRule = { state: { layers: 'interval', kind: 'delta' } }

/**
 * Architectures whose memory this build can tell, by `general.architecture`. A name that is missing here is refused:
 * encoders, diffusion and speech models, draft heads, and those with caches of their own kind (DeepSeek 3.2 and 4,
 * GLM DSA, MiniMax M3, Kimi).
 */
export const architectureRules: ReadonlyMap<string, ArchitectureRule> = new Map<
  string,
  ArchitectureRule
>([
  ...plain.map(name => [name, {}] as const),
  ['llama', { measured: true }],
  ['qwen3moe', { measured: true }],
  ['gemma3', { ...optionalWindow(6), measured: true }],
  ['deepseek2', { latent: true, measured: true }],
  ['granitehybrid', { ...withoutHeads('mamba'), measured: true }],
  ['qwen35', { ...deltaNet, measured: true }],
  ['mistral4', { latent: true }],
  ['afmoe', optionalWindow(4)],
  ['cohere2', requiredWindow(4)],
  ['cohere2moe', requiredWindow(4, true)],
  ['exaone-moe', requiredWindow(4)],
  ['exaone4', { window: { tokens: 4096, period: 4, onlyLayers: 64 } }],
  ['gemma2', { window: { tokens: 4096, period: 2 } }],
  ['gemma3n', { ...requiredWindow(5), cacheFromStart: 20 }],
  ['gemma4', { ...requiredWindow('listed'), cacheFromStart: 'header' }],
  ['gpt-oss', requiredWindow(2)],
  ['granite_swa', requiredWindow('listed')],
  ['laguna', optionalWindow(4, true)],
  ['llama4', { window: { tokens: 8192, fixedTokens: 8192, period: 4 } }],
  ['maple', requiredWindow('listed')],
  ['mellum', optionalWindow(4)],
  ['mimo2', requiredWindow('listed')],
  ['muse-glimmer', requiredWindow(4)],
  ['olmo2', optionalWindow(4)],
  ['plamo3', optionalWindow(8)],
  ['smallthinker', { window: { tokens: null, fixedTokens: 4096, period: 4, denseFirst: true } }],
  ['spark2_5', requiredWindow('listed')],
  ['step35', requiredWindow('listed')],
  ['falcon-h1', { state: { layers: 'all', withAttention: true, kind: 'mamba' } }],
  ['jamba', withoutHeads('mamba')],
  ['lfm2', withoutHeads('convolution')],
  ['lfm2moe', withoutHeads('convolution')],
  ['nemotron_h', { state: { layers: 'without heads', withoutFeedForward: true, kind: 'mamba' } }],
  [
    'nemotron_h_moe',
    { state: { layers: 'without heads', withoutFeedForward: true, kind: 'mamba' } },
  ],
  ['plamo2', withoutHeads('mamba')],
  ['qwen35moe', deltaNet],
  ['qwen3next', deltaNet],
  ['mamba', onlyState('mamba')],
  ['mamba2', onlyState('mamba')],
  ['arwkv7', onlyState('rwkv')],
  ['rwkv6', onlyState('rwkv')],
  ['rwkv6qwen2', onlyState('rwkv')],
  ['rwkv7', onlyState('rwkv')],
])
