const frames = ['⠋', '⠙', '⠹', '⠸', '⠼', '⠴', '⠦', '⠧', '⠇', '⠏']
const shownAfterMs = 1_000
const spinEveryMs = 100
const lineEveryMs = 15_000

/**
 * Runs `work` and shows on stderr that it is under way once it takes longer than a second: a spinner with the elapsed
 * time on a terminal, a line now and then elsewhere. Quick work stays silent.
 */
export async function withProgress(what, work) {
  const terminal = process.stderr.isTTY === true
  const begun = performance.now()
  const seconds = () => Math.round((performance.now() - begun) / 1000)
  let shown = 0
  const show = () => {
    if (terminal)
      process.stderr.write(`\r\x1b[K${frames[shown % frames.length]} ${what} … ${seconds()} s`)
    else process.stderr.write(shown === 0 ? `${what} …\n` : `${what} … ${seconds()} s\n`)
    shown++
  }
  let ticker
  const first = setTimeout(() => {
    show()
    ticker = setInterval(show, terminal ? spinEveryMs : lineEveryMs)
  }, shownAfterMs)
  try {
    const result = await work()
    if (shown > 0) process.stderr.write(`${terminal ? '\r\x1b[K' : ''}${what}: ${seconds()} s\n`)
    return result
  } catch (error) {
    if (shown > 0 && terminal) process.stderr.write('\r\x1b[K')
    throw error
  } finally {
    clearTimeout(first)
    clearInterval(ticker)
  }
}
