/* Keeps one core busy until its parent ends it, and in any case not longer than it is told. */
const end = performance.now() + Number(process.argv[2] ?? 0)
console.log(JSON.stringify({ event: 'spinning' }))
while (performance.now() < end) Math.sqrt(end)
process.exit(0)
