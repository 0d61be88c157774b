export type Colour = 'green' | 'yellow' | 'red' | 'dim' | 'bold'

/** Puts a colour on a text, or leaves it alone. */
export type Style = (colour: Colour, text: string) => string

const codes: Readonly<Record<Colour, number>> = { green: 32, yellow: 33, red: 31, dim: 2, bold: 1 }

export const plainStyle: Style = (_, text) => text
const colouredStyle: Style = (colour, text) => `\x1b[${codes[colour]}m${text}\x1b[0m`

/** Colours are for people at a terminal who did not ask for none (no-color.org: set and not empty). */
export const styleFor = (
  isTerminal: boolean,
  environment: Readonly<Record<string, string | undefined>>,
): Style =>
  isTerminal && !environment['NO_COLOR'] && environment['TERM'] !== 'dumb'
    ? colouredStyle
    : plainStyle
