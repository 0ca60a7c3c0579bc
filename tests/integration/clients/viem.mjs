// The ERC-20 scenario with viem: deploy at member 1, use at 2, read at 3, events on the WebSocket of 4.
import { createPublicClient, createWalletClient, defineChain, http, webSocket } from 'viem'
import { privateKeyToAccount } from 'viem/accounts'
import WebSocket from 'ws'
import { input, report, within } from './scenario.mjs'

globalThis.WebSocket ??= WebSocket
const { urls, ws, key, abi, bytecode, recipient, amount, chainId } = await input()
const chain = defineChain({
  id: chainId,
  name: 'hansa',
  nativeCurrency: { name: 'Han', symbol: 'HAN', decimals: 18 },
  rpcUrls: { default: { http: urls } },
})
const account = privateKeyToAccount(key)
const reader = (url) => createPublicClient({ chain, transport: http(url), pollingInterval: 100 })
const writer = (url) => createWalletClient({ account, chain, transport: http(url) })

const deployment = await writer(urls[0]).deployContract({ abi, bytecode, args: [10n ** 24n] })
const { contractAddress: address } = await reader(urls[0]).waitForTransactionReceipt({ hash: deployment })

const live = createPublicClient({ chain, transport: webSocket(ws) })
let unwatch
const heard = new Promise((resolve, reject) => {
  unwatch = live.watchContractEvent({ address, abi, eventName: 'Transfer', onLogs: (logs) => resolve(logs[0]), onError: reject })
})
await live.getChainId()

const hash = await writer(urls[1]).writeContract({ address, abi, functionName: 'transfer', args: [recipient, BigInt(amount)] })
const receipt = await reader(urls[1]).waitForTransactionReceipt({ hash })
const log = await within(20_000, 'Transfer event on the WebSocket', heard)
unwatch()
const third = reader(urls[2])
const balance = (blockNumber) => third.readContract({ address, abi, functionName: 'balanceOf', args: [recipient], blockNumber })
let refused = null
try {
  await third.simulateContract({ address, abi, functionName: 'transfer', args: [recipient, 10n ** 30n], account: recipient })
} catch (error) {
  refused = error.cause?.data?.errorName ?? error.shortMessage
}
report({
  client: 'viem',
  address,
  hash,
  status: receipt.status === 'success' ? 1 : 0,
  block: receipt.blockNumber,
  balance: await balance(receipt.blockNumber),
  before: await balance(receipt.blockNumber - 1n),
  event: { from: log.args.from, to: log.args.to, value: log.args.value, hash: log.transactionHash },
  refused,
  logs: (await third.getContractEvents({ address, abi, eventName: 'Transfer', fromBlock: receipt.blockNumber, toBlock: receipt.blockNumber })).length,
})
