// Compile one contract of contracts/ with npm's solc and print {abi, bytecode} as JSON.
// Usage: node compile.mjs Token.sol Token
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const require = createRequire(import.meta.url)
const solc = require('solc')
const here = dirname(fileURLToPath(import.meta.url))
const [source, contract] = process.argv.slice(2)

const input = {
  language: 'Solidity',
  sources: { [source]: { content: readFileSync(join(here, 'contracts', source), 'utf8') } },
  settings: {
    evmVersion: 'prague',
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
  },
}
const output = JSON.parse(
  solc.compile(JSON.stringify(input), {
    import: (path) => ({ contents: readFileSync(join(here, 'node_modules', path), 'utf8') }),
  }),
)
const errors = (output.errors ?? []).filter((error) => error.severity === 'error')
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join('\n'))
  process.exit(1)
}
const found = output.contracts[source][contract]
console.log(JSON.stringify({ abi: found.abi, bytecode: '0x' + found.evm.bytecode.object }))
