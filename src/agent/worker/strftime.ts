const monthNames = [
  'January',
  'February',
  'March',
  'April',
  'May',
  'June',
  'July',
  'August',
  'September',
  'October',
  'November',
  'December',
] as const
const dayNames = [
  'Sunday',
  'Monday',
  'Tuesday',
  'Wednesday',
  'Thursday',
  'Friday',
  'Saturday',
] as const

const pad = (value: number): string => String(value).padStart(2, '0')
const twelveHours = (hours: number): number => hours % 12 || 12

const directives: Readonly<Record<string, (date: Date) => string>> = {
  Y: date => String(date.getUTCFullYear()),
  y: date => pad(date.getUTCFullYear() % 100),
  m: date => pad(date.getUTCMonth() + 1),
  d: date => pad(date.getUTCDate()),
  e: date => String(date.getUTCDate()).padStart(2, ' '),
  B: date => monthNames[date.getUTCMonth()] ?? '',
  b: date => (monthNames[date.getUTCMonth()] ?? '').slice(0, 3),
  A: date => dayNames[date.getUTCDay()] ?? '',
  a: date => (dayNames[date.getUTCDay()] ?? '').slice(0, 3),
  H: date => pad(date.getUTCHours()),
  I: date => pad(twelveHours(date.getUTCHours())),
  p: date => (date.getUTCHours() < 12 ? 'AM' : 'PM'),
  M: date => pad(date.getUTCMinutes()),
  S: date => pad(date.getUTCSeconds()),
  Z: () => 'UTC',
  z: () => '+0000',
  F: date => date.toISOString().slice(0, 10),
  T: date => date.toISOString().slice(11, 19),
  '%': () => '%',
}

/**
 * Python's strftime as chat templates use it, in UTC and English on every machine, so that two agents render one
 * prompt. `%-d` and the like leave out the leading zero; an unknown directive stays as it is.
 */
export function strftimeUtc(epochMs: number, format: string): string {
  const date = new Date(epochMs)
  return format.replace(/%(-?)([A-Za-z%])/g, (whole, dash: string, letter: string) => {
    const text = directives[letter]?.(date)
    if (text === undefined) return whole
    return dash === '' ? text : text.replace(/^[0 ](?=.)/, '')
  })
}
