// See `solc` beside this file.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { resolve } from 'node:path'

const require = createRequire(import.meta.url)
const solc = require('solc')
const flags = process.argv.slice(2)
if (flags.includes('--version')) {
  console.log(`solc, the solidity compiler commandline interface\nVersion: ${solc.version().replace('.Emscripten.clang', '.Linux.g++')}`)
} else if (flags.includes('--standard-json')) {
  const base = flags.includes('--base-path') ? flags[flags.indexOf('--base-path') + 1] : '.'
  const read = (path) => {
    try {
      return { contents: readFileSync(resolve(base, path), 'utf8') }
    } catch (error) {
      return { error: error.message }
    }
  }
  console.log(solc.compile(readFileSync(0, 'utf8'), { import: read }))
} else {
  console.error(`unknown arguments ${flags.join(' ')}: --version and --standard-json are known`)
  process.exit(1)
}
