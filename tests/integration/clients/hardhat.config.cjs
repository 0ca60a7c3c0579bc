// Hardhat's networks are the four members; see test_clients.py for the environment it is given.
const { subtask } = require('hardhat/config')
const { TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD } = require('hardhat/builtin-tasks/task-names')

const solcVersion = require('solc/package.json').version
const urls = JSON.parse(process.env.HANSA_RPC_URLS ?? '[]')
const accounts = process.env.HANSA_PRIVATE_KEY ? [process.env.HANSA_PRIVATE_KEY] : []

// npm's solc instead of a compiler that Hardhat would download.
subtask(TASK_COMPILE_SOLIDITY_GET_SOLC_BUILD).setAction(async (arguments_) => {
  if (arguments_.solcVersion !== solcVersion) throw new Error(`solc ${arguments_.solcVersion} is not installed`)
  return {
    version: solcVersion,
    longVersion: require('solc').version(),
    compilerPath: require.resolve('solc/soljson.js'),
    isSolcJs: true,
  }
})

module.exports = {
  solidity: { version: solcVersion, settings: { evmVersion: 'prague', optimizer: { enabled: true, runs: 200 } } },
  networks: Object.fromEntries(urls.map((url, index) => [`member${index + 1}`, { url, accounts }])),
  paths: { sources: 'contracts', artifacts: 'hardhat-out', cache: 'hardhat-cache' },
}
