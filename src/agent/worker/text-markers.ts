/** Marks in a model's output that are structure, not text. A vocabulary may hold them as single control tokens. */
export const textMarkers = {
  reasoningOpen: '<think>',
  reasoningClose: '</think>',
  toolCallOpen: '<tool_call>',
  toolCallClose: '</tool_call>',
} as const

const all: readonly string[] = Object.values(textMarkers)

export const isTextMarker = (text: string): boolean => all.includes(text)
