// Compile BenchToken.sol with npm's solc of tests/integration/clients and print the artefact.
import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { dirname, join } from 'node:path'
import { fileURLToPath } from 'node:url'

const here = dirname(fileURLToPath(import.meta.url))
const clients = join(here, '..', '..', 'tests', 'integration', 'clients')
const solc = createRequire(join(clients, 'package.json'))('solc')
const input = {
  language: 'Solidity',
  sources: { 'BenchToken.sol': { content: readFileSync(join(here, 'BenchToken.sol'), 'utf8') } },
  settings: {
    evmVersion: 'prague',
    optimizer: { enabled: true, runs: 200 },
    outputSelection: { '*': { '*': ['abi', 'evm.bytecode.object'] } },
  },
}
const output = JSON.parse(
  solc.compile(JSON.stringify(input), {
    import: (path) => ({ contents: readFileSync(join(clients, 'node_modules', path), 'utf8') }),
  }),
)
const errors = (output.errors ?? []).filter((error) => error.severity === 'error')
if (errors.length > 0) {
  console.error(errors.map((error) => error.formattedMessage).join('\n'))
  process.exit(1)
}
const found = output.contracts['BenchToken.sol'].BenchToken
const notice = 'Contains OpenZeppelin Contracts (MIT licence), compiled; see contracts/bench-token.'
console.log(
  JSON.stringify(
    { contractName: 'BenchToken', compiler: solc.version(), notice, abi: found.abi, bytecode: '0x' + found.evm.bytecode.object },
    null,
    1,
  ),
)
